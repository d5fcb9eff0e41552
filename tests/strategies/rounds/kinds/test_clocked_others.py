"""Rounds by the ledger's clock: what others do meanwhile harms no honest client or aggregator."""

import dataclasses

import pytest
from support.clock import Clock
from support.evidence import evidence_of
from support.federation import make_app, timed_federation

from fedledger.effects import Effects
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.ledger_plugins.contracts.training_task.calls import REVEAL_SALT
from fedledger.ledger_plugins.storage.cid import cid_of
from fedledger.records import SigningRequest
from fedledger.strategies import LedgerClock, audit_ledger
from fedledger.strategies.mining import Aggregator
from fedledger.strategies.rounds import protocol
from fedledger.strategies.rounds.answers import standing
from fedledger.strategies.rounds.kinds import mined
from fedledger.strategies.rounds.server import strategy

WINDOW = 60
STRANGER = Account.from_key(b"\x61" * 32)


class Ticking(Clock):
    """A clock with which a ledger's blocks go on (`tick`), and something happens once."""

    def __init__(self):
        super().__init__(1_700_000_000.0)
        self.tick = self.once = lambda: None

    def sleep(self, seconds):
        if seconds >= 0.5:
            once, self.once = self.once, lambda: None
            once()
        super().sleep(seconds)
        if seconds >= 0.5:
            self.tick()


@pytest.fixture
def timed(tmp_path):
    """A federation, and the clock of its ledger, its strategy and everything else."""
    clock = Ticking()
    federation = timed_federation(tmp_path, clock)
    yield federation, clock
    federation.close()


def by_lot(federation, clock, **options):
    """Return a strategy by the ledger's clock that throws lots."""
    return federation.pofl(
        clock=LedgerClock(sealed=options.pop("sealed", False)),
        window=None,
        ledger_window=WINDOW,
        rules=options.pop("rules", ("krum", "trimmed_mean", "median")),
        effects=dataclasses.replace(Effects.real(), clock=clock),
        **options,
    )


def reveal_again(federation, partition):
    """Let a client reveal on its own, once more, what it has revealed."""
    account = federation.keys.account(partition)
    said = [
        one.arguments
        for one in federation.ledger.events("TrainingTask", "SaltRevealed")
        if one.arguments["client"] == account.address
    ][-1]
    TrainingTask(federation.ledger).reveal_salt(
        account, task=1, round=1, list=said["list"], salt=said["salt"]
    )


def test_a_salt_revealed_again_before_the_publication_fails_no_audit(timed):
    """The aggregator has taken all salts, and measures; then a client reveals its own once more."""
    federation, clock = timed

    def measure(_number, _arrays):
        reveal_again(federation, 6)
        return {"accuracy": 0.5}

    federation.run(by_lot(federation, clock, measure=measure), make_app(), rounds=1)
    assert len(evidence_of(federation).phases[1].accepted) == 7
    report = audit_ledger(federation.ledger, federation.store)
    assert report.passed, report.reason


@pytest.mark.parametrize("shown", ["an older one", "none"])
def test_an_aggregator_that_leaves_out_a_salt_fails_the_audit(timed, monkeypatch, shown):
    """It was revealed in time, so it counts, and the newest one that was."""
    federation, clock = timed
    real = standing.called

    def called(ledger, call, *given, **options):
        found = real(ledger, call, *given, **options)
        if call.name != REVEAL_SALT.name:
            return found
        own = [one for one in found if one.arguments["client"] == federation.clients[3]]
        hidden = own if shown == "none" else own[1:]
        return [one for one in found if one not in hidden]

    if shown == "an older one":
        # Client 6 reveals nothing, so that the phase lasts; then client 3 reveals again.
        def late(reply, message, _context):
            if SigningRequest.of(message.content).phase == "salts":
                clock.once = lambda: reveal_again(federation, 3)
                raise RuntimeError("it sleeps")
            return reply

        app = make_app(after_signing={6: late})
    else:
        app = make_app()
    monkeypatch.setattr(mined, "called", called)
    federation.run(by_lot(federation, clock), app, rounds=1)
    report = audit_ledger(federation.ledger, federation.store)
    assert not report.passed
    expected = "last update of" if shown == "an older one" else "neither counts nor drops it"
    assert expected in report.reason


