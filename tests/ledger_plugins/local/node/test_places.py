"""Connections and large answers are shared fairly by networks; peers keep their place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedledger.ledger_plugins.http.answers import Refusal, Slots
from fedledger.ledger_plugins.http.limits import RateLimit, network_of
from fedledger.ledger_plugins.http.places import Places


class Connection:
    """One that was used at some moment, and remembers that it was cut."""

    def __init__(self, *, busy=False, moved=0.0):
        self.use = busy, moved
        self.was_cut = False

    def cut(self):
        self.was_cut = True


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.floats(0, 9)), max_size=60))
def test_places_are_shared(steps):
    """Whoever comes in whatever order: who has none is let in, nobody has two more than who waits.

    The peer (network 5) is always let in up to its own share, and never gives way.
    """
    places = Places({"10.0.0.5"}, total=6, of_address=4)
    open_ = {}
    for number, busy, moved in steps:
        address = f"10.0.0.{number}"
        counts = {one: list(open_.values()).count(one) for one in set(open_.values())}
        own = counts.get(address, 0)
        room = places.has_room(address)
        others = [count for one, count in counts.items() if one != "10.0.0.5"]
        if own >= 4:
            assert not room
        elif number == 5 or own == 0 or len(open_) < 6:
            assert room or (own == 0 and not others)
        if not room:
            assert own >= min(4, max(others, default=0) - 1)
            continue
        connection = Connection(busy=busy, moved=moved)
        gone = places.take(address, connection)
        open_[connection] = address
        if gone is not None:
            assert open_[gone] != "10.0.0.5"
            assert counts[open_[gone]] == max(others)
            same = [one for one in open_ if open_[one] == open_[gone] and one is not connection]
            assert gone.use == min(one.use for one in same)
            del open_[gone]
        assert len(places) == len(open_) <= 6 + 4


def test_who_left_has_no_place():
    """A place is free once, and leaving twice changes nothing."""
    places = Places(total=1)
    first, second = Connection(), Connection()
    assert places.take("a", first) is None
    assert not places.has_room("a")
    for _ in range(2):
        places.leave(first)
    assert places.take("a", second) is None
    assert len(places) == 1


def test_large_answers_are_few_at_once():
    """An address has its slots, all together theirs; who has none takes one of who has most."""
    slots = Slots(2, 3, peers={"peer"})
    held = [Connection(moved=number) for number in range(3)]
    first, _ = slots.take("a", held[0]), slots.take("a", held[1])
    with pytest.raises(Refusal, match="busy"):
        slots.take("a", Connection())
    slots.take("b", held[2])
    with pytest.raises(Refusal, match="busy"):
        slots.take("b", Connection())
    slots.take("c", Connection())
    assert [one.was_cut for one in held] == [True, False, False]
    first()
    slots.take("peer", Connection())
    assert sum(one.was_cut for one in held) == 2
    with pytest.raises(Refusal, match="busy"):
        slots.take("c", Connection())


def test_one_customers_ipv6_addresses_are_one():
    """64 bits are what a provider gives to one; an IPv4 address written as IPv6 is itself."""
    assert network_of("2001:db8:1:2::1") == network_of("2001:db8:1:2:ffff::9") == "2001:db8:1:2::"
    assert network_of("::ffff:10.0.0.1") == "10.0.0.1"
    assert network_of("") == ""

    class Still:
        def monotonic(self):
            return 0.0

    limit = RateLimit(1, 2, clock=Still())
    assert [limit.take(f"2001:db8::{number:x}") for number in range(1, 5)] == [True] * 2 + [
        False
    ] * 2
