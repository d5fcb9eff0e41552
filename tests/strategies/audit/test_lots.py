"""Who would choose a round's rule: an aggregator, a client, both, and a run that is killed."""

import numpy as np
import pytest
from support.evidence import all_evidence
from support.federation import make_app

from fedledger.records import SigningRequest
from fedledger.strategies import audit_ledger
from fedledger.strategies.protocols.pofl.draws import UpdateList
from fedledger.strategies.protocols.pofl.protocol import Decision, PoFLProtocol
from fedledger.strategies.protocols.pofl.salts import SaltsPhase
from fedledger.strategies.rounds.answers import asking
from fedledger.strategies.rounds.arrival import exchange
from fedledger.strategies.rounds.evidence import documents
from fedledger.strategies.rounds.evidence.checks import Outcome
from fedledger.strategies.rounds.kinds import live

RULES = ("krum", "trimmed_mean", "median")
FALLBACK = "trimmed_mean"


def audit(federation):
    return audit_ledger(federation.ledger, federation.store)


def test_an_honest_round_has_its_lot(federation):
    """Every client's salt is in the evidence, and the lot decides; nobody is left out."""
    federation.run(federation.pofl(), make_app(), rounds=12)
    found = all_evidence(federation)
    assert {one.rule for one in found} == set(RULES)
    assert all(len(one.phase("salts").accepted) == 7 for one in found)
    assert found[-1].state["silent"] == []
    assert audit(federation).passed


def test_who_withholds_salts_has_the_fallback(federation, monkeypatch):
    """An aggregator that withholds one salt a round gets one rule, and the audit passes."""
    turn = iter(range(100))
    honest = exchange
    monkeypatch.setattr(asking, "exchange", lambda *a, **o: _losing(honest, next(turn), *a, **o))
    federation.run(federation.pofl(), make_app(), rounds=4)
    monkeypatch.undo()
    found = all_evidence(federation)
    assert [one.rule for one in found] == [FALLBACK] * 4
    assert all(one.kept is None for one in found)
    assert len(found[-1].state["silent"]) == 2
    assert audit(federation).passed


def _losing(honest, number, grid, messages, *, accept, **options):
    salts = bool(messages) and SigningRequest.of(messages[0].content).phase == "salts"
    lost = messages[number % len(messages)].metadata.dst_node_id if salts else None

    def accepting(message, asked, stamp):
        if asked.metadata.dst_node_id == lost:
            return False
        return accept(message, asked, stamp)

    return honest(grid, messages, accept=accepting, **options)


def test_a_client_that_withholds_its_salt_is_left_out(federation):
    """It takes one round's lot away, and no second one: its salt is not waited for any more."""

    def silent(reply, message, context):
        if SigningRequest.of(message.content).phase == "salts":
            raise RuntimeError("no salt from me")
        return reply

    federation.run(federation.pofl(), make_app(after_signing={3: silent}), rounds=8)
    first, *others = all_evidence(federation)
    assert first.rule == FALLBACK
    assert {one.rule for one in others} == set(RULES)
    assert all(one.state["silent"] == [federation.clients[3]] for one in (first, *others))
    assert all(len(one.phase("update").accepted) == 7 for one in others)
    assert all(len(one.phase("salts").accepted) == 6 for one in others)
    assert audit(federation).passed


def _again(round_):
    """Let a round ask once more, as only a dishonest aggregator does."""
    round_._signed.clear()


class _Chooser:
    """An aggregator that wants one rule, and tries list after list until a lot gives it."""

    def __init__(self, protocol, wanted):
        self.protocol = protocol
        self.wanted = wanted
        self.tried = []

    def throw(self, round_, updates, state):
        whole = self.protocol.list_of(round_.terms, round_.number, updates.standing, state)
        for left_out in (None, *whole.entries):
            entries = tuple(one for one in whole.entries if one is not left_out)
            listed = UpdateList(whole.task, whole.round, entries, whole.silent)
            _again(round_)
            phases = list(round_.phases)
            answers = round_.ask(SaltsPhase(), listed)
            salts = {a.party: a.value.salt for a in answers if a.value.list == listed.digest}
            self.tried.append(len(salts))
            if salts.keys() == listed.salters.keys():
                rule = RULES[listed.lot(salts, len(RULES))]
                if rule == self.wanted:
                    return rule, state
            round_.phases[:] = phases
        return None, state


