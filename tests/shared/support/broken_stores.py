"""A store in this process's memory, and stores that are each broken in one way.

Run by pytest, this module is the conformance suite on all of them: a class `TestNAME` for each.
"""

import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest

from fedledger.errors import ContentNotFound, ContentPinned, StoreUnavailable
from fedledger.ledger_plugins import STORES, open_store
from fedledger.ledger_plugins.storage.base import DEFAULT_MAX_BYTES, Store
from fedledger.ledger_plugins.storage.cid import DEFAULT_PROFILE, PROFILES, Profile
from fedledger.ledger_plugins.storage.pieces import Incoming

pytest.register_assert_rewrite("fedledger.ledger_plugins.testing")

from fedledger.ledger_plugins.testing import StoreConformance  # noqa: E402 - after its registration


@dataclass
class Kept:
    """What outlives the objects of one store."""

    contents: dict[str, list[bytes]] = field(default_factory=dict)
    pins: set[str] = field(default_factory=set)
    lock: threading.RLock = field(default_factory=threading.RLock)


KEPT: dict[str, Kept] = {}


def open_in_memory(url: str, **options: Any) -> Store:
    """Open `memory://KIND/name`, KIND being a class of this module."""
    kind = url.removeprefix("memory://").partition("/")[0]
    store: Store = getattr(sys.modules[__name__], kind).open(url, **options)
    return store


STORES._entries["memory"] = f"{__name__}:open_in_memory"


class Memory(Store):
    """Keeps every clause that the memory of one process can keep."""

    profile = DEFAULT_PROFILE.name
    flags: ClassVar[dict[str, Any]] = {}
    breaks: ClassVar[str] = ""  # the clause that a broken one does not keep

    @classmethod
    def open(
        cls,
        url: str,
        *,
        max_bytes: int = DEFAULT_MAX_BYTES,
        timeout: float | None = 10.0,
        read_only: bool = False,
    ) -> "Memory":
        store = cls()
        if read_only and url not in KEPT:
            raise StoreUnavailable(f"there is no store at {url}")
        store.url, store.max_bytes, store.timeout = url, max_bytes, timeout
        store.read_only = read_only
        store.kept = KEPT.setdefault(url, Kept())
        return store

    kept: Kept

    def _write(self, content: Incoming) -> None:
        self.kept.contents.setdefault(content.cid, list(content))

    def _pieces(self, cid: str, profile: str) -> list[bytes]:
        if profile != self.profile or cid not in self.kept.contents:
            raise ContentNotFound(cid)
        return self.kept.contents[cid]

    def _read(self, cid: str, profile: str) -> Iterable[bytes]:
        return self._pieces(cid, profile)

    def _size(self, cid: str, profile: str) -> int:
        return sum(map(len, self._pieces(cid, profile)))

    def _pin(self, cid: str) -> None:
        with self.kept.lock:
            self._pieces(cid, self.profile)
            self.kept.pins.add(cid)

    def _unpin(self, cid: str) -> None:
        self.kept.pins.discard(cid)

    def _pins(self) -> Iterable[str]:
        return list(self.kept.pins)

    def _delete(self, cid: str) -> None:
        with self.kept.lock:
            self._pieces(cid, self.profile)
            if cid in self.kept.pins:
                raise ContentPinned(cid)
            del self.kept.contents[cid]

    def close(self) -> None:
        """Nothing is open."""


class Simple(Memory):
    """Has no pins and deletes nothing, and says so."""

    flags: ClassVar[dict[str, Any]] = {"has_pins": False, "deletes": False}
    _pin, _unpin, _pins, _delete = Store._pin, Store._unpin, Store._pins, Store._delete


class Truncates(Memory):
    breaks = "s1"

    def _read(self, cid: str, profile: str) -> Iterable[bytes]:
        return [piece[:-1] for piece in self._pieces(cid, profile)]


class TruncatesAndSaysSo(Truncates):
    def _size(self, cid: str, profile: str) -> int:
        return sum(len(piece) - 1 for piece in self._pieces(cid, profile))


class Changes(Memory):
    breaks = "s1"

    def _read(self, cid: str, profile: str) -> Iterable[bytes]:
        return [piece.replace(b"1", b"2") for piece in self._pieces(cid, profile)]


class Hangs(Memory):
    breaks = "s1"
    flags: ClassVar[dict[str, Any]] = {"slowest": 0.2}

    def _read(self, cid: str, profile: str) -> Iterator[bytes]:
        yield b""
        time.sleep(0.5)
        yield from self._pieces(cid, profile)


