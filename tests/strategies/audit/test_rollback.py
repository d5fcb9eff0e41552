"""Rollbacks: strategies go on with the checkpoint, and the audit recomputes who decided it."""

import dataclasses

import numpy as np
import pytest
from support.federation import Federation, arrays_of, make_app, same

from fedledger.arrays import from_safetensors
from fedledger.errors import ConfigError, ContractError
from fedledger.ledger_plugins.contracts import StakeToken, TrainingTask
from fedledger.strategies import audit_ledger
from fedledger.strategies.protocols.pofl.election import Electorate
from fedledger.strategies.rounds.evidence import documents
from fedledger.strategies.rounds.evidence.documents import Evidence
from fedledger.strategies.rounds.tasks.task import LedgerTask


def contract_of(federation):
    return TrainingTask(federation.ledger)


def checkpoint(federation, server_round):
    contract = contract_of(federation)
    contract.record_checkpoint(federation.server, task=1, round=server_round, accuracy=0.5)


def roll_back(federation, server_round, to_round):
    contract = contract_of(federation)
    contract.rollback(federation.server, task=1, round=server_round, to_round=to_round)


def let_members_vote(federation, server_round, to_round, voters):
    contract = contract_of(federation)
    contract.appoint_members(federation.server, task=1, members=federation.clients)
    for index in range(voters):
        member = federation.keys.account(index)
        contract.vote_rollback(member, task=1, round=server_round, to_round=to_round)


def after(**steps):
    """Return an `evaluate_fn` that does something after some rounds: r1=…, r3=…."""

    def evaluate(server_round, _arrays):
        if step := steps.get(f"r{server_round}"):
            step()

    return evaluate


def rounds_of(report):
    return [(verdict.round, verdict.rule.startswith("rollback")) for verdict in report.rounds]


def check_end(federation, result, rounds):
    """The task is finished, `start` returned the ledger's model, and the audit passes."""
    task = contract_of(federation).task(1)
    assert (task.finished, task.current_round) == (True, rounds)
    stored, returned = (
        from_safetensors(federation.store.get(task.current_cid)),
        arrays_of(result.arrays),
    )
    assert all(np.array_equal(stored[key], returned[key]) for key in stored)
    federation.reopen()
    report = audit_ledger(federation.ledger, federation.store)
    assert report.passed, report.reason
    return report


@pytest.fixture(scope="module")
def rolled(tmp_path_factory):
    """Five rounds; four of seven members ended round 4 with round 1's checkpoint."""
    federation = Federation(tmp_path_factory.mktemp("rolled"))
    hook = after(
        r1=lambda: checkpoint(federation, 1), r3=lambda: let_members_vote(federation, 4, 1, 4)
    )
    result = federation.run(federation.pofl(), make_app(), rounds=5, evaluate_fn=hook)
    yield federation, result
    federation.close()


@pytest.mark.parametrize("kind", ["pofl", "anchored"])
def test_the_owner_rolls_back_while_a_strategy_runs(federation, kind):
    """The round ends with the checkpoint, its updates are void, and training goes on from there."""
    hook = after(r1=lambda: checkpoint(federation, 1), r3=lambda: roll_back(federation, 4, 1))
    strategy = getattr(federation, kind)()
    result = federation.run(strategy, make_app(), rounds=5, evaluate_fn=hook)
    report = check_end(federation, result, 5)
    assert rounds_of(report) == [(1, False), (2, False), (3, False), (4, True), (5, False)]
    contract = contract_of(federation)
    first, *_, last = contract.aggregates(1)
    assert last.round == 5
    assert documents.load(Evidence, last.evidence, federation.store).base == first.cid
    assert contract.submissions(1, 4) == {}
    due = sum(20 * len(aggregate.contributors) for aggregate in contract.aggregates(1))
    assert StakeToken(federation.ledger).total_supply() == due


def test_more_than_half_of_the_members_roll_back(rolled):
    """Four of seven members suffice, without the owner; the audit counts their votes again."""
    federation, result = rolled
    report = check_end(federation, result, 5)
    assert [rule for _, rule in rounds_of(report)] == [False, False, False, True, False]
    [found] = contract_of(federation).rollbacks(1)
    assert (found.round, found.to_round, found.votes) == (4, 1, 4)


