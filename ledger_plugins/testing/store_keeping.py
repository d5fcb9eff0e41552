"""Clauses S9 to S14: deadlines, pins, deletion, reading only, many at once, foreign errors."""

# ruff: noqa: S101 - asserts are what tests are made of

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from fedledger.errors import (
    ConfigError,
    ContentNotFound,
    ContentPinned,
    StoreInconsistent,
    StoreReadOnly,
    StoreTimedOut,
    StoreUnavailable,
    StoreUnsupported,
)

from .. import open_store
from ..storage.base import Store
from ..storage.cid import cid_of, profile_named
from .store_contents import content, in_another_process
from .store_harness import BACKEND, BETTER, StoreFactory, StoreHarness

__all__ = ["KeepingClauses"]

Call = Callable[[Store, str], object]

ASKING: dict[str, Call] = {
    "get": lambda store, cid: store.get(cid),
    "get_stream": lambda store, cid: list(store.get_stream(cid)),
    "has": lambda store, cid: store.has(cid),
    "size": lambda store, cid: store.size(cid),
    "pins": lambda store, _: store.pins(),
}
CHANGING: dict[str, Call] = {
    "put": lambda store, _: store.put(b"new"),
    "put_all": lambda store, _: store.put_all([b"new", b"newer"]),
    "put_stream": lambda store, _: store.put_stream([b"n", b"ew"]),
    "pin": lambda store, cid: store.pin(cid),
    "unpin": lambda store, cid: store.unpin(cid),
    "delete": lambda store, cid: store.delete(cid),
}


