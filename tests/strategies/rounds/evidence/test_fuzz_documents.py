"""Campaigns against the documents that an audit reads: a task's specification, its evidence."""

import json

import pytest
from support.federation import make_app
from support.fuzzing import INPUTS, changed_json, run

from fedledger.errors import UpdateRejected
from fedledger.formats import canonical_json
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.strategies.rounds.evidence import documents
from fedledger.strategies.rounds.evidence.documents import Evidence, Specification
from fedledger.strategies.rounds.protocol import protocol_of
from fedledger.strategies.rounds.tasks.task import terms_of


@pytest.fixture
def honest(federation):
    federation.run(federation.pofl(), make_app(), rounds=2)
    return federation


class Held:
    """What a store says of one content, without its hash."""

    def __init__(self, data):
        self.data = data

    def get(self, _cid, **_cap):
        return self.data


@INPUTS
def test_specifications(inputs, honest, record_property):
    """A specification is read to a task's terms and a protocol, or refused."""
    task = TrainingTask(honest.ledger).task(1)
    good = json.loads(honest.store.get(task.spec))

    def decode(data):
        document = documents.load(Specification, "a CID", Held(data))
        assert canonical_json(document.model_dump(mode="json")) == data
        terms = terms_of(task, document, honest.ledger, honest.store)
        terms.layout.as_float32()
        protocol_of(document)

    found = run(inputs, lambda draw: changed_json(draw, good), decode)
    record_property("specifications", dict(found))
    assert {"AuditError", "NotInstalled", "ModelError"} < set(found)


@INPUTS
def test_evidence(inputs, honest, record_property):
    """Evidence is read to what was written and to a state, or refused."""
    contract = TrainingTask(honest.ledger)
    protocol = protocol_of(documents.load(Specification, contract.task(1).spec, honest.store))
    good = json.loads(honest.store.get(contract.aggregates(1)[1].evidence))

    def decode(data):
        document = documents.load(Evidence, "a CID", Held(data))
        assert canonical_json(document.model_dump(mode="json")) == data
        try:
            protocol.State.model_validate(document.state)
        except ValueError:
            raise UpdateRejected("state", "none") from None

    found = run(inputs, lambda draw: changed_json(draw, good), decode)
    record_property("evidence", dict(found))
    assert {"", "AuditError", "NotInstalled"} < set(found)
