"""Five real processes: they agree, a partition heals, a killed node catches up."""

import pytest
from support.nodes import ADMIN, Cluster

from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.base import UnsignedTransaction
from fedledger.ledger_plugins.contracts import StakeToken
from fedledger.ledger_plugins.contracts.abi import encode_call

HOLDERS = [Account.from_key(bytes([key]) * 32) for key in range(2, 7)]
MINER = ["--mine", "--interval", "1.5"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Five mining nodes, all connected; the first five holders have 100 each."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"), [MINER] * 5)
    try:
        cluster.start()
        with cluster.nodes[0].ledger() as ledger:
            token = StakeToken(ledger)
            terms = ledger.terms("StakeToken", "mint")
            ledger.transact_all(
                [
                    ADMIN.sign(
                        UnsignedTransaction(
                            terms, nonce, encode_call("StakeToken", "mint", holder.address, 100)
                        )
                    )
                    for nonce, holder in enumerate(HOLDERS)
                ]
            )
            assert token.total_supply() == 500
        yield cluster
    finally:
        cluster.stop()


def balances(node):
    with node.ledger() as ledger:
        ledger.verify()
        token = StakeToken(ledger)
        return [token.balance(holder.address) for holder in HOLDERS]


def test_five_nodes_agree(cluster):
    """Transfers sent to five nodes at once are on one chain, which all five verify alike."""
    sink = Account.create().address
    for holder, node in zip(HOLDERS, cluster.nodes, strict=True):
        with node.ledger() as ledger:
            receipt = StakeToken(ledger).transfer(holder, sink, 10)
            assert receipt.events[0].arguments["value"] == 10
    cluster.agree()
    for node in cluster.nodes:
        with node.ledger() as ledger:
            assert StakeToken(ledger).balance(sink) == 50
    assert balances(cluster.nodes[0]) == balances(cluster.nodes[4])


@pytest.mark.parametrize("turns", [1, pytest.param(10, marks=pytest.mark.soak)])
def test_partitions_heal_and_nothing_acknowledged_is_lost(cluster, turns, record_property):
    """Two and three nodes part, each side acknowledges transfers, then one chain has them all.

    The sides' chains differ while they are apart, one side's blocks give way when they meet again,
    and its transfers are included anew, in the same amounts and once each.
    """
    few, many = cluster.nodes[:2], cluster.nodes[2:]
    cluster.agree()
    for _ in range(turns):
        sink = Account.create().address
        cluster.connect(few, many)
        receipts = []
        for node, holder in ((few[0], HOLDERS[0]), (few[1], HOLDERS[1]), (many[0], HOLDERS[2])):
            with node.ledger() as ledger:
                token = StakeToken(ledger)
                receipts.append((node, token.transfer(holder, sink, 3)))
                receipts.append((node, token.transfer(holder, sink, 4)))
        apart = cluster.agree(nodes=few), cluster.agree(nodes=many)
        assert apart[0] != apart[1]
        before = [node.status()["reorganisations"] for node in cluster.nodes]
        cluster.connect(cluster.nodes)
        cluster.agree()
        for node in cluster.nodes:
            with node.ledger() as ledger:
                assert StakeToken(ledger).balance(sink) == 21
                for _, receipt in receipts:
                    ledger.transaction(receipt.transaction)
        after = [node.status()["reorganisations"] for node in cluster.nodes]
        moved = [now > then for now, then in zip(after, before, strict=True)]
        assert all(moved[:2]) or all(moved[2:])
    record_property("partitions", turns)


def test_a_killed_node_catches_up(cluster):
    """A node killed with -9 starts on its disk alone, and follows what happened meanwhile."""
    victim, others = cluster.nodes[4], cluster.nodes[:4]
    with victim.ledger() as ledger:
        before = StakeToken(ledger).transfer(HOLDERS[3], ADMIN.address, 1)
    victim.kill()
    with others[0].ledger() as ledger:
        after = StakeToken(ledger).transfer(HOLDERS[4], ADMIN.address, 1)
    address = victim.address
    victim.start(listen=address).wait_ready()
    with victim.ledger() as ledger:
        assert ledger.transaction(before.transaction).sender == HOLDERS[3].address
        with pytest.raises(KeyError):
            ledger.transaction(after.transaction)
    cluster.connect(cluster.nodes)
    cluster.agree()
    with victim.ledger() as ledger:
        assert ledger.transaction(after.transaction).sender == HOLDERS[4].address


def test_sigterm_ends_a_node_in_order(cluster):
    """SIGTERM ends a node with status 0, nothing is logged as an error, and its disk is whole."""
    node = cluster.nodes[3]
    height = node.status()["index"]
    assert node.stop() == 0
    assert "Traceback" not in node.said()
    assert " ERROR " not in node.said()
    node.start().wait_ready()
    assert node.status()["index"] >= height
    cluster.connect(cluster.nodes)
    cluster.agree()
