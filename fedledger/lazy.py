"""Packages whose names are imported when they are asked for: what nobody asks for costs nothing."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from fedledger.errors import ConfigError

__all__ = ["lazily"]


def lazily(package: str, homes: Mapping[str, str], extra: str = "") -> Callable[[str], Any]:
    """Return a package's `__getattr__`, which imports a name on its first use.

    Args:
        package: the package's `__name__`.
        homes: name to the module below the package that has it: "beacon.facade".
        extra: what has to be installed for it. Where that is missing, `__getattr__` raises
            ConfigError, which says so.

    Example: `__getattr__ = lazily(__name__, {"Beacon": "beacon.facade"})`, with the same import
    under `if TYPE_CHECKING` for type checkers.
    """

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            found = getattr(import_module(f"{package}.{homes[name]}"), name)
        except ModuleNotFoundError as error:
            if not extra or (error.name or "").startswith("fedledger"):
                raise
            raise ConfigError(
                f"{package} needs {error.name!r}: pip install 'fedledger[{extra}]'"
            ) from error
        setattr(import_module(package), name, found)
        return found

    return load
