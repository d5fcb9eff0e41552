"""What a client has to say so that it reaches the ledger itself, and what is refused."""

import re

import pytest
from flwr.app import Context, RecordDict
from support.direct import audit, by_ledger, directly, senders
from support.evidence import evidence_of
from support.federation import make_app
from support.node_thread import NodeThread

from fedledger.clients.direct import ledger_of, places_of, send_call
from fedledger.errors import (
    ConfigError,
    ContractError,
)
from fedledger.ledger_plugins.contracts.training_task.calls import CONFIRM_HISTORY, SUBMIT_UPDATE
from fedledger.ledger_plugins.storage.cid import cid_of, cid_to_bytes


def context(**config):
    return Context(1, 2, config, RecordDict(), {})


def test_relay_is_the_default():
    """With or without a ledger of the client's own."""
    assert places_of(context()) is None
    assert places_of(context(ledger="local+http://127.0.0.1:1", submit="relay")) is None


def test_places_come_from_the_node_config_or_the_environment(monkeypatch):
    """What the node config says holds; no URL is shown, since it may hold secrets."""
    monkeypatch.setenv("FEDLEDGER_LEDGER", "ethereum+http://me:secret@127.0.0.1:1")
    monkeypatch.setenv("FEDLEDGER_STORE", "file:///srv/store")
    places = places_of(context(submit="direct"))
    assert places.ledger == "ethereum+http://me:secret@127.0.0.1:1"
    assert "secret" not in repr(places)
    other = places_of(context(submit="direct", ledger="local+http://127.0.0.1:1"))
    assert (other.ledger, other.store) == ("local+http://127.0.0.1:1", "file:///srv/store")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"submit": "directly"}, "way to submit"),
        ({"submit": "direct", "store": "file:///s"}, "needs a ledger of the client"),
        ({"submit": "direct", "ledger": "local+http://127.0.0.1:1"}, "needs a store of the client"),
        (
            {"submit": "direct", "ledger": "local:///data/chain.db", "store": "file:///s"},
            "has one writer, the aggregator, who makes all blocks",
        ),
    ],
)
def test_settings_that_do_not_do_are_refused(config, said):
    """Before the app is asked, by what is missing."""
    with pytest.raises(ConfigError, match=said):
        places_of(context(**config))


def test_a_ledger_with_one_writer_is_no_clients_own(tmp_path):
    """For reports neither: its file is not even made."""
    with (
        pytest.raises(ConfigError, match="has one writer"),
        ledger_of(context(ledger=f"local://{tmp_path}/chain.db")),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
    with ledger_of(context()) as nothing:
        assert nothing is None


def noting(trained):
    """Return what notes that a client's app has trained."""

    def trains(reply, _message, _context):
        trained.append(reply)
        return reply

    return trains


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fedledger.chain-id": 999}, "is chain [0-9]+, the server's task is on chain 999"),
        ({"fedledger.contract": "0x" + "00" * 19 + "01"}, "has its TrainingTask at 0x"),
    ],
)
def test_another_chain_or_contract_is_refused(network, changes, said):
    """The client's ledger is not the one that the server speaks of: nothing is sent."""
    federation, seen, trained = network.federation, [], []
    way = directly(network, {6})

    def mod(message, context, call_next):
        if int(context.node_config["partition-id"]) == 6:
            for record in message.content.config_records.values():
                record.update(changes)
        try:
            return way(message, context, call_next)
        except ConfigError as error:
            seen.append(str(error))
            raise

    app = make_app(outermost=mod, before_signing={6: noting(trained)})
    federation.run(by_ledger(network), app, rounds=1)
    assert seen
    assert re.search(said, seen[0]), seen[0]
    assert trained == []
    assert 6 not in senders(federation)
    assert audit(federation).passed, audit(federation).reason


def test_a_device_that_was_given_another_chains_ledger_is_told_before_it_trains(network, tmp_path):
    """A node that answers, of a chain that is not the task's: the evidence has the sentence."""
    federation, trained = network.federation, []
    other = NodeThread(tmp_path / "other")
    try:
        way = directly(network, {6}, ledger=f"local+{other.url}")
        app = make_app(outermost=way, before_signing={6: noting(trained)})
        federation.run(federation.pofl(effects=network.effects), app, rounds=1)
    finally:
        other.stop()
    said = [
        one.detail
        for phase in evidence_of(federation).phases
        for one in phase.dropped
        if one.reason == "client-error"
    ]
    assert said
    assert f"the server's task is on chain {federation.ledger.chain_id}: give this" in said[0]
    assert trained == []
    assert audit(federation).passed, audit(federation).reason


def test_send_call_says_what_the_ledger_refuses(network):
    """A call that names a block by itself, and one that the contract refuses."""
    federation = network.federation
    federation.run(by_ledger(network), make_app(), rounds=1)
    account = federation.keys.account(0)
    receipt = send_call(federation.ledger, account, CONFIRM_HISTORY, {"task": 1})
    assert receipt.event("HistoryConfirmed").arguments["client"] == account.address
    values = {"task": 1, "round": 9, "cid": cid_to_bytes(cid_of(b"")), "samples": 1}
    values |= {"accuracy": 1, "seal": bytes(32)}
    with pytest.raises(ContractError, match=r"WrongRound|TaskFinished"):
        send_call(federation.ledger, account, SUBMIT_UPDATE, values)
