"""A federation among devices that are processes: something goes wrong, and what came of it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from flwr.app import ConfigRecord

from fedledger.arrays import to_record
from fedledger.ledger_plugins import open_ledger, open_store
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.strategies import ArrivalWindow, WallClock, audit_ledger
from fedledger.strategies.rounds.evidence import documents
from fedledger.strategies.rounds.evidence.documents import Evidence

from .devices import Device, running
from .federation import Federation, initial_model

__all__ = ["Scene"]


class Scene:
    """A federation of devices, which is trained and audited.

    Args:
        path: its folder.
        devices: how many.
        ledger: URL of its ledger; one of its own by default.
        store: URL of its store, likewise.
    """

    def __init__(self, path: Path, *, devices: int = 3, ledger: str = "", store: str = "") -> None:
        self.path = path
        self.federation = federation = Federation(path, size=devices, byzantine=0)
        if ledger:
            federation.ledger.close()
            federation.ledger = open_ledger(ledger)
        if store:
            federation.store.close()
            federation.store = open_store(store)
        self.devices = [Device(number, path / f"device-{number}") for number in range(devices)]

    def run(
        self,
        *,
        rounds: int,
        window: float = 120.0,
        quiet: float | None = None,
        after_round: Callable[[int], object] = lambda _number: None,
        before: Sequence[Callable[[], object]] = (),
        **options: Any,
    ) -> None:
        """Train, and check what has to hold whatever went wrong: the ledger has all, and stands.

        Args:
            rounds: how many.
            window: seconds in which updates count.
            quiet: seconds after the last one but one, where one is not waited for.
            after_round: called with a round's number before the round is published.
            before: what happens before messages go out, one thing each time.
            options: of the strategy.
        """
        federation = self.federation

        def measure(number: int, _arrays: object) -> dict[str, float]:
            after_round(number)
            return {}

        quorum = len(self.devices) - 1 if quiet else 0
        given: dict[str, Any] = {
            "rules": ("median",),
            "clock": WallClock(),
            "window": ArrivalWindow(window, quiet=quiet, quorum=quorum),
            "min_submissions": 1,
            "measure": measure,
        }
        strategy = federation.pofl(**given | options)
        config = ConfigRecord(
            {"simulation-keys": str(federation.keys.path), "simulation-salts": federation.salts}
        )
        with running(self.devices) as grid:
            grid.before = iter(before)
            strategy.start(grid, to_record(initial_model()), num_rounds=rounds, train_config=config)
        self.check()

    def check(self) -> None:
        """Audit, and look for each update on the ledger that neither counted nor has a reason."""
        federation = self.federation
        report = audit_ledger(federation.ledger, federation.store)
        assert report.passed, report.reason
        for number, evidence in enumerate(self.evidence(), start=1):
            there = {one.client for one in TrainingTask(federation.ledger).submitted(1, number)}
            phase = evidence.phases[0]
            named = {one.party for one in phase.accepted} | {one.party for one in phase.late}
            named |= {one.party for one in phase.dropped if one.party}
            assert there <= named, f"round {number} says nothing of an update that is on the ledger"

    def evidence(self) -> list[Evidence]:
        """Return each round's evidence."""
        federation = self.federation
        return [
            documents.load(Evidence, one.evidence, federation.store)
            for one in TrainingTask(federation.ledger).aggregates(1)
        ]

    def reasons(self, evidence: Evidence) -> dict[int, str]:
        """Return by its partition why a device's update did not count."""
        clients, phase = self.federation.clients, evidence.phases[0]
        late = {clients.index(one.party): "late" for one in phase.late}
        dropped = {clients.index(one.party): one.reason for one in phase.dropped if one.party}
        return late | dropped

    def close(self) -> None:
        """Close ledger and store."""
        self.federation.close()
