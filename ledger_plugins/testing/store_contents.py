"""Clauses S1 to S8: contents, their CIDs, their sizes, and that nothing else is ever given."""

# ruff: noqa: S101 - asserts are what tests are made of

import hashlib
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fedledger.errors import (
    ContentCorrupted,
    ContentNotFound,
    ContentTooLarge,
    InvalidCid,
    StoreInconsistent,
)

from ..storage.base import Store
from ..storage.cid import cid_of, profile_named
from .store_harness import StoreFactory, StoreHarness

__all__ = ["ContentClauses", "in_another_process"]

MIB = 1024 * 1024
LARGE = 24 * MIB
MEMORY = 8 * MIB  # that a stream of LARGE may take: some chunks, a buffer, Python itself
NO_CIDS = ["", "..", "../secret", "/etc/hostname", "b" * 59, cid_of(b"x").upper(), "Qm" + "a" * 44]


def content(size: int, seed: int = 0) -> bytes:
    """Return bytes in which no two chunks are alike."""
    return hashlib.shake_128(seed.to_bytes(8, "big")).digest(size)


def in_another_process(program: str, *words: str) -> subprocess.Popen[str]:
    """Start Python with the search path of this one; `url` and the words are its arguments."""
    begin = "import sys; from fedledger.ledger_plugins import open_store\n"
    return subprocess.Popen(  # noqa: S603 - our own interpreter and program
        [sys.executable, "-c", begin + program, *words],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
        text=True,
    )


