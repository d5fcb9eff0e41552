"""An experiment as a config describes it, in one frozen value that lists its cells."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import product
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field

from fedledger.urls import mask_url

from ...strategies.rounds.tasks.task import MAX_CLIENTS
from ..adversary.attacks import NO_ATTACK
from ..adversary.lies import Lies
from .approaches import AnyApproach
from .cells import Cell, Scenario, cell_of, shows
from .choices import Choice
from .settings import (
    Checkpoints,
    Count,
    Figure,
    Fraction,
    Latency,
    Members,
    Published,
    Table,
    Terms,
    Trainers,
    Training,
    Transport,
    Tuning,
)

__all__ = ["ExperimentConfig", "makes_ledgers"]

_MADE = ("local://", "ethereum+tester://")


def makes_ledgers(url: str) -> bool:
    """Tell whether a ledger that is not there is made, by whoever opens its URL."""
    return url.startswith(_MADE)


class ExperimentConfig(Table):
    """One experiment: a matrix of cells and how to run them.

    The matrix is approaches x attacks x malicious fractions x data sets x partitions x seeds; an
    attack called "none" is run once, without malicious clients.

    Attributes:
        name: names the output folder; lower-case letters, digits, hyphens.
        title: a sentence for people.
        engine: "flower" or "inprocess".
        clients: number of clients, as many as a task may have at most.
        rounds: rounds of training.
        seeds: each cell is run once for each.
        datasets: data sets.
        validation: training images of each that nobody trains on, drawn by the seed. The final
            model's accuracy on them is reported beside that on the test images.
        partitions: how the training data is dealt.
        attacks: what malicious clients do.
        malicious: fractions of clients that are malicious when there is an attack.
        model: the model.
        training: how a client trains.
        trainers: whether there is a table with a line for each trainer, and what it says.
        tuning: what of it differs, by data set.
        latency: how long uploads take.
        lies: what malicious clients say as voters, when candidates are elected: "none": the truth
            of their own data; "reverse": the opposite; "block": every candidate is bad; "wave":
            every candidate is good.
        reward: stake for each contributor and round (Bift: 20).
        faucet: stake that each client and the aggregator is given before its first task; 0: none.
        bond: stake that each of them then deposits (`Bonds`); 0: none.
        minter: account that gives it, a name in the keystore or a file; "": one of the run's own,
            which is the administrator of ledgers that the run makes.
        checkpoints: which rounds' models the aggregator makes checkpoints: "never", those more
            accurate than all before ("best"), or every N-th.
        members: who votes on rollbacks: "clients", or addresses; none: nobody.
        transport: whether models travel in messages ("inline") or by the store ("store"); results
            are the same.
        approaches: what is compared.
        ledger: URL of the ledger; {run} is the run's folder, {cell} a cell's id. A key in it is
            kept nowhere (`run.urls`).
        store: URL of the store, likewise.
        jobs: cells to run at once, each in a process of its own; needs the engine "inprocess" and
            a ledger for each cell. Default: as many as there are cores where both are given, else
            one.
        cells: "all" cells of the matrix, or those alone that a figure shows.
        figures: plots besides the one of everything.
        paper: accuracies from a paper, shown beside ours.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
    title: str = ""
    engine: str = "flower"
    clients: Annotated[int, Field(ge=2, le=MAX_CLIENTS)]
    rounds: Count
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (1,)
    datasets: Annotated[tuple[str, ...], Field(min_length=1)] = ("digits",)
    validation: Annotated[int, Field(ge=0)] = 0
    partitions: Annotated[tuple[Choice, ...], Field(min_length=1)] = (Choice(name="iid"),)
    attacks: Annotated[tuple[Choice, ...], Field(min_length=1)] = (Choice(name="none"),)
    malicious: tuple[Fraction, ...] = ()
    model: Choice = Choice(name="mlp")
    training: Training = Training()
    trainers: Trainers | None = None
    tuning: Mapping[str, Tuning] = {}
    latency: Latency = Latency()
    lies: Lies = "none"
    reward: Annotated[int, Field(ge=0, le=20)] = 20
    faucet: Annotated[int, Field(ge=0)] = 0
    bond: Annotated[int, Field(ge=0)] = 0
    minter: str = ""
    checkpoints: Checkpoints = "never"
    members: Members = ()
    transport: Transport = "inline"
    approaches: Annotated[tuple[AnyApproach, ...], Field(min_length=1)]
    ledger: Annotated[str, Field(repr=False)] = "local://{run}/chain.db"
    store: Annotated[str, Field(repr=False)] = "file://{run}/store"
    jobs: Count | None = None
    cells: Literal["all", "figures"] = "all"
    figures: tuple[Figure, ...] = ()
    paper: tuple[Published, ...] = ()

    @cached_property
    def matrix(self) -> tuple[Cell, ...]:
        """The cells in the order in which they are run, listed once; approaches vary fastest."""
        cells = tuple(
            cell_of(
                approach,
                scenario,
                expected=self._expected(scenario),
                terms=self._terms,
                trainers=self.trainers,
            )
            for scenario in self._scenarios()
            for approach in self.approaches
        )
        if self.cells == "all":
            return cells
        return tuple(cell for cell in cells if any(shows(figure, cell) for figure in self.figures))

    def malicious_clients(self, fraction: float) -> int:
        """Return how many clients a fraction means, rounded half up."""
        return int(fraction * self.clients + 0.5)

    def training_on(self, dataset: str) -> Training:
        """Return how a client trains on a data set."""
        tuned = self.tuning.get(dataset, Tuning()).model_dump(exclude_none=True)
        return self.training.model_copy(update=tuned)

    def to_toml(self) -> dict[str, Any]:
        """Return everything a TOML file has to say to get this config, whatever the defaults.

        What is secret in the URLs of ledger and store is left out of it (`urls.mask_url`).
        """
        values = ((key, getattr(self, key)) for key in type(self).model_fields)
        plain = {key: _plain(value) for key, value in values if value is not None}
        return {**plain, "ledger": mask_url(self.ledger), "store": mask_url(self.store)}

    @property
    def _terms(self) -> Terms:
        return Terms(
            reward=self.reward,
            faucet=self.faucet,
            bond=self.bond,
            checkpoints=self.checkpoints,
            members=self.members,
            transport=self.transport,
        )

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with changes; it lists its own cells."""
        copy = super().model_copy(update=update, deep=deep)
        copy.__dict__.pop("matrix", None)
        return copy

    def _scenarios(self) -> Iterator[Scenario]:
        for dataset, partition, seed, (attack, fraction) in product(
            self.datasets, self.partitions, self.seeds, self._attacks()
        ):
            yield Scenario(
                clients=self.clients,
                rounds=self.rounds,
                seed=seed,
                dataset=dataset,
                validation=self.validation,
                partition=partition,
                attack=attack,
                malicious=fraction,
                malicious_clients=self.malicious_clients(fraction),
                model=self.model,
                training=self.training_on(dataset),
                latency=self.latency,
                lies=self.lies,
            )

    def _attacks(self) -> Iterator[tuple[Choice, float]]:
        for attack in self.attacks:
            if attack.name == NO_ATTACK:
                yield attack, 0.0
            else:
                yield from ((attack, fraction) for fraction in self.malicious)

    def _expected(self, scenario: Scenario) -> int:
        """Return how many malicious clients there are, or could be where nobody attacks."""
        if scenario.malicious_clients:
            return scenario.malicious_clients
        return max((self.malicious_clients(fraction) for fraction in self.malicious), default=0)


def _plain(value: Any) -> Any:
    if isinstance(value, Choice):
        return value.to_toml()
    if isinstance(value, tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, BaseModel):
        return {key: _plain(entry) for key, entry in value if entry is not None}
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    return value
