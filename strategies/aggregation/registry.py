"""Rules by name, ours and third parties', bound to their parameters."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from fedledger.errors import UnknownNameError
from fedledger.registry import Registry

from .kernels.rows import Updates, Vector
from .rule import Aggregate, Rule

__all__ = ["BoundRule", "aggregate", "arithmetic", "check_compiled", "get_rule", "rules"]

_HERE = __name__.rpartition(".")[0]

rules = Registry(
    "rule",
    {
        name: f"{_HERE}.{name}:{name}"
        for name in ("bulyan", "krum", "mean", "median", "multi_krum", "trimmed_mean")
    },
    group="fedledger.rules",
)
"""Name to rule. A third party's entry point names a `Rule` (see the decorator `rule`), or a plain
function `rule(updates, *, byzantine, …)` with an attribute `arithmetic` that returns a vector."""


@dataclass(frozen=True, slots=True)
class BoundRule:
    """A rule with its parameters set, as a configuration names it.

    Attributes:
        rule: the rule.
        parameters: its parameters by name.
    """

    rule: Rule[Any]
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The rule's name."""
        return self.rule.name

    @property
    def arithmetic(self) -> str:
        """The name of what decides its bits, with a version."""
        return self.rule.arithmetic

    def __call__(self, updates: Updates, *, byzantine: int) -> Vector:
        """Return the vector alone."""
        return self.aggregate(updates, byzantine=byzantine).vector

    def aggregate(self, updates: Updates, *, byzantine: int) -> Aggregate:
        """Return the vector with its evidence."""
        return self.rule.aggregate(updates, byzantine=byzantine, **self.parameters)

    def required(self, byzantine: int) -> int:
        """Return the smallest n the rule accepts for `byzantine` clients."""
        return self.rule.required(byzantine, **self.parameters)


def get_rule(name: str, **parameters: Any) -> BoundRule:
    """Return the rule called `name` with these parameters, called `(updates, *, byzantine)`.

    Raises:
        UnknownNameError: no such rule, or it has no such parameter; names the nearest.
        ConfigError: it does not name its arithmetic.
    """
    wanted = _load(name)
    for parameter in parameters:
        if parameter not in wanted.parameters:
            raise UnknownNameError(f"parameter of {name}", parameter, wanted.parameters)
    return BoundRule(wanted, MappingProxyType(dict(parameters)))


def aggregate(name: str, updates: Updates, *, byzantine: int, **parameters: Any) -> Aggregate:
    """Apply the rule called `name`; return the vector and which updates entered it.

    Raises:
        UnknownNameError: no such rule, or it has no such parameter.
        AggregationError: what the rule raises for its updates.
    """
    return get_rule(name, **parameters).aggregate(updates, byzantine=byzantine)


def arithmetic(name: str) -> str:
    """Return the name, with its version, of what decides the bits of the rule called `name`.

    Raises:
        UnknownNameError: no such rule.
        ConfigError: it does not name its arithmetic.
    """
    return _load(name).arithmetic


def check_compiled() -> None:
    """Make sure that rules can compute here, before anybody is asked for updates.

    Raises:
        NotInstalled: numba, which is in the extra `server`, cannot be loaded.
    """
    from .kernels import compiled  # noqa: F401, PLC0415 - see there


def _load(name: str) -> Rule[Any]:
    found = rules.load(name)
    if isinstance(found, Rule):
        return found
    return Rule(found, _any_number, getattr(found, "arithmetic", ""))


def _any_number(byzantine: int, **_parameters: Any) -> int:  # noqa: ARG001 - unknown to us
    return 1
