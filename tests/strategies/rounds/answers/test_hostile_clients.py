"""A client's message is bad input: dropped with a recorded reason, never able to stop a round."""

from pathlib import Path

import numpy as np
import pytest
from flwr.app import Array, ConfigRecord, MetricRecord
from support.federation import Federation, arrays_of, make_app

from fedledger.arrays import to_safetensors
from fedledger.clients import SimulationKeys
from fedledger.ledger_plugins.base import CallTerms, UnsignedTransaction
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.ledger_plugins.contracts.training_task.calls import SUBMIT_UPDATE, SUBMIT_VOTES
from fedledger.ledger_plugins.storage.cid import cid_of, cid_to_bytes
from fedledger.records import LEDGER, SigningRequest
from fedledger.strategies import audit_ledger
from fedledger.strategies.rounds.evidence import documents
from fedledger.strategies.rounds.evidence.documents import Evidence
from fedledger.strategies.rounds.evidence.reasons import REASONS

BAD = 3


def _record(reply):
    return next(iter(reply.content.array_records.values()))


def _metrics(reply):
    return next(iter(reply.content.metric_records.values()))


def _set(key, value):
    def change(reply, message, context):
        _record(reply)[key] = Array(value)
        return reply

    return change


def _resign(federation_key, **terms):
    """Sign the reply again with the account `federation_key` of the same keys."""

    def change(reply, message, context, *, round_shift=0):
        request = SigningRequest.of(message.content)
        path = message.content.config_records["config"]["simulation-keys"]
        account = SimulationKeys(Path(path)).account(federation_key)
        content = to_safetensors(arrays_of(_record(reply)))
        values = {
            "task": request.task,
            "round": request.round + round_shift,
            "cid": cid_to_bytes(cid_of(content)),
            "samples": _metrics(reply)["num-examples"],
            "accuracy": 500_000,
            "seal": bytes(32),
            "seen": bytes.fromhex(request.seen[2:]),
        }
        given = {"chain_id": request.chain_id, "to": request.contract, "nonce": 0} | terms
        nonce = given.pop("nonce")
        unsigned = UnsignedTransaction(CallTerms(**given), nonce, SUBMIT_UPDATE.encode(values))
        reply.content[LEDGER]["transactions"] = [account.sign(unsigned).raw]
        return reply

    return change


def _twice(reply, message, context):
    record = reply.content[LEDGER]
    record["transactions"] = [*record["transactions"], *record["transactions"]]
    return reply


def _statement(reply, message, context):
    reply.content[LEDGER]["values"] = ["{}"]
    reply.content[LEDGER]["signatures"] = [bytes(65)]
    return reply


def _other_phase(reply, message, context):
    reply.content[LEDGER]["phase"] = "votes"
    return reply


def _votes(reply, message, context):
    request = SigningRequest.of(message.content)
    path = message.content.config_records["config"]["simulation-keys"]
    account = SimulationKeys(Path(path)).account(BAD)
    values = {"task": request.task, "round": request.round, "ballot": bytes(32), "scores": [1]}
    values["seen"] = bytes(32)
    terms = CallTerms(request.chain_id, request.contract)
    unsigned = UnsignedTransaction(terms, 0, SUBMIT_VOTES.encode(values))
    reply.content[LEDGER]["transactions"] = [account.sign(unsigned).raw]
    return reply


def _unsigned(reply, message, context):
    del reply.content[LEDGER]
    return reply


def _garbage(reply, message, context):
    reply.content[LEDGER]["transactions"] = [b"\x02garbage"]
    return reply


def _other_form(reply, message, context):
    reply.content[LEDGER] = ConfigRecord({"version": 2, "transaction": b"\x02garbage"})
    return reply


def _surrogate(reply, message, context):
    raise RuntimeError("the device said \udcff")


def _other_version(reply, message, context):
    reply.content[LEDGER]["version"] = 99
    return reply


def _raise(reply, message, context):
    raise RuntimeError("the device ran out of battery")


def _missing_key(reply, message, context):
    del _record(reply)["layer.bias"]
    return reply


def _nan(reply, message, context):
    values = _record(reply)["layer.bias"].numpy().copy()
    values[1] = np.nan
    _record(reply)["layer.bias"] = Array(values)
    return reply


def _flip_value(reply, message, context):
    values = _record(reply)["layer.bias"].numpy().copy()
    values[0] += 1
    _record(reply)["layer.bias"] = Array(values)
    return reply


def _lying_shape(reply, message, context):
    array = _record(reply)["layer.bias"]
    _record(reply)["layer.bias"] = Array(
        dtype="float32", shape=(3,), stype="numpy.ndarray", data=b"\x93NUMPY\x01\x00" + b"\xff" * 80
    )
    assert array.shape == (3,)
    return reply


def _other_stype(reply, message, context):
    array = _record(reply)["layer.bias"]
    _record(reply)["layer.bias"] = Array(
        dtype=array.dtype, shape=array.shape, stype="pickle", data=array.data
    )
    return reply


def _more_samples(reply, message, context):
    _metrics(reply)["num-examples"] = 10**15
    return reply


def _nan_metric(reply, message, context):
    _metrics(reply)["loss"] = float("nan")
    return reply


def _no_metrics(reply, message, context):
    del reply.content["metrics"]
    return reply


def _other_array_records(reply, message, context):
    reply.content["more"] = reply.content["most"] = _record(reply)
    del reply.content["arrays"]
    return reply


def _older_round(reply, message, context):
    return _resign(BAD)(reply, message, context, round_shift=-1)


