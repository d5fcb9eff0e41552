"""Rounds whose contents are behind a store's server: strategies, clients, members, the audit."""

import time

import pytest
from support.federation import Federation, make_app
from support.store_server import StoreServer

from fedledger.errors import StoreUnavailable
from fedledger.ledger_plugins import open_store
from fedledger.ledger_plugins.contracts import Membership
from fedledger.ledger_plugins.storage.cid import cid_of
from fedledger.strategies import audit_ledger


@pytest.fixture
def federation(tmp_path):
    """Eight nodes, of which seven are clients; only the aggregator has a folder."""
    federation = Federation(tmp_path, size=8)
    federation.store.close()
    yield federation
    federation.ledger.close()


@pytest.fixture
def server(federation, tmp_path):
    """A server for the aggregator, and for the clients of task 1 as they are now."""
    (tmp_path / "server").mkdir()
    ledger = f"local://{tmp_path}/chain.db"
    options = ("--allow", federation.server.address, "--task", "1", "--ledger", ledger)
    with StoreServer(tmp_path / "server", *options) as running:
        yield running


def test_a_round_by_a_served_store_is_proved_and_members_write(federation, server):
    """The strategy signs with its account; who left the task writes no more, and who joined does.

    The auditor has no account, and reads the server alone.
    """
    decides, owner = Membership(federation.ledger), federation.server
    leaver, joiner = federation.keys.account(0), federation.keys.account(7)

    def change(number, _arrays):
        if number == 1:
            decides.leave_task(leaver, task=1)
            decides.join(joiner, task=1)
            decides.admit(owner, task=1, account=joiner.address)
        return {}

    federation.store = server.url
    strategy = federation.pofl(clients=federation.clients[:7], membership="owner", measure=change)
    for account in (federation.keys.account(1), owner):  # there is no task yet
        with open_store(server.url, account=account) as store:
            if account is owner:
                store.put(b"before")
            else:
                with pytest.raises(StoreUnavailable, match="cannot be read from the ledger"):
                    store.put(b"before")
    federation.run(strategy, make_app(), rounds=2)
    with open_store(server.url, read_only=True) as store:
        report = audit_ledger(federation.ledger, store)
        assert report.passed, report.reason
    time.sleep(1.1)  # what the ledger said of who may write is taken for so for a second
    for account, allowed in ((federation.keys.account(1), True), (joiner, True), (leaver, False)):
        data = f"by {account.address}".encode()
        with open_store(server.url, account=account) as store:
            if allowed:
                assert store.put(data) == cid_of(data)
            else:
                with pytest.raises(StoreUnavailable, match="it is no client, owner or aggregator"):
                    store.put(data)
