"""The grid of an experiment, cell by cell."""

import hashlib
from collections.abc import Iterator
from itertools import product

from pydantic import BaseModel, ConfigDict

from .attacks import NO_ATTACK
from .choices import Choice, slug
from .config import Approach, ExperimentConfig, Figure, Latency, Lies, Training

__all__ = ["Cell", "Scenario", "cells_of", "shows"]

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
        partition: how its training part is dealt.
        attack: what malicious clients do.
        malicious: fraction of malicious clients; 0 without an attack.
        malicious_clients: the same as a number.
        model: the model.
        training: how a client trains.
        latency: how long uploads take.
        lies: what malicious clients say as miners.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    clients: int
    rounds: int
    seed: int
    dataset: str
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
        reward: stake for each contributor and round.
        scenario: everything else.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    approach: Approach
    byzantine: int
    reward: int
    scenario: Scenario


def cells_of(config: ExperimentConfig) -> list[Cell]:
    """Return the grid in the order in which it is run; approaches vary fastest."""
    cells = [
        Cell(
            id=_identifier(approach, scenario),
            approach=approach,
            byzantine=_byzantine(config, approach, scenario),
            reward=config.reward,
            scenario=scenario,
        )
        for scenario in _scenarios(config)
        for approach in config.approaches
    ]
    if config.grid == "all":
        return cells
    return [cell for cell in cells if any(shows(figure, cell) for figure in config.figures)]


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


def _scenarios(config: ExperimentConfig) -> Iterator[Scenario]:
    for dataset, partition, seed, (attack, fraction) in product(
        config.datasets, config.partitions, config.seeds, _attacks(config)
    ):
        yield Scenario(
            clients=config.clients,
            rounds=config.rounds,
            seed=seed,
            dataset=dataset,
            partition=partition,
            attack=attack,
            malicious=fraction,
            malicious_clients=config.malicious_clients(fraction),
            model=config.model,
            training=config.training_on(dataset),
            latency=config.latency,
            lies=config.lies,
        )


def _attacks(config: ExperimentConfig) -> Iterator[tuple[Choice, float]]:
    for attack in config.attacks:
        if attack.name == NO_ATTACK:
            yield attack, 0.0
        else:
            yield from ((attack, fraction) for fraction in config.malicious)


def _byzantine(config: ExperimentConfig, approach: Approach, scenario: Scenario) -> int:
    if isinstance(approach.byzantine, int):
        return approach.byzantine
    if scenario.malicious_clients:
        return scenario.malicious_clients
    return max((config.malicious_clients(fraction) for fraction in config.malicious), default=0)


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
