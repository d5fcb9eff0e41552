"""Where a client trains: Bift's `node use GPU n`, as node config."""

import os
import re

from flwr.app import Context

from fedledger.errors import ConfigError

__all__ = ["DEVICE", "device_of"]

DEVICE = "device"
"""Key in the node config, or in the run config where the node's does not say it."""

_NAMES = re.compile(r"cpu|auto|cuda:[0-9]{1,3}", re.ASCII)
_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


def device_of(context: Context) -> str:
    """Return the device that a client's config names, as PyTorch calls it: "cpu" or "cuda:N".

    "cpu" is the default, since the same bits come out of it everywhere; "auto" is the first CUDA
    device, or the CPU where there is none. A device that is named and absent is an error before any
    training, and never another device.

    Raises:
        ConfigError: no such device, or torch is not installed.
    """
    named = context.node_config.get(DEVICE, context.run_config.get(DEVICE, "cpu"))
    if not isinstance(named, str) or not _NAMES.fullmatch(named):
        raise ConfigError(f'device = {named!r}: "cpu", "cuda:0", "cuda:1", … or "auto" wanted')
    if named == "cpu":
        return named
    try:
        import torch  # noqa: PLC0415 - seconds, and the CPU's name needs none of it
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"device {named!r} needs 'torch': pip install 'fedledger[torch]'"
        ) from error
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if named == "auto":
        named = "cuda:0" if count else "cpu"
    elif int(named.removeprefix("cuda:")) >= count:
        raise ConfigError(f"device {named!r}: PyTorch finds {count} CUDA devices on this machine")
    if named != "cpu":
        os.environ.setdefault(_WORKSPACE, ":4096:8")  # or deterministic matrix products are refused
    return named
