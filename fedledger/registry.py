"""Registries as data: a name, where its object lives, and what to install when it cannot load.

Third parties add entries through an entry-point group. Nothing is imported until it is used.
"""

import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any

from fedledger.errors import ConfigError, UnknownNameError

__all__ = ["Registry", "check_installed"]


class Registry:
    """Names to objects, loaded on first use.

    Args:
        kind: what the entries are, for error messages ("rule", "attack").
        entries: name to "module:attribute".
        group: entry-point group through which third parties add names.
        extras: name to the extra that installs what the entry needs ("torch").
        wanted: whether what a third party's entry names can be such a thing at all.
    """

    def __init__(
        self,
        kind: str,
        entries: Mapping[str, str],
        *,
        group: str | None = None,
        extras: Mapping[str, str] | None = None,
        wanted: Callable[[Any], bool] = callable,
    ) -> None:
        self.kind = kind
        self._entries = dict(entries)
        self._group = group
        self._extras = dict(extras or {})
        self._wanted = wanted

    def names(self) -> list[str]:
        """Return every known name, sorted; ours and third parties'."""
        return sorted(self._targets())

    def load(self, name: str) -> Any:
        """Return the object registered under `name`.

        Raises:
            UnknownNameError: nobody registered it.
            ConfigError: it needs a package that is not installed, or the package that adds it is
                broken.
        """
        targets = self._targets()
        if name not in targets:
            raise UnknownNameError(self.kind, name, targets)
        target = targets[name]
        module, _, attribute = target.partition(":")
        ours = name in self._entries
        try:
            found = getattr(import_module(module), attribute)
        except ModuleNotFoundError as error:
            if ours and (error.name or "").startswith("fedledger"):
                raise
            if not ours and (error.name or "") == module.partition(".")[0]:
                raise self._broken(name, target, f"{type(error).__name__}: {error}") from error
            extra = self._extras.get(name)
            wanted = f"fedledger[{extra}]" if extra else str(error.name)
            raise ConfigError(
                f"{self.kind} {name!r} needs {error.name!r}: pip install '{wanted}'"
            ) from error
        except (Exception, SystemExit) as error:  # what is imported from outside can do anything
            if ours:
                raise
            raise self._broken(name, target, f"{type(error).__name__}: {error}") from error
        if not ours and not self._wanted(found):
            raise self._broken(name, target, f"it is of type {type(found).__name__}")
        return found

    def _broken(self, name: str, target: str, why: str) -> ConfigError:
        return ConfigError(
            f"{self.kind} {name!r} cannot be loaded: its entry point {target!r} in the group "
            f"{self._group!r} is broken ({why}): mend or uninstall the package that adds it"
        )

    def _targets(self) -> dict[str, str]:
        theirs = _installed(self._group, tuple(sys.path)) if self._group else {}
        return {**theirs, **self._entries}


def check_installed(what: str, extra: str, *modules: str) -> None:
    """Make sure that an extra is installed, before what needs it has begun.

    Args:
        what: needs it: "an experiment", "data set 'digits'".
        extra: of this package.
        modules: what is imported of it; none is imported here.

    Raises:
        ConfigError: names the first one that is not there, and what to install.
    """
    for module in modules:
        if find_spec(module) is None:
            raise ConfigError(f"{what} needs {module!r}: pip install 'fedledger[{extra}]'")


@lru_cache(maxsize=64)
def _installed(group: str, path: tuple[str, ...]) -> Mapping[str, str]:  # noqa: ARG001 - a key
    """Return an entry-point group as this path has it: looking through it takes milliseconds."""
    return {entry.name: entry.value for entry in entry_points(group=group)}
