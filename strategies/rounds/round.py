"""A round as a protocol sees it: the same whether it runs, is audited, or is mined."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeVar

from pydantic import BaseModel

from fedledger.arrays import Arrays, Layout
from fedledger.errors import ConfigError
from fedledger.formats import canonical_json, parse_json
from fedledger.guards import Failures

from ...ledger_plugins.signing import Domain
from ...ledger_plugins.storage.base import Store
from .arrival import ArrivalWindow
from .evidence.documents import Evidence, PhaseEvidence
from .phase import Answers, Phase

__all__ = ["KEPT", "Attested", "Result", "Round", "TaskTerms"]

T = TypeVar("T")

KEPT = "kept"
"""The rule of a round that keeps its model."""


@dataclass(frozen=True, slots=True)
class TaskTerms:
    """What is fixed for a task, and the parties of a round of it.

    Attributes:
        task: the task's number.
        rounds: number of rounds.
        reward: stake for each contributor and round.
        parties: name of a party to its accounts, in the order that numbers them.
        layout: the model's layout.
        chain_id: EIP-155 id of the chain.
        contract: address of the TrainingTask contract.
        window: seconds in which a round takes updates by the ledger's clock; 0: no limit.
        ledger_clock: whether the ledger says when answers arrive.
        patience: seconds by the ledger's clock after which a round does not wait for who is absent;
            0: for ever, or for the contract's window.
        sealed: whether calls name openings, which nobody publishes before the window is over.
        specification: CID of the task's specification.
        registered: the clients that the specification lists, in its order, whoever is excluded.
        initial: gives the model that the task began with.
        membership: who decides on its clients; None: they are fixed.
        binding: whether answers have to be tied to SuperNodes.
        node_keys: the SuperNode's key of each account that had published one when the round opened.
    """

    task: int
    rounds: int
    reward: int
    parties: Mapping[str, Sequence[str]]
    layout: Layout
    chain_id: int
    contract: str
    window: int
    ledger_clock: bool
    initial: Callable[[], Arrays]
    patience: int = 0
    membership: Literal["owner", "members"] | None = None
    binding: bool = False
    node_keys: Mapping[str, bytes] = field(default_factory=dict)
    sealed: bool = False
    specification: str = ""
    registered: Sequence[str] = ()

    def positions(self, party: str) -> dict[str, int]:
        """Return the number of each account of a party.

        Raises:
            ConfigError: the task has no such party.
        """
        if party not in self.parties:
            raise ConfigError(f"the task has no party {party!r}, only {sorted(self.parties)}")
        return {account: number for number, account in enumerate(self.parties[party])}


@dataclass(frozen=True, slots=True)
class Attested:
    """What somebody made of a round that nobody can recompute.

    Attributes:
        model: the new model, or None to keep the old one.
        rule: name of what made it.
        kept: why the model is kept, or None.
    """

    model: Arrays | None
    rule: str
    kept: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What a round comes to.

    Attributes:
        model: the new model, or None to keep the old one.
        rule: name of the rule; `KEPT` when the model is kept.
        kept: why the old model is kept, or None.
        contributors: accounts with weight in the aggregate, in the order of their party's list.
        payments: what each account gets. How it is settled is the ledger's.
        commitments: 32 bytes each, by name; they are published beside the aggregate.
    """

    model: Arrays | None
    rule: str
    kept: str | None = None
    contributors: tuple[str, ...] = ()
    payments: Mapping[str, int] = field(default_factory=dict)
    commitments: Mapping[str, bytes] = field(default_factory=dict)

    @classmethod
    def keep(cls, why: str) -> "Result":
        """Return the result of a round that keeps its model."""
        return cls(None, KEPT, why)


