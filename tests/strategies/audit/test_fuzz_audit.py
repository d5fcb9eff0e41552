"""A campaign against the whole audit: documents of which something was changed."""

import json

import pytest
from support.federation import make_app
from support.fuzzing import changed_json, run

from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.strategies import audit_ledger
from fedledger.strategies.rounds.evidence.checks import Outcome


@pytest.mark.parametrize("inputs", [100, pytest.param(3_000, marks=pytest.mark.soak)])
@pytest.mark.parametrize("what", ["specification", "evidence"])
def test_audits(inputs, what, federation, monkeypatch, record_property):
    """Whatever a document says, the audit has a verdict, and none that an exception made."""
    federation.run(federation.pofl(), make_app(), rounds=1)
    ledger, store = federation.ledger, federation.store
    contract = TrainingTask(ledger)
    found = {"specification": contract.task(1).spec, "evidence": contract.aggregates(1)[0].evidence}
    cid = found[what]
    get = type(store).get
    plain = json.loads(store.get(cid))

    def changed(self, wanted, **options):
        return given[0] if wanted == cid else get(self, wanted, **options)

    def decode(data):
        given[0] = data
        report = audit_ledger(ledger, store)
        outcomes[report.outcome] = outcomes.get(report.outcome, 0) + 1
        for verdict in report.rounds:
            assert "fails" not in (verdict.reason or ""), verdict.reason

    given, outcomes = [b""], {}
    monkeypatch.setattr(type(store), "get", changed)
    make = lambda draw: changed_json(draw, plain)  # noqa: E731
    run(inputs, make, decode, seconds=20.0)  # a rule is compiled when it is first used
    record_property("outcomes", {outcome.value: count for outcome, count in outcomes.items()})
    assert outcomes[Outcome.FAILED] > inputs / 2