class ContentClauses(StoreHarness):
    """What every store keeps, whatever else it can do."""

    def sizes(self, store: Store) -> list[int]:
        """Return sizes around the borders of chunks and pieces."""
        chunk = profile_named(store.profile).chunk_bytes
        return [0, 1, chunk - 1, chunk, chunk + 1, 3 * chunk + 7, MIB + 1]

    # S1: what was put comes back, under its CID.

    def test_s1_what_was_put_comes_back(self, store: Store) -> None:
        """S1: byte for byte, under the CID that IPFS computes under the store's profile."""
        for size in self.sizes(store):
            data = content(size)
            cid = store.put(data)
            assert cid == cid_of(data, profile_named(store.profile))
            assert store.get(cid) == data

    # S2: putting again changes nothing.

    def test_s2_putting_again_changes_nothing(self, store: Store) -> None:
        """S2: the same CID, the same bytes, and nothing outside this process changes."""
        data = content(MIB + 1)
        cid = store.put(data)
        before = self.footprint(store)
        assert store.put(data) == store.put_stream(iter([data])) == cid
        assert self.footprint(store) == before
        assert store.get(cid) == data

    def test_s2_several_are_stored_as_each_alone(self, store: Store) -> None:
        """S2: in order, repeated ones and known ones among them; of none nothing."""
        known = store.put(b"known")
        contents = [b"first", content(300_000), b"", b"first", b"known"]
        cids = store.put_all(iter(contents))
        assert cids == [store.put(data) for data in contents]
        assert cids[4] == known
        assert [store.get(cid) for cid in cids] == contents
        assert store.put_all([]) == []

    # S3: what was acknowledged survives.

    def test_s3_another_object_has_it(self, store_factory: StoreFactory) -> None:
        """S3: closed and opened again, it has what it acknowledged; closing twice is fine."""
        with store_factory() as store:
            cids = [store.put(b"one"), *store.put_all([b"two", b"three"])]
            cids.append(store.put_stream([b"fo", b"ur"]))
            with store_factory() as other:
                assert other.get(cids[3]) == b"four"
        store.close()
        with store_factory() as again:
            assert [again.get(cid) for cid in cids] == [b"one", b"two", b"three", b"four"]

    def test_s3_another_process_has_it(self, store_factory: StoreFactory) -> None:
        """S3: it is read elsewhere by the store's URL, and survives the kill of its writer."""
        with store_factory() as store:
            here = store.put(content(300_000))
            if not self.shared:
                return
            reading = in_another_process(
                "with open_store(sys.argv[1]) as store: print(len(store.get(sys.argv[2])))",
                store.url,
                here,
            )
            assert reading.communicate(timeout=60)[0].strip() == "300000"
            killed = in_another_process(
                "import os, signal; store = open_store(sys.argv[1])\n"
                "print(store.put(b'acknowledged'), flush=True)\n"
                "os.kill(os.getpid(), signal.SIGKILL)",
                store.url,
            )
            there = killed.communicate(timeout=60)[0].strip()
            assert store.get(there) == b"acknowledged"

    # S4: caps are judged first.

    def test_s4_above_the_stores_cap_nothing_is_stored(self, store_factory: StoreFactory) -> None:
        """S4: the cap fits; a byte more is ContentTooLarge, alone, among others, in pieces."""
        with store_factory(max_bytes=10) as store:
            kept = store.put(bytes(10))
            before = self.footprint(store)
            attempts: list[Callable[[], object]] = [
                lambda: store.put(bytes(11)),
                lambda: store.put_all([b"small", bytes(11)]),
                lambda: store.put_stream([bytes(5), bytes(5), b"x"]),
            ]
            for attempt in attempts:
                with pytest.raises(ContentTooLarge) as caught:
                    attempt()
                assert (caught.value.size, caught.value.limit) == (11, 10)
            assert self.footprint(store) == before
            assert store.has(kept)
            self._is_absent(store, cid_of(b"small", profile_named(store.profile)))

    def test_s4_above_the_readers_cap_nothing_is_read(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """S4: what is too large is refused by its size, before the backend gives a byte of it."""
        cid = store.put(b"12345")
        assert store.get(cid, max_bytes=5) == b"12345"
        assert list(store.get_stream(cid, max_bytes=5)) == [b"12345"]

        def read(*_: object) -> Iterator[bytes]:
            raise AssertionError("it was read")

        monkeypatch.setattr(store, "_read", read)
        for attempt in (store.get, store.get_stream):
            with pytest.raises(ContentTooLarge) as caught:
                attempt(cid, max_bytes=4)
            assert (caught.value.size, caught.value.limit) == (5, 4)

    # S5: nothing but the content.

    def test_s5_what_is_not_there_is_named(self, store: Store) -> None:
        """S5: no content under a CID is said so, by every way to it, and nothing is made of it."""
        store.put(b"here")
        before = self.footprint(store)
        self._is_absent(store, cid_of(b"not here"))
        assert self.footprint(store) == before

    @pytest.mark.parametrize("damage", ["flip", "truncate", "lengthen", "empty"])
    def test_s5_damage_is_found(self, store: Store, damage: str) -> None:
        """S5: ContentCorrupted, in whole and before the first piece of a stream."""
        data = content(3 * MIB + 5)
        cid, other = store.put(data), store.put(b"other")
        changes: dict[str, bytes] = {
            "flip": data[:-1] + bytes([data[-1] ^ 1]),
            "truncate": data[:-1],
            "lengthen": data + b"\0",
            "empty": b"",
        }
        self.damage(store, cid, changes[damage])
        for attempt in (store.get, store.get_stream):
            with pytest.raises(ContentCorrupted) as caught:
                attempt(cid)
            assert caught.value.cid == cid
        assert store.get(other) == b"other"

    def test_s5_what_changes_under_a_reader_is_found(self, store: Store) -> None:
        """S5: changed between the check and the reading, no changed piece of a stream is given.

        Of what was read once, as of a store that is `far`, it is given as it was.
        """
        chunk = profile_named(store.profile).chunk_bytes
        data = content(4 * chunk)
        cid = store.put(data)
        pieces = store.get_stream(cid)
        self.damage(store, cid, data[:chunk] + b"x" + data[chunk + 1 :])
        if store.far:
            assert b"".join(pieces) == data
            return
        given: list[bytes] = []
        with pytest.raises(ContentCorrupted):
            given.extend(pieces)
        assert b"".join(given) == data[: len(given) * chunk]
        assert len(given) < 4

    # S6: only CIDs are looked for.

    @pytest.mark.parametrize("cid", NO_CIDS)
    def test_s6_what_is_no_cid_never_reaches_the_backend(self, store: Store, cid: str) -> None:
        """S6: a path, another spelling or version is InvalidCid, whatever is asked."""
        store.put(b"x")
        before = self.footprint(store)
        asked: list[Callable[[str], object]] = [
            *(store.get, store.get_stream, store.has, store.size),
            *(store.pin, store.unpin, store.delete),
        ]
        for attempt in asked:
            with pytest.raises(InvalidCid):
                attempt(cid)
        assert self.footprint(store) == before

    # S7: streams.

    def test_s7_a_stream_is_the_content(self, store: Store) -> None:
        """S7: in pieces of any size the same CID and the same bytes as at once, both ways."""
        for size in self.sizes(store):
            data = content(size, seed=1)
            for step in (1 + size // 3, MIB):
                pieces = (data[at : at + step] for at in range(0, size, step))
                assert store.put_stream(pieces) == cid_of(data, profile_named(store.profile))
            cid = store.put(data)
            assert store.get(cid) == b"".join(store.get_stream(cid)) == data

    def test_s7_memory_does_not_grow_with_the_content(self, store: Store) -> None:
        """S7: a large content goes in and out in a bounded part of its size (flag `bounded`)."""

        def pieces() -> Iterator[bytes]:
            return (content(65_536, seed) for seed in range(LARGE // 65_536))

        tracemalloc.start()
        try:
            cid = store.put_stream(pieces())
            total = sum(map(len, store.get_stream(cid)))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert total == store.size(cid) == LARGE
        assert not self.bounded or peak < MEMORY

    def test_s7_a_stream_that_breaks_off_leaves_nothing(self, store: Store) -> None:
        """S7: the exception is the caller's own, and nothing of the pieces before it is kept."""
        store.put(b"x")
        before = self.footprint(store)

        def broken() -> Iterator[bytes]:
            yield content(MIB)
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            store.put_stream(broken())
        assert self.footprint(store) == before
        self._is_absent(store, cid_of(content(MIB), profile_named(store.profile)))

    def test_s7_a_reader_may_stop(self, store: Store) -> None:
        """S7: a stream that is not read to its end is let go, and others go on."""
        data = content(2 * MIB)
        cid = store.put(data)
        stopped, other = store.get_stream(cid), store.get_stream(cid)
        assert data.startswith(next(stopped))
        del stopped
        assert b"".join(other) == data

    # S8: sizes.

    def test_s8_has_and_size_agree_with_the_content(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """S8: both say what reading would, and read nothing."""
        data = [content(size, seed=2) for size in self.sizes(store)]
        cids = store.put_all(data)

        def read(*_: object) -> Iterator[bytes]:
            raise AssertionError("it was read")

        monkeypatch.setattr(store, "_read", read)
        assert [store.size(cid) for cid in cids] == [len(one) for one in data]
        assert all(store.has(cid) for cid in cids)

    @pytest.mark.parametrize("stated", [4, 6, -1, True, None, "5"])
    def test_s8_a_wrong_size_is_found(
        self, store: Store, monkeypatch: pytest.MonkeyPatch, stated: Any
    ) -> None:
        """S8: of a store that states another size than it has, nothing is believed."""
        cid = store.put(b"12345")
        monkeypatch.setattr(store, "_size", lambda *_: stated)
        for attempt in (store.get, store.get_stream):
            with pytest.raises(StoreInconsistent) as caught:
                attempt(cid)
            assert caught.value.cid == cid

    def _is_absent(self, store: Store, cid: str) -> None:
        """Check that nothing is stored under a CID, by every way to it."""
        ways: list[Callable[[str], object]] = [store.get, store.get_stream, store.size]
        for way in ways:
            with pytest.raises(self.absent):
                way(cid)
        if self.absent == (ContentNotFound,):
            assert not store.has(cid)
