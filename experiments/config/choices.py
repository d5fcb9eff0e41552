"""A name and its parameters, as configs give them: `"iid"`, `{ name = "fang", q = 0.5 }`."""

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, model_validator

from fedledger.errors import ConfigError, UnknownNameError
from fedledger.registry import Registry

__all__ = ["Choice", "Scalar", "check_arguments", "check_parameters", "slug"]

Scalar = bool | int | float | str


class Choice(BaseModel):
    """Something chosen from a registry.

    Attributes:
        name: the registered name.
        parameters: keyword arguments for what is registered.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    parameters: Mapping[str, Scalar] = {}

    @model_validator(mode="before")
    @classmethod
    def _from_toml(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        if isinstance(value, Mapping) and "parameters" not in value:
            rest = {key: entry for key, entry in value.items() if key != "name"}
            return {"parameters": rest} | {key: value[key] for key in ("name",) if key in value}
        return value

    @property
    def label(self) -> str:
        """The name with its parameters, for people: `dirichlet(alpha=3)`."""
        inside = ", ".join(f"{key}={value}" for key, value in self.parameters.items())
        return f"{self.name}({inside})" if inside else self.name

    def is_called(self, text: str) -> bool:
        """Return whether text is the name or the label."""
        return text in {self.name, self.label}

    def to_toml(self) -> str | dict[str, Scalar]:
        """Return the shortest form a config can give."""
        return {"name": self.name, **self.parameters} if self.parameters else self.name


def slug(text: str) -> str:
    """Return text as lower-case letters, digits, dots, underscores and hyphens."""
    return re.sub(r"[^a-z0-9._]+", "-", text.lower()).strip("-")


def check_parameters(choice: Choice, registry: Registry, given: int) -> Callable[..., Any]:
    """Return what is registered under a choice's name, once its parameters are known to fit.

    Args:
        choice: the name and the parameters.
        registry: where the name is looked up.
        given: number of leading arguments that the caller will pass by position.

    Raises:
        UnknownNameError: nobody registered the name, or it takes no parameter of that name.
        ConfigError: a parameter is missing or of the wrong type.
    """
    function: Callable[..., Any] = registry.load(choice.name)
    accepted = dict(list(inspect.signature(function).parameters.items())[given:])
    what = f"{registry.kind} {choice.name!r}"
    check_arguments("parameter", what, accepted, choice.parameters)
    return function


def check_arguments(
    kind: str,
    what: str,
    accepted: Mapping[str, inspect.Parameter],
    given: Mapping[str, Scalar],
) -> None:
    """Check arguments against a signature, before anything is called.

    Args:
        kind: what they are called: "parameter".
        what: who takes them: "attack 'alie'".
        accepted: what can be given.
        given: what is given.

    Raises:
        UnknownNameError: there is none of that name.
        ConfigError: one is missing or of the wrong type.
    """
    for key, value in given.items():
        if key not in accepted:
            raise UnknownNameError(f"{kind} of {what}", key, accepted)
        try:
            TypeAdapter(accepted[key].annotation).validate_python(value, strict=True)
        except ValidationError as error:
            raise ConfigError(f"{what}, {key} = {value!r}: {error.errors()[0]['msg']}") from error
    missing = [
        key
        for key, parameter in accepted.items()
        if parameter.default is parameter.empty and key not in given
    ]
    if missing:
        raise ConfigError(f"{what} needs {', '.join(missing)}")
