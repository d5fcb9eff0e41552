"""TOML files of configs: found, read, and changed by scales and overrides."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from fedledger.errors import ConfigError, UnknownNameError

from .sources import Change, KeyPath

__all__ = ["CONFIGS", "parse_toml", "read", "with_overrides", "with_scale"]

CONFIGS = Path(__file__).parents[1] / "configs"
"""Folder of the configs that come with the library."""

_BARE = re.compile(r"[A-Za-z][A-Za-z0-9_./+-]*|[a-z][a-z0-9+.-]*://.*")  # a name or path, or a URL
_KEY = re.compile(r"[A-Za-z0-9_-]+( [A-Za-z0-9_-]+)*")


def parse_toml(text: str) -> dict[str, Any]:
    """Return what TOML says.

    Raises:
        ValueError: it is none, or is nested too deeply for its parser.
    """
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def read(source: str | Path) -> tuple[Path, dict[str, Any]]:
    """Return a config file's path and values.

    Raises:
        ConfigError: there is no such file, or it is not TOML.
        UnknownNameError: neither a file nor the name of a config of the library.
    """
    path = Path(source)
    if not path.exists() and path.suffix != ".toml" and len(path.parts) == 1:
        shipped = {file.stem: file for file in CONFIGS.glob("*.toml")}
        if str(source) not in shipped:
            raise UnknownNameError("config", str(source), shipped)
        path = shipped[str(source)]
    try:
        return path, parse_toml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error


def with_scale(
    values: Mapping[str, Any], scale: str | None, where: str
) -> tuple[dict[str, Any], list[Change]]:
    """Return the values with those of a scale in their place and no table of scales; and which.

    Tables are merged key by key, everything else is replaced. "default" is the file as it is.

    Raises:
        ConfigError: [scales] is not a table of tables.
        UnknownNameError: no such scale.
    """
    plain = deepcopy(dict(values))
    scales = plain.pop("scales", {})
    if not isinstance(scales, dict) or not all(isinstance(one, dict) for one in scales.values()):
        raise ConfigError(f"{where}, key 'scales': tables like [scales.smoke] are expected")
    if scale is None or (scale == "default" and scale not in scales):
        return plain, []
    if scale not in scales:
        raise UnknownNameError(f"scale in {where}", scale, [*scales, "default"])
    said = f"{where}, [scales.{scale}]"
    return _merged(plain, scales[scale]), [Change((key,), said) for key in scales[scale]]


def with_overrides(
    values: Mapping[str, Any], overrides: Sequence[str]
) -> tuple[dict[str, Any], list[Change]]:
    """Return the values with "key=value" overrides applied; and what they changed.

    A key is dotted: `training.epochs=3`, and for a list of tables the entry's name or its number
    from 0: `approaches.PoFL.strict=true`. A value is TOML; a bare word is taken as a string.

    Raises:
        ConfigError: not of this form, or a list has no such entry.
    """
    plain = deepcopy(dict(values))
    changes = []
    for override in overrides:
        key, equals, text = override.partition("=")
        parts = [part.strip() for part in key.split(".")]
        if not equals or not all(_KEY.fullmatch(part) for part in parts):
            raise ConfigError(f"--set {override!r}: key=value is expected, for example rounds=3")
        path = _assign(plain, parts, _value(text.strip(), override), override)
        changes.append(Change(path, f"--set {override!r}"))
    return plain, changes


def _merged(base: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    for key, value in changes.items():
        old = base.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            base[key] = _merged(old, value)
        else:
            base[key] = deepcopy(value)
    return base


def _value(text: str, override: str) -> Any:
    try:
        return parse_toml(f"value = {text}")["value"]
    except ValueError as error:
        if _BARE.fullmatch(text):
            return text
        raise ConfigError(
            f"--set {override!r}: the value is not TOML, where text stands in quotes: {error}"
        ) from error


def _assign(target: Any, parts: Sequence[str], value: Any, override: str) -> KeyPath:
    """Put a value where a dotted key says; return the key, with numbers for a list's entries."""
    path: list[int | str] = []
    for position, part in enumerate(parts):
        if isinstance(target, list):
            path.append(_entry(target, part, override))
        elif isinstance(target, dict):
            path.append(part)
        else:
            raise ConfigError(f"--set {override!r}: {'.'.join(parts[:position])!r} is no table")
        if position == len(parts) - 1:
            target[path[-1]] = value
        else:
            target = target.setdefault(part, {}) if isinstance(target, dict) else target[path[-1]]
    return tuple(path)


def _entry(entries: list[Any], part: str, override: str) -> int:
    names = [entry.get("name") if isinstance(entry, dict) else entry for entry in entries]
    if part in names:
        return names.index(part)
    if part.isdecimal() and int(part) < len(entries):
        return int(part)
    known = [str(name) for name in names]
    raise UnknownNameError(f"entry in --set {override!r}", part, known)
