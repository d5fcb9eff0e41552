"""Protocols from outside that are not what they should be: named, and never a pass."""

import dataclasses
import sys
from types import ModuleType
from typing import ClassVar

import numpy as np
import pytest
from flwr.serverapp.strategy import FedAvg
from support.federation import make_app

from fedledger.errors import ConfigError
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.strategies import LedgerStrategy, audit_ledger
from fedledger.strategies.protocols.pofl import PoFLProtocol
from fedledger.strategies.protocols.training import UpdatePhase
from fedledger.strategies.rounds.evidence.checks import Outcome
from fedledger.strategies.rounds.protocol import PROTOCOLS, NoState, Protocol, Settings
from fedledger.strategies.rounds.round import Result


class Plain(Protocol[Settings, NoState]):
    """Takes the first update as it is."""

    name: ClassVar = "outside"

    def phase(self):
        """Return the phase."""
        return UpdatePhase("num-examples")

    def run(self, round, state: NoState):
        """Run a round."""
        updates = round.ask(self.phase())
        if not updates:
            return Result.keep("no update"), state
        first = next(iter(updates))
        step = round.layout.as_float32().flatten(first.value.arrays)
        who = (first.party,)
        payments = dict.fromkeys(who, round.terms.reward)
        return Result(round.layout.add(round.base, step), "first", None, who, payments), state


@pytest.fixture
def outside(monkeypatch):
    """Register something as the protocol "outside"; returns how."""

    def register(thing):
        module = ModuleType("outside_package")
        vars(module)["thing"] = thing
        monkeypatch.setitem(sys.modules, "outside_package", module)
        monkeypatch.setitem(PROTOCOLS._entries, "outside", "outside_package:thing")
        return thing

    return register


def _run(federation, protocol, *, model_id="test", **start):
    inner = FedAvg(fraction_evaluate=0.0)
    options = {"account": federation.server, "clients": federation.clients, "model_id": model_id}
    strategy = LedgerStrategy(protocol, inner, federation.ledger, federation.store, **options)
    return federation.run(strategy, make_app(), **start)


def _audit(federation):
    return audit_ledger(federation.ledger, federation.store)


def test_it_runs_and_is_proved(federation, outside):
    """The protocol that the others here are variants of."""
    _run(federation, outside(Plain)(Settings()))
    report = _audit(federation)
    assert report.passed, report.reason


@pytest.mark.parametrize("thing", [None, len, Settings, PoFLProtocol], ids=str)
def test_what_is_registered_is_no_such_protocol(federation, outside, thing):
    """Nothing, a function, another class, a protocol of another name: could not check."""
    _run(federation, outside(Plain)(Settings()))
    outside(thing)
    report = _audit(federation)
    assert report.outcome is Outcome.UNCHECKED
    assert "'outside' is no protocol of this name" in (report.reason or "")


def test_a_protocol_that_fails_has_judged_nothing(federation, outside):
    """An exception that nobody expects is no verdict, and ends no audit of the other rounds."""

    class Failing(Plain):
        name: ClassVar = "outside"
        replayed: ClassVar = False

        def run(self, round, state):
            if self.replayed and round.number == 1:
                raise ZeroDivisionError("nothing to divide by")
            return super().run(round, state)

    _run(federation, outside(Failing)(Settings()), rounds=2)
    Failing.replayed = True
    report = _audit(federation)
    assert [one.outcome for one in report.rounds] == [Outcome.UNCHECKED, Outcome.PASSED]
    assert "ZeroDivisionError: nothing to divide by" in (report.reason or "")


def test_a_parser_that_fails_finds_the_answer_malformed(federation, outside):
    """Live it drops the answer; in the replay an answer that counted and cannot be read fails."""

    class Picky(UpdatePhase):
        failing: ClassVar = ()

        def parse(self, given, round, subject):
            if given.party in self.failing:
                raise KeyError(given.party)
            return super().parse(given, round, subject)

    class Parsing(Plain):
        name: ClassVar = "outside"

        def phase(self):
            return Picky("num-examples")

    Picky.failing = federation.clients[:1]
    _run(federation, outside(Parsing)(Settings()), rounds=1)
    report = _audit(federation)
    assert report.passed, report.reason
    assert report.rounds[0].record.reasons() == {"malformed": 1}
    Picky.failing = federation.clients[:2]
    report = _audit(federation)
    assert report.outcome is Outcome.FAILED
    assert "malformed: KeyError" in (report.reason or "")
    assert report.rounds[0].witness.answer == federation.clients[1]


def _changed(**changes):
    return lambda result, state: (dataclasses.replace(result, **changes), state)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda result, _state: (result, None), "came to no Result and NoState"),
        (lambda _result, state: (None, state), "came to no Result and NoState"),
        (_changed(model={"layer": np.zeros(3, dtype=np.float32)}), "is missing"),
        (_changed(rule=""), "makes no sense"),
        (_changed(rule="ä" * 17), "makes no sense"),
        (_changed(rule="kept"), "makes no sense"),
        (_changed(model=None), "makes no sense"),
        (_changed(contributors=("nobody",)), "makes no sense"),
        (_changed(commitments={"sum": b"short"}), "32 bytes wanted"),
    ],
)
def test_a_result_that_no_round_can_come_to(federation, outside, change, match):
    """Nothing is published that the next round, or the contract, could not take."""

    class Odd(Plain):
        name: ClassVar = "outside"

        def run(self, round, state):
            return change(*super().run(round, state))

    with pytest.raises(ConfigError, match=match):
        _run(federation, outside(Odd)(Settings()))
    assert not TrainingTask(federation.ledger).aggregates(1)


def test_a_note_is_what_json_makes_of_it(federation, outside):
    """A tuple is a list in the evidence, and in the replay; what is no JSON is refused at once."""

    class Noting(Plain):
        name: ClassVar = "outside"
        value: ClassVar[object] = (1, {"a": (2,)})

        def run(self, round, state):
            round.note("seen", self.value)
            return super().run(round, state)

    _run(federation, outside(Noting)(Settings()), rounds=1)
    report = _audit(federation)
    assert report.passed, report.reason
    Noting.value = float("nan")
    with pytest.raises(ConfigError, match="note 'seen'"):
        _run(federation, Noting(Settings()), rounds=1, model_id="another")