BEFORE = {
    "not-finite": _nan,
    "client-error": _raise,
    "client-error-2": _missing_key,
    "client-error-3": _surrogate,
}
AFTER = {
    "unsigned": _unsigned,
    "unsigned-2": _other_version,
    "unsigned-3": _other_form,
    "phase": _other_phase,
    "calls": _twice,
    "calls-2": _votes,
    "statements": _statement,
    "terms": _resign(BAD, gas=30_000_000),
    "terms-2": _resign(BAD, nonce=7),
    "terms-3": _resign(BAD, max_fee_per_gas=1),
    "signature-2": _resign(BAD, chain_id=1),
    "signature": _garbage,
    "unregistered": _resign("stranger"),
    "duplicate": _resign(0),
    "wrong-round": _older_round,
    "cid": _flip_value,
    "arrays": _missing_key,
    "arrays-2": _set("extra", np.zeros(2, dtype=np.float32)),
    "arrays-3": _set("layer.bias", np.zeros(4, dtype=np.float32)),
    "arrays-4": _set("layer.bias", np.zeros(3, dtype=np.float64)),
    "arrays-5": _lying_shape,
    "arrays-6": _other_stype,
    "oversized": _set("layer.bias", np.zeros(10**6, dtype=np.float32)),
    "metrics": _more_samples,
    "metrics-2": _nan_metric,
    "records": _no_metrics,
    "records-2": _other_array_records,
}
CASES = [(name, {BAD: change}, None) for name, change in BEFORE.items()] + [
    (name, None, {BAD: change}) for name, change in AFTER.items()
]


@pytest.mark.parametrize("kind", ["pofl", "anchored"])
@pytest.mark.parametrize(("name", "before", "after"), CASES, ids=[case[0] for case in CASES])
def test_a_bad_reply_is_dropped_and_the_round_goes_on(federation, kind, name, before, after):
    """Whatever one client sends, the round ends, the reason is recorded, the audit passes."""
    strategy = federation.pofl(byzantine=1) if kind == "pofl" else federation.anchored()
    federation.run(strategy, make_app(before, after), rounds=1)
    [aggregate] = TrainingTask(federation.ledger).aggregates(1)
    evidence = documents.load(Evidence, aggregate.evidence, federation.store)
    assert evidence.kept is None
    reason = name.rstrip("-0123456789")
    phase = evidence.phases[0]
    assert [entry.reason for entry in phase.dropped if entry.node] == [reason]
    assert reason in REASONS
    bad = federation.clients[BAD]
    assert bad in [entry.party for entry in phase.dropped]
    assert len(phase.accepted) == federation.size - 1
    assert bad not in [entry.party for entry in phase.accepted]
    report = audit_ledger(federation.ledger, federation.store)
    assert report.passed, report.reason


def test_metrics_unlike_the_others_cannot_stop_flower(federation):
    """Flower refuses a round that mixes metrics; the odd one out is dropped instead."""

    def odd(reply, message, context):
        reply.content["metrics"] = MetricRecord({"num-examples": 13, "surprise": [1.0, 2.0]})
        return reply

    federation.run(federation.anchored(), make_app({BAD: odd}), rounds=1)
    [aggregate] = TrainingTask(federation.ledger).aggregates(1)
    evidence = documents.load(Evidence, aggregate.evidence, federation.store)
    assert [(one.reason, one.party) for one in evidence.phase("weights").dropped] == [
        ("form", federation.clients[BAD])
    ]


def test_a_round_in_which_everybody_is_bad_keeps_the_model(federation):
    """With too few usable updates the model stays, and ledger and evidence say so."""
    app = make_app(after_signing=dict.fromkeys(range(7), _unsigned))
    result = federation.run(federation.pofl(), app, rounds=1)
    [aggregate] = TrainingTask(federation.ledger).aggregates(1)
    task = TrainingTask(federation.ledger).task(1)
    assert (aggregate.rule, aggregate.contributors) == ("kept", ())
    assert aggregate.cid == task.model_cid
    assert result.arrays is not None
    evidence = documents.load(Evidence, aggregate.evidence, federation.store)
    assert evidence.kept == "0 updates arrived in time, 3 are needed"
    assert audit_ledger(federation.ledger, federation.store).passed


def test_an_own_call_while_the_others_are_relayed(federation, monkeypatch):
    """Nor one that calls between the aggregator's look at the ledger and its last relayed call."""
    cheat, another = federation.keys.account(2), federation.store.put(b"another update")
    relay = type(federation.ledger).transact_all

    def transact_all(self, calls):
        if len(calls) < federation.size - 1:
            return relay(self, calls)
        monkeypatch.undo()
        TrainingTask(self).submit_update(cheat, task=1, round=1, cid=another, samples=1, accuracy=1)
        return relay(self, calls)

    def mute(reply, message, context):
        raise RuntimeError("nothing to say")

    monkeypatch.setattr(type(federation.ledger), "transact_all", transact_all)
    app = make_app(before_signing={2: mute})
    federation.run(federation.pofl(rules=("median",)), app, rounds=1)
    report = audit_ledger(federation.ledger, federation.store)
    assert report.passed, report.reason
    assert report.rounds[0].record.reasons() == {"abandoned": 1, "client-error": 1}


def test_replies_that_flower_cannot_aggregate_keep_the_model(tmp_path):
    """Of two clients either may set the form that counts; the round ends whatever Flower says."""

    def more(reply, message, context):
        reply.content["a"] = MetricRecord({"surprise": 1.0})
        return reply

    federation = Federation(tmp_path, size=2)
    federation.run(federation.anchored(), make_app({1: more}), rounds=2)
    report = audit_ledger(federation.ledger, federation.store)
    assert report.passed, report.reason
    assert [verdict.rule for verdict in report.rounds] == ["kept", "kept"]
    assert "FedAvg: Expected exactly one MetricRecord" in (report.rounds[0].record.kept or "")
    federation.ledger.close()
