"""What can be named in a config, with a line about each."""

import inspect
from collections.abc import Callable
from functools import partial

from fedledger.errors import ConfigError, UnknownNameError
from fedledger.registry import Registry

from .approaches.base import first_sentence
from .toml_files import CONFIGS, read

__all__ = ["catalogue"]

_ROOM = "fedledger.experiments"

_REGISTRIES = Registry(
    "catalogue",
    {
        "rules": "fedledger.strategies.aggregation:rules",
        "attacks": f"{_ROOM}.adversary.attacks:ATTACKS",
        "datasets": f"{_ROOM}.datasets:DATASETS",
        "models": f"{_ROOM}.models:MODELS",
        "partitions": f"{_ROOM}.partition:PARTITIONS",
        "engines": f"{_ROOM}.run.engines:ENGINES",
        "ledgers": "fedledger.ledger_plugins:LEDGERS",
        "stores": "fedledger.ledger_plugins:STORES",
        "protocols": "fedledger.strategies.protocols:PROTOCOLS",
        "phases": "fedledger.clients.phases:PHASES",
    },
)
"""Kind to its registry: only the one asked for is loaded."""

_STRATEGIES = Registry("catalogue", {"strategies": f"{_ROOM}.config.approaches:strategies"})


def catalogue(kind: str) -> list[dict[str, str]]:
    """Return `name` and `about` of everything of a kind, by name.

    Args:
        kind: "strategies", "configs", or the plural of what the entry-point groups are for.

    Raises:
        UnknownNameError: there is no such kind.
    """
    if kind == "configs":
        files = sorted(CONFIGS.glob("*.toml"))
        return [{"name": f.stem, "about": str(read(f)[1].get("title", ""))} for f in files]
    if kind == "strategies":
        known = _STRATEGIES.load(kind)()
        return [{"name": name, "about": _said(known[name].about, name)} for name in sorted(known)]
    if kind not in _REGISTRIES.names():
        raise UnknownNameError("catalogue", kind, [*_REGISTRIES.names(), "strategies", "configs"])
    registry: Registry = _REGISTRIES.load(kind)
    return [{"name": name, "about": _about(registry, name)} for name in registry.names()]


def _said(about: Callable[[str], str], name: str) -> str:
    """Return what is said about a name; one broken package must not hide all others."""
    try:
        return about(name)
    except ConfigError as error:
        return f"not available: {error}"
    except Exception as error:  # noqa: BLE001 - what another package registers can be anything
        return f"not available: {type(error).__name__}: {error}"


def _about(registry: Registry, name: str) -> str:
    return _said(partial(_sentence, registry), name)


def _sentence(registry: Registry, name: str) -> str:
    """Return the first sentence about an entry: of its own docstring, or of its module's."""
    found = registry.load(name)
    # A loader called `load` says little; its module says what the data is.
    loads = getattr(found, "__name__", "") == "load"
    return first_sentence(inspect.getmodule(found) if loads else found)
