"""Ether for new accounts on a development chain, when several senders ask at once."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from support.anvil import Anvil
from support.clock import Clock

from fedledger.effects.real import SystemClock
from fedledger.errors import LedgerUnavailable
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.ethereum.rpc.node import Node, NodeRefusal, connect
from fedledger.ledger_plugins.ethereum.sending import funding
from fedledger.ledger_plugins.ethereum.sending.funding import fund
from fedledger.ledger_plugins.ethereum.url import parse_url

_CHAIN, _NEED = 31337, 10**15


def connected(anvil, clock=None):
    return connect(parse_url(f"ethereum+{anvil.url}"), clock or SystemClock())


@pytest.mark.parametrize("said", ["nonce too low", "transaction already imported"])
def test_a_gift_that_came_second_is_asked_for_again(monkeypatch, anvil, said):
    """A node gives two gifts of one moment the same nonce; the refused one is given later."""
    ask, refused = Node.ask, []

    def contested(self, method, *params, **options):
        if method == "eth_sendTransaction" and not refused:
            refused.append(params)
            raise NodeRefusal(method, self.where, {"code": -32003, "message": said})
        return ask(self, method, *params, **options)

    monkeypatch.setattr(Node, "ask", contested)
    with closing(connected(anvil)) as node:
        assert fund(node, _CHAIN, {Account.create().address: _NEED}, 10) == {}
    assert refused


def test_a_gift_that_is_lost_is_asked_for_again(monkeypatch, anvil):
    """A node may forget a gift, or miss the moment to mine it: the next one wakes it."""
    ask, lost = Node.ask, []

    def forgetful(self, method, *params, **options):
        if method == "eth_sendTransaction" and not lost:
            lost.append(params)
            return "0x" + "ab" * 32
        return ask(self, method, *params, **options)

    monkeypatch.setattr(Node, "ask", forgetful)
    monkeypatch.setattr(funding, "_PATIENCE", 0.2)
    with closing(connected(anvil)) as node:
        assert fund(node, _CHAIN, {Account.create().address: _NEED}, 20) == {}
    assert lost


def test_a_node_that_does_not_mine_is_named(tmp_path):
    """Ether that no block has after the time to wait is an error; the clock handed in says when."""
    clock, began = Clock(), time.monotonic()
    with (
        Anvil(tmp_path, "--no-mining") as idle,
        closing(connected(idle, clock)) as node,
        pytest.raises(LedgerUnavailable, match="in no block after 120 seconds; is the node mining"),
    ):
        fund(node, _CHAIN, {Account.create().address: _NEED}, 120)
    assert 120 < clock.now < 125
    assert time.monotonic() - began < 60
    assert (min(clock.slept), max(clock.slept)) == (0.0016, 0.5)


def test_a_gift_that_is_refused_for_another_reason_is_not(monkeypatch, anvil):
    """The node's accounts may be empty: the sender hears what it has and needs."""
    ask, asked = Node.ask, []

    def empty(self, method, *params, **options):
        if method == "eth_sendTransaction":
            asked.append(params)
            raise NodeRefusal(method, self.where, {"code": -32003, "message": "lack of funds"})
        return ask(self, method, *params, **options)

    monkeypatch.setattr(Node, "ask", empty)
    poor = Account.create().address
    with closing(connected(anvil)) as node:
        wrong = fund(node, _CHAIN, {poor: _NEED}, 10)
    assert set(wrong) == {poor}
    assert f"has 0 wei on chain {_CHAIN}" in wrong[poor]
    assert len(asked) == 1


@pytest.mark.parametrize("accounts", [8, pytest.param(400, marks=pytest.mark.soak)])
def test_many_senders_fund_new_accounts_at_once(anvil, accounts, record_property):
    """Whoever asks gets ether, however many ask for the same account at the same moment."""
    nodes = [connected(anvil) for _ in range(8)]
    with ThreadPoolExecutor(len(nodes)) as pool:
        for _ in range(accounts):
            needs = {Account.create().address: _NEED}
            found = list(pool.map(lambda node, needs=needs: fund(node, _CHAIN, needs, 20), nodes))
            assert found == [{}] * len(nodes)
    record_property("accounts", accounts)
    for node in nodes:
        node.close()
