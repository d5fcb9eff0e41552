"""What every kind of approach is: a way to aggregate, one line of the plot."""

import inspect
from abc import abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, model_validator

from fedledger.errors import UnknownNameError

from ....ledger_plugins import Ledger, Store
from ....ledger_plugins.accounts import Account
from ....strategies.rounds.arrival import Clock
from ....strategies.rounds.server.strategy import LedgerStrategy, MeasureFn
from ..settings import Table, Terms

if TYPE_CHECKING:
    from ....strategies import DealtKeys

__all__ = ["Approach", "Surroundings", "first_sentence"]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a cell gives the strategy that aggregates in it.

    Attributes:
        ledger: where the rounds go.
        store: where the models go.
        account: the aggregator's.
        clients: the clients' addresses, by partition.
        model_id: the task's name on the ledger.
        terms: stake, checkpoints, members and how models travel.
        byzantine: number of malicious clients to tolerate.
        clock: when updates arrive.
        deal: deals threshold keys: number of trainers, threshold, bits of the modulus.
        measure: measures each round's model, for the evidence.
    """

    ledger: Ledger
    store: Store
    account: Account
    clients: Sequence[str]
    model_id: str
    terms: Terms
    byzantine: int
    clock: Clock
    deal: Callable[[int, int, int], "DealtKeys"]
    measure: MeasureFn | None = None

    @property
    def evidence(self) -> dict[str, Any]:
        """What every strategy on a ledger is made with."""
        return {
            "ledger": self.ledger,
            "store": self.store,
            "account": self.account,
            "clients": self.clients,
            "model_id": self.model_id,
            "reward": self.terms.reward,
            "checkpoints": self.terms.checkpoints,
            "members": self.terms.members or None,
            "measure": self.measure,
            "transport": self.terms.transport,
        }


class Approach(Table):
    """A way to aggregate, one line of the plot; `strategy` says of which kind it is.

    Attributes:
        name: what tables and plots call it.
        strategy: what aggregates.
    """

    name: Annotated[str, Field(min_length=1, max_length=40)]
    strategy: str

    @model_validator(mode="after")
    def _is_of_this_kind(self) -> Self:
        if self.strategy not in self.strategies():
            raise UnknownNameError("strategy", self.strategy, self.strategies())
        return self

    @classmethod
    @abstractmethod
    def strategies(cls) -> Collection[str]:
        """Return the values of `strategy` that this kind is for."""

    @classmethod
    def about(cls, strategy: str) -> str:  # noqa: ARG003 - for kinds with several
        """Return a sentence about one of its strategies."""
        return first_sentence(cls)

    @property
    def mixed(self) -> tuple[str, ...]:
        """The aggregation rules it uses, in order; none where a round is not recomputed by rule."""
        return ()

    @property
    def hides(self) -> frozenset[str]:
        """What its protocol hides, of "updates" and "votes"; see `Protocol.hides`."""
        return frozenset()

    @property
    def remembers(self) -> bool:
        """Whether it keeps something from round to round that a resumed run does not have."""
        return False

    def tolerated(self, expected: int) -> int:
        """Return how many malicious clients it shall tolerate where `expected` could be there."""
        return expected

    def check_clients(self, clients: int, byzantine: int) -> None:
        """Refuse a federation that is too small for it.

        Args:
            clients: number of clients.
            byzantine: number of malicious ones to tolerate.

        Raises:
            ConfigError: says how many clients it needs.
        """

    def footnotes(self, clients: int, byzantine: int) -> list[str]:  # noqa: ARG002 - for kinds
        """Return what a reader must know before trusting a number; as `check_clients`."""
        return []

    @abstractmethod
    def build(self, around: Surroundings) -> LedgerStrategy:
        """Return the strategy, on the ledger of a cell."""


def first_sentence(thing: object) -> str:
    """Return the first paragraph about something in one line: its own, or its module's."""
    own = thing.__doc__ if inspect.isclass(thing) else inspect.getdoc(thing)  # not the base's
    module = inspect.getmodule(thing)
    text = inspect.cleandoc(own or "") or (inspect.getdoc(module) if module else None) or ""
    return " ".join(text.partition("\n\n")[0].split())