def test_another_list_has_no_lot(federation, monkeypatch):
    """Having seen one lot, an aggregator that leaves updates out never gets a second one."""
    strategy = federation.pofl()
    chooser = _Chooser(strategy.protocol, "nothing")
    monkeypatch.setattr(PoFLProtocol, "_draw", chooser.throw)
    federation.run(strategy, make_app(), rounds=2)
    assert chooser.tried == ([7] + [0] * 7) * 2  # the first list alone is signed


@pytest.mark.parametrize("rounds", [4])
def test_a_hidden_lot_is_found(federation, monkeypatch, rounds):
    """Who throws a lot and calls the round one that kept its model fails the next round's audit."""
    honest = PoFLProtocol._by_lot

    def hiding(self, round_, updates, entries, state):
        if round_.number == 2:
            phases = list(round_.phases)
            honest(self, round_, updates, entries, state)
            accepted = phases[0].accepted
            dropped = [
                documents.Dropped(reason="no-reply", detail="nothing arrived", party=one.party)
                for one in accepted[2:]
            ]
            fewer = {
                "accepted": accepted[:2],
                "dropped": dropped,
                "bytes": phases[0].bytes * 2 // 7,
            }
            round_.phases[:] = [phases[0].model_copy(update=fewer)]
            round_.notes.clear()
            clients = round_.clients
            kept = state.with_lists(state.lists(clients).without(2), clients)
            return Decision.keep("2 updates arrived in time, 3 are needed"), kept
        return honest(self, round_, updates, entries, state)

    monkeypatch.setattr(PoFLProtocol, "_by_lot", hiding)
    federation.run(federation.pofl(), make_app(), rounds=rounds)
    monkeypatch.undo()
    report = audit(federation)
    assert report.outcome is Outcome.FAILED
    assert [verdict.passed for verdict in report.rounds] == [True, True, False, True]
    assert "a lot was thrown and hidden" in (report.reason or "")


class _Killed(BaseException):
    """Stands for the process ending: nothing may catch it."""


def test_a_run_killed_after_the_salts_is_honest(federation, monkeypatch):
    """Clients that train differently the second time keep to their first list: the fallback."""
    shift = []

    def differently(reply, message, context):
        for name, array in list(reply.content.array_records["arrays"].items()):
            values = array.numpy()
            if values.dtype == np.float32 and shift:
                reply.content.array_records["arrays"][name] = type(array)(values + np.float32(0.01))
        return reply

    app = make_app(dict.fromkeys(range(7), differently))
    honest = PoFLProtocol._by_lot

    def killed(self, round_, *args):
        found = honest(self, round_, *args)
        if round_.number == 2 and not shift:
            raise _Killed
        return found

    monkeypatch.setattr(PoFLProtocol, "_by_lot", killed)
    with pytest.raises(_Killed):
        federation.run(federation.pofl(), app, rounds=4)
    monkeypatch.undo()
    federation.reopen()
    shift.append(1)
    federation.run(federation.pofl(), app, rounds=4)
    _, second, third, _ = all_evidence(federation)
    assert second.rule == FALLBACK
    assert len(second.state["known"]) == 3  # the killed run's list is admitted
    assert len(third.phase("salts").accepted) == 7
    report = audit(federation)
    assert report.passed, report.reason


def test_a_copied_content_counts_once(federation):
    """Of two clients with one content the first one counts; the other is dropped, and not paid."""

    def same(reply, message, context):
        for name, array in list(reply.content.array_records["arrays"].items()):
            values = np.ones_like(array.numpy())
            reply.content.array_records["arrays"][name] = type(array)(values)
        return reply

    federation.run(federation.pofl(), make_app({0: same, 5: same}), rounds=3)
    for one in all_evidence(federation):
        update = one.phase("update")
        pair = {federation.clients[0], federation.clients[5]}
        [first] = [entry for entry in update.accepted if entry.party in pair]
        [copy] = update.dropped
        assert (copy.reason, copy.party) == ("copy", *(pair - {first.party}))
        assert copy.arrival >= first.arrival
        assert len(update.accepted) == 6
    assert audit(federation).passed


def test_a_copy_that_counted_fails_the_audit(federation, monkeypatch):
    """An aggregator that lets one content count twice is found."""

    def same(reply, message, context):
        for name, array in list(reply.content.array_records["arrays"].items()):
            reply.content.array_records["arrays"][name] = type(array)(np.ones_like(array.numpy()))
        return reply

    monkeypatch.setattr(live, "_once", lambda checked: (list(checked), []))
    federation.run(federation.pofl(), make_app({0: same, 5: same}), rounds=1)
    report = audit(federation)
    assert report.outcome is Outcome.FAILED
    assert "gave it first" in (report.reason or "")
