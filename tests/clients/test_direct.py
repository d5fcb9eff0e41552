"""Clients that reach the ledger themselves: a real node, and rounds under Flower by its clock."""

import contextlib
import logging
from types import SimpleNamespace

import numpy as np
import pytest
from flwr.app import Context, RecordDict
from support.federation import Federation, initial_model, make_app
from support.node_thread import NodeThread

from fedledger.arrays import to_safetensors
from fedledger.clients import direct
from fedledger.clients.direct import Direct, ledger_of, places_of, send_call
from fedledger.errors import (
    ConfigError,
    ContractError,
    LedgerUnavailable,
    TransactionRefused,
    UnknownNameError,
)
from fedledger.ledger_plugins import open_ledger, open_store
from fedledger.ledger_plugins.accounts import decode_transaction
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.ledger_plugins.contracts.training_task.calls import CONFIRM_HISTORY, SUBMIT_UPDATE
from fedledger.ledger_plugins.storage.cid import cid_of, cid_to_bytes
from fedledger.records import LEDGER, Signatures, SigningRequest
from fedledger.strategies import LedgerClock, audit_ledger
from fedledger.strategies.rounds.evidence import documents
from fedledger.strategies.rounds.evidence.documents import Evidence

WINDOW = 6


@pytest.fixture
def network(tmp_path):
    """A federation on a node of the embedded chain's network, and each client's own ledger."""
    node = NodeThread(tmp_path / "node")
    federation = Federation(tmp_path)
    federation.ledger.close()
    federation.ledger = open_ledger(f"local+{node.url}")
    yield federation, f"local+{node.url}"
    federation.ledger.close()
    federation.store.close()
    node.stop()


def configured(app, federation, url, partitions, **changes):
    """Return an app whose clients of these partitions submit by themselves."""

    def mod(message, context, call_next):
        if int(context.node_config["partition-id"]) in partitions:
            context.node_config |= {
                "submit": "direct",
                "ledger": url,
                "store": f"file://{federation.path}/own-store",
                **changes,
            }
        return call_next(message, context)

    app._mods.insert(0, mod)
    return app


def by_ledger(federation, **options):
    """Return a strategy by the ledger's clock."""
    sealed = options.pop("sealed", False)
    defaults = {
        "clock": LedgerClock(sealed=sealed),
        "window": None,
        "ledger_window": WINDOW,
        "rules": ("median",),
    }
    return federation.pofl(**defaults | options)


def evidence_of(federation, number=-1):
    published = TrainingTask(federation.ledger).aggregates(1)[number]
    return documents.load(Evidence, published.evidence, federation.store)


def audit(federation):
    return audit_ledger(federation.ledger, federation.store)


def senders(federation, event="UpdateSubmitted"):
    """Return the transactions of each client's calls, by its partition."""
    found = {}
    for one in federation.ledger.events("TrainingTask", event):
        client = one.arguments.get("client") or one.arguments.get("voter")
        found.setdefault(federation.clients.index(client), []).append(one.transaction)
    return found


def test_start_finds_mods():
    """What `configured` counts on."""
    assert isinstance(make_app()._mods, list)
