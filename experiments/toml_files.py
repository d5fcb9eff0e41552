"""From a TOML file with scales and overrides to an `ExperimentConfig`."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from fedledger.errors import ConfigError, UnknownNameError

from .choices import Choice
from .config import ExperimentConfig

__all__ = ["CONFIGS", "parse", "read", "with_overrides", "with_scale"]

CONFIGS = Path(__file__).parent / "configs"
"""Folder of the configs that come with the library."""

_BARE = re.compile(r"[A-Za-z][A-Za-z0-9_./+-]*|[a-z][a-z0-9+.-]*://\S*")  # a name or path, or a URL
_KEY = re.compile(r"[A-Za-z0-9_-]+( [A-Za-z0-9_-]+)*")


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
        return path, tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error


def with_scale(values: Mapping[str, Any], scale: str | None, where: str) -> dict[str, Any]:
    """Return the values with those of a scale in their place, and without the table of scales.

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
        return plain
    if scale not in scales:
        raise UnknownNameError(f"scale in {where}", scale, [*scales, "default"])
    return _merged(plain, scales[scale])


def with_overrides(values: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Return the values with "key=value" overrides applied.

    A key is dotted: `training.epochs=3`, and for a list of tables the entry's name or its number
    from 0: `approaches.PoFL.strict=true`. A value is TOML; a bare word is taken as a string.

    Raises:
        ConfigError: not of this form, or a list has no such entry.
    """
    plain = deepcopy(dict(values))
    for override in overrides:
        key, equals, text = override.partition("=")
        parts = [part.strip() for part in key.split(".")]
        if not equals or not all(_KEY.fullmatch(part) for part in parts):
            raise ConfigError(f"--set {override!r}: key=value is expected, for example rounds=3")
        _assign(plain, parts, _value(text.strip(), override), override)
    return plain


def parse(values: Mapping[str, Any], where: str) -> ExperimentConfig:
    """Return the config that the values describe.

    Raises:
        ConfigError: a value is missing or wrong; names the file and the key.
        UnknownNameError: a key that does not exist; names the nearest.
    """
    try:
        return ExperimentConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        path = _keys(first["loc"])
        if first["type"] == "extra_forbidden":
            table = ".".join(str(part) for part in path[:-1])
            inside = f" of [{table}]" if table else ""
            raise UnknownNameError(
                f"key{inside} in {where}", str(path[-1]), _fields(path[:-1])
            ) from error
        key = ".".join(str(part) for part in path)
        given = "" if first["type"] == "missing" else f", got {first['input']!r}"
        raise ConfigError(f"{where}, key {key!r}: {first['msg']}{given}") from error


def _keys(location: Sequence[int | str]) -> list[int | str]:
    """Return a key's path from where pydantic saw it, without the names of a union's types."""
    path: list[int | str] = []
    model: type[BaseModel] | None = ExperimentConfig
    for position, part in enumerate(location):
        if isinstance(part, int):
            path.append(part)
        elif model is None:
            break
        elif part in model.model_fields and part != "parameters":
            path.append(part)
            model = _model_in(model.model_fields[part].annotation)
        elif position == len(location) - 1 and model is not Choice:
            path.append(part)
    return path


def _fields(path: Sequence[int | str]) -> list[str]:
    """Return the keys that the table at a path may have."""
    model: type[BaseModel] | None = ExperimentConfig
    for part in path:
        if isinstance(part, str) and model is not None:
            model = _model_in(model.model_fields[part].annotation)
    if model is None:
        return []
    return ["name"] if model is Choice else list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _model_in(inner)
        if found is not None:
            return found
    return None


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
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError as error:
        if _BARE.fullmatch(text):
            return text
        raise ConfigError(f"--set {override!r}: the value is not TOML: {error}") from error


def _assign(target: Any, parts: Sequence[str], value: Any, override: str) -> None:
    for position, part in enumerate(parts):
        last = position == len(parts) - 1
        if isinstance(target, list):
            index = _entry(target, part, override)
            if last:
                target[index] = value
            else:
                target = target[index]
        elif isinstance(target, dict):
            if last:
                target[part] = value
            else:
                target = target.setdefault(part, {})
        else:
            raise ConfigError(f"--set {override!r}: {'.'.join(parts[:position])!r} is no table")


def _entry(entries: list[Any], part: str, override: str) -> int:
    names = [entry.get("name") if isinstance(entry, dict) else entry for entry in entries]
    if part in names:
        return names.index(part)
    if part.isdecimal() and int(part) < len(entries):
        return int(part)
    known = [str(name) for name in names]
    raise UnknownNameError(f"entry in --set {override!r}", part, known)
