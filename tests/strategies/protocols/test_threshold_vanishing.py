"""Encrypted rounds whose trainers vanish and whose servers are killed: a clear end, or a model."""

import numpy as np
import pytest
from support.encrypted import EncryptedFederation
from support.evidence import all_evidence
from support.federation import make_app
from support.lying import vanishing

from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.strategies import audit_ledger
from fedledger.strategies.rounds.kinds.live import LiveRound

PHASES = ("keys", "masked", "list", "shares", "opened")
MODEL = {"layer": np.zeros(300, np.float32)}
"""Four ciphertexts: of three or more openers each has a part."""


@pytest.fixture
def encrypted(tmp_path):
    federation = EncryptedFederation(tmp_path)
    yield federation
    federation.close()


def since(phase, number=1):
    """Return all phases of a round from one on: a device that is gone stays gone for the round."""
    return [(number, one) for one in PHASES[PHASES.index(phase) :]]


def run(federation, gone, rounds=1, **options):
    """Run rounds while devices are gone; return who counted in each, by phase, and the audit."""
    app = make_app(outermost=vanishing(gone))
    federation.run(federation.encrypted(**options), app, rounds=rounds, model=MODEL)
    report = audit_ledger(federation.ledger, federation.store)
    assert report.passed, report.reason
    return [
        {one.name: len(one.accepted) for one in evidence.phases}
        for evidence in all_evidence(federation)
    ], report


@pytest.mark.parametrize(
    ("gone", "counted"),
    [
        pytest.param(
            {0: "masked"},
            {"keys": 5, "masked": 4, "list": 4, "shares": 4, "opened": 4},
            marks=pytest.mark.soak,
        ),
        pytest.param(
            {4: "list"},
            {"keys": 5, "masked": 5, "list": 4, "shares": 4, "opened": 4},
            marks=pytest.mark.soak,
        ),
        (
            {0: "masked", 1: "shares"},
            {"keys": 5, "masked": 4, "list": 4, "shares": 3, "opened": 3},
        ),
        (
            {1: "list", 2: "shares", 3: "opened"},
            {"keys": 5, "masked": 5, "list": 4, "shares": 3, "opened": 2},
        ),
        pytest.param(
            {0: "opened", 1: "opened", 2: "opened", 3: "opened", 4: "opened"},
            {"keys": 5, "masked": 5, "list": 5, "shares": 5, "opened": 0},
            marks=pytest.mark.soak,
        ),
    ],
    ids=["after-key-set-up", "after-masking", "four-sign-three-open", "lifting", "all-lifting"],
)
def test_four_of_five_sign_and_three_open(encrypted, gone, counted):
    """Whoever vanishes after key set-up, masking, the list or the shares: the model moves on."""
    [found], report = run(encrypted, {at: since(one) for at, one in gone.items()}, lifts=0)
    assert found == counted
    assert [one.aggregate for one in report.rounds] == ["proved"]
    [aggregate] = TrainingTask(encrypted.ledger).aggregates(1)
    assert aggregate.rule == "masked mean"


TOO_FEW = {
    "keys": ([0, 1], "3 of 5 trainers accepted the keys, 4 are needed"),
    "masked": ([0, 1], "3 masked updates arrived in time, 4 are needed"),
    "list": ([2, 4], "3 signatures of the list arrived in time, 4 are needed"),
    "shares": ([0, 2, 4], "2 trainers' decryption shares arrived in time, 3 are needed"),
}


@pytest.mark.parametrize(
    "phase", [pytest.param("keys", marks=pytest.mark.soak), "masked", "list", "shares"]
)
def test_too_few_end_the_round_and_the_next_one_works(encrypted, phase):
    """The model stays, the evidence says why; when the devices are back, a round moves it."""
    gone, says = TOO_FEW[phase]
    run(encrypted, {at: since(phase) for at in gone}, rounds=2)
    first, second = all_evidence(encrypted)
    assert first.kept == says
    assert second.kept is None
    begun, moved = TrainingTask(encrypted.ledger).aggregates(1)
    assert begun.rule != moved.rule == "masked mean"


class Killed(BaseException):
    """The server's process ends here."""


def killed_after(monkeypatch, phase):
    """Kill the server when a phase's answers have come, once."""
    whole, left = LiveRound.ask, [phase]

    def ask(self, one, *arguments, **options):
        answers = whole(self, one, *arguments, **options)
        if left == [one.name]:
            left.clear()
            raise Killed
        return answers

    monkeypatch.setattr(LiveRound, "ask", ask)


@pytest.mark.parametrize(
    "phase",
    [
        "keys",
        pytest.param("masked", marks=pytest.mark.soak),
        "list",
        pytest.param("shares", marks=pytest.mark.soak),
        pytest.param("opened", marks=pytest.mark.soak),
    ],
)
def test_a_run_that_was_killed_goes_on_with_the_same_list(encrypted, monkeypatch, phase):
    """Trainers answer what they have answered: the list is the one that they have signed."""
    seen = []
    whole = LiveRound.note

    def note(self, name, value):
        seen.append((self.number, name, value))
        whole(self, name, value)

    monkeypatch.setattr(LiveRound, "note", note)
    killed_after(monkeypatch, phase)
    with pytest.raises(Killed):
        run(encrypted, {}, lifts=0)
    encrypted.reopen()
    [found], report = run(encrypted, {}, lifts=0)
    assert found == {**dict.fromkeys(PHASES, 5), "opened": 4}
    assert [one.aggregate for one in report.rounds] == ["proved"]
    lists = {value for number, name, value in seen if name == "list"}
    assert len(lists) == 1
    assert len(seen) == (1 if phase in {"keys", "masked"} else 2)


@pytest.mark.parametrize("phase", [pytest.param("list", marks=pytest.mark.soak), "shares"])
def test_a_run_that_was_killed_never_opens_a_second_list(encrypted, monkeypatch, phase):
    """A device that was gone is back, so the list would be another: the round keeps its model.

    Four trainers have signed a list of four. Nobody of them signs one of five; the next round goes
    on with all.
    """
    killed_after(monkeypatch, phase)
    with pytest.raises(Killed):
        run(encrypted, {0: since("masked")})
    encrypted.reopen()
    run(encrypted, {}, rounds=1)
    [evidence] = all_evidence(encrypted)
    assert evidence.kept == "1 signatures of the list arrived in time, 4 are needed"
    [listed] = [one for one in evidence.phases if one.name == "list"]
    assert {one.reason for one in listed.dropped} == {"client-error"}
    assert all("ciphertext list of round 1 is" in one.detail for one in listed.dropped)
