"""A package from outside, as an installer would put it on the path; and a run of its protocol."""

import json
import os
import sys
import tomllib
from pathlib import Path
from typing import Any

from flwr.serverapp.strategy import FedAvg

from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.strategies import LedgerStrategy, audit_ledger
from support.federation import Federation, make_app

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"


def installed(folder: Path, name: str) -> str:
    """Write what `pip install docs/examples/NAME` would about entry points; return the path."""
    project = tomllib.loads((EXAMPLES / name / "pyproject.toml").read_text())["project"]
    info = folder / f"{name}-{project['version']}.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = []
    for group, entries in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{key} = {target}" for key, target in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    here = os.environ.get("PYTHONPATH", "")
    return os.pathsep.join([str(folder), str(EXAMPLES / name), *([here] if here else [])])


def use(monkeypatch: Any, folder: Path, name: str) -> None:
    """Install an example for this process and those it starts."""
    path = installed(folder, name)
    monkeypatch.setenv("PYTHONPATH", path)
    for part in reversed(path.split(os.pathsep)):
        monkeypatch.syspath_prepend(part)


def commit_reveal(federation: Any, **changes: Any) -> LedgerStrategy:
    """Return the example's strategy for a federation of the tests."""
    from commit_reveal import CommitReveal, CommitRevealSettings  # noqa: PLC0415 - once it is installed

    count = len(federation.clients)
    options = {"account": federation.server, "clients": federation.clients, "model_id": "test"}
    inner = FedAvg(fraction_evaluate=0.0, min_train_nodes=count, min_available_nodes=count)
    protocol = CommitReveal(CommitRevealSettings())
    return LedgerStrategy(
        protocol, inner, federation.ledger, federation.store, **(options | changes)
    )


def main(engine: str, folder: str) -> None:
    """Run two rounds in an engine, and print the audit and the models."""
    federation = Federation(Path(folder))
    federation.run(commit_reveal(federation), make_app(), rounds=2, engine=engine)
    report = audit_ledger(federation.ledger, federation.store)
    said = {
        "audit": report.reason or report.outcome.value,
        "aggregate": sorted({verdict.aggregate for verdict in report.rounds}),
        "models": [one.cid for one in TrainingTask(federation.ledger).aggregates(1)],
    }
    federation.ledger.close()
    sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    main(*sys.argv[1:])
