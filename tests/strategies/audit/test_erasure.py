"""A content that was erased costs the proof of its own round, and of no other."""

import pytest
from support.federation import make_app

from fedledger.errors import NotChecked
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.ledger_plugins.storage.erasing import erase
from fedledger.strategies import audit_ledger
from fedledger.strategies.rounds.evidence import documents
from fedledger.strategies.rounds.evidence.checks import Outcome
from fedledger.strategies.rounds.evidence.documents import Evidence
from fedledger.strategies.rounds.evidence.record import read_rounds

PASSED, UNCHECKED = Outcome.PASSED, Outcome.UNCHECKED


def _evidence(federation, number):
    aggregate = TrainingTask(federation.ledger).aggregates(1)[number - 1]
    return documents.load(Evidence, aggregate.evidence, federation.store)


def _outcomes(federation):
    report = audit_ledger(federation.ledger, federation.store)
    return report, [verdict.outcome for verdict in report.rounds]


@pytest.mark.parametrize("kind", ["pofl", "anchored"])
def test_an_erased_update_costs_its_round_alone(federation, kind):
    """The audit says what is missing and whose it was; rounds before and after pass."""
    strategy = federation.pofl(byzantine=1) if kind == "pofl" else federation.anchored()
    federation.run(strategy, make_app(), rounds=3)
    phase = _evidence(federation, 2).phases[0]
    erased = phase.accepted[4]
    assert erase(federation.store, [erased.content]) == [erased.content]
    report, outcomes = _outcomes(federation)
    assert outcomes == [PASSED, UNCHECKED, PASSED]
    assert report.outcome is UNCHECKED
    assert report.reason == (
        f"task 1 (test), round 2: nothing stored under {erased.content}: what {erased.party} "
        f"answered in phase {phase.name!r} was erased, or never kept"
    )


def test_a_client_that_leaves_takes_all_its_updates(federation):
    """All of one client's, in every round: no round can be checked, and none is called false."""
    federation.run(federation.pofl(byzantine=1), make_app(), rounds=3)
    leaving = federation.clients[0]
    theirs = [
        one.content
        for number in (1, 2, 3)
        for one in _evidence(federation, number).phases[0].accepted
        if one.party == leaving
    ]
    assert len(erase(federation.store, theirs)) == 3
    report, outcomes = _outcomes(federation)
    assert outcomes == [UNCHECKED] * 3
    assert all(leaving in (verdict.reason or "") for verdict in report.rounds)


def test_a_run_goes_on_after_an_erasure(federation):
    """What was erased is not needed for the rounds that follow, which are proved."""
    seen = []

    def erasing(evidence):
        seen.append(evidence.round)

    strategy = federation.pofl(byzantine=1, observers=[erasing])
    honest = strategy.aggregate_train

    def aggregate(server_round, replies):
        if server_round == 2:
            erase(federation.store, [_evidence(federation, 1).phases[0].accepted[0].content])
        return honest(server_round, replies)

    strategy.aggregate_train = aggregate
    federation.run(strategy, make_app(), rounds=3)
    assert _outcomes(federation)[1] == [UNCHECKED, PASSED, PASSED]


def test_an_erased_model_costs_the_rounds_that_need_it(federation):
    """The round that made it and the one that began with it; what comes later is proved."""
    federation.run(federation.pofl(byzantine=1), make_app(), rounds=4)
    erase(federation.store, [_evidence(federation, 2).aggregate])
    report, outcomes = _outcomes(federation)
    assert outcomes == [PASSED, UNCHECKED, UNCHECKED, PASSED]
    assert "it was erased, or never kept" in (report.reason or "")


@pytest.mark.parametrize(
    ("kind", "last"), [("pofl", [UNCHECKED, PASSED]), ("anchored", [PASSED, PASSED])]
)
def test_an_erased_document_costs_what_goes_on_from_it(federation, kind, last):
    """Without a round's evidence nobody knows the state after it: that calls no round false.

    The rounds after the next one go on from a state that is there, and a protocol without a state
    needs none.
    """
    strategy = federation.pofl(byzantine=1) if kind == "pofl" else federation.anchored()
    federation.run(strategy, make_app(), rounds=3)
    erase(federation.store, [TrainingTask(federation.ledger).aggregates(1)[0].evidence])
    report, outcomes = _outcomes(federation)
    assert outcomes == [UNCHECKED, *last]
    assert report.outcome is UNCHECKED
    if last[0] is UNCHECKED:
        assert "goes on from the state after round 1" in (report.rounds[1].reason or "")


def test_rounds_are_shown_beside_one_whose_evidence_is_gone(federation):
    """Of that round only what the ledger says; who needs all of it is told."""
    federation.run(federation.pofl(byzantine=1), make_app(), rounds=2)
    aggregate = TrainingTask(federation.ledger).aggregates(1)[0]
    erase(federation.store, [aggregate.evidence])
    first, second = read_rounds(federation.ledger, federation.store, 1, strict=False)
    assert (first.rule, first.aggregate, first.phases) == (aggregate.rule, aggregate.cid, ())
    assert "nothing stored under" in (first.unread or "")
    assert (second.unread, second.accepted) == (None, 7)
    with pytest.raises(NotChecked, match="nothing stored under"):
        read_rounds(federation.ledger, federation.store, 1)


def test_erased_and_altered_are_two_things(federation):
    """A content that is there and damaged fails, also where another one was erased."""
    federation.run(federation.pofl(byzantine=1), make_app(), rounds=2)
    erase(federation.store, [_evidence(federation, 1).phases[0].accepted[0].content])
    cid = _evidence(federation, 2).phases[0].accepted[0].content
    path = federation.store.folder / federation.store.profile / cid
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    report, outcomes = _outcomes(federation)
    assert outcomes == [UNCHECKED, Outcome.FAILED]
    assert report.outcome is Outcome.FAILED
