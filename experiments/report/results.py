"""What a run found: cells, and all of them together."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from ...strategies.rounds.evidence.checks import Outcome
from ..config.cells import Cell
from ..config.experiment import ExperimentConfig
from ..config.references import published_accuracy
from .audit import RunAudit

__all__ = ["Accuracies", "CellResult", "RunResult", "TrainersResult"]


class Accuracies(BaseModel):
    """A model's accuracies, fractions.

    Attributes:
        validation: on the validation images; None where there are none.
        test: on the test images.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    validation: float | None
    test: float


class TrainersResult(BaseModel):
    """What a federation is worth to each trainer.

    Attributes:
        each: each trainer's model: the last global model, trained further on the trainer's part.
        alone: what each would have without the federation.
        full: one model, trained on all parts together.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    each: tuple[Accuracies, ...]
    alone: tuple[Accuracies, ...]
    full: Accuracies


class CellResult(BaseModel):
    """A finished cell.

    Attributes:
        id: the cell's id.
        accuracy: of the final model on the test images, a fraction.
        accuracy_by_round: the same from round 0, the initial model, to the last.
        validation: accuracy of the final model on the validation images; None where there are none.
        trainers: what each trainer has of it, where the config asks for that.
        seconds: time this cell took, but for measuring trainers; after a resume, the time since.
        rules: the rule each round used, from round 1.
        attacked: for each round how many clients uploaded a malicious model: one that an attack
            crafted, or trained on data that it changed. None: an earlier version did not count.
        arrived: for each round how many malicious clients' updates were among those that the rule
            saw; in a round that was not attacked, they are honest ones.
        task: the task's number on the ledger.
        model: CID of the final model.
        resumed_after: rounds that were on the ledger already when this process took over.
        unused: whether no round used any update.
        trouble: that, or that most updates did not count, and why; None where all is well.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    accuracy: float
    accuracy_by_round: tuple[float, ...]
    validation: float | None = None
    trainers: TrainersResult | None = None
    seconds: float
    rules: tuple[str, ...]
    attacked: tuple[int, ...] | None = None
    arrived: tuple[int, ...] = ()
    task: int
    model: str
    resumed_after: int = 0
    unused: bool = False
    trouble: str | None = None

    @property
    def attacked_rounds(self) -> int | None:
        """Rounds in which a malicious model was uploaded."""
        return None if self.attacked is None else sum(each > 0 for each in self.attacked)

    @property
    def arrived_rounds(self) -> int | None:
        """Attacked rounds in which one was among the updates that the rule saw."""
        if self.attacked is None:
            return None
        both = zip(self.attacked, self.arrived, strict=True)
        return sum(attacked > 0 and arrived > 0 for attacked, arrived in both)


@dataclass(frozen=True, slots=True)
class RunResult:
    """A finished run.

    Attributes:
        directory: the run's folder.
        config: its config.
        results: finished cells by id.
        failures: what went wrong, by id of the cell.
        audit: the audit of its ledgers.
    """

    directory: Path
    config: ExperimentConfig
    results: Mapping[str, CellResult]
    failures: Mapping[str, str]
    audit: RunAudit

    @property
    def outcome(self) -> Outcome:
        """The audit's, but failed where a cell did not finish or used no update."""
        if self.failures or any(result.unused for result in self.results.values()):
            return Outcome.FAILED
        return self.audit.outcome

    @property
    def passed(self) -> bool:
        """Whether every cell finished and used updates, and the audit passed."""
        return self.outcome is Outcome.PASSED

    @property
    def troubles(self) -> dict[str, str]:
        """What a user has to hear about a finished cell, by its id."""
        return {id_: one.trouble for id_, one in self.results.items() if one.trouble is not None}

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The config's cells, in the order in which they are run."""
        return self.config.matrix

    def footnotes(self, cell: Cell) -> list[str]:
        """Return what a reader must know about a cell."""
        notes = cell.footnotes
        result = self.results.get(cell.id)
        if result is not None and result.attacked is None and cell.scenario.malicious_clients:
            notes.append("An earlier version ran this cell and did not count attacked rounds.")
        if result is not None and result.resumed_after:
            notes.append(
                "The run was resumed in the middle of this cell; its seconds count from there."
            )
            if cell.approach.remembers:
                notes.append(
                    f"Resumed in the middle, {cell.approach.strategy} went on without what it "
                    "remembered of earlier rounds: an undisturbed run may end elsewhere."
                )
        return notes

    def rows(self) -> list[dict[str, Any]]:
        """Return one row a cell; accuracy and seconds are None where the cell failed.

        "rounds" is how many the cell has, "attacked_rounds" in how many of them a malicious model
        was uploaded.
        With a paper's numbers in the config there is "paper" too, a fraction as accuracy is, and
        with validation images "validation".
        """
        return [
            {
                "approach": cell.approach.name,
                "attack": cell.scenario.attack.label,
                "malicious": cell.scenario.malicious,
                "dataset": cell.scenario.dataset,
                "partition": cell.scenario.partition.label,
                "seed": cell.scenario.seed,
                "rounds": cell.scenario.rounds,
                "attacked_rounds": result.attacked_rounds if result else None,
                "accuracy": result.accuracy if result else None,
                "seconds": round(result.seconds, 3) if result else None,
                **self._paper(cell),
                **self._validation(result),
            }
            for cell, result in ((cell, self.results.get(cell.id)) for cell in self.cells)
        ]

    def _paper(self, cell: Cell) -> dict[str, float | None]:
        if not self.config.paper:
            return {}
        published = published_accuracy(self.config, cell)
        return {"paper": None if published is None else round(published / 100, 6)}

    def _validation(self, result: CellResult | None) -> dict[str, float | None]:
        return (
            {"validation": result.validation if result else None} if self.config.validation else {}
        )

    def _trainers(self, result: CellResult | None) -> dict[str, Any]:
        if self.config.trainers is None:
            return {}
        found = result.trainers if result else None
        return {"trainers": found.model_dump(mode="json") if found else None}

    def to_json(self) -> dict[str, Any]:
        """Return the content of results.json: the rows, and in the same order what is behind."""
        cells = []
        for cell in self.cells:
            result = self.results.get(cell.id)
            cells.append(
                {
                    "id": cell.id,
                    "byzantine": cell.byzantine if cell.approach.mixed else None,
                    "accuracy_by_round": list(result.accuracy_by_round) if result else None,
                    "rules": list(result.rules) if result else None,
                    "attacked": list(result.attacked) if result and result.attacked else None,
                    "arrived": list(result.arrived) if result and result.attacked else None,
                    "arrived_rounds": result.arrived_rounds if result else None,
                    "task": result.task if result else None,
                    "model": result.model if result else None,
                    "footnotes": self.footnotes(cell),
                    "error": self.failures.get(cell.id),
                    "trouble": result.trouble if result else None,
                    **self._trainers(result),
                }
            )
        return {
            "name": self.config.name,
            "title": self.config.title,
            "fedledger": version("fedledger"),
            "engine": self.config.engine,
            "passed": self.passed,
            "rows": self.rows(),
            "cells": cells,
            "chain": [
                {
                    "ledger": ledger.ledger,
                    "block": ledger.head.block if ledger.head else None,
                    "hash": ledger.head.hash if ledger.head else None,
                }
                for ledger in self.audit.ledgers
            ],
            "audit": {
                "passed": self.audit.passed,
                "outcome": self.audit.outcome.value,
                "reason": self.audit.reason,
                "rounds": self.audit.rounds,
                "summary": self.audit.summary.to_json(),
            },
        }
