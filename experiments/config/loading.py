"""Loading a config: read, changed, parsed, checked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedledger.errors import ConfigError

from ..needs import check_needs
from .checks import check
from .experiment import ExperimentConfig
from .parsing import parse, parse_as
from .sources import Change, Source
from .toml_files import read, with_overrides, with_scale
from .transfers import KIND, TransferConfig

__all__ = ["config_of", "load_any", "load_config"]


def load_config(
    source: str | Path,
    *,
    overrides: tuple[str, ...] | list[str] = (),
    scale: str | None = None,
    engine: str | None = None,
) -> ExperimentConfig:
    """Read a config of an experiment, apply a scale and overrides, and check it.

    Args:
        source: path of a TOML file, or the name of a config that comes with the library.
        overrides: "key=value" each, the key dotted, the value as TOML; applied after the scale.
        scale: name of a table below [scales] whose values replace the file's.
        engine: replaces the config's engine.

    Raises:
        ConfigError: not readable, not TOML, a wrong value, or a combination that cannot work; names
            the file or the override, and the key. Or what an experiment needs is not installed.
        UnknownNameError: an unknown key, scale, strategy, rule, attack … with the nearest known.
    """
    config = load_any(source, overrides=overrides, scale=scale, engine=engine)
    if isinstance(config, TransferConfig):
        raise ConfigError(f"{source} describes {KIND}, no experiment: `load_any` reads both")
    return config


def load_any(
    source: str | Path,
    *,
    overrides: tuple[str, ...] | list[str] = (),
    scale: str | None = None,
    engine: str | None = None,
) -> ExperimentConfig | TransferConfig:
    """Read a config of either kind; all else is as in `load_config`."""
    file, values = read(source)
    values, scaled = with_scale(values, scale, str(file))
    values, set_ = with_overrides(values, overrides)
    origin = Source(str(file)).with_changes(*scaled, *set_)
    if (kind := values.get("kind", "")) not in ("", KIND):
        raise ConfigError(f"{origin.of(('kind',))}, key 'kind': {KIND!r} or nothing, got {kind!r}")
    if kind == KIND:
        if engine is not None:
            raise ConfigError(f"--engine {engine}: {KIND} have no engine")
        return parse_as(TransferConfig, values, origin)
    if engine is not None:
        values["engine"] = engine
        origin = origin.with_changes(Change(("engine",), f"--engine {engine}"))
    check_needs()
    return config_of(values, origin)


def config_of(values: Mapping[str, Any], source: Source | str) -> ExperimentConfig:
    """Return the config that the values describe, checked; raises as `load_config`."""
    config = parse(values, source)
    check(config, source)
    return config
