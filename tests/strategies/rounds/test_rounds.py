"""The frame of a round: state, fail closed, what is measured, the record."""

import dataclasses
import json
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from support.evidence import evidence_of
from support.federation import Federation, make_app

from fedledger.arrays import from_safetensors
from fedledger.errors import ConfigError, NotChecked, NotInstalled
from fedledger.ledger_plugins.contracts import Aggregate, Rollback, TrainingTask
from fedledger.records import LEDGER
from fedledger.strategies import (
    ArrivalWindow,
    LedgerStrategy,
    SimulatedLatency,
    WallClock,
    audit_ledger,
    verify_round,
)
from fedledger.strategies.aggregation import rules
from fedledger.strategies.protocols import PROTOCOLS
from fedledger.strategies.protocols.anchored import AnchoredProtocol
from fedledger.strategies.protocols.pofl import PoFL, PoFLProtocol
from fedledger.strategies.protocols.training import UpdatePhase
from fedledger.strategies.rounds.evidence import documents
from fedledger.strategies.rounds.evidence.checks import Outcome
from fedledger.strategies.rounds.evidence.documents import Evidence, Specification
from fedledger.strategies.rounds.evidence.record import read_rounds, statuses
from fedledger.strategies.rounds.protocol import NoState, Protocol, Settings, protocol_of
from fedledger.strategies.rounds.round import Result

SHARED = Path(__file__).parents[2] / "shared"


# Fail closed --------------------------------------------------------------------------------


def test_a_subclass_is_a_protocol_of_its_own():
    """Without a name of its own it is refused where it is written down."""
    with pytest.raises(ConfigError, match="a protocol needs a name of its own"):

        class Mine(PoFLProtocol):
            pass


def test_an_empty_subclass_of_the_strategy_keeps_its_proof(federation):
    """What a user derives from the Flower strategy runs the same protocol, and is proved."""

    class Mine(PoFL):
        pass

    federation.run(
        Mine(
            federation.ledger,
            federation.store,
            account=federation.server,
            clients=federation.clients,
            model_id="test",
            byzantine=1,
            window=ArrivalWindow(60.0),
        ),
        make_app(),
        rounds=1,
    )
    report = audit_ledger(federation.ledger, federation.store)
    assert report.passed, report.reason
    assert [verdict.aggregate for verdict in report.rounds] == ["proved"]


def test_a_protocol_that_nobody_registered_does_not_start(federation):
    """No audit would replay it, so the strategy refuses; a registered one's name is no help."""

    class Mine(PoFLProtocol):
        name: ClassVar = "mine"

    class Pretender(PoFLProtocol):
        name: ClassVar = "pofl"

    known = federation.pofl().protocol.settings
    for protocol in (Mine(known), Pretender(known)):
        with pytest.raises(ConfigError, match=r"pofl|mine"):
            LedgerStrategy(
                protocol,
                federation.pofl().inner,
                federation.ledger,
                federation.store,
                account=federation.server,
                clients=federation.clients,
                model_id="test",
            )


def _respecified(monkeypatch, **changes):
    """Let the aggregator write another specification than it runs by."""
    honest = documents.save

    def save(document, store):
        if isinstance(document, Specification):
            document = document.model_copy(update=changes)
        return honest(document, store)

    monkeypatch.setattr(documents, "save", save)


@pytest.mark.parametrize(
    ("changes", "outcome", "reason"),
    [
        ({"protocol": "pofl2"}, Outcome.UNCHECKED, "protocol 'pofl2' is not known here"),
        ({"protocol_version": 4}, Outcome.UNCHECKED, "version 4 there and 3 here"),
        ({"protocol": "anchored", "protocol_version": 1}, Outcome.FAILED, "settings of 'anchored'"),
        ({"settings": {}}, Outcome.FAILED, "settings of 'pofl'"),
        ({"parties": {}}, Outcome.FAILED, "lists no clients"),
        ({"parties": {"clients": ["a", "a"]}}, Outcome.FAILED, "twice"),
        ({"layout": {}}, Outcome.FAILED, "layout"),
        ({"profile": "another"}, Outcome.UNCHECKED, "profile 'another'"),
        ({"clock": {"by": "ledger"}}, Outcome.FAILED, "arrival of"),
    ],
)
def test_what_the_specification_may_say(federation, monkeypatch, changes, outcome, reason):
    """An unknown protocol or version is not checked, with its name; nonsense fails."""
    _respecified(monkeypatch, **changes)
    federation.run(federation.pofl(), make_app(), rounds=1)
    report = audit_ledger(federation.ledger, federation.store)
    assert report.outcome is outcome
    assert reason in (report.reason or "")


def test_a_document_of_another_version_is_not_checked(federation, monkeypatch):
    """It says with which version to audit it."""
    federation.run(federation.pofl(), make_app(), rounds=1)
    task = TrainingTask(federation.ledger).task(1)
    found = documents.load(Specification, task.spec, federation.store)
    plain = found.model_dump(mode="json") | {"version": 2}
    cid = federation.store.put(json.dumps(plain).encode())
    with pytest.raises(NotChecked, match="of version 2, this library reads 3"):
        documents.load(Specification, cid, federation.store)


