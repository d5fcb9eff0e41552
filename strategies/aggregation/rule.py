"""What an aggregation rule is: a pure function of the updates, with the evidence of its choice."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import update_wrapper
from inspect import Parameter, signature
from typing import Any, Concatenate, Generic, ParamSpec

from fedledger.errors import ConfigError, TooFewUpdates
from fedledger.floats import check_floats

from .kernels.rows import Rows, Updates, Vector, checked_byzantine, read_rows

__all__ = ["Aggregate", "Rule", "rule"]

P = ParamSpec("P")
_PART = r"[a-z0-9]+(?:-[a-z0-9]+)*/[1-9][0-9]*"
_ARITHMETIC = re.compile(rf"{_PART}(?:\+{_PART})*")


@dataclass(frozen=True, slots=True, eq=False)
class Aggregate:
    """A rule's result and how it came about.

    Attributes:
        vector: the result, d float32 values.
        selected: positions of the updates that have weight in it, in rising order; a rule that
            works coordinate by coordinate names all updates it looked at.
        clamped: True where the rule ran outside its guarantee because it was asked to
            (`bulyan(strict=False)` with n < 4f+3).
    """

    vector: Vector
    selected: tuple[int, ...]
    clamped: bool = False


class Rule(Generic[P]):
    """A rule, called `rule(updates, *, byzantine, …)` for the vector alone.

    `rule.aggregate(…)` takes the same arguments and returns an `Aggregate`.

    Attributes:
        name: the name it is registered under, and the one in its errors.
        arithmetic: what decides the bits of its result, named with a version; parts are joined by
            "+" ("f32-sorted-sum-f64/1"). A rule that computes anything in another order, or rounds
            elsewhere, has another name. docs/formats.md defines those of the rules here.
        parameters: names of its keyword parameters besides `byzantine`, sorted.

    Raises:
        ConfigError: the arithmetic has no name, or one of another form.
    """

    __name__: str

    def __init__(
        self,
        function: Callable[Concatenate[Updates, P], Any],
        requires: Callable[..., int],
        arithmetic: str,
    ) -> None:
        update_wrapper(self, function)
        self._function = function
        self._requires = requires
        self.name = self.__name__
        self.arithmetic = _checked(arithmetic, self.name)
        takes = signature(function)
        self.__signature__ = takes.replace(return_annotation=Vector)
        variadic = (Parameter.VAR_KEYWORD, Parameter.VAR_POSITIONAL)
        named = [name for name, value in takes.parameters.items() if value.kind not in variadic]
        self.parameters = tuple(sorted(set(named[1:]) - {"byzantine"}))

    def __call__(self, updates: Updates, *args: P.args, **kwargs: P.kwargs) -> Vector:
        """Return the vector alone."""
        return self.aggregate(updates, *args, **kwargs).vector

    def aggregate(self, updates: Updates, *args: P.args, **kwargs: P.kwargs) -> Aggregate:
        """Return the vector with its evidence; a rule that gives none is taken to use all rows.

        Raises:
            ConfigError: this thread does not compute as IEEE 754 says (`check_floats`).
        """
        check_floats()
        result = self._function(updates, *args, **kwargs)
        if isinstance(result, Aggregate):
            return result
        return Aggregate(result, tuple(range(len(updates))))

    def required(self, byzantine: int, **parameters: Any) -> int:
        """Return the smallest n this rule accepts for `byzantine` clients and its parameters."""
        return self._requires(checked_byzantine(byzantine), **parameters)

    def read(self, updates: Updates, byzantine: int, **parameters: Any) -> tuple[Rows, int]:
        """Return the rows and f, checked against each other; what every rule of ours does first.

        Raises:
            InvalidUpdate: there are no updates, or one is no float32 vector of equal length.
            ConfigError: `byzantine` is not an integer, or negative.
            TooFewUpdates: n is below `required`.
        """
        rows = read_rows(updates)
        required = self.required(byzantine, **parameters)
        if rows.n < required:
            raise TooFewUpdates(self.name, rows.n, int(byzantine), required)
        return rows, int(byzantine)

    def __reduce__(self) -> str:
        return self.__name__

    def __repr__(self) -> str:
        return f"<rule {self.name}>"


def rule(
    requires: Callable[..., int], *, arithmetic: str = ""
) -> Callable[[Callable[Concatenate[Updates, P], Any]], Rule[P]]:
    """Make a rule of a function that returns a vector or an `Aggregate`.

    Args:
        requires: `requires(byzantine, **parameters)`, the smallest n the rule accepts.
        arithmetic: the name of what decides its bits, with a version; every rule needs one.

    Raises:
        ConfigError: `arithmetic` is missing, or of another form.
    """

    def decorate(function: Callable[Concatenate[Updates, P], Any]) -> Rule[P]:
        return Rule(function, requires, arithmetic)

    return decorate


def _checked(arithmetic: object, name: str) -> str:
    if isinstance(arithmetic, str) and _ARITHMETIC.fullmatch(arithmetic):
        return arithmetic
    found = f"{arithmetic!r} is none" if arithmetic else "it has none"
    raise ConfigError(
        f"rule {name!r} has to name its arithmetic with a version, so that an auditor knows what "
        f"to recompute, such as 'mine-f32-sum/1': {found}"
    )
