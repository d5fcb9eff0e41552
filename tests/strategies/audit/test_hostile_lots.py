"""The lot under Flower, with clients that lie about it and after rounds that were undone."""

import json

import pytest
from support.evidence import all_evidence
from support.federation import make_app

from fedledger.errors import ConfigError
from fedledger.ledger_plugins.accounts import Account, decode_transaction
from fedledger.ledger_plugins.base import UnsignedTransaction
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.ledger_plugins.contracts.training_task.calls import SUBMIT_UPDATE
from fedledger.ledger_plugins.contracts.training_task.facade import NO_SEAL
from fedledger.ledger_plugins.contracts.training_task.seals import SALT, seal_of
from fedledger.ledger_plugins.signing import Domain
from fedledger.records import LEDGER, SigningRequest
from fedledger.strategies import audit_ledger
from fedledger.strategies.protocols.pofl.protocol import PoFLProtocol
from fedledger.strategies.rounds.evidence.checks import Outcome

RULES = ("krum", "trimmed_mean", "median")
FALLBACK = "trimmed_mean"


def audit(federation):
    return audit_ledger(federation.ledger, federation.store)


def saying(federation, partition, **changes):
    """Return what makes a client sign another salt statement than its handler made.

    A change is a value, or a function of the round.
    """
    account: Account = federation.keys.account(partition)

    def lie(reply, message, context):
        request = SigningRequest.of(message.content)
        if request.phase != "salts":
            return reply
        record = reply.content[LEDGER]
        values = json.loads(record["values"][0])
        for name, change in changes.items():
            value = change(request.round) if callable(change) else change
            values[name] = value.hex() if isinstance(value, bytes) else value
        given = {k: bytes.fromhex(v) if isinstance(v, str) else v for k, v in values.items()}
        domain = Domain(request.chain_id, request.contract, request.task, request.round)
        digest = SALT.digest(domain, given)
        record["values"] = [json.dumps(values)]
        record["signatures"] = [account.sign_digest(digest)]
        return reply

    return lie


def liars(federation, partitions, **changes):
    return make_app(after_signing={one: saying(federation, one, **changes) for one in partitions})


@pytest.mark.parametrize(
    "changes",
    [
        {"list": lambda number: bytes([number]) * 32},
        {"salt": b"\1" * 32},
        {"salt": bytes(32)},
    ],
    ids=["invented-list", "other-salt", "zero-salt"],
)
def test_f_liars_take_the_lot_of_one_round(federation, changes):
    """A wrong salt, or one for a list of their own, leaves them out as silence does."""
    app = liars(federation, [1, 4], **changes)
    federation.run(federation.pofl(), app, rounds=8)
    first, *others = all_evidence(federation)
    assert first.rule == FALLBACK
    assert {one.rule for one in others} == set(RULES)
    assert all(
        one.state["silent"] == [federation.clients[1], federation.clients[4]]
        for one in (first, *others)
    )
    assert all(len(one.phase("update").accepted) == 7 for one in others)
    report = audit(federation)
    assert report.passed, report.reason


@pytest.mark.parametrize(("count", "outcome"), [(2, Outcome.PASSED), (3, Outcome.FAILED)])
def test_invented_lists_of_the_past(federation, count, outcome):
    """What f clients claim about earlier rounds moves nothing; more of them fail the round."""
    app = liars(
        federation, range(count), lastRound=lambda number: max(number - 1, 0), last=b"\7" * 32
    )
    federation.run(federation.pofl(), app, rounds=3)
    assert all(len(one.phase("salts").accepted) == 7 for one in all_evidence(federation))
    assert audit(federation).outcome is outcome


@pytest.mark.parametrize("last", [2**32 - 1, 99])
def test_rounds_of_the_future_are_no_contradiction(federation, last):
    """However many claim to have revealed in a round that is not there yet."""
    app = liars(federation, range(7), lastRound=last, last=b"\7" * 32)
    federation.run(federation.pofl(), app, rounds=2)
    assert audit(federation).passed


