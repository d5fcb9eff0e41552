"""Rounds under Flower whose clock is the ledger's: what counts is what the ledger holds."""

import dataclasses

import numpy as np
import pytest
from support.clock import Clock
from support.evidence import accepted_in, all_evidence, evidence_of
from support.federation import Federation, initial_model, make_app, timed_federation

from fedledger.arrays import to_safetensors
from fedledger.effects import Effects
from fedledger.errors import ConfigError, ContentNotFound, LedgerUnavailable
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.ledger_plugins.local import open_local_ledger
from fedledger.ledger_plugins.openings import Opening
from fedledger.ledger_plugins.signing import Domain
from fedledger.ledger_plugins.storage.cid import cid_of
from fedledger.strategies import ArrivalWindow, LedgerClock, WallClock, audit_ledger
from fedledger.strategies.rounds.evidence import documents
from fedledger.strategies.rounds.kinds import clocked

NOW = 1_700_000_000.0
WINDOW = 60


class Acting(Clock):
    """A clock on which something happens once, when somebody waits for a window."""

    def __init__(self, act=None):
        super().__init__(NOW)
        self.act = act

    def sleep(self, seconds):
        if self.act is not None and seconds >= clocked.POLL:
            act, self.act = self.act, None
            act()
        super().sleep(seconds)


@pytest.fixture
def timed(tmp_path):
    """A federation, and the clock of its ledger, its strategy and everything else."""
    clock = Acting()
    federation = timed_federation(tmp_path, clock)
    yield federation, clock
    federation.close()


def by_ledger(federation, clock, **options):
    """Return a strategy by the ledger's clock."""
    defaults = {
        "clock": LedgerClock(sealed=options.pop("sealed", False)),
        "window": None,
        "ledger_window": WINDOW,
        "rules": ("median",),
        "effects": dataclasses.replace(Effects.real(), clock=clock),
    }
    return federation.pofl(**defaults | options)


def dropped_in(federation):
    """Return what became of the newest round's accounts that did not count."""
    dropped = evidence_of(federation).phases[0].dropped
    return [one for one in dropped if one.party is not None]


def audit(federation):
    return audit_ledger(federation.ledger, federation.store)


def update_of(shift):
    """Return an update of the federation's model."""
    return {key: np.full(array.shape, shift, np.float32) for key, array in initial_model().items()}


def submit(federation, partition, content, number=1, **changes):
    """Let a client call the ledger by itself."""
    contract = TrainingTask(federation.ledger)
    options = {"task": 1, "round": number, "samples": 1, "accuracy": 0.5, "cid": content}
    contract.submit_update(federation.keys.account(partition), **options | changes)


def silent(*partitions):
    """Return an app whose clients of these partitions fail."""

    def fail(_reply, _message, _context):
        raise RuntimeError("out of memory")

    return make_app(before_signing=dict.fromkeys(partitions, fail))


@pytest.mark.parametrize("sealed", [False, True], ids=["plain", "sealed"])
@pytest.mark.parametrize("rules", [("median",), ("krum", "trimmed_mean", "median")])
def test_relayed_rounds_by_the_ledgers_clock(timed, rules, sealed):
    """Every client counts, rounds last for their windows, salts choose the rule; it is proved."""
    federation, clock = timed
    federation.run(by_ledger(federation, clock, rules=rules, sealed=sealed), make_app(), rounds=2)
    ledger = federation.ledger
    times = [ledger.block(one.block).timestamp for one in TrainingTask(ledger).aggregates(1)]
    assert NOW + WINDOW < times[0] < NOW + WINDOW + 10
    assert times[0] + WINDOW < times[1] < times[0] + WINDOW + 10
    assert accepted_in(federation) == [[7] * (1 if rules[1:] == () else 2)] * 2
    for evidence in all_evidence(federation):
        assert all(one.node == "" for phase in evidence.phases for one in phase.asked)
        assert evidence.kept is None
    report = audit(federation)
    assert report.passed, report.reason
    assert [verdict.aggregate for verdict in report.rounds] == ["proved"] * 2


def test_an_election_by_the_ledgers_clock(timed):
    """Votes are calls as well: they are relayed, and read from the ledger."""
    federation, clock = timed
    options = {"rules": None, "selection": "election"}
    federation.run(by_ledger(federation, clock, **options), make_app(), rounds=2)
    assert [len(phase.accepted) for phase in evidence_of(federation).phases] == [7, 7]
    assert audit(federation).passed, audit(federation).reason


