"""What stands above every backend: final methods, threads that are left behind, streams let go."""

import sqlite3
import threading
import time
from contextlib import closing

import pytest
from support.broken_stores import Memory, open_in_memory

from fedledger.errors import (
    ContentCorrupted,
    ContentTooLarge,
    LedgerError,
    StoreInconsistent,
    StoreTimedOut,
    StoreUnavailable,
)
from fedledger.ledger_plugins.storage import base, waiting
from fedledger.ledger_plugins.storage.base import DEFAULT_TIMEOUT, Store
from fedledger.ledger_plugins.storage.pieces import Incoming, chunks


def left_behind(count):
    """Wait until so many threads of stores are there, and no more."""
    deadline = time.monotonic() + 10
    while sum(thread.name == "store" for thread in threading.enumerate()) != count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def store():
    return open_in_memory(f"memory://Memory/{time.monotonic_ns()}")


def test_what_checks_a_backend_cannot_be_replaced():
    """A backend that implements `get` itself would hand out what nobody hashed: it is no store."""
    for name in ("put", "get", "get_stream", "delete"):
        with pytest.raises(TypeError, match=f"Mine replaces {name}"):
            type("Mine", (Memory,), {name: lambda *_: b""})
    with pytest.raises(TypeError, match="abstract"):
        type("Mine", (Store,), {})()


def test_who_reads_a_content_bounds_it(store, monkeypatch):
    """A store that was given no cap takes any model; into memory goes what its reader says."""
    monkeypatch.setattr(base, "READ_MAX_BYTES", 4)
    cid = store.put(b"12345")
    with pytest.raises(ContentTooLarge, match="5 bytes is above the cap of 4 bytes"):
        store.get(cid)
    assert store.get(cid, max_bytes=5) == b"12345"
    assert list(store.get_stream(cid)) == [b"12345"]


def test_a_store_that_says_nothing_has_a_deadline():
    """Unknown means guarded: only a backend that cannot hang goes without."""
    assert Store.timeout == DEFAULT_TIMEOUT == 60.0


def test_a_store_that_hangs_for_ever_does_not_fill_the_memory(store, monkeypatch):
    """So many threads are left behind; then a call waits for a place, by its own deadline."""
    monkeypatch.setattr(waiting, "_slots", threading.BoundedSemaphore(4))
    cid, over = store.put(b"x"), threading.Event()
    store._size = lambda *_: over.wait() and 1
    for _ in range(6):
        with pytest.raises(StoreTimedOut):
            store.size(cid, timeout=0.02)
    left_behind(4)
    over.set()
    assert store.size(cid, timeout=10) == 1
    left_behind(0)


def test_a_change_that_timed_out_may_still_happen(store):
    """It says so by its name; made again it is what was asked."""
    write, slow = store._write, threading.Event()
    store._write = lambda content: slow.wait() and write(content)
    with pytest.raises(StoreTimedOut) as caught:
        store.put(b"late", timeout=0.05)
    slow.set()
    assert store.get(store.put(b"late")) == b"late"
    assert caught.value.operation == "put"
    assert caught.value.seconds == 0.05


def test_what_one_thread_opened_is_closed_by_it(store, recwarn):
    """A backend's stream belongs to one thread, SQLite's rows for example, also when it is left."""
    cid = store.put(bytes(3_000_000))
    begun, ended = [], []

    def read(*_):
        with closing(sqlite3.connect(":memory:")) as database:  # refuses every other thread
            begun.append(threading.get_ident())
            try:
                for piece in store._pieces(cid, store.profile):
                    database.execute("SELECT 1")
                    yield piece
            finally:
                ended.append(threading.get_ident())

    store._read = read
    assert store.get(cid, timeout=10) == b"".join(store.get_stream(cid, timeout=10))
    for _ in range(2):
        stream = store.get_stream(cid, timeout=10)
        next(stream)
        stream.close()
    store._size = lambda *_: 5
    with pytest.raises(StoreInconsistent, match="more than the 5 bytes"):
        store.get(cid, timeout=10)
    left_behind(0)
    assert not list(recwarn)
    assert sorted(begun) == sorted(ended)
    assert len(begun) == 8  # once for each of two `get`, twice for each of three streams
    assert threading.get_ident() not in begun


def test_a_readers_own_time_does_not_count(store):
    """The deadline of a stream is about the store: who reads slowly loses nothing."""
    cid = store.put(bytes(600_000))
    stream = store.get_stream(cid, timeout=0.3)
    given = []
    for piece in stream:
        given.append(piece)
        time.sleep(0.15)
    assert b"".join(given) == bytes(600_000)


def test_a_stream_of_the_caller_takes_its_time_and_raises_its_own(store):
    """Pieces that come slowly do not time out, and what they raise is no error of the store."""

    def slow():
        for _ in range(3):
            time.sleep(0.1)
            yield b"x"

    assert store.get(store.put_stream(slow(), timeout=0.2)) == b"xxx"


def test_errors_of_the_library_pass_as_they_are(store):
    """Only foreign exceptions are mapped."""
    cid = store.put(b"x")

    def refuse(*_):
        raise LedgerError("of another room")

    store._size = refuse
    with pytest.raises(LedgerError):
        store.get(cid)


def test_a_backend_that_ends_early_on_the_second_reading_is_found(store):
    """Between the check and the reading, a truncated copy gives no piece that is not checked."""
    cid = store.put(bytes(600_000))
    stream = store.get_stream(cid)
    store._read = lambda *_: [bytes(300_000)]
    with pytest.raises(ContentCorrupted):
        list(stream)


def test_a_wrong_type_of_piece_is_the_stores_error(store):
    """Text or nothing instead of bytes: by name, whatever Python raised."""
    cid = store.put(b"x")
    for wrong in ("x", None, 1):
        store._read = lambda *_, wrong=wrong: [wrong]
        with pytest.raises(StoreUnavailable, match="TypeError"):
            store.get(cid)


@pytest.mark.parametrize("sizes", [[], [0], [1, 0, 2], [7], [3, 3, 3], [10, 1]])
def test_chunks_are_cut_evenly(sizes):
    """Pieces of any size become chunks of one size and a shorter last one."""
    data = bytes(range(sum(sizes)))
    pieces, at = [], 0
    for size in sizes:
        pieces.append(data[at : at + size])
        at += size
    cut = list(chunks(pieces, 3))
    assert b"".join(cut) == data
    assert all(len(one) == 3 for one in cut[:-1])
    assert all(cut)


def test_incoming_content_can_be_read_again():
    """A backend may begin anew, or compare first and write then."""
    content = Incoming("cid", bytes(1_500_000), 1_500_000)
    assert [len(piece) for piece in content] == [len(piece) for piece in content]
    assert list(Incoming("cid", b"", 0)) == []