def test_half_of_the_members_do_not(federation):
    """Three of seven votes change nothing, and they are no votes in the next round."""

    def vote_on():
        checkpoint_vote = contract_of(federation).vote_rollback
        checkpoint_vote(federation.keys.account(3), task=1, round=3, to_round=0)

    hook = after(
        r0=lambda: checkpoint(federation, 0),
        r1=lambda: let_members_vote(federation, 2, 0, 3),
        r2=vote_on,
    )
    result = federation.run(federation.pofl(), make_app(), rounds=3, evaluate_fn=hook)
    report = check_end(federation, result, 3)
    assert not any(rule for _, rule in rounds_of(report))
    assert [vote.votes for vote in contract_of(federation).rollback_ballots(1)] == [1, 2, 3, 1]


def test_a_rollback_that_overtakes_the_publication(federation, monkeypatch):
    """The aggregate comes too late for its round: it is dropped, and the next round is trained."""
    inner = LedgerTask.publish

    def publish(self, *given):
        if self.opened.current_round == 2 and not contract_of(federation).rollbacks(1):
            roll_back(federation, 3, 1)
        return inner(self, *given)

    monkeypatch.setattr(LedgerTask, "publish", publish)
    hook = after(r1=lambda: checkpoint(federation, 1))
    result = federation.run(federation.pofl(), make_app(), rounds=4, evaluate_fn=hook)
    report = check_end(federation, result, 4)
    assert [rule for _, rule in rounds_of(report)] == [False, False, True, False]
    contract = contract_of(federation)
    assert len(contract.submissions(1, 3)) == 7  # on the ledger, and void
    assert {contract.status(1, 3, client) for client in federation.clients} == {1}


def test_several_rollbacks_at_once_use_up_rounds(federation):
    """Rounds that ended by rollbacks are not trained again, even when none is left."""

    def back_and_forth():
        checkpoint(federation, 2)
        roll_back(federation, 3, 1)
        roll_back(federation, 4, 2)
        roll_back(federation, 5, 1)

    hook = after(r1=lambda: checkpoint(federation, 1), r2=back_and_forth)
    result = federation.run(federation.pofl(), make_app(), rounds=5, evaluate_fn=hook)
    report = check_end(federation, result, 5)
    assert [rule for _, rule in rounds_of(report)] == [False, False, True, True, True]
    first = contract_of(federation).aggregates(1)[0]
    assert contract_of(federation).task(1).current_cid == first.cid


class _Killed(BaseException):
    """Stands for the process ending: nothing may catch it."""


def test_a_run_resumes_after_a_rollback(federation):
    """A run that was not there when its task was rolled back goes on with the checkpoint."""

    def die():
        raise _Killed

    hook = after(r1=lambda: checkpoint(federation, 1), r2=die)
    with pytest.raises(_Killed):
        federation.run(federation.pofl(), make_app(), rounds=4, evaluate_fn=hook)
    federation.reopen()
    roll_back(federation, 3, 1)
    result = federation.run(federation.pofl(), make_app(), rounds=4)
    report = check_end(federation, result, 4)
    assert [rule for _, rule in rounds_of(report)] == [False, False, True, False]
    again = federation.run(federation.pofl(), make_app(), rounds=4)
    assert same(again.arrays, result.arrays)


def test_a_round_that_somebody_else_published_is_no_rollback(federation):
    """Only a rollback is gone along with; a round published by another process is an error."""

    def publish():
        contract = contract_of(federation)
        cid = contract.task(1).current_cid
        contract.publish_aggregate(
            federation.server, task=1, round=2, cid=cid, rule="r", contributors=[], evidence=cid
        )

    with pytest.raises(ContractError, match="WrongRound"):
        federation.run(federation.pofl(), make_app(), rounds=3, evaluate_fn=after(r1=publish))


@pytest.mark.parametrize("kind", ["pofl", "anchored"])
def test_the_owner_hands_the_task_over(federation, kind):
    """An appointed aggregator finishes the owner's task; whoever is not appointed is told so."""

    def strategy(**changes):
        return getattr(federation, kind)(**changes)

    other = federation.keys.account("other")
    with pytest.raises(ConfigError, match="has no task 'test'"):
        federation.run(strategy(account=other, owner=federation.server.address), make_app())

    def die():
        raise _Killed

    with pytest.raises(_Killed):
        federation.run(strategy(), make_app(), rounds=3, evaluate_fn=after(r1=die))
    handed = {"account": other, "owner": federation.server.address.lower()}
    with pytest.raises(ConfigError, match="is aggregated by"):
        federation.run(strategy(**handed), make_app(), rounds=3)
    contract_of(federation).appoint_aggregator(federation.server, task=1, aggregator=other.address)
    with pytest.raises(ConfigError, match="is aggregated by"):
        federation.run(strategy(), make_app(), rounds=3)
    result = federation.run(strategy(**handed), make_app(), rounds=3)
    check_end(federation, result, 3)


