"""Every registered client is accounted for in each round's evidence, and the audit checks it."""

import logging
import random

import pytest
from flwr.app import RecordDict
from support.evidence import evidence_of
from support.federation import make_app

from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.strategies import audit_ledger
from fedledger.strategies.rounds.evidence import documents
from fedledger.strategies.rounds.evidence.checks import Outcome
from fedledger.strategies.rounds.evidence.documents import Evidence
from fedledger.strategies.rounds.evidence.record import PhaseRecord, read_rounds
from fedledger.strategies.rounds.evidence.tally import Tally


def _mute(reply, message, context):
    raise RuntimeError("nothing to say")


def _bare(reply, message, context):
    reply.content = RecordDict()
    return reply


def _accounts(federation, number=1):
    evidence = evidence_of(federation, number)
    return PhaseRecord.of(evidence.phases[0]).accounts


@pytest.mark.parametrize("kind", ["pofl", "anchored"])
def test_who_has_no_node_is_accounted_for(federation, kind):
    """A registered account that no node ever answers for is not asked, in every round."""
    clients = list(federation.clients)
    federation.clients = [*clients, federation.keys.account("away").address]
    away = federation.clients[-1]
    strategy = federation.pofl(byzantine=1) if kind == "pofl" else federation.anchored()
    federation.run(strategy, make_app(), rounds=2)
    for number in (1, 2):
        found = _accounts(federation, number)
        assert found == {**dict.fromkeys(clients, "counted"), away: "not-asked"}
    report = audit_ledger(federation.ledger, federation.store)
    assert report.passed, report.reason
    assert Tally.of(verdict.record for verdict in report.rounds).phases[0].absent == {away: 2}


def test_who_never_answered_is_unheard_and_later_silent(federation):
    """A node that never said whose it is may be anybody's; one that did is its account's."""
    quiet = federation.clients[2]

    def second(reply, message, context):
        if int(message.content["config"]["server-round"]) == 2:
            raise RuntimeError("nothing to say")
        return reply

    app = make_app(before_signing={2: _mute, 4: second})
    federation.run(federation.pofl(byzantine=1), app, rounds=2)
    first, then = _accounts(federation, 1), _accounts(federation, 2)
    assert (first[quiet], then[quiet]) == ("unheard", "unheard")
    assert (first[federation.clients[4]], then[federation.clients[4]]) == (
        "counted",
        "client-error",
    )
    assert set(first) == set(then) == set(federation.clients)
    assert audit_ledger(federation.ledger, federation.store).passed


def test_a_dropped_reply_that_is_signed_is_its_accounts(federation):
    """What is wrong with a signed reply is said of the account that signed it."""

    def wrong(reply, message, context):
        next(iter(reply.content.metric_records.values()))["num-examples"] = 10**6
        return reply

    federation.run(federation.pofl(byzantine=1), make_app(after_signing={3: wrong}), rounds=1)
    found = _accounts(federation)
    assert found[federation.clients[3]] not in {"counted", "unheard", "no-reply", "not-asked"}
    assert [one.party for one in evidence_of(federation, 1).phases[0].dropped] == [
        federation.clients[3]
    ]


def test_a_random_federation_accounts_for_everybody(federation):
    """Whoever is silent, broken, late or away: each account has one word in each round."""
    draw = random.Random(7)
    changes = {client: draw.choice([_mute, _bare, None]) for client in range(7)}
    changes = {client: change for client, change in changes.items() if change}
    nobody = [federation.keys.account(name).address for name in ("x", "y")]
    federation.clients = [*federation.clients, *nobody]
    app = make_app(after_signing=changes)
    federation.run(federation.pofl(byzantine=1), app, rounds=3)
    for record in read_rounds(federation.ledger, federation.store, 1):
        assert set(record.phases[0].accounts) == set(federation.clients)
    assert audit_ledger(federation.ledger, federation.store).passed