def test_who_never_opens_takes_no_salt_from_the_others(timed):
    """The round looks for its content for longer than salts are taken; then it asks for them."""
    federation, clock = timed
    ledger = federation.ledger
    contract = TrainingTask(ledger)

    def submit():
        contract.submit_update(
            federation.keys.account(6),
            task=1,
            round=1,
            cid=cid_of(b"nobody has it"),
            samples=1,
            accuracy=0.5,
            seal=b"\x01" * 32,
        )

    def lost(reply, message, _context):
        if SigningRequest.of(message.content).phase == "update":
            clock.once = submit
            clock.tick = lambda: contract.confirm_history(STRANGER, task=1)
        raise RuntimeError("it answers nothing")

    federation.run(
        by_lot(federation, clock, sealed=True), make_app(after_signing={6: lost}), rounds=1
    )
    updates, salts = evidence_of(federation).phases
    assert [one.reason for one in updates.dropped if one.party] == ["unavailable"]
    assert [one.party for one in salts.accepted] == federation.clients[:6]
    report = audit_ledger(ledger, federation.store)
    assert report.passed, report.reason


@pytest.mark.parametrize("round_", [1, 2])
def test_a_miner_with_the_same_account_that_publishes_first(timed, round_):
    """The run takes what it published, and goes on; nobody is paid twice."""
    federation, clock = timed
    miner = Aggregator(federation.store, federation.server, clock)

    def measure(number, _arrays):
        if number == round_:
            federation.ledger.transact_all(miner(federation.ledger, pytest.fail))
        return {}

    federation.run(by_lot(federation, clock, measure=measure), make_app(), rounds=2)
    assert TrainingTask(federation.ledger).task(1).finished
    federation.ledger.transact_all(miner(federation.ledger, pytest.fail))
    report = audit_ledger(federation.ledger, federation.store)
    assert report.passed, report.reason


def test_a_stranger_that_pays_first_ends_no_run(timed, monkeypatch):
    """Anybody may pay, right after a publication as well: the others are paid all the same."""
    federation, clock = timed
    real, paid = TrainingTask.pay_rewards, []

    def pay_rewards(contract, account, *, task, round, clients):
        if len(paid) < round:
            paid.append(clients[round % len(clients)])
            real(contract, STRANGER, task=task, round=round, clients=paid[-1:])
        return real(contract, account, task=task, round=round, clients=clients)

    monkeypatch.setattr(TrainingTask, "pay_rewards", pay_rewards)
    federation.run(by_lot(federation, clock, rules=("median",)), make_app(), rounds=2)
    contract = TrainingTask(federation.ledger)
    for one in contract.aggregates(1):
        payments = [got.client for got in contract.payments(1) if got.round == one.round]
        assert sorted(payments) == sorted(one.contributors)
    assert len(paid) == 2
    assert audit_ledger(federation.ledger, federation.store).passed


def test_a_reorganisation_before_the_publication(timed, monkeypatch):
    """What was taken from blocks that are gone is taken again, from where it is now."""
    federation, clock = timed
    real, run, made = standing.called, protocol.run_round, []

    def called(*given, **options):
        found = real(*given, **options)
        if made:
            return found
        return [dataclasses.replace(one, block=one.block + 1) for one in found]

    def run_round(*given):
        result = run(*given)
        made.append(result)
        return result

    monkeypatch.setattr(mined, "called", called)
    monkeypatch.setattr(strategy, "run_round", run_round)
    federation.run(by_lot(federation, clock), make_app(), rounds=1)
    assert len(made) == 2
    report = audit_ledger(federation.ledger, federation.store)
    assert report.passed, report.reason