def _without(position):
    return lambda found: [*found[:position], *found[position + 1 :]]


def _changed(**changes):
    return lambda found: [dataclasses.replace(one, **changes) for one in found]


@pytest.mark.parametrize(
    ("what", "change", "reason"),
    [
        ("rollback_ballots", _without(0), "3 of 7 members voted"),
        ("rollback_ballots", _changed(to_round=0), "0 of 7 members voted"),
        ("rollback_ballots", _changed(round=3), "0 of 7 members voted"),
        ("member_changes", lambda _: [], "was no member"),
        ("checkpoints", lambda _: [], "was no checkpoint"),
        ("checkpoints", _changed(block=10**6), "was no checkpoint"),
        ("checkpoints", _changed(cid="bafy"), "not the one that round 1 ended with"),
        ("rollbacks", _changed(to_round=2), "was no checkpoint"),
        ("rollbacks", _changed(votes=0), "neither the owner's nor the members'"),
        ("rollbacks", _changed(votes=5), "the ledger says 5"),
        ("rollbacks", _changed(round=6), "the rounds that ended are not"),
        ("rollbacks", lambda _: [], "the rounds that ended are not"),
    ],
)
def test_a_rollback_that_does_not_follow(rolled, monkeypatch, what, change, reason):
    """Whatever is wrong with a rollback fails the round and is named."""
    federation, _ = rolled
    honest = getattr(TrainingTask, what)
    monkeypatch.setattr(
        TrainingTask, what, lambda self, task, **given: change(honest(self, task, **given))
    )
    report = audit_ledger(federation.ledger, federation.store)
    assert not report.passed
    assert reason in (report.reason or "")
    if "rounds that ended" not in reason:
        assert min(verdict.round for verdict in report.rounds if not verdict.passed) == 4


def test_a_vote_in_somebody_elses_name(rolled, monkeypatch):
    """A vote counts for whoever signed it, whatever the event says."""
    federation, _ = rolled
    honest = TrainingTask.rollback_ballots

    def forged(self, task, **given):
        first, second, *rest = honest(self, task, **given)
        return [first, dataclasses.replace(second, transaction=first.transaction), *rest]

    monkeypatch.setattr(TrainingTask, "rollback_ballots", forged)
    report = audit_ledger(federation.ledger, federation.store)
    assert f"{federation.clients[1]} did not sign its vote" in (report.reason or "")


def test_rewards_of_a_rolled_back_round(rolled, monkeypatch):
    """Nobody is rewarded for a round that was rolled back."""
    federation, _ = rolled
    honest = TrainingTask.payments

    def more(self, task, **given):
        found = honest(self, task, **given)
        return [*found, dataclasses.replace(found[0], round=4)]

    monkeypatch.setattr(TrainingTask, "payments", more)
    report = audit_ledger(federation.ledger, federation.store)
    assert "round 4: reward: " in (report.reason or "")


def test_an_election_that_a_rollback_voids_is_forgotten(federation, monkeypatch):
    """Rolled back after its votes, a round leaves no trace in who agreed how often."""
    known = []
    elect, publish = Electorate.elect, LedgerTask.publish

    def electing(electorate, votes):
        known.append([electorate.agreement(miner) for miner in votes])
        return elect(electorate, votes)

    def too_late(task, *given):
        if task.opened.current_round == 2:
            roll_back(federation, 3, 1)
        return publish(task, *given)

    monkeypatch.setattr(Electorate, "elect", electing)
    hook = after(r1=lambda: checkpoint(federation, 1))
    strategy = federation.pofl(selection="election")
    app = make_app(lies={1: lambda loss: -loss})
    with monkeypatch.context() as patch:
        patch.setattr(LedgerTask, "publish", too_late)
        result = federation.run(strategy, app, rounds=5, evaluate_fn=hook)
    last = known[-1]
    report = check_end(federation, result, 5)
    assert rounds_of(report) == [(1, False), (2, False), (3, True), (4, False), (5, False)]
    assert known[-1] == last
    assert last[1] < 0 < last[0]