def test_a_rule_with_another_arithmetic_is_not_checked(federation, monkeypatch):
    """Whoever has another version of a rule says so, and does not call the round false."""
    federation.run(federation.pofl(rules=("median",)), make_app(), rounds=1)
    median = rules.load("median")
    monkeypatch.setattr(median, "arithmetic", "f32-sorted-sum-f64/2")
    report = audit_ledger(federation.ledger, federation.store)
    assert report.outcome is Outcome.UNCHECKED
    assert "f32-sorted-sum-f64/2" in (report.reason or "")
    verify_round(federation.ledger, federation.store, 1, 1)  # a miner goes on


def test_attesting_is_declared(federation):
    """A protocol that does not declare it cannot take anybody's word, live or recorded."""
    assert AnchoredProtocol.attests
    assert not PoFLProtocol.attests

    strategy = federation.anchored()
    strategy.protocol.attests = False
    with pytest.raises(ConfigError, match="does not declare that it attests"):
        federation.run(strategy, make_app(), rounds=1)


def test_no_rounds_are_no_pass(federation):
    """A ledger without a round is not checked."""
    report = audit_ledger(federation.ledger, federation.store)
    assert report.outcome is Outcome.UNCHECKED
    assert report.reason == "there is no round to check"


class _Senseless(Protocol[Settings, NoState]):
    """A protocol that comes to what a test says."""

    name: ClassVar = "senseless"
    result: ClassVar[Result]

    def run(self, _round, state):
        return self.result, state


@pytest.mark.parametrize(
    "result",
    [
        Result(None, "mean"),
        Result({}, "mean", "kept for no reason"),
        Result({}, "kept"),
        Result({}, "mean", None, ("0x" + "1" * 40,)),
        Result({}, "mean", None, (), {"0x" + "1" * 40: 5}),
    ],
)
def test_a_result_that_makes_no_sense_is_refused(federation, monkeypatch, result):
    """Before anything is published."""
    load = PROTOCOLS.load
    monkeypatch.setattr(
        PROTOCOLS, "load", lambda name: _Senseless if name == "senseless" else load(name)
    )
    monkeypatch.setattr(_Senseless, "result", result, raising=False)
    strategy = LedgerStrategy(
        _Senseless(Settings()),
        federation.pofl().inner,
        federation.ledger,
        federation.store,
        account=federation.server,
        clients=federation.clients,
        model_id="test",
    )
    with pytest.raises(ConfigError, match=r"makes no sense|nobody can publish"):
        federation.run(strategy, make_app(), rounds=1)
    assert TrainingTask(federation.ledger).task(1).current_round == 0


def test_one_signature_serves_one_phase(federation, monkeypatch):
    """Two phases of a round that sign the same call are refused: an answer would do for both."""
    honest = PoFLProtocol.run

    def twice(self, round_, state):
        found = honest(self, round_, state)
        round_.ask(UpdatePhase("num-examples"))
        return found

    monkeypatch.setattr(PoFLProtocol, "run", twice)
    with pytest.raises(ConfigError, match=r"signs TrainingTask\.submitUpdate, as a phase before"):
        federation.run(federation.pofl(), make_app(), rounds=1)


def test_payments_that_the_ledger_cannot_settle(federation, monkeypatch):
    """This ledger pays the task's reward to each contributor; anything else is refused by name."""
    honest = PoFLProtocol.run

    def generous(self, round_, state):
        result, state = honest(self, round_, state)
        payments = dict.fromkeys(result.payments, 21)
        return dataclasses.replace(result, payments=payments), state

    monkeypatch.setattr(PoFLProtocol, "run", generous)
    with pytest.raises(ConfigError, match="pays 20 to each contributor and nothing else"):
        federation.run(federation.pofl(), make_app(), rounds=1)


# Measurements, the record -------------------------------------------------------------------


def test_what_is_measured_is_evidence_apart_from_claims(federation):
    """The aggregator's own measure stands in the record, in its name; NaN is left out."""
    seen = []

    def measure(number, arrays):
        seen.append((number, arrays["layer.bias"].numpy().copy()))
        return {"accuracy": 0.25 + number / 10, "odd": float("nan")}

    federation.run(federation.pofl(measure=measure), make_app(), rounds=2)
    records = read_rounds(federation.ledger, federation.store, 1)
    assert [record.value("accuracy") for record in records] == [0.35, 0.45]
    assert [len(record.measured) for record in records] == [1, 1]
    assert records[0].measured[0].by == federation.server.address
    model = from_safetensors(federation.store.get(records[1].aggregate))
    assert np.array_equal(seen[1][1], model["layer.bias"])
    assert audit_ledger(federation.ledger, federation.store).passed


