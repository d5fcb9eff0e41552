"""Evidence of encrypted rounds that an aggregator made up: the audit says what does not follow."""

from dataclasses import replace

import numpy as np
import pytest
from support.encrypted import EncryptedFederation
from support.federation import make_app

from fedledger.strategies import audit_ledger
from fedledger.strategies.rounds.evidence import documents
from fedledger.strategies.rounds.evidence.checks import Outcome
from fedledger.strategies.rounds.evidence.documents import Evidence
from fedledger.strategies.rounds.tasks.task import LedgerTask

MODEL = {"layer": np.zeros(300, np.float32)}


@pytest.fixture
def encrypted(tmp_path):
    federation = EncryptedFederation(tmp_path)
    yield federation
    federation.close()


def in_phase(name, change):
    """Return what changes a phase's answers, and leaves the other phases as they are."""

    def made(evidence):
        phases = [
            one.model_copy(update={"accepted": change(list(one.accepted))})
            if one.name == name
            else one
            for one in evidence.phases
        ]
        return {"phases": phases}

    return made


def without(count):
    return lambda accepted: accepted[count:]


def others(field):
    """Return what exchanges a field of the first two answers."""

    def change(accepted):
        first, second, *rest = accepted
        swapped = [
            first.model_copy(update={field: getattr(second, field)}),
            second.model_copy(update={field: getattr(first, field)}),
        ]
        return [*swapped, *rest]

    return change


LIES = {
    "another list is noted": (lambda _: {"notes": {"list": "00" * 32}}, "list: 00000"),
    "fewer signatures than the quorum": (
        in_phase("list", without(2)),
        "rule: masked mean stands there, kept follows",
    ),
    "an update left out of the list": (
        in_phase("masked", without(1)),
        "the evidence neither counts nor drops it",
    ),
    "shares under each other's name": (
        in_phase("shares", others("content")),
        "counted but is unusable: share: share proof",
    ),
}
"""Name of a lie to what it makes of the evidence, and what the audit says."""

MORE = {
    "too few shares": (in_phase("shares", without(3)), "bytes of the contents"),
    "no list is noted": (lambda _: {"notes": {}}, "list"),
    "no acceptance of the keys": (
        in_phase("keys", without(5)),
        "the evidence neither counts nor drops it",
    ),
    "too few acceptances of the keys": (
        in_phase("keys", without(2)),
        "the evidence neither counts nor drops it",
    ),
    "others accepted": (lambda one: {"state": {"accepted": one.state["accepted"][1:]}}, "state"),
    "parts under each other's name": (
        in_phase("opened", others("content")),
        "counted but is unusable: opened",
    ),
    "the phases of the keys are gone": (
        lambda one: {"phases": [phase for phase in one.phases if phase.name != "keys"]},
        "keys",
    ),
}


@pytest.mark.parametrize(
    "name", [*LIES, *(pytest.param(one, marks=pytest.mark.soak) for one in MORE)]
)
def test_evidence_that_the_aggregator_made_up(encrypted, monkeypatch, name):
    """Whatever it changes about list, signatures, shares and keys: the round does not follow."""
    change, says = (LIES | MORE)[name]
    honest = documents.save

    def save(document, store):
        if isinstance(document, Evidence):
            document = document.model_copy(update=change(document))
        return honest(document, store)

    monkeypatch.setattr(documents, "save", save)
    encrypted.run(encrypted.encrypted(lifts=0), make_app(), rounds=1, model=MODEL)
    report = audit_ledger(encrypted.ledger, encrypted.store)
    assert report.outcome is Outcome.FAILED
    assert says in (report.reason or "")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("a bit", "aggregate: "),
        pytest.param("another rule", "rule: ", marks=pytest.mark.soak),
        pytest.param("one contributor less", "contributors: ", marks=pytest.mark.soak),
    ],
)
def test_a_model_that_is_not_the_mean(encrypted, monkeypatch, change, says):
    """Of the opened sum one model follows, to the bit, and one list of who made it."""
    honest = LedgerTask.publish

    def publish(self, round_, result, state, *more):
        if change == "a bit":
            moved = {key: np.nextafter(one, np.inf) for key, one in result.model.items()}
            result = replace(result, model=moved)
        elif change == "another rule":
            result = replace(result, rule="mean")
        else:
            left = result.contributors[1:]
            paid = {one: result.payments[one] for one in left}
            result = replace(result, contributors=left, payments=paid)
        return honest(self, round_, result, state, *more)

    monkeypatch.setattr(LedgerTask, "publish", publish)
    encrypted.run(encrypted.encrypted(), make_app(), rounds=1, model=MODEL)
    report = audit_ledger(encrypted.ledger, encrypted.store)
    assert report.outcome is Outcome.FAILED
    assert says in (report.reason or "")
