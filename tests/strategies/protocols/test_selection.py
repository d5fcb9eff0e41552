"""The choice of a round's rule."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedledger.errors import AuditError, ConfigError
from fedledger.strategies.protocols.pofl.beacon import (
    Beacon,
    beacon_index,
    check_reveal,
    timestamp_index,
)

SEED = bytes(range(32))


@settings(deadline=None, max_examples=30)
@given(st.binary(min_size=32, max_size=32), st.integers(1, 40))
def test_every_reveal_continues_the_chain(seed, rounds):
    """Round r's value hashes to round r-1's, and the first to the commitment."""
    beacon = Beacon(seed, rounds)
    previous = beacon.commitment
    for server_round in range(1, rounds + 1):
        check_reveal(beacon.reveal(server_round), previous)
        previous = beacon.reveal(server_round)
    assert previous == seed


def test_another_value_does_not_continue_the_chain():
    """The aggregator cannot swap a value for one that suits it."""
    beacon = Beacon(SEED, 3)
    with pytest.raises(AuditError, match="does not hash"):
        check_reveal(beacon.reveal(2), beacon.commitment)
    flipped = bytes([beacon.reveal(1)[0] ^ 1]) + beacon.reveal(1)[1:]
    with pytest.raises(AuditError, match="does not hash"):
        check_reveal(flipped, beacon.commitment)
    with pytest.raises(AuditError, match="of this round or a later one"):
        check_reveal(beacon.commitment, beacon.commitment, skipped=-1)


def test_every_input_moves_the_choice():
    """Task, round, revealed value and each accepted update enter the hash."""
    updates = [(0, b"a"), (2, b"b")]
    base = beacon_index(SEED, 1, 1, updates, 2**64)
    others = {
        beacon_index(SEED[::-1], 1, 1, updates, 2**64),
        beacon_index(SEED, 2, 1, updates, 2**64),
        beacon_index(SEED, 1, 2, updates, 2**64),
        beacon_index(SEED, 1, 1, updates[:1], 2**64),
        beacon_index(SEED, 1, 1, [(0, b"a"), (1, b"b")], 2**64),
        beacon_index(SEED, 1, 1, [(0, b"a"), (2, b"c")], 2**64),
    }
    assert len(others) == 6
    assert base not in others


def test_parts_are_framed():
    """Moving bytes from one update to its neighbour changes the choice."""
    left = beacon_index(SEED, 1, 1, [(0, b"ab"), (1, b"c")], 2**64)
    assert left != beacon_index(SEED, 1, 1, [(0, b"a"), (1, b"bc")], 2**64)


def test_each_rule_gets_its_share():
    """Over many rounds the three rules are chosen about equally often."""
    beacon = Beacon(SEED, 3000)
    counts = Counter(beacon_index(beacon.reveal(r), 1, r, [(0, b"x")], 3) for r in range(1, 3001))
    assert all(900 < counts[index] < 1100 for index in range(3))


def test_the_last_uploader_aims_the_timestamp():
    """The paper's choice moves with each millisecond, which is why it is not the default."""
    assert [timestamp_index(time, 3) for time in (1, 2, 3, 4)] == [0, 1, 2, 0]


def test_a_bad_seed_or_no_rounds_are_refused():
    """A short seed or an empty chain is a mistake and is named."""
    with pytest.raises(ConfigError, match="32 bytes"):
        Beacon(b"short", 3)
    with pytest.raises(ConfigError, match="at least one round"):
        Beacon(SEED, 0)


def test_the_secret_is_not_printed():
    """A beacon's repr shows none of its values."""
    assert repr(Beacon(SEED, 3)) == "Beacon(rounds=3)"