class KeepingClauses(StoreHarness):
    """What a store keeps, lets go of, and for how long it makes anybody wait."""

    # S9: deadlines.

    @pytest.mark.parametrize("call", ASKING | CHANGING)
    def test_s9_a_backend_that_hangs_is_left_at_the_deadline(
        self, store_factory: StoreFactory, call: str
    ) -> None:
        """S9: whatever is asked of it, by the opener's `timeout`; then the store works again."""
        with store_factory(timeout=self.slowest) as store:
            cid = store.put(b"here")
            store.timeout = self.impatient
            if call == "delete" and not self.deletes:
                return
            with self.hanging(store):
                began = time.monotonic()
                with pytest.raises(StoreTimedOut, match=f"{self.impatient:g} s") as caught:
                    (ASKING | CHANGING)[call](store, cid)
                assert time.monotonic() - began < self.impatient + 5
            assert caught.value.seconds == self.impatient
            store.timeout = self.slowest
            assert store.get(cid) == b"here"

    def test_s9_a_stream_that_stops_in_the_middle_is_left(self, store: Store) -> None:
        """S9: so is one whose backend hangs between the check and the reading.

        What is read once, as of a store that is `far`, is all there then.
        """
        cid = store.put(content(2_000_000))
        pieces = store.get_stream(cid, timeout=None if store.far else self.impatient)
        if store.far:
            with self.hanging(store):
                assert b"".join(pieces) == content(2_000_000)
            return
        with self.hanging(store), pytest.raises(StoreTimedOut) as caught:
            list(pieces)
        assert caught.value.what == cid

    def test_s9_openers_and_calls_say_how_long(self, store_factory: StoreFactory) -> None:
        """S9: the opener takes `timeout`, a call may have its own; none is 0, less or endless."""
        with store_factory(timeout=7.0) as store:
            assert store.timeout == 7.0
            cid = store.put(b"x", timeout=self.slowest)
            assert store.get(cid, timeout=self.slowest) == b"x"
            with self.hanging(store), pytest.raises(StoreTimedOut) as caught:
                store.get(cid, timeout=self.impatient)
            assert caught.value.seconds == self.impatient
            for wrong in (0, -1.0, float("inf"), float("nan")):
                with pytest.raises(ConfigError):
                    store.get(cid, timeout=wrong)

    # S10: pins.

    def test_s10_a_pin_is_kept_and_listed(self, store_factory: StoreFactory) -> None:
        """S10: from the moment it is acknowledged, for others too, until it is unpinned."""
        with store_factory() as store:
            first, second = sorted(store.put_all([b"first", b"second"]))
            if not self.has_pins:
                for name in ("pin", "unpin", "pins"):
                    with pytest.raises(StoreUnsupported):
                        (ASKING | CHANGING)[name](store, first)
                return
            assert store.pins() == []
            store.pin(second)
            store.pin(first)
            before = self.footprint(store)
            store.pin(first)
            assert self.footprint(store) == before
            assert store.pins() == [first, second]
            with store_factory() as other:
                assert other.pins() == [first, second]
        with store_factory() as again:
            again.unpin(first)
            again.unpin(first)
            assert again.pins() == [second]
            assert again.get(first) in {b"first", b"second"}
        with store_factory() as last:
            assert last.pins() == [second]
            if self.shared:
                reading = in_another_process(
                    "with open_store(sys.argv[1]) as store: print(*store.pins())", last.url
                )
                assert reading.communicate(timeout=60)[0].split() == [second]

    def test_s10_nothing_cannot_be_pinned(self, store: Store) -> None:
        """S10: what is not there is not kept, and no pin is left."""
        store.put(b"x")
        if self.has_pins:
            before = self.footprint(store)
            with pytest.raises(self.absent):
                store.pin(cid_of(b"not here"))
            assert store.pins() == []
            assert self.footprint(store) == before

    def test_s10_a_pin_that_is_not_listed_is_none(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """S10: a store that takes a pin and does not have it is StoreInconsistent."""
        if self.has_pins:
            cid = store.put(b"x")
            monkeypatch.setattr(store, "_pin", lambda _: None)
            with pytest.raises(StoreInconsistent) as caught:
                store.pin(cid)
            assert caught.value.cid == cid

    # S11: deletion.

    def test_s11_what_is_deleted_is_gone(self, store_factory: StoreFactory) -> None:
        """S11: durably and for everybody; the rest stays, and it can be stored again."""
        with store_factory() as store:
            cid, other = store.put_all([content(300_000), b"other"])
            if not self.deletes:
                with pytest.raises(StoreUnsupported):
                    store.delete(cid)
                assert store.get(cid) == content(300_000)
                return
            store.delete(cid)
            with store_factory() as second:
                for one in (store, second):
                    assert not one.has(cid)
                    for attempt in (one.get, one.size, one.delete):
                        with pytest.raises(self.absent):
                            attempt(cid)
            assert store.get(other) == b"other"
        with store_factory() as again:
            assert not again.has(cid)
            assert again.put(content(300_000)) == cid
            assert again.get(cid) == content(300_000)

    def test_s11_what_is_pinned_is_not_deleted(self, store_factory: StoreFactory) -> None:
        """S11: ContentPinned, whoever pinned it, and nothing changes; unpinned it can go."""
        if not (self.has_pins and self.deletes):
            return
        with store_factory() as store, store_factory() as other:
            cid = store.put(b"kept")
            store.pin(cid)
            before = self.footprint(store)
            for one in (store, other):
                with pytest.raises(ContentPinned) as caught:
                    one.delete(cid)
                assert caught.value.cid == cid
            assert self.footprint(store) == before
            assert store.get(cid) == b"kept"
            other.unpin(cid)
            store.delete(cid)
            assert not other.has(cid)

    def test_s11_between_a_pin_and_a_deletion_one_wins(self, store_factory: StoreFactory) -> None:
        """S11: at the same moment, either the pin is refused or the deletion is: never neither."""
        if not (self.has_pins and self.deletes):
            return
        with store_factory() as store, store_factory() as other, ThreadPoolExecutor(2) as pool:
            for number in range(20):
                cid = store.put(b"%d" % number)
                pinning, deleting = pool.submit(store.pin, cid), pool.submit(other.delete, cid)
                refused = [pinning.exception(60), deleting.exception(60)]
                assert [type(error) for error in refused] in (
                    [type(None), ContentPinned],
                    [ContentNotFound, type(None)],
                )
                assert store.has(cid) == (cid in store.pins()) == (refused[0] is None)

    # S12: opened to read only.

    @pytest.mark.parametrize("call", CHANGING)
    def test_s12_a_reader_changes_nothing(self, store: Store, call: str) -> None:
        """S12: what would change the store is StoreReadOnly, what asks it is answered."""
        cid = store.put(content(300_000))
        before = self.footprint(store)
        with self.reader(store) as reader:
            assert reader.read_only
            assert reader.get(cid) == b"".join(reader.get_stream(cid)) == content(300_000)
            assert reader.has(cid)
            assert reader.size(cid) == 300_000
            if self.has_pins:
                assert reader.pins() == []
            with pytest.raises(StoreReadOnly) as caught:
                CHANGING[call](reader, cid)
            assert caught.value.url == reader.url
        assert self.footprint(store) == before

    def test_s12_a_reader_makes_no_store(self, store: Store) -> None:
        """S12: where nothing is, that is said, a second time as well."""
        store.put(b"x")
        before = self.footprint(store)
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                open_store(self.nowhere(store), read_only=True)
        assert self.footprint(store) == before

    # S13: many at once.

    def test_s13_many_threads_use_one_store(self, store: Store) -> None:
        """S13: each gets its own content, and all may write the same."""
        same = content(200_000)

        def work(number: int) -> None:
            own = content(100_000, seed=number + 1)
            cid = store.put_stream([own]) if number % 2 else store.put(own)
            assert store.get(store.put(same)) == same
            assert b"".join(store.get_stream(cid)) == own
            assert store.size(cid) == len(own)
            if self.has_pins:
                store.pin(cid)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(24)))
        profile = profile_named(store.profile)
        cids = {cid_of(content(100_000, seed=number + 1), profile) for number in range(24)}
        assert not self.has_pins or set(store.pins()) == cids
        assert store.get(cid_of(same, profile)) == same

    def test_s13_many_processes_use_one_store(self, store: Store) -> None:
        """S13: they write the same content and their own at once, and all of it is there."""
        if not self.shared:
            return
        store.put(b"it is there")
        program = (
            "store = open_store(sys.argv[1])\n"
            "for number in range(20):\n"
            "    store.put(bytes([number]) * 50_000)\n"
            "    store.put(f'{sys.argv[2]} {number}'.encode())\n"
        )
        writers = [in_another_process(program, store.url, str(one)) for one in range(2)]
        for writer in writers:
            writer.communicate(timeout=120)
            assert writer.returncode == 0
        profile = profile_named(store.profile)
        for number in range(20):
            data = [bytes([number]) * 50_000, b"0 %d" % number, b"1 %d" % number]
            assert [store.get(cid_of(one, profile)) for one in data] == data

    # S14: one tree of errors.

    @pytest.mark.parametrize("call", ASKING | CHANGING)
    def test_s14_what_the_backend_raises_is_the_stores_error(
        self, store: Store, monkeypatch: pytest.MonkeyPatch, call: str
    ) -> None:
        """S14: any exception of a backend is StoreUnavailable, with its cause and its words."""
        cid = store.put(b"here")

        def fail(*_: object) -> None:
            raise ZeroDivisionError("of the backend \udcff")

        with monkeypatch.context() as broken:
            for name in (*BACKEND, *BETTER):
                broken.setattr(store, name, fail)
            with pytest.raises(
                StoreUnavailable, match="ZeroDivisionError: of the backend"
            ) as caught:
                (ASKING | CHANGING)[call](store, cid)
        str(caught.value).encode()
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        assert store.get(cid) == b"here"
