"""One run of an experiment: an approach in a scenario."""

import hashlib

from pydantic import BaseModel, ConfigDict

from ..adversary.lies import Lies
from .approaches import Approach
from .choices import Choice, slug
from .settings import Figure, Latency, Terms, Trainers, Training

__all__ = ["Cell", "Scenario", "cell_of", "shows"]

_ID_BYTES = 64  # the ledger's limit for the name of a task
_DIGEST = 8


class Scenario(BaseModel):
    """What a cell's clients need to know: everything but how the server aggregates.

    Cells that differ in their approach alone share the scenario, and with it the data, the
    partition, the initial model, the malicious clients and every batch.

    Attributes:
        clients: number of clients.
        rounds: rounds of training.
        seed: everything random comes from it.
        dataset: the data set.
        validation: how many of its training images nobody trains on.
        partition: how its training part is dealt.
        attack: what malicious clients do.
        malicious: fraction of malicious clients; 0 without an attack.
        malicious_clients: the same as a number.
        model: the model.
        training: how a client trains.
        latency: how long uploads take.
        lies: what malicious clients say as voters.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    clients: int
    rounds: int
    seed: int
    dataset: str
    validation: int = 0
    partition: Choice
    attack: Choice
    malicious: float
    malicious_clients: int
    model: Choice
    training: Training
    latency: Latency
    lies: Lies = "none"


class Cell(BaseModel):
    """One run: an approach in a scenario.

    Attributes:
        id: names the cell in files and on the ledger; unique in its experiment, at most 64 bytes.
        approach: how the server aggregates.
        byzantine: number of malicious clients it is told to tolerate; "auto" resolved.
        terms: stake, checkpoints and members.
        trainers: whether each trainer's model is measured, and what its training adds.
        scenario: everything else.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    approach: Approach
    byzantine: int
    terms: Terms
    trainers: Trainers | None = None
    scenario: Scenario

    @property
    def footnotes(self) -> list[str]:
        """What a reader must know before trusting the cell's number."""
        return self.approach.footnotes(self.scenario.clients, self.byzantine)


def cell_of(
    approach: Approach,
    scenario: Scenario,
    *,
    expected: int,
    terms: Terms,
    trainers: Trainers | None = None,
) -> Cell:
    """Return the cell of an approach in a scenario.

    Args:
        approach: the approach.
        scenario: the scenario.
        expected: number of malicious clients that there could be; what `byzantine = "auto"` means.
        terms: stake, checkpoints and members.
        trainers: whether each trainer's model is measured.
    """
    return Cell(
        id=_identifier(approach, scenario),
        approach=approach,
        byzantine=approach.tolerated(expected),
        terms=terms,
        trainers=trainers,
        scenario=scenario,
    )


def shows(figure: Figure, cell: Cell) -> bool:
    """Return whether a figure has a line for a cell."""
    scenario = cell.scenario
    return (
        cell.approach.name in figure.approaches
        and any(scenario.attack.is_called(attack) for attack in figure.attacks)
        and (
            not (scenario.malicious and figure.malicious) or scenario.malicious in figure.malicious
        )
    )


def _identifier(approach: Approach, scenario: Scenario) -> str:
    attack = slug(scenario.attack.label)
    if scenario.malicious:
        attack += f"-{scenario.malicious:g}"
    parts = [slug(approach.name), attack, slug(scenario.dataset), slug(scenario.partition.label)]
    text = "--".join([*parts, f"s{scenario.seed}"])
    if len(text) <= _ID_BYTES:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGEST]
    return f"{text[: _ID_BYTES - _DIGEST - 1]}-{digest}"
