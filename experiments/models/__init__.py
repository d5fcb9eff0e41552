"""PyTorch models by name: `build_model(Choice(name="mlp"), (1, 8, 8), 10, seed=1)`.

A model is one file with a builder `(shape, classes, **parameters) -> torch.nn.Module` and one line
in `MODELS`. Builders import torch themselves, so that the list of models needs no torch.
"""

from typing import TYPE_CHECKING

from fedledger.errors import ConfigError
from fedledger.registry import Registry

from ..config.choices import Choice, check_parameters

if TYPE_CHECKING:
    from torch import nn

__all__ = ["MODELS", "build_model"]

MODELS = Registry(
    "model",
    {name: f"{__name__}.{name}:{name}" for name in ("softmax", "mlp", "cnn")},
    group="fedledger.models",
)
"""Name to a builder."""

_LEADING = 2


def build_model(
    choice: Choice, shape: tuple[int, int, int], classes: int, *, seed: int
) -> "nn.Module":
    """Return a model whose initial weights depend on nothing but the arguments.

    Args:
        choice: the model's name and parameters.
        shape: (channels, height, width) of an image.
        classes: number of outputs.
        seed: seed of the initial weights, from 0 to 2⁶³-1.

    Raises:
        UnknownNameError: nobody registered the model, or it takes no such parameter.
        ConfigError: a parameter does not fit, or torch is not installed.
    """
    builder = check_parameters(choice, MODELS, _LEADING)
    try:
        import torch  # noqa: PLC0415 - seconds, only where a model is built
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"model {choice.name!r} needs 'torch': pip install 'fedledger[torch]'"
        ) from error
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: nn.Module = builder(shape, classes, **choice.parameters)
    return model