class Round(ABC):
    """One round of a task.

    Attributes:
        terms: what is fixed for the task.
        number: the round, from 1.
        base_cid: CID of the model the round begins with.
        phases: what happened in the phases so far.
        reveals: values revealed so far, by name.
        notes: what the protocol put down, by name.
        attested: whether the model is somebody's word.
        failures: which answers failed in a way that nobody expected, and were logged.
    """

    _store: Store  # each kind of round has one

    def __init__(
        self, terms: TaskTerms, number: int, base: Callable[[], Arrays], base_cid: str
    ) -> None:
        self.terms = terms
        self.number = number
        self._load = base
        self.base_cid = base_cid
        self.phases: list[PhaseEvidence] = []
        self.reveals: dict[str, bytes] = {}
        self.notes: dict[str, Any] = {}
        self.attested = False
        self.failures = Failures()
        self._signed: set[str] = set()
        self._positions: dict[str, dict[str, int]] = {}

    @cached_property
    def base(self) -> Arrays:
        """The model the round begins with; loaded when it is first needed."""
        return self._load()

    @property
    def layout(self) -> Layout:
        """The model's layout."""
        return self.terms.layout

    @property
    def domain(self) -> Domain:
        """Where the round's statements hold."""
        return Domain(self.terms.chain_id, self.terms.contract, self.terms.task, self.number)

    @property
    def clients(self) -> Sequence[str]:
        """The round's clients."""
        return self.terms.parties["clients"]

    def positions(self, party: str) -> dict[str, int]:
        """Return the number of each account of a party; ConfigError when there is no such party."""
        if party not in self._positions:
            self._positions[party] = self.terms.positions(party)
        return self._positions[party]

    @abstractmethod
    def ask(
        self,
        phase: Phase[T],
        subject: Any = None,
        *,
        window: ArrivalWindow | None = None,
        tolerate: int | None = None,
    ) -> Answers[T]:
        """Return the answers of a phase that count.

        Args:
            phase: what is asked.
            subject: what it is asked about; the same in every replay.
            window: closes the phase; None: when all have answered or the time is up.
            tolerate: under the ledger's clock, how many answers on the ledger may be left out as
                unusable, or, where the ledger holds all of an answer, as of another history; None:
                any number.
        """

    def reveal(self, name: str, make: Callable[[], bytes], check: Callable[[bytes], None]) -> bytes:
        """Return a value that nobody but its maker knew before, and put it down.

        Args:
            name: its name in the evidence.
            make: makes it; only where the round runs.
            check: raises AuditError for another value than the one that was committed to.
        """
        value = make()
        check(value)
        self.reveals[name] = value
        return value

    @abstractmethod
    def refute(self, step: str, said: str) -> None:
        """Say that something does not follow which no aggregator comes to that keeps to the rules.

        A replay fails with it. Where the round runs it is said aloud, and the round goes on: what
        somebody hid in an earlier round cannot be mended in this one.

        Args:
            step: what it is about.
            said: what is wrong.
        """

    @abstractmethod
    def attest(self, make: Callable[[], Attested]) -> Attested:
        """Return what `make` makes where the round runs, and what was published in a replay.

        Only for protocols that declare it (`Protocol.attests`).
        """

    @abstractmethod
    def store(self, contents: Sequence[bytes]) -> list[str]:
        """Put contents into the store where the round runs; return their CIDs everywhere."""

    def fetch(self, cid: str, most: int) -> bytes:
        """Return a stored content that the specification names.

        Args:
            cid: its CID.
            most: bytes that it may have.

        Raises:
            StoreError: it is missing, damaged or too large.
        """
        return self._store.get(cid, max_bytes=most)

    def note(self, name: str, value: Any) -> None:
        """Put a JSON value down in the evidence; a replay has to come to the same value.

        Raises:
            ConfigError: it is no JSON value.
        """
        try:
            self.notes[name] = parse_json(canonical_json(value))  # lists, where it has tuples
        except (TypeError, ValueError) as error:
            raise ConfigError(f"note {name!r}: {error}") from error

    def begin(self, phase: Phase[Any]) -> dict[str, int]:
        """Note that a phase begins, and return the numbers of the accounts that it asks.

        Raises:
            ConfigError: the task has no such party, or a phase of this round signs the same call or
                statement, so that an answer to the one would do for the other.
        """
        names = {one.name for one in phase.signs}
        if twice := names & self._signed:
            raise ConfigError(
                f"phase {phase.name!r} signs {min(twice)}, as a phase before it in this round does"
            )
        self._signed |= names
        return self.positions(phase.by)

    def evidence(self, result: Result, aggregate: str, state: BaseModel) -> Evidence:
        """Return the round's evidence.

        Args:
            result: what the round comes to.
            aggregate: CID of its model.
            state: what later rounds need of it.
        """
        return Evidence(
            task=self.terms.task,
            round=self.number,
            base=self.base_cid,
            aggregate=aggregate,
            phases=self.phases,
            rule=result.rule if result.kept is None else KEPT,
            kept=result.kept,
            contributors=list(result.contributors),
            payments=dict(result.payments),
            reveals={name: value.hex() for name, value in self.reveals.items()},
            notes=self.notes,
            commitments={name: value.hex() for name, value in result.commitments.items()},
            state=state.model_dump(mode="json"),
        )
