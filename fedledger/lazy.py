"""Packages whose names are imported when they are asked for: what nobody asks for costs nothing."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

__all__ = ["lazily"]


def lazily(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return a package's `__getattr__`, which imports a name on its first use.

    Args:
        package: the package's `__name__`.
        homes: name to the module below the package that has it: "beacon.facade".

    Example: `__getattr__ = lazily(__name__, {"Beacon": "beacon.facade"})`, with the same import
    under `if TYPE_CHECKING` for type checkers.
    """

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found = getattr(import_module(f"{package}.{homes[name]}"), name)
        setattr(import_module(package), name, found)
        return found

    return load
