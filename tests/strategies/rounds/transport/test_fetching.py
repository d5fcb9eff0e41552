"""Contents that replies only name, fetched in the background: who waits for whom."""

import threading
from collections import Counter
from functools import partial

import pytest
from support.clock import Clock

from fedledger.effects import Effects
from fedledger.errors import ContentCorrupted, ContentNotFound, StoreTimedOut, StoreUnavailable
from fedledger.strategies.rounds.transport import fetching
from fedledger.strategies.rounds.transport.fetching import AT_ONCE, Contents, Fetching

REAL = Effects.real()


class Scripted:
    """A store's `get`, by what each name does: how often it fails first, or that it hangs."""

    def __init__(self):
        self.fails, self.raises, self.hangs = {}, {}, set()
        self.asked = Counter()
        self.release = threading.Event()
        self.order = []

    def get(self, cid, *, max_bytes, timeout):
        self.asked[cid] += 1
        if cid in self.raises:
            raise self.raises[cid]
        if cid in self.hangs:
            self.release.wait(timeout)
            raise StoreTimedOut("get", cid, timeout)
        if self.asked[cid] <= self.fails.get(cid, 0):
            raise ContentNotFound(cid)
        assert max_bytes == 100
        return cid.encode()


@pytest.fixture
def store():
    store = Scripted()
    yield store
    store.release.set()


def fetched(store, names, seconds, clock=REAL.clock, missed=()):
    """Return what came of each name, in the order in which it did."""
    found = []
    every = Fetching(Contents(store, clock, REAL.work, 60.0), 100)

    def come(name, what):
        found.append((name, what if isinstance(what, bytes) else type(what).__name__))

    for name in names:
        often = dict(missed).get(name, 0)
        every.want(name, partial(come, name), partial(come, name), missed=often)
    settled = []
    every.finish(seconds, lambda: settled.append(len(found)))
    assert sorted(settled) == settled
    return found


def test_each_content_comes_once_for_all_who_named_it(store):
    """Two who name one content cost one reading."""
    found = fetched(store, ["a", "b", "a"], 10)
    assert sorted(found) == [("a", b"a"), ("a", b"a"), ("b", b"b")]
    assert store.asked == {"a": 1, "b": 1}


def test_what_is_not_there_is_looked_for_until_the_deadline(store):
    """Each time a little later; what is damaged is not looked for again."""
    store.fails = {"late": 3, "never": 10**9}
    store.raises = {"damaged": ContentCorrupted("damaged", None)}
    clock = Clock()
    found = dict(fetched(store, ["late", "never", "damaged"], 30.0, clock))
    assert found == {"late": b"late", "never": "ContentNotFound", "damaged": "ContentCorrupted"}
    assert clock.now == pytest.approx(30.0)
    assert store.asked["damaged"] == 1
    assert 6 <= store.asked["never"] <= 12


@pytest.mark.parametrize(("missed", "seconds"), [(0, 40), (1, 20), (2, 10), (100, 0)])
def test_who_missed_before_is_waited_for_less(store, missed, seconds):
    """Half as long each time in a row; what is there comes, however often its party missed."""
    store.fails = {"never": 10**9}
    clock = Clock()
    found = dict(fetched(store, ["never", "there"], 40.0, clock, {"never": missed, "there": 100}))
    assert found == {"never": "ContentNotFound", "there": b"there"}
    assert clock.now == pytest.approx(seconds, abs=0.2)
    assert store.asked["never"] >= 1


def test_who_missed_before_is_looked_for_as_long_as_anybody_is(store):
    """And where two name one content, for as long as the better one may have."""
    store.fails = {"never": 10**9, "late": 9}
    clock = Clock()
    found = dict(fetched(store, ["late", "never"], 40.0, clock, {"late": 5}))
    assert found == {"late": b"late", "never": "ContentNotFound"}
    assert clock.now == pytest.approx(40)
    clock, missed = Clock(), iter((3, 0))
    every = Fetching(Contents(store, clock, REAL.work, 60.0), 100)
    for _ in range(2):
        every.want("never", lambda _: None, lambda _: None, missed=next(missed))
    every.finish(40.0, lambda: None)
    assert clock.now == pytest.approx(40)


def test_a_store_that_is_away_comes_back(store):
    """What a backend raises may pass."""
    store.raises = {"a": StoreUnavailable("away")}
    clock = Clock()

    class Back(Clock):
        def sleep(self, seconds):
            super().sleep(seconds)
            store.raises.clear()

    clock = Back()
    assert fetched(store, ["a"], 30.0, clock) == [("a", b"a")]


def test_contents_that_hang_keep_none_from_coming(store, monkeypatch):
    """More of them than are fetched at once, named before all others: the others come first."""
    monkeypatch.setattr(fetching, "_TRY", 0.2)
    hanging = [f"hangs {number}" for number in range(AT_ONCE + 4)]
    honest = [f"honest {number}" for number in range(5)]
    store.hangs = set(hanging)
    found = fetched(store, [*hanging, *honest], 2.0)
    assert {name for name, _ in found[:5]} == set(honest)
    assert {what for _, what in found[5:]} == {"StoreTimedOut"}
    assert len(found) == len(hanging) + len(honest)
