"""An aggregator that slanders a trainer, or covers one, fails the audit of its round."""

from types import SimpleNamespace

import pytest
from support.encrypted import EncryptedFederation
from support.federation import make_app
from support.wrong_trainers import WrongTrainers

from fedledger.ledger_plugins.storage.cid import cid_of
from fedledger.strategies.audit.reporting import finding_of
from fedledger.strategies.rounds.evidence import documents
from fedledger.strategies.rounds.evidence.checks import Outcome
from fedledger.strategies.rounds.evidence.documents import Dropped, Evidence, Fault


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A round in which the first trainer's proof is wrong, as an honest aggregator wrote it."""
    federation = EncryptedFederation(tmp_path_factory.mktemp("slander"))
    with pytest.MonkeyPatch.context() as patch:
        WrongTrainers(proof={1: federation.clients[0]}).use(patch)
        federation.run(federation.encrypted(quiet=60.0), make_app(), rounds=1)
    yield federation
    federation.close()


def _signed_call(federation, anchor):
    """Return the anchor of a call on the ledger as one of a call that came by itself."""
    raw = federation.ledger.transaction(anchor.transaction).raw
    return anchor.model_copy(update={"carrier": "signed-call", "transaction": raw.hex()})


def _fault_of(federation, entry):
    """Return what an answer that counted looks like as a fault."""
    call, statement = entry.anchors
    anchors = [_signed_call(federation, call), statement]
    return Fault(content=entry.content, anchors=anchors)


def _invented(of, why):
    fault = _fault_of(of.federation, of.counted) if why else None
    return [*of.dropped, Dropped(reason="proof", detail="", party=of.counted.party, fault=fault)]


def _guilty(**changes):
    """Change the entry of the guilty one."""

    def change(of):
        [at] = [i for i, one in enumerate(of.dropped) if one.fault is not None]
        update = {name: make(of) for name, make in changes.items()}
        dropped = list(of.dropped)
        dropped[at] = dropped[at].model_copy(update=update)
        return dropped

    return change


def _altered(**changes):
    """Change what shows that the guilty one is."""
    return _guilty(
        fault=lambda of: of.fault.model_copy(
            update={name: make(of) for name, make in changes.items()}
        )
    )


SLANDERS = {
    "invented": (lambda of: _invented(of, why=False), "and nothing shows it"),
    "of a right answer": (lambda of: _invented(of, why=True), "what it signed is right"),
    "another's": (
        _guilty(party=lambda of: of.counted.party),
        "signed it",
    ),
    "of another reason": (_guilty(reason=lambda _: "share"), "can be none"),
    "of no provable reason": (_guilty(reason=lambda _: "no-reply"), "can be none"),
    "of a stranger": (_guilty(party=lambda _: None), "can be none"),
    "not shown": (_guilty(fault=lambda _: None), "and nothing shows it"),
    "twice": (lambda of: [*of.dropped, of.entry], "has two faults"),
    "another content": (_altered(content=lambda of: of.counted.content), "refused as cid"),
    "a statement of another": (
        _altered(anchors=lambda of: [of.fault.anchors[0], of.counted.anchors[1]]),
        "signed it",
    ),
    "a call that is none": (
        _altered(
            anchors=lambda of: [
                of.fault.anchors[0].model_copy(update={"transaction": "02ff"}),
                of.fault.anchors[1],
            ]
        ),
        "did not sign it: the signed call TrainingTask.submitUpdate is none",
    ),
    "a call written in capitals": (
        _altered(
            anchors=lambda of: [
                of.fault.anchors[0].model_copy(
                    update={"transaction": of.fault.anchors[0].transaction.upper()}
                ),
                of.fault.anchors[1],
            ]
        ),
        "not written in its one form",
    ),
    "one signature": (_altered(anchors=lambda of: of.fault.anchors[:1]), "with 1 signatures of 2"),
}


def _read(federation, phase):
    """Return a phase's evidence in pieces."""
    entries = [one for one in phase.dropped if one.fault is not None]
    return SimpleNamespace(
        federation=federation,
        dropped=phase.dropped,
        counted=phase.accepted[0],
        entry=entries[0],
        fault=entries[0].fault,
    )


def _tell(federation, monkeypatch, change):
    """Let the evidence of the round say something else, as if it had been published so."""
    honest = documents.load

    def load(kind, cid, store):
        document = honest(kind, cid, store)
        if kind is not Evidence:
            return document
        phases = [
            one.model_copy(update={"dropped": change(_read(federation, one))})
            if one.name == "masked"
            else one
            for one in document.phases
        ]
        return document.model_copy(update={"phases": phases})

    monkeypatch.setattr(documents, "load", load)


@pytest.mark.parametrize("slander", SLANDERS)
def test_a_slander_fails_the_audit_and_is_no_ground(told, monkeypatch, slander):
    """What stands there has to be refused again, of the account that signed it, as it stands."""
    change, message = SLANDERS[slander]
    _tell(told, monkeypatch, change)
    finding = finding_of(told.ledger, told.store, 1, 1)
    assert finding.outcome is Outcome.FAILED
    assert message in (finding.reason or "")
    assert finding.witness is not None
    assert (finding.witness.phase, finding.witness.step) == ("masked", "fault")
    assert finding.faults == ()


def test_one_fault_of_an_account_is_enough(told, monkeypatch):
    """More of its wrong answers are dropped and not kept: nobody fills a store with them."""
    _tell(
        told,
        monkeypatch,
        lambda of: [*of.dropped, of.entry.model_copy(update={"fault": None})],
    )
    finding = finding_of(told.ledger, told.store, 1, 1)
    assert finding.outcome is Outcome.PASSED, finding.reason
    assert [one.party for one in finding.faults] == told.clients[:1]


def test_a_fault_whose_content_is_gone_is_not_checked(told, monkeypatch):
    """Nothing that nobody can look at is passed, or held against anybody."""
    _tell(told, monkeypatch, _altered(content=lambda _: cid_of(b"gone")))
    finding = finding_of(told.ledger, told.store, 1, 1)
    assert finding.outcome is Outcome.UNCHECKED
    assert finding.faults == ()


def test_what_is_shown_does_not_count(told, monkeypatch):
    """A call that came by itself is on no ledger: what it says is never an answer that counted."""
    honest = documents.load

    def load(kind, cid, store):
        document = honest(kind, cid, store)
        if kind is not Evidence:
            return document
        keys, masked, *rest = document.phases
        entry, *others = masked.accepted
        entry = entry.model_copy(
            update={"anchors": [_signed_call(told, entry.anchors[0]), entry.anchors[1]]}
        )
        masked = masked.model_copy(update={"accepted": [entry, *others]})
        return document.model_copy(update={"phases": [keys, masked, *rest]})

    monkeypatch.setattr(documents, "load", load)
    finding = finding_of(told.ledger, told.store, 1, 1)
    assert "is not on the ledger in this round" in (finding.reason or "")
