"""Models that travel by the store: messages name contents, both ways, and nothing else changes."""

import pytest
from flwr.app import ConfigRecord
from support.federation import Federation, make_app

from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.strategies import audit_ledger


def by_reference(federation, **options):
    """Return what a run is started with so that its clients have a store."""
    return {"simulation-store": federation.store.url} | options


def test_the_same_model_however_it_travels(tmp_path):
    """For one seed: the same rules, updates and models, to the last bit, and no array in a message."""
    found = {}
    for transport in ("inline", "store"):
        federation = Federation(tmp_path / transport)
        strategy = federation.pofl(transport=transport)
        federation.run(strategy, make_app(), rounds=2, config={"simulation-store": federation.store.url})
        report = audit_ledger(federation.ledger, federation.store)
        assert report.passed, report.reason
        contract = TrainingTask(federation.ledger)
        found[transport] = [
            (one.rule, one.cid, [sub.cid for sub in contract.submissions(1, one.round).values()])
            for one in contract.aggregates(1)
        ]
    assert found["inline"] == found["store"]
