"""The signing mod: one line in anybody's ClientApp."""

import numpy as np
import pytest
from flwr.app import ConfigRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from support.federation import Federation, initial_model, make_app

from fedledger.arrays import to_record
from fedledger.clients import signing_mod
from fedledger.clients.handlers import training
from fedledger.clients.handlers.training import UpdateHandler
from fedledger.errors import ConfigError
from fedledger.experiments.run.engines import get_engine
from fedledger.ledger_plugins.accounts import decode_transaction
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.records import LEDGER, CallRequest, SigningRequest, StatementRequest


@pytest.fixture
def federation(tmp_path):
    federation = Federation(tmp_path, size=3, byzantine=0)
    yield federation
    federation.ledger.close()


def request_for(federation, phase_, **changes):
    terms = federation.ledger.terms("TrainingTask", "submitUpdate")
    fields = {
        "protocol": "pofl",
        "phase": phase_,
        "task": 1,
        "round": 1,
        "chain_id": terms.chain_id,
        "contract": terms.to,
        "calls": [CallRequest("TrainingTask.submitUpdate", terms.to, 0, 0, 0)],
        "clients": federation.clients,
        "nonces": [0, 5, 0],
        "details": {"samples-key": "num-examples"},
        "seen": federation.ledger.settled().hash,
    }
    return SigningRequest(**(fields | changes))


def train_once(federation, app, request, *, node=1, kind="train"):
    def main(grid):
        content = RecordDict(
            {
                "arrays": to_record(initial_model()),
                "config": ConfigRecord(
                    {"server-round": 1, "simulation-keys": str(federation.keys.path)}
                ),
            }
        )
        if request is not None:
            content = request.added_to(content)
        ids = sorted(grid.get_node_ids())
        messages = [Message(content, dst_node_id=ids[node], message_type=kind)]
        return list(grid.send_and_receive(messages))

    [reply] = get_engine("inprocess").run(app, federation.size, main)
    return reply


@pytest.mark.parametrize("phase", ["update", "weights"])
def test_it_signs_what_the_reply_holds(federation, phase):
    """The transaction, signed by the client, has the nonce it was given and fits the arrays."""
    reply = train_once(federation, make_app(), request_for(federation, phase))
    transaction = decode_transaction(reply.content[LEDGER]["transactions"][0])
    assert transaction.sender in federation.clients
    position = federation.clients.index(transaction.sender)
    assert transaction.unsigned.nonce == [0, 5, 0][position]
    arrays = {key: array.numpy() for key, array in reply.content["arrays"].items()}
    if phase == "update":
        assert {array.dtype for array in arrays.values()} == {np.dtype(np.float32)}
        assert arrays["counter"] == 1
    else:
        assert arrays["counter"] == 6


def test_it_leaves_other_messages_alone(federation):
    """Without a signing request the reply is the app's own."""
    reply = train_once(federation, make_app(), None)
    assert LEDGER not in reply.content
    assert reply.content["arrays"]["counter"].numpy() == 6


def test_a_client_that_is_not_registered_says_so(federation):
    """The error names the account and what to do."""
    request = request_for(federation, "update", clients=["0x" + "1" * 40], nonces=[0])
    reply = train_once(federation, make_app(), request)
    assert reply.has_error()
    assert "is not registered for task 1" in reply.error.reason


def test_metrics_without_samples_are_named(federation):
    """An app that does not report its number of samples learns what is missing."""
    app = ClientApp(mods=[signing_mod])

    @app.train()
    def train(message, context):
        records = {"arrays": message.content["arrays"], "metrics": MetricRecord({"loss": 1.0})}
        return Message(RecordDict(records), reply_to=message)

    reply = train_once(federation, app, request_for(federation, "update"))
    assert reply.has_error()
    assert "num-examples" in reply.error.reason


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"version": 7}, "version 7"),
        ({"phase": 3}, "'phase'"),
        ({"round": -1}, "'round'"),
        ({"nonces": [1]}, "one nonce is needed"),
        ({"nonces": [-1, 0, 0]}, "'nonces'"),
        ({"clients": "all"}, "a list is needed"),
        ({"gas": []}, "unequal length"),
        ({"types": ["Ack(bytes32 digest)"]}, "unequal length"),
        ({"details": "{"}, "'details': no JSON"),
        ({"details": "[]"}, "'details': an object"),
        ({"details": "[" * 100_000 + "]" * 100_000}, "'details': no JSON"),
        ({"details": '{"n": ' + "1" * 5000 + "}"}, "'details': no JSON"),
        ({"more": 1}, "unknown field"),
    ],
)
def test_a_request_of_another_form_is_named(federation, change, match):
    """What a server of another version asks is refused with the field's name."""
    record = request_for(federation, "update").to_record()
    for key, value in change.items():
        record[key] = value
    with pytest.raises(ConfigError, match=match):
        SigningRequest.from_record(record)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"phase": "gradient"}, "unknown phase 'gradient'"),
        ({"calls": []}, "phase 'update' signs"),
        ({"statements": [StatementRequest("Ack", "Ack(bytes32 digest)")]}, "phase 'update' signs"),
        (
            {"calls": [CallRequest("StakeToken.transfer", "0x" + "1" * 40, 0, 0, 0)]},
            "phase 'update' signs",
        ),
        (
            {"calls": [CallRequest("TrainingTask.submitUpdate", "0x" + "1" * 40, 0, 0, 0)]},
            "this client signs TrainingTask.submitUpdate for the contract",
        ),
        ({"contract": "x/../../../../elsewhere"}, "is no address"),
        ({"calls": [CallRequest("TrainingTask.submitUpdate", "0x12", 0, 0, 0)]}, "is no address"),
    ],
)
def test_a_client_signs_what_its_phase_does_and_nothing_else(federation, change, match):
    """A server cannot have another call signed, nor a statement that the phase does not list.

    Nor can it have the call signed for another contract of the same chain.
    """
    reply = train_once(federation, make_app(), request_for(federation, "update", **change))
    assert reply.has_error()
    assert match in reply.error.reason