def _tampered(federation, monkeypatch, change, app=None):
    honest = documents.save

    def save(document, store):
        if isinstance(document, Evidence):
            phases = [change(document.phases[0]), *document.phases[1:]]
            document = document.model_copy(update={"phases": phases})
        return honest(document, store)

    monkeypatch.setattr(documents, "save", save)
    federation.run(federation.pofl(byzantine=1), app or make_app(), rounds=1)
    return audit_ledger(federation.ledger, federation.store)


def test_evidence_that_is_silent_about_an_account_fails(federation, monkeypatch):
    """An account that stands in no list is found, and named."""
    federation.clients = [*federation.clients, federation.keys.account("away").address]

    def change(phase):
        return phase.model_copy(update={"dropped": []})

    report = _tampered(federation, monkeypatch, change)
    assert report.outcome is Outcome.FAILED
    assert f"does not say what became of {federation.clients[-1]}" in (report.reason or "")
    assert report.rounds[0].witness.answer == federation.clients[-1]


@pytest.mark.parametrize("reason", ["no-reply", "unheard", "not-asked"])
def test_an_answer_on_the_ledger_is_not_called_silent(federation, monkeypatch, reason):
    """Whose answer is on the ledger before one that counted was asked, and heard."""
    passed_over = federation.clients[0]

    def change(phase):
        gone = documents.Dropped(reason=reason, detail="", party=passed_over)
        asked = [one.model_copy(update={"party": None}) for one in phase.asked]
        return phase.model_copy(
            update={"accepted": phase.accepted[1:], "dropped": [gone], "asked": asked}
        )

    report = _tampered(federation, monkeypatch, change)
    assert report.outcome is Outcome.FAILED
    assert f"the answer of {passed_over} is on the ledger" in (report.reason or "")


@pytest.mark.parametrize("reason", ["unheard", "not-asked"])
def test_an_account_is_not_both_asked_and_unheard(federation, monkeypatch, reason):
    """Evidence that says two things about an account is none."""

    def change(phase):
        gone = documents.Dropped(reason=reason, detail="", party=phase.accepted[0].party)
        return phase.model_copy(update={"dropped": [gone]})

    report = _tampered(federation, monkeypatch, change)
    assert report.outcome is Outcome.FAILED
    assert f"is said to be {reason}, and that it was asked" in (report.reason or "")


@pytest.mark.parametrize("kind", ["pofl", "anchored"])
def test_a_run_that_used_no_update_says_so(federation, caplog, kind):
    """At its end, as an error, with the reason and what to do; the audit's summary has it too."""
    strategy = federation.pofl() if kind == "pofl" else federation.anchored()
    federation.run(strategy, make_app(before_signing=dict.fromkeys(range(7), _mute)), rounds=2)
    [said] = [one for one in caplog.records if "NO UPDATE WAS USED" in one.getMessage()]
    assert (said.levelno, said.name) == (logging.ERROR, "flwr")
    assert "in 2 rounds" in said.getMessage()
    assert "14 client-error" in said.getMessage()
    report = audit_ledger(federation.ledger, federation.store)
    assert report.passed, report.reason
    assert Tally.of(verdict.record for verdict in report.rounds).unused


def test_a_run_that_lost_most_updates_says_so(federation, caplog):
    """As a warning; one in which most counted says nothing."""
    federation.run(
        federation.anchored(), make_app(before_signing=dict.fromkeys(range(4), _mute)), rounds=1
    )
    [said] = [one for one in caplog.records if "UPDATES DID NOT COUNT" in one.getMessage()]
    assert said.levelno == logging.WARNING
    assert "4 of 7 in 1 round (4 client-error)" in said.getMessage()


def test_a_run_that_lost_few_updates_is_quiet(federation, caplog):
    """Three of seven are not most, and nobody is alarmed."""
    federation.run(
        federation.anchored(), make_app(before_signing=dict.fromkeys(range(3), _mute)), rounds=1
    )
    text = caplog.text
    assert "DID NOT COUNT" not in text
    assert "NO UPDATE" not in text
    assert TrainingTask(federation.ledger).aggregates(1)[0].rule != "kept"