def test_flowers_metrics_are_those_of_the_replies(timed):
    """What clients report beside their updates is averaged as ever."""
    federation, clock = timed
    result = federation.run(by_ledger(federation, clock), make_app(), rounds=1)
    assert result.train_metrics_clientapp[1]["loss"] == pytest.approx(1.5)


def test_who_called_by_itself_counts_as_who_was_relayed(timed):
    """Its reply is useless, it calls while the window is open, and is part of the aggregate."""
    federation, clock = timed
    content = federation.store.put(to_safetensors(update_of(0.25)))
    clock.act = lambda: submit(federation, 3, content)
    federation.run(by_ledger(federation, clock), silent(3, 4), rounds=1)
    [phase] = evidence_of(federation).phases
    assert {one.party: one.content for one in phase.accepted}[federation.clients[3]] == content
    [dropped] = dropped_in(federation)
    assert (dropped.party, dropped.reason) == (federation.clients[4], "no-reply")
    assert audit(federation).passed, audit(federation).reason


def test_the_evidence_says_what_was_wrong_with_a_reply(timed):
    """Of an account that is not on the ledger and that answered something else."""
    federation, clock = timed

    def other(reply, _message, _context):
        arrays = reply.content.array_records["arrays"]
        arrays["layer.bias"] = arrays["layer.weight"]
        return reply

    app = make_app(after_signing={2: other})
    federation.run(by_ledger(federation, clock), app, rounds=2)
    [dropped] = dropped_in(federation)
    assert (dropped.party, dropped.reason) == (federation.clients[2], "arrays")
    assert audit(federation).passed, audit(federation).reason


def test_the_last_call_counts_whoever_sent_it(timed):
    """Relayed first, replaced by the client itself while the window is open."""
    federation, clock = timed
    content = federation.store.put(to_safetensors(update_of(0.25)))
    clock.act = lambda: submit(federation, 3, content)
    federation.run(by_ledger(federation, clock), make_app(), rounds=1)
    [phase] = evidence_of(federation).phases
    assert {one.party: one.content for one in phase.accepted}[federation.clients[3]] == content
    assert len(phase.accepted) == 7
    assert audit(federation).passed, audit(federation).reason


# What an aggregator that cheats gets --------------------------------------------------------


@pytest.mark.parametrize("reason", [None, "no-reply", "unheard", "not-asked", "arrays", "copy"])
def test_an_aggregator_that_ignores_the_ledger_fails_the_audit(timed, monkeypatch, reason):
    """It leaves a direct update out, says nothing of it, calls its client silent, or lies."""
    federation, clock = timed
    content = federation.store.put(to_safetensors(update_of(0.25)))
    party = federation.clients[3]

    def act():
        submit(federation, 3, content)

    clock.act = act
    honest = clocked.ClockedRound._take

    def blind(self, phase, *given):
        answers = honest(self, phase, *given)
        kept = [one for one in answers if one.party != party]
        recorded = self.phases[-1]
        entry = documents.Dropped(reason=reason or "", detail="", party=party)
        size = sum(len(one.content.data) for one in kept)
        self.phases[-1] = recorded.model_copy(
            update={
                "accepted": [one for one in recorded.accepted if one.party != party],
                "dropped": [*recorded.dropped, *([entry] if reason else [])],
                "bytes": size,
            }
        )
        return type(answers)(kept, answers.standing)

    monkeypatch.setattr(clocked.ClockedRound, "_take", blind)
    federation.run(by_ledger(federation, clock), silent(3), rounds=1)
    report = audit(federation)
    assert report.outcome.value == "failed", report.reason
    said = str(report.reason)
    if reason is None:
        assert f"the answer of {party} is on the ledger, but the evidence neither counts" in said
    elif reason in {"arrays", "no-reply", "unheard", "not-asked"}:
        assert "usable" in said or "on the ledger" in said or "is said to be" in said
    else:
        assert "is said to have copied, but gave its content first" in said


def unavailable(federation, monkeypatch, partitions):
    """Let an aggregator call contents unavailable that the store has."""
    get = type(federation.store).get
    contents = set()

    def act():
        for shift, partition in enumerate(partitions):
            content = federation.store.put(to_safetensors(update_of(0.25 + shift)))
            contents.add(content)
            submit(federation, partition, content)

    def blind(self, cid, **options):
        if cid in contents:
            raise ContentNotFound(cid)
        return get(self, cid, **options)

    return act, blind