class StoresTwice(Memory):
    breaks = "s2"

    def _write(self, content: Incoming) -> None:
        self.kept.contents[content.cid] = [b"", *self.kept.contents.get(content.cid, content)]


class ForgetsOnReopen(Memory):
    breaks = "s3"

    def close(self) -> None:
        self.kept.contents.clear()


class IgnoresTheCap(Memory):
    breaks = "s4"

    @classmethod
    def open(cls, url: str, **options: Any) -> Memory:
        return super().open(url, **(options | {"max_bytes": DEFAULT_MAX_BYTES}))


class ReadsBeforeTheCap(Memory):
    breaks = "s4"

    def _size(self, cid: str, profile: str) -> int:
        return sum(map(len, self._read(cid, profile)))


class Believes(Memory):
    breaks = "s5"

    def _first(self, cid: str, look: Callable[[Profile], Any]) -> Any:
        try:
            return super()._first(cid, look)
        except ContentNotFound:
            raise
        except Exception:  # noqa: BLE001 - it hides what was found
            return b"".join(self._read(cid, self.profile))


class KeepsPartsOfStreams(Memory):
    breaks = "s7"

    def _draft(self) -> Any:
        self.kept.contents[secrets.token_hex(8)] = [b""]
        return super()._draft()


class NeedsMemory(Memory):
    breaks = "s7"
    flags: ClassVar[dict[str, Any]] = {"bounded": True}


class StatesOtherSizes(Memory):
    breaks = "s8"

    def _size(self, cid: str, profile: str) -> int:
        return super()._size(cid, profile) + 1


class IgnoresTheTimeout(Memory):
    breaks = "s9"

    @classmethod
    def open(cls, url: str, **options: Any) -> Memory:
        return super().open(url, **(options | {"timeout": 10.0}))


class LosesAPin(Memory):
    breaks = "s10"

    def close(self) -> None:
        self.kept.pins.clear()


class TakesNoPin(Memory):
    breaks = "s10"

    def _pin(self, cid: str) -> None:
        self._pieces(cid, self.profile)


class PinsNothing(Memory):
    breaks = "s10"

    def _pin(self, cid: str) -> None:
        self.kept.pins.add(cid)


class ClaimsToHaveNoPins(Memory):
    breaks = "s10"
    flags: ClassVar[dict[str, Any]] = {"has_pins": False}


class DeletesWhatIsPinned(Memory):
    breaks = "s11"

    def _delete(self, cid: str) -> None:
        self._pieces(cid, self.profile)
        del self.kept.contents[cid]


class DeletesNothing(Memory):
    breaks = "s11"

    def _delete(self, cid: str) -> None:
        self._pieces(cid, self.profile)


class WritesWhenReading(Memory):
    breaks = "s12"

    @classmethod
    def open(cls, url: str, *, read_only: bool = False, **options: Any) -> Memory:
        store = super().open(url, **options)
        store.read_only = read_only
        return store


class OneAtATime(Memory):
    breaks = "s13"
    _busy = False

    def _write(self, content: Incoming) -> None:
        if self._busy:
            raise RuntimeError("not from two threads")
        self._busy = True
        time.sleep(0.01)
        super()._write(content)
        self._busy = False


class RaisesItsOwn(Memory):
    breaks = "s14"

    def _ask(self, operation: str, what: str, call: Callable[[], Any], timeout: Any) -> Any:
        del operation, what
        assert self._seconds(timeout)
        return call()


KINDS = {
    name: kind
    for name, kind in vars(sys.modules[__name__]).items()
    if isinstance(kind, type) and issubclass(kind, Memory)
}


def suite(kind: type[Memory]) -> type[StoreConformance]:
    """Return the conformance suite on stores of one kind."""

    class Suite(StoreConformance):
        shared = False
        bounded = False
        impatient = 0.05

        def footprint(self, store: Any) -> object:
            return dict(store.kept.contents), frozenset(store.kept.pins)

        @pytest.fixture
        def store_factory(self) -> Callable[..., Store]:
            url = f"memory://{kind.__name__}/{secrets.token_hex(8)}"
            return lambda **options: open_store(url, **options)

    for flag, value in kind.flags.items():
        setattr(Suite, flag, value)
    return Suite


globals().update({f"Test{name}": suite(kind) for name, kind in KINDS.items()})

assert len(PROFILES) > 1  # what is looked for under another profile is not found here