def test_a_record_says_who_was_asked_and_what_became_of_it(federation):
    """Asked, counted, late, dropped, left out, paid, blocks, time and bytes: one value."""

    def fails(reply, message, context):
        raise RuntimeError("battery")

    clock = SimulatedLatency(seed=1, extra={5: 100.0})
    strategy = federation.pofl(rules=("krum",), byzantine=1, clock=clock)
    federation.run(strategy, make_app({3: fails}), rounds=1)
    [record] = read_rounds(federation.ledger, federation.store, 1)
    [phase] = record.phases
    assert (phase.name, len(phase.asked), len(phase.accepted)) == ("update", 7, 5)
    assert [one.party for one in phase.late] == [federation.clients[5]]
    assert record.reasons() == {"client-error": 1}
    assert len(record.contributors) == 1
    assert set(record.left_out) | set(record.contributors) == {one.party for one in phase.accepted}
    assert record.payments == record.paid == {record.contributors[0]: 20}
    assert record.opened < record.closed
    assert phase.bytes > 0
    plain = record.to_json()
    assert plain["phases"][0]["dropped"][0]["remedy"]
    report = audit_ledger(federation.ledger, federation.store)
    assert report.rounds[0].record == record


def test_what_a_rollback_voids_is_void():
    """Rounds between a checkpoint and the rollback to it are void, and no number is used again."""
    aggregate, rollback = _ended("aggregate"), _ended("rollback")
    ended = [aggregate(1), aggregate(2), aggregate(3), rollback(4, 1), aggregate(5)]
    assert statuses(ended) == {1: "final", 2: "void", 3: "void", 4: "void", 5: "final"}
    ended.append(rollback(6, 0))
    assert set(statuses(ended).values()) == {"void"}


def _ended(kind):
    def place(number):
        return {"transaction": "0x", "block": number, "position": 0}

    if kind == "aggregate":
        return lambda number: Aggregate(1, number, "c", "mean", (), "e", {}, **place(number))
    return lambda number, to: Rollback(1, number, to, "c", 0.5, 0, **place(number))


def test_a_state_that_is_none_is_named(federation, monkeypatch):
    """An aggregator that writes a state of its own is found, and stops nobody's audit."""
    honest = documents.save

    def save(document, store):
        if isinstance(document, Evidence) and document.round == 1:
            document = document.model_copy(update={"state": {"revealed": 5, "more": []}})
        return honest(document, store)

    monkeypatch.setattr(documents, "save", save)
    federation.run(federation.pofl(), make_app(), rounds=2)
    report = audit_ledger(federation.ledger, federation.store)
    assert report.outcome is Outcome.FAILED
    assert not report.rounds[0].passed
    assert "state: " in (report.rounds[0].reason or "")


def test_the_wrong_party_does_not_count(federation):
    """A client of another party than is asked answers for nothing: it is not on that list."""
    stranger = federation.keys.account(6).address
    federation.clients = [*federation.clients[:6], federation.keys.account("eve").address]
    federation.run(federation.pofl(byzantine=1), make_app(), rounds=1)
    phase = evidence_of(federation, 1).phases[0]
    assert stranger not in [one.party for one in phase.accepted]
    assert [one.reason for one in phase.dropped] == ["client-error", "unheard"]
    assert "is not registered" in phase.dropped[0].detail
    assert phase.dropped[1].party == federation.clients[6]


def test_replies_of_any_number_of_records_pass(federation):
    """The phase reads the model's record and passes the others on untouched, unsigned."""
    seen = []

    def more(reply, message, context):
        reply.content["control"] = reply.content["arrays"]
        return reply

    app = make_app(before_signing=dict.fromkeys(range(7), more))
    strategy = federation.anchored()
    inner = strategy.inner

    def aggregate(server_round, replies):
        replies = list(replies)
        seen.extend(sorted(reply.content) for reply in replies)
        for reply in replies:
            del reply.content["control"]
        return type(inner).aggregate_train(inner, server_round, replies)

    inner.aggregate_train = aggregate
    federation.run(strategy, app, rounds=1)
    assert seen == [["arrays", "control", "metrics"]] * 7
    assert LEDGER not in seen[0]
    assert evidence_of(federation, 1).kept is None
    assert audit_ledger(federation.ledger, federation.store).passed


def test_settings_of_an_unknown_rule_are_not_installed():
    """A third party's rule that is not here is no reason to call a round false."""
    specification = Specification(
        protocol="pofl",
        protocol_version=PoFLProtocol.version,
        settings={
            "byzantine": 0,
            "rules": ["somebodys_rule"],
            "selection": "timestamp",
            "strict": True,
            "min_submissions": 1,
            "window": 1.0,
            "quiet": None,
            "fallback": "somebodys_rule",
            "arithmetic": {"somebodys_rule": "x/1"},
        },
        parties={"clients": ["a"]},
        layout={},
        clock={"by": "aggregator"},
        profile="p",
    )
    with pytest.raises(NotInstalled, match="somebodys_rule"):
        protocol_of(specification)


def test_the_wall_clock_is_the_default(tmp_path):
    """Without a clock an answer arrives when its reply is pulled."""
    federation = Federation(tmp_path)
    federation.run(federation.pofl(clock=WallClock()), make_app(), rounds=1)
    assert audit_ledger(federation.ledger, federation.store).passed
    federation.ledger.close()