def test_an_aggregator_that_calls_more_than_f_contents_lost_fails_the_audit(timed, monkeypatch):
    """Up to f it can, which nobody can check, and the evidence names whom; an honest one waits."""
    federation, clock = timed
    act, blind = unavailable(federation, monkeypatch, (3, 4, 5))
    clock.act = act
    take = clocked.ClockedRound._take

    def tolerant(self, phase, subject, window, tolerate):
        return take(self, phase, subject, window, None)

    with monkeypatch.context() as cheat:
        cheat.setattr(type(federation.store), "get", blind)
        cheat.setattr(clocked.ClockedRound, "_take", tolerant)
        federation.run(by_ledger(federation, clock), silent(3, 4, 5), rounds=1)
    found = {one.party: one.reason for one in dropped_in(federation)}
    assert found == dict.fromkeys(federation.clients[3:6], "unavailable")
    report = audit(federation)
    assert report.outcome.value == "failed"
    assert "3 contents are said to be lost, at most 2 may be" in str(report.reason)


def test_up_to_f_contents_may_be_lost(timed):
    """A client names what nobody has: it costs that client its update, and no round."""
    federation, clock = timed
    clock.act = lambda: submit(federation, 3, cid_of(b"nowhere"))
    federation.run(by_ledger(federation, clock), silent(3), rounds=1)
    [dropped] = dropped_in(federation)
    assert (dropped.party, dropped.reason) == (federation.clients[3], "unavailable")
    assert audit(federation).passed, audit(federation).reason


# Sealed -----------------------------------------------------------------------------------


def test_nothing_is_in_the_store_before_the_window_is_over(timed):
    """The aggregator keeps what it was sent to itself, as its clients do."""
    federation, clock = timed
    seen = []
    clock.act = lambda: seen.extend(
        submission.cid for submission in TrainingTask(federation.ledger).submitted(1, 1)
    )
    before = []
    act = clock.act

    def look():
        act()
        before.extend(federation.store.has(cid) for cid in seen)

    clock.act = look
    federation.run(by_ledger(federation, clock, sealed=True), make_app(), rounds=1)
    assert before == [False] * 7
    assert all(federation.store.has(cid) for cid in seen)


@pytest.mark.parametrize(
    "what", ["another's", "other round", "other content", "none", "not opened"]
)
def test_openings_that_are_wrong_count_for_nothing(timed, what):
    """A client that calls by itself, and what it names is no opening of its own."""
    federation, clock = timed
    account = federation.keys.account(3)
    ledger, store = federation.ledger, federation.store
    place = Domain(ledger.chain_id, ledger.terms("TrainingTask", "propose").to, 1, 1)
    content = cid_of(to_safetensors(update_of(0.25)))
    opening = {
        "another's": Opening.of(federation.keys.account(4), place, content),
        "other round": Opening.of(account, dataclasses.replace(place, round=2), content),
        "other content": Opening.of(account, place, store.put(b"no model")),
        "none": None,
        "not opened": Opening.of(account, place, content),
    }[what]
    named = store.put(to_safetensors(update_of(0.25))) if opening is None else opening.cid
    if opening is not None and what != "not opened":
        store.put(opening.encode())
    clock.act = lambda: submit(federation, 3, named)
    federation.run(by_ledger(federation, clock, sealed=True), silent(3), rounds=1)
    [dropped] = dropped_in(federation)
    wanted = {"other content": "arrays", "not opened": "unavailable"}.get(what, "opening")
    assert (dropped.party, dropped.reason) == (federation.clients[3], wanted)
    assert audit(federation).passed, audit(federation).reason


@pytest.mark.parametrize("how", ["no opening", "another's", "other content", "two"])
def test_a_relayed_reply_needs_its_opening(timed, how):
    """A reply that does not open what was signed is not relayed."""
    federation, clock = timed

    def tamper(reply, message, _context):
        record = reply.content["fedledger"]
        [data] = record["openings"]
        opening = Opening.decode(data)
        if how == "no opening":
            del record["openings"]
        elif how == "two":
            record["openings"] = [data, data]
        else:
            changed = Opening.of(
                federation.keys.account(4 if how == "another's" else 3),
                opening.domain,
                cid_of(b"other") if how == "other content" else opening.content,
            )
            record["openings"] = [changed.encode()]
        return reply

    federation.run(
        by_ledger(federation, clock, sealed=True), make_app(after_signing={3: tamper}), rounds=1
    )
    [dropped] = dropped_in(federation)
    assert (dropped.party, dropped.reason) == (federation.clients[3], "opening")
    assert audit(federation).passed, audit(federation).reason


