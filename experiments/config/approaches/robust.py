"""Approaches by robust rules: one rule, or PoFL, which has several."""

from collections.abc import Collection
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fedledger.errors import ConfigError

from ....strategies import ArrivalWindow, PoFL
from ....strategies.aggregation import get_rule, rules
from ....strategies.protocols.pofl import CANDIDATES, MIXED, Selection, check_rules, rule_of
from ..settings import Count, Seconds
from .base import Approach, Surroundings, first_sentence

__all__ = ["BulyanApproach", "PoFLApproach", "RobustApproach", "RuleApproach"]

_BULYAN = "bulyan"
_ALWAYS_OPEN = 1e6  # seconds; simulated latencies stay far below


class RobustApproach(Approach):
    """Rules that tolerate malicious clients, behind an arrival window.

    Attributes:
        byzantine: number of malicious clients to tolerate; "auto": as many as there are, and as
            many as there could be (the largest of `malicious`) where nobody attacks.
        window: arrival window in seconds; false: none.
        quiet: close the window after this many seconds without an arrival.
        min_submissions: with fewer accepted updates a round keeps its model (default 2f+3).
    """

    byzantine: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto"
    window: Seconds | Literal[False] = False
    quiet: Seconds | None = None
    min_submissions: Count | None = None

    @model_validator(mode="after")
    def _check_window(self) -> Self:
        if self.quiet is not None and self.window is False:
            raise ConfigError("'quiet' closes an arrival window, but there is none")
        return self

    @property
    def selected_by(self) -> Selection:
        """How a round's rule is chosen."""
        return "beacon"

    @property
    def otherwise(self) -> str | None:
        """The rule of a round without a lot; None: the strategy's default."""
        return None

    @property
    def lenient(self) -> bool:
        """Whether Bulyan runs with fewer than 4f+3 clients."""
        return False

    def tolerated(self, expected: int) -> int:
        """Return how many malicious clients the rules shall tolerate."""
        return expected if self.byzantine == "auto" else self.byzantine

    def check_clients(self, clients: int, byzantine: int) -> None:
        """Refuse a federation that is too small for one of the rules, or for `min_submissions`."""
        for rule in self.mixed:
            lenient = {"strict": False} if rule == _BULYAN and self.lenient else {}
            needed = get_rule(rule_of(rule), **lenient).required(byzantine)
            if clients < needed:
                hint = "; strict = false runs it without its guarantee" if rule == _BULYAN else ""
                raise ConfigError(
                    f"approach {self.name!r}: {rule} needs n ≥ {needed} clients to tolerate "
                    f"f = {byzantine} malicious ones, there are {clients}{hint}"
                )
        least = self.min_submissions or 2 * byzantine + 3
        if least > clients:
            raise ConfigError(
                f"approach {self.name!r}: min_submissions is {least} (default 2f+3 with "
                f"f = {byzantine}), but there are only {clients} clients"
            )

    def footnotes(self, clients: int, byzantine: int) -> list[str]:
        """Return which rules guarantee nothing with so few clients."""
        notes = []
        for rule in self.mixed:
            needed = get_rule(rule_of(rule)).required(byzantine)
            if needed > clients:
                notes.append(
                    f"Alone or in a mix, {rule} guarantees nothing here: to tolerate "
                    f"f = {byzantine} malicious clients it needs n ≥ {needed}, there are "
                    f"{clients}; strict = false lets it run with its trimming clamped."
                )
        return notes

    def build(self, around: Surroundings) -> PoFL:
        """Return PoFL with these rules."""
        seconds = _ALWAYS_OPEN if self.window is False else self.window
        return PoFL(
            **around.evidence,
            byzantine=around.byzantine,
            rules=self.mixed,
            selection=self.selected_by,
            window=ArrivalWindow(seconds=seconds, quiet=self.quiet),
            clock=around.clock,
            min_submissions=self.min_submissions,
            strict=not self.lenient,
            fallback=self.otherwise,
        )


class RuleApproach(RobustApproach):
    """One aggregation rule in every round."""

    @classmethod
    def strategies(cls) -> Collection[str]:
        """Return the names of the rules, third parties' too."""
        return [name for name in rules.names() if name != _BULYAN]

    @classmethod
    def about(cls, strategy: str) -> str:
        """Return a sentence about the rule."""
        return first_sentence(rules.load(strategy))

    @property
    def mixed(self) -> tuple[str, ...]:
        """The one rule."""
        return (self.strategy,)


class BulyanApproach(RuleApproach):
    """Bulyan in every round.

    Attributes:
        strict: whether it refuses n < 4f+3.
    """

    strict: bool = True

    @classmethod
    def strategies(cls) -> Collection[str]:
        """Return the rule's name."""
        return (_BULYAN,)

    @property
    def lenient(self) -> bool:
        """Whether it runs with fewer than 4f+3 clients."""
        return not self.strict


class PoFLApproach(RobustApproach):
    """PoFL: an arrival window, and of several rules one in each round.

    Attributes:
        window: arrival window in seconds; false: none.
        rules: rules to choose from; default Krum, trimmed mean and Bulyan, and for an election
            Multi-Krum, median, mean and trusted_mean as well.
        selection: how a round's rule is chosen.
        fallback: the rule of a round without a lot, or "election" (default: the trimmed mean, or
            the first of the rules).
        strict: whether Bulyan, where it is among the rules, refuses n < 4f+3.
    """

    window: Seconds | Literal[False] = 10.0
    rules: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    selection: Selection = "beacon"
    fallback: str | None = None
    strict: bool | None = None

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        check_rules(self.mixed, self.selection, self.fallback)
        if self.strict is not None and _BULYAN not in self.mixed:
            raise ConfigError("'strict' is about Bulyan, which is not among the rules")
        return self

    @classmethod
    def strategies(cls) -> Collection[str]:
        """Return its name."""
        return ("pofl",)

    @property
    def mixed(self) -> tuple[str, ...]:
        """The rules it chooses from, in order."""
        if self.rules is None:
            return CANDIDATES if self.selection == "election" else MIXED
        return self.rules

    @property
    def selected_by(self) -> Selection:
        """How a round's rule is chosen."""
        return self.selection

    @property
    def otherwise(self) -> str | None:
        """The rule of a round without a lot."""
        return self.fallback

    @property
    def lenient(self) -> bool:
        """Whether Bulyan runs with fewer than 4f+3 clients."""
        return self.strict is False
