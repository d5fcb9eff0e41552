"""From plain values to an `ExperimentConfig`, with errors that name file, key and nearest key."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from fedledger.errors import ConfigError, UnknownNameError

from .approaches import Approach, kind_of, strategies
from .choices import Choice
from .experiment import ExperimentConfig
from .sources import Source

__all__ = ["parse", "parse_as"]

Model = type[BaseModel] | None
C = TypeVar("C", bound=BaseModel)


def parse(values: Mapping[str, Any], source: Source | str) -> ExperimentConfig:
    """Return the experiment that the values describe; raises as `parse_as`."""
    return parse_as(ExperimentConfig, values, source)


def parse_as(kind: type[C], values: Mapping[str, Any], source: Source | str) -> C:
    """Return the config that the values describe.

    Args:
        kind: of config.
        values: as a TOML file has them.
        source: where they are from.

    Raises:
        ConfigError: a value is missing or wrong; names the file, or what changed it, and the key.
        UnknownNameError: a key or a name that does not exist; names the nearest.
    """
    source = Source(source) if isinstance(source, str) else source
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        path, model = _walk(values, first["loc"], kind)
        where, key = source.of(path), ".".join(str(part) for part in path)
        if first["type"] == "extra_forbidden":
            inside = f" of {_table(values, path[:-1])}" if path[:-1] else ""
            others = _strategies_with(str(path[-1])) if path[0] == "approaches" else ""
            if others:
                raise ConfigError(
                    f"{where}, key {key!r}: {path[-1]!r} means nothing to this strategy, only to "
                    f"{others}; known here: {', '.join(sorted(_keys(model)))}"
                ) from error
            unknown = f"key{inside} in {where}"
            raise UnknownNameError(unknown, str(path[-1]), _keys(model)) from error
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, ConfigError) and not path:
            raise ConfigError(f"{source.among(())}: {cause}") from error
        if isinstance(cause, UnknownNameError):
            unknown = f"{cause.kind} in {where}, key {key!r}"
            raise UnknownNameError(unknown, cause.name, cause.known) from error
        if isinstance(cause, ConfigError):
            raise ConfigError(f"{where}, key {key!r}: {cause}") from error
        given = "" if first["type"] == "missing" else f", got {first['input']!r}"
        raise ConfigError(f"{where}, key {key!r}: {first['msg']}{given}") from error


def _walk(
    values: Any, location: Sequence[int | str], kind: type[BaseModel]
) -> tuple[list[int | str], Model]:
    """Return a key's path, and the table it is in, from where pydantic saw it.

    What pydantic says of a union's types is left out.
    """
    path: list[int | str] = []
    model: Model = kind
    inside: Model = model  # the table of the path's last key
    for position, part in enumerate(location):
        last = position == len(location) - 1
        if isinstance(part, int):
            path.append(part)
        elif model is None:
            break
        elif part in model.model_fields and part != "parameters":
            path.append(part)
            inside, model = model, _model_in(model.model_fields[part].annotation)
        elif model is not Choice and (last or (isinstance(values, Mapping) and part in values)):
            path.append(part)
            inside = model
        values = _below(values, part)
        if model is Approach and isinstance(part, int):
            model = _kind_at(values)
    return path, inside


def _below(values: Any, part: int | str) -> Any:
    try:
        return values[part]
    except (KeyError, IndexError, TypeError):
        return None


def _kind_at(values: Any) -> Model:
    """Return the kind of an approach's table; the base of all where it does not say one."""
    strategy = _below(values, "strategy")
    try:
        return kind_of(strategy) if isinstance(strategy, str) else Approach
    except UnknownNameError:
        return Approach


def _table(values: Mapping[str, Any], path: Sequence[int | str]) -> str:
    """Return a table's name, and which strategy it has where its keys depend on that."""
    found: Any = values
    for part in path:
        found = _below(found, part)
    name = f"[{'.'.join(str(part) for part in path)}]"
    strategy = _below(found, "strategy")
    return f"{name} with strategy {strategy!r}" if path[0] == "approaches" and strategy else name


def _strategies_with(key: str) -> str:
    """Return the strategies that have a key, in words; nothing where none has it."""
    found = sorted(name for name, kind in strategies().items() if key in kind.model_fields)
    return ", ".join(found)


def _keys(model: Model) -> list[str]:
    """Return the keys that a table may have."""
    if model is None:
        return []
    return ["name"] if model is Choice else list(model.model_fields)


def _model_in(annotation: Any) -> Model:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _model_in(inner)
        if found is not None:
            return found
    return None