# What does not work -----------------------------------------------------------------------


def test_settings_that_do_not_fit_are_refused(timed):
    """Each by what is missing."""
    federation, clock = timed
    with pytest.raises(ConfigError, match="lasts for the contract's window: give it one"):
        by_ledger(federation, clock, ledger_window=0)
    with pytest.raises(ConfigError, match="or a LedgerClock"):
        by_ledger(federation, clock, window=ArrivalWindow(seconds=1))
    with pytest.raises(ConfigError, match="or a LedgerClock"):
        federation.pofl(clock=WallClock(), window=None)


def test_a_ledger_whose_clock_stands_still_is_said_to(tmp_path):
    """After some calls that should have made time pass."""
    federation = Federation(tmp_path)
    federation.ledger.close()
    federation.ledger = open_local_ledger(f"local://{tmp_path}/still.db", clock=Clock(NOW))
    with pytest.raises(LedgerUnavailable, match="the ledger's clock stands still"):
        federation.run(by_ledger(federation, Clock(NOW)), make_app(), rounds=1)
    federation.ledger.close()


def test_a_killed_run_goes_on_after_its_window(timed, monkeypatch):
    """What clients had submitted counts, though nobody can submit any more."""
    federation, clock = timed

    def die(*_given, **_options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("fedledger.strategies.rounds.tasks.task.LedgerTask.publish", die)
        with pytest.raises(KeyboardInterrupt):
            federation.run(by_ledger(federation, clock), make_app(), rounds=1)
    clock.now += 10 * WINDOW
    federation.run(by_ledger(federation, clock), silent(*range(7)), rounds=1)
    assert len(evidence_of(federation).phases[0].accepted) == 7
    assert audit(federation).passed, audit(federation).reason


def test_a_run_killed_before_it_opened_what_is_sealed_goes_on(timed, monkeypatch):
    """Its clients answer what they have answered, however they would train now."""
    federation, clock = timed

    def die(*_given, **_options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(clocked.ClockedRound, "_open", die)
        with pytest.raises(KeyboardInterrupt):
            federation.run(by_ledger(federation, clock, sealed=True), make_app(), rounds=1)
    clock.now += 10 * WINDOW

    def other(reply, _message, _context):
        raise RuntimeError("it would have trained again")

    app = make_app(before_signing=dict.fromkeys(range(7), other))
    federation.run(by_ledger(federation, clock, sealed=True), app, rounds=1)
    assert len(evidence_of(federation).phases[0].accepted) == 7
    assert audit(federation).passed, audit(federation).reason


def test_a_rollback_while_the_window_is_open(timed):
    """The round that was rolled back is dropped, and the task goes on by the same clock."""
    federation, clock = timed
    contract = TrainingTask(federation.ledger)

    def go_back():
        contract.rollback(federation.server, task=1, round=2, to_round=0)

    def record():
        contract.record_checkpoint(federation.server, task=1, round=0, accuracy=0.5)
        clock.act = go_back  # in the next round

    clock.act = record
    federation.run(by_ledger(federation, clock), make_app(), rounds=3)
    assert [one.round for one in contract.aggregates(1)] == [1, 3]
    assert audit(federation).passed, audit(federation).reason


def test_a_task_of_another_owner_needs_a_window_too(timed):
    """What its owner has proposed counts, whatever the aggregator says."""
    federation, clock = timed
    owner = federation.keys.account("eve")
    strategy = by_ledger(federation, clock, owner=owner.address)
    with pytest.raises(ConfigError, match="has no task 'test'"):
        federation.run(strategy, make_app(), rounds=1)
    # The documents are the same whoever proposes: those of a run of the aggregator's own task.
    federation.run(by_ledger(federation, clock), make_app(), rounds=1)
    contract = TrainingTask(federation.ledger)
    own = contract.task(1)
    options = {"model_cid": own.model_cid, "rounds": 1, "spec": own.spec}
    contract.propose(owner, model_id="test", reward=20, window=0, **options)
    contract.appoint_aggregator(owner, task=2, aggregator=federation.server.address)
    with pytest.raises(ConfigError, match="task 2 has no window"):
        federation.run(by_ledger(federation, clock, owner=owner.address), make_app(), rounds=1)
