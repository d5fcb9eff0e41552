"""Leader rules: proof of work, and FLChain's draw among the most reliable."""

import pytest
from support.cores import ADMIN, Bench, mine, sealed

from fedledger.errors import ConfigError, MalformedBlock, UnknownNameError
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.local.node.chain.envelope import Envelope
from fedledger.ledger_plugins.local.node.chain.leader import Reliability, Work, leader_rule
from fedledger.ledger_plugins.storage.cid import cid_of, cid_to_bytes

CLIENTS = [Account.from_key(bytes([key]) * 32) for key in (31, 32, 33, 34)]
CID = cid_to_bytes(cid_of(b"a model"))
RULE = Reliability(candidates=2, timeout=60_000)


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path, RULE)
    yield bench
    bench.close()


def contribute(bench, node, *rounds):
    """Publish rounds; each is the clients that contributed to it."""
    calls = [bench.call(ADMIN, "TrainingTask", "propose", "m", CID, len(rounds), 0, 0, CID)]
    for number, clients in enumerate(rounds, start=1):
        calls += [
            bench.call(
                client, "TrainingTask", "submitUpdate", 1, number, CID, 1, 1, *[bytes(32)] * 2
            )
            for client in clients
        ]
        names = [client.address for client in clients]
        calls.append(
            bench.call(
                ADMIN, "TrainingTask", "publishAggregate", 1, number, CID, "r", names, CID, []
            )
        )
    for call in calls:
        node.submit(call.raw)
    mine(node)


def leader_of(node):
    return RULE.leader(node._branch.chain)


def test_everybody_may_begin(bench):
    """Until somebody has contributed, anyone makes blocks, signed or not."""
    node = bench.core("node")
    assert leader_of(node) is None
    mine(node)
    mine(node, CLIENTS[0])
    assert node.snapshot.index == 2


def test_the_leader_is_one_of_the_most_reliable(bench):
    """Only accounts with the most accepted contributions are drawn, all of them in time."""
    node = bench.core("node")
    a, b, c, d = CLIENTS
    contribute(bench, node, [a, b, c], [a, b], [a, d])
    drawn = set()
    for _ in range(40):
        drawn.add(leader := leader_of(node))
        account = next(one for one in CLIENTS if one.address == leader)
        mine(node, account)
    assert drawn == {a.address, b.address}


def test_the_draw_follows_from_the_branch_alone(bench):
    """Two nodes on one branch draw the same leader; on another block, another draw."""
    left, right = bench.core("left"), bench.core("right")
    contribute(bench, left, CLIENTS)
    for block in left.snapshot.hashes:
        right.accept(left.envelope(block))
    assert leader_of(left) == leader_of(right)


def test_others_wait_for_the_timeout(bench):
    """A block of somebody else is invalid before the timeout and valid after it."""
    node, other = bench.core("node"), bench.core("other")
    contribute(bench, node, [CLIENTS[0]])
    for block in node.snapshot.hashes:
        other.accept(node.envelope(block))
    stranger = Account.create()
    assert node.template(stranger.address) is None
    assert node.template(None) is None
    early = sealed(node, CLIENTS[0])
    for miner in (stranger, None):
        with pytest.raises(MalformedBlock) as caught:
            node.accept(Envelope.sign(early, miner).encode())
        assert caught.value.field == "leader"
    # The same block is welcome under its leader's signature: the hash is not to blame.
    node.accept(Envelope.sign(early, CLIENTS[0]).encode())
    assert node.snapshot.index == 2
    bench.clock.seconds += RULE.timeout / 1000
    mine(other, stranger)
    assert other.snapshot.index == 2


def test_a_timestamp_ahead_of_the_clock_does_not_shorten_the_wait(bench):
    """Who dates a block into the future to have waited is not heard before that time."""
    node = bench.core("node")
    contribute(bench, node, [CLIENTS[0]])
    block = sealed(node, CLIENTS[0], timestamp=node.snapshot.timestamp + RULE.timeout)
    node.accept(Envelope.sign(block, None).encode())
    assert node.snapshot.index == 1


def test_rules_are_named_and_their_settings_checked():
    """Rules come by name, differ in their description, and refuse senseless settings."""
    assert isinstance(leader_rule("work"), Work)
    assert leader_rule("reliability", candidates=3, timeout=9).describe() == (
        "reliability candidates=3 timeout=9"
    )
    with pytest.raises(UnknownNameError, match="did you mean 'reliability'"):
        leader_rule("reliable")
    for options in ({"candidates": 0}, {"timeout": 0}, {"patience": 1}):
        with pytest.raises(ConfigError):
            leader_rule("reliability", **options)