@pytest.mark.parametrize(
    ("call", "match"),
    [
        ({"gas": 30_000_000, "max_fee_per_gas": 1}, "could cost 30000000 wei"),
        ({"gas": 100_000, "max_fee_per_gas": 10**12}, "pays at most"),
    ],
)
def test_a_client_signs_no_call_that_could_ruin_it(federation, call, match):
    """Gas and fees have a cap."""
    terms = federation.ledger.terms("TrainingTask", "submitUpdate")
    given = {"gas": 0, "max_fee_per_gas": 0, "max_priority_fee_per_gas": 0} | call
    calls = [CallRequest("TrainingTask.submitUpdate", terms.to, **given)]
    reply = train_once(federation, make_app(), request_for(federation, "update", calls=calls))
    assert reply.has_error()
    assert match in reply.error.reason


def test_an_earlier_round_is_not_signed_for_again(federation):
    """What was signed is remembered over processes and runs, in the client's journal."""
    assert not train_once(
        federation, make_app(), request_for(federation, "update", round=5)
    ).has_error()
    reply = train_once(federation, make_app(), request_for(federation, "update", round=4))
    assert reply.has_error()
    assert "this client has signed for round 5" in reply.error.reason
    again = train_once(federation, make_app(), request_for(federation, "update", round=5))
    assert not again.has_error()


def test_the_app_sees_its_own_records_alone(federation):
    """What this library adds is taken out before the app, and any mod behind, sees the message."""
    seen = []

    def mod(message, context, call_next):
        seen.append(sorted(message.content))
        return call_next(message, context)

    app = ClientApp(mods=[signing_mod, mod])
    inner = make_app(signed=False)
    app.train()(inner)
    assert not train_once(federation, app, request_for(federation, "update")).has_error()
    assert seen == [["arrays", "config"]]


def test_a_request_survives_the_wire(federation):
    """What the client reads is what the strategy wrote."""
    request = request_for(federation, "update")
    read = SigningRequest.from_record(request.to_record())
    assert read.to_record() == request.to_record()


def test_the_ledger_accepts_what_the_mod_signed(federation):
    """A run through the mod ends with every client's submission on the ledger."""
    federation.run(federation.anchored(), make_app(), rounds=1)
    submissions = TrainingTask(federation.ledger).submissions(1, 1)
    assert set(submissions) == set(federation.clients)
    assert {entry.samples for entry in submissions.values()} == {10, 11, 12}
    assert {entry.accuracy for entry in submissions.values()} == {0.5}


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"details": {}}, "need the 'ballot'"),
        ({"details": {"ballot": "zz"}}, "need the 'ballot'"),
        ({"details": {"ballot": "00"}}, "bytes32 wanted, got 1 bytes"),
    ],
)
def test_a_vote_on_nothing_is_named(federation, change, match):
    """A server that says no ballot, or one that is none, gets no vote and a clear answer."""
    terms = federation.ledger.terms("TrainingTask", "submitVotes")
    calls = [CallRequest("TrainingTask.submitVotes", terms.to, 0, 0, 0)]
    request = request_for(federation, "votes", calls=calls, **change)
    reply = train_once(federation, make_app(), request, kind="evaluate")
    assert reply.has_error()
    assert match in reply.error.reason


def test_a_handler_binds_its_client_to_one_list(federation, monkeypatch):
    """What a handler binds is kept in the journal, for the round that was asked about."""

    class Bound(UpdateHandler):
        digest = "aa"

        def answer(self, asked):
            asked.bind("list", self.digest)
            return super().answer(asked)

    monkeypatch.setattr(training, "UpdateHandler", Bound)
    request = request_for(federation, "update")
    assert not train_once(federation, make_app(), request).has_error()
    Bound.digest = "bb"
    reply = train_once(federation, make_app(), request)
    assert reply.has_error()
    assert "list of round 1 is aa already" in reply.error.reason
    later = request_for(federation, "update", round=2)
    assert not train_once(federation, make_app(), later).has_error()