@pytest.mark.parametrize("seal", ["zero", "another's"])
def test_a_seal_that_nothing_opens(federation, seal):
    """An update without a seal, or with somebody else's, counts; its client is left out."""
    account = federation.keys.account(3)
    seals = {"zero": NO_SEAL, "another's": seal_of(federation.clients[2], b"\1" * 32)}

    def resealed(reply, message, context):
        record = reply.content[LEDGER]
        if SigningRequest.of(message.content).phase == "update":
            [unsigned] = [decode_transaction(raw).unsigned for raw in record["transactions"]]
            values = SUBMIT_UPDATE.decode(unsigned.data) | {"seal": seals[seal]}
            other = UnsignedTransaction(
                unsigned.terms, unsigned.nonce, SUBMIT_UPDATE.encode(values)
            )
            record["transactions"] = [account.sign(other).raw]
        return reply

    federation.run(federation.pofl(), make_app(after_signing={3: resealed}), rounds=4)
    first, *others = all_evidence(federation)
    assert [one.reason for one in first.phase("salts").dropped] == ["salt"]
    assert (first.rule, first.state["silent"]) == (FALLBACK, [federation.clients[3]])
    assert all(len(one.phase("update").accepted) == 7 for one in others)
    assert all(len(one.phase("salts").accepted) == 6 for one in others)
    assert audit(federation).passed


def rolled(federation, at, to):
    contract = TrainingTask(federation.ledger)

    def evaluate(number, _arrays):
        if number == to:
            contract.record_checkpoint(federation.server, task=1, round=to, accuracy=0.5)
        if number == at:
            contract.rollback(federation.server, task=1, round=at + 1, to_round=to)

    return evaluate


def test_a_rollback_after_which_too_few_answer(federation):
    """The lists that a rollback has undone are in nobody's way, whoever was away afterwards."""
    app = make_app(after_signing=dict.fromkeys(range(3), _away_in(5)))
    federation.run(federation.pofl(), app, rounds=7, evaluate_fn=rolled(federation, 3, 1))
    found = {one.round: one for one in all_evidence(federation)}
    assert [one.name for one in found[5].phases] == ["update"]  # too few for a list
    assert len(found[6].phase("salts").accepted) == 7
    assert found[6].state["since"] == 5
    report = audit(federation)
    assert report.passed, report.reason


def _away_in(number):
    def change(reply, message, context):
        if SigningRequest.of(message.content).round == number:
            raise RuntimeError("away")
        return reply

    return change


class _Killed(BaseException):
    """Stands for the process ending: nothing may catch it."""


def test_a_run_killed_before_the_salts_has_its_lot(federation, monkeypatch):
    """Updates are on the ledger, no salt was asked for: the round goes on as if nothing was."""
    honest = PoFLProtocol._draw

    def killed(self, round_, *arguments):
        if round_.number == 2:
            raise _Killed
        return honest(self, round_, *arguments)

    with monkeypatch.context() as here:
        here.setattr(PoFLProtocol, "_draw", killed)
        with pytest.raises(_Killed):
            federation.run(federation.pofl(), make_app(), rounds=3)
    federation.reopen()
    federation.run(federation.pofl(), make_app(), rounds=3)
    resumed = all_evidence(federation)
    assert all(len(one.phase("salts").accepted) == 7 for one in resumed)
    assert resumed[-1].state["silent"] == []
    assert len(resumed[-1].state["known"]) == 3
    assert audit(federation).passed


def test_another_fallback_is_another_task(federation):
    """A run cannot be continued with another fallback, in whose favour salts could be withheld."""
    federation.run(federation.pofl(), make_app(), rounds=1)
    with pytest.raises(ConfigError, match="another specification"):
        federation.run(federation.pofl(fallback="median"), make_app(), rounds=1)


def test_unchanged_models_are_copies(federation):
    """Of clients that return one model the first counts, also where whole weights are sent."""

    def unchanged(reply, message, context):
        reply.content["arrays"] = message.content["arrays"]
        return reply

    federation.run(federation.anchored(), make_app({1: unchanged, 2: unchanged}), rounds=2)
    for one in all_evidence(federation):
        phase = one.phase("weights")
        assert len(phase.accepted) == 6
        [copy] = phase.dropped
        assert copy.reason == "copy"
    assert audit(federation).passed
