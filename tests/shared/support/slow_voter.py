"""An election in Flower's simulation in which one voter never votes."""

import json
import sys
import time
from pathlib import Path
from typing import Any

from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.strategies import WallClock, audit_ledger
from fedledger.strategies.rounds.evidence.record import read_rounds
from support.federation import Federation, make_app

_SLEPT: list[bool] = []  # of the process that this client runs in


def _asleep(loss: float) -> float:
    """Take twenty seconds for the first model of the ballot."""
    if not _SLEPT:
        _SLEPT.append(True)
        time.sleep(20)
    return loss


def run(folder: Path) -> dict[str, Any]:
    """Return what the round came to, and how long its votes took."""
    federation = Federation(folder)
    app = make_app(lies={3: _asleep})
    strategy = federation.pofl(selection="election", rules=("krum", "median"), clock=WallClock())
    federation.run(strategy, app, rounds=1, engine="flower", timeout=120)
    report = audit_ledger(federation.ledger, federation.store)
    records = read_rounds(federation.ledger, federation.store, 1)
    assert TrainingTask(federation.ledger).task(1).finished
    federation.ledger.close()
    return {
        "audit": report.reason or report.outcome.value,
        "voted": [len(record.phases[1].accepted) for record in records],
        "kept": [record.kept for record in records],
        "milliseconds": [record.phases[1].milliseconds for record in records],
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(Path(sys.argv[1]))))
