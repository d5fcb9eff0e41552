"""The interface of a content-addressed store, and what protects it from the backend below.

A backend implements a few methods whose names begin with an underscore. What everybody calls stands
here, once: caps, hashes, deadlines, and one boundary at which a backend's own exceptions become
errors of the library. So no store can hand out a byte that is not the content's, whoever wrote it.
"""

import logging
import math
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from hashlib import sha256
from io import BytesIO
from typing import BinaryIO, Self, TypeAlias, TypeVar, final

from fedledger.errors import (
    ConfigError,
    ContentCorrupted,
    ContentNotFound,
    ContentTooLarge,
    FedledgerError,
    StoreInconsistent,
    StoreReadOnly,
    StoreTimedOut,
    StoreUnavailable,
    StoreUnsupported,
)
from fedledger.guards import in_words

from .cid import Profile, Tree, cid_of, cid_to_bytes, profile_named
from .pieces import Incoming, chunks, closed, hashed, pieces_of
from .waiting import LONGEST, OutOfTime, Waiting

__all__ = ["DEFAULT_MAX_BYTES", "DEFAULT_TIMEOUT", "READ_MAX_BYTES", "Store"]

DEFAULT_MAX_BYTES = 64 * 1024**3
"""Size cap of a store that was given none, above any model: what is read, its reader bounds."""

READ_MAX_BYTES = 256 * 1024**2
"""What `get` reads into memory for a caller that says nothing of its size."""

DEFAULT_TIMEOUT = 60.0  # seconds; ours, above the 30 s that a pin of an IPFS daemon may take

T = TypeVar("T")
_File: TypeAlias = BinaryIO | None

logger = logging.getLogger(__name__)


class Store(ABC):
    """Bytes by their CID, opened by `open_store(url)`; a context manager that closes it.

    A CID is a string: CIDv1, base32, SHA-256, as IPFS computes it under the profile the store
    names. Content is hashed again on every read.

    Any number of threads may use one store. Every method raises `StoreUnavailable` when the
    backend cannot be reached, read or written: `StoreTimedOut` when it does not answer in `timeout`
    seconds (default: the store's own), `StoreReadOnly` when it was opened to read only and would
    have to change something, `StoreInconsistent` when it contradicts itself. A change that timed
    out may still happen; each can be made again.

    A backend is a subclass that sets `url` and `profile` and implements `_write`, `_read`, `_size`
    and `close`, and, when it can, `_pin`, `_unpin`, `_pins` and `_delete`.
    """

    url: str
    """The URL that opens this store again."""

    profile: str
    """Name of the import profile (chunk size, fan-out, leaves) that makes the CIDs."""

    read_only: bool = False
    """Whether it was opened to read: nothing is created, and what would change it is refused."""

    max_bytes: int = DEFAULT_MAX_BYTES
    """Size cap of one content."""

    timeout: float | None = DEFAULT_TIMEOUT
    """Seconds that a call may take, where the call itself says nothing; None: as long as it takes,
    which only a backend may say that cannot hang."""

    far: bool = False
    """Whether reading it is dear, as over a network: then a content is read once."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name in vars(cls):
            if getattr(getattr(Store, name, None), "__final__", False):
                raise TypeError(
                    f"{cls.__qualname__} replaces {name}, which checks what a backend does: "
                    "implement the methods that begin with an underscore"
                )

    # What everybody calls.

    @final
    def put(self, data: bytes, *, timeout: float | None = None) -> str:
        """Store `data` durably and return its CID; storing it again changes nothing.

        Raises:
            ContentTooLarge: above the store's size cap; nothing was stored.
        """
        return self.put_all([data], timeout=timeout)[0]

    @final
    def put_all(self, contents: Iterable[bytes], *, timeout: float | None = None) -> list[str]:
        """Store several contents durably and return their CIDs in order, waiting for all at once.

        When one cannot be stored, others may have been.

        Raises:
            ContentTooLarge: one is above the store's size cap; nothing was stored.
        """
        self._check_writable()
        listed = list(contents)
        for data in listed:
            if len(data) > self.max_bytes:
                raise ContentTooLarge(len(data), self.max_bytes)
        profile = profile_named(self.profile)
        cids = [cid_of(data, profile) for data in listed]
        wanted = {
            cid: Incoming(cid, bytes(data), len(data))
            for cid, data in zip(cids, listed, strict=True)
        }
        if wanted:
            what = cids[0] if len(wanted) == 1 else f"{len(wanted)} contents"
            self._ask("put", what, lambda: self._write_all(list(wanted.values())), timeout)
        return cids

    @final
    def put_stream(
        self,
        pieces: Iterable[bytes],
        *,
        expected: str | None = None,
        timeout: float | None = None,
    ) -> str:
        """Store what `pieces` gives, in bounded memory, and return its CID.

        The backend sees the content only when all of it is there: pieces that end with an
        exception, or are too many, leave nothing. The time they take does not count.

        Args:
            pieces: the content.
            expected: the CID that it has to have; None: any.
            timeout: seconds that the backend may take.

        Raises:
            ContentTooLarge: above the store's size cap; nothing was stored.
            ContentCorrupted: it has another CID than expected; nothing was stored.
        """
        self._check_writable()
        tree = Tree(profile_named(self.profile))
        with ExitStack() as stack:
            with self._boundary("put", "a stream"):
                draft = stack.enter_context(self._draft())
            for piece in pieces:
                tree.update(piece)
                if tree.size > self.max_bytes:
                    raise ContentTooLarge(tree.size, self.max_bytes)
                with self._boundary("put", "a stream"):
                    draft.write(piece)
            cid = tree.cid()
            if cid != (expected or cid):
                raise ContentCorrupted(expected or cid, cid)
            self._ask("put", cid, lambda: self._keep(draft, cid, tree.size), timeout)
        return cid

    @final
    def get(self, cid: str, *, max_bytes: int | None = None, timeout: float | None = None) -> bytes:
        """Return the content of `cid`, hashed again on the way.

        Args:
            cid: the CID.
            max_bytes: refuse more than this, before reading it (at most the store's size cap;
                default: `READ_MAX_BYTES`).
            timeout: seconds it may take (default: the store's `timeout`).

        Raises:
            InvalidCid: not a CID this store computes.
            ContentNotFound: nothing is stored under it.
            ContentCorrupted: what is stored hashes to something else.
            ContentTooLarge: above `max_bytes`.
        """
        cid_to_bytes(cid)
        limit = min(READ_MAX_BYTES if max_bytes is None else max_bytes, self.max_bytes)

        def copy(profile: Profile) -> bytes:
            buffer = BytesIO()  # gives its own memory, where joining would hold the content twice
            self._verify(cid, profile, limit, buffer)
            return buffer.getvalue()

        return self._ask("get", cid, lambda: self._first(cid, copy), timeout)

    @final
    def get_stream(
        self, cid: str, *, max_bytes: int | None = None, timeout: float | None = None
    ) -> Iterator[bytes]:
        """Return the content of `cid` in pieces (the chunks of its tree), in bounded memory.

        No piece is given before its hash was checked. It is read twice: the first time, before this
        returns, all of it is hashed, and the hashes of the chunks are kept (32 bytes each) if their
        tree has the CID; the second time each chunk is given only if it has its hash. A backend
        that is `far` is read once, into a temporary file: that is read the second time.

        Args:
            cid: the CID.
            max_bytes: refuse more than this, before reading it (at most, as without it: the cap).
            timeout: seconds that each of the two readings may take, without the time that the
                reader takes between the pieces (default: the store's `timeout`).

        Raises:
            InvalidCid, ContentNotFound, ContentCorrupted, ContentTooLarge: as `get`, before the
                first piece; ContentCorrupted also when the backend changed it between the readings.
        """
        cid_to_bytes(cid)
        limit = self.max_bytes if max_bytes is None else min(max_bytes, self.max_bytes)
        with ExitStack() as stack:
            draft = None
            if self.far:
                with self._boundary("get", cid):
                    draft = stack.enter_context(self._draft())

            look = partial(self._verify, cid, limit=limit, file=draft)
            tree = self._ask("get", cid, lambda: self._first(cid, look), timeout)
            pieces = self._checked(cid, tree, self._seconds(timeout), draft)
            next(pieces)  # so it closes the file, whether anybody reads on or not
            stack.pop_all()
        return pieces

    @final
    def has(self, cid: str, *, timeout: float | None = None) -> bool:
        """Tell whether something is stored under `cid`, without reading it.

        Raises:
            InvalidCid: not a CID this store computes.
        """
        try:
            self.size(cid, timeout=timeout)
        except ContentNotFound:
            return False
        return True

    @final
    def size(self, cid: str, *, timeout: float | None = None) -> int:
        """Return how many bytes the store says are under `cid`; reading it checks what it says.

        Raises:
            InvalidCid: not a CID this store computes.
            ContentNotFound: nothing is stored under it.
            ContentCorrupted: what is there is no content at all.
        """
        cid_to_bytes(cid)

        look = partial(self._stated, cid)
        return self._ask("size", cid, lambda: self._first(cid, look), timeout)

    @final
    def pin(self, cid: str, *, timeout: float | None = None) -> None:
        """Keep `cid`, durably, until it is unpinned; pinning it again changes nothing.

        Pinned content is not deleted, by us or by a backend that collects garbage.

        Raises:
            InvalidCid: not a CID this store computes.
            ContentNotFound: nothing is stored under it, which cannot be kept.
            StoreUnsupported: this store has no pins.
            StoreInconsistent: the store took the pin and does not list it.
        """
        cid_to_bytes(cid)
        self._check_writable()

        def ask() -> None:
            self._pin(cid)
            if not self._pinned(cid):
                raise StoreInconsistent(cid, "it took the pin and does not list it")

        self._ask("pin", cid, ask, timeout)

    @final
    def unpin(self, cid: str, *, timeout: float | None = None) -> None:
        """Let go of `cid`, durably; where there is no pin nothing changes.

        Raises:
            InvalidCid: not a CID this store computes.
            StoreUnsupported: this store has no pins.
        """
        cid_to_bytes(cid)
        self._check_writable()
        self._ask("unpin", cid, lambda: self._unpin(cid), timeout)

    @final
    def pins(self, *, timeout: float | None = None) -> list[str]:
        """Return the pinned CIDs, sorted.

        Raises:
            StoreUnsupported: this store has no pins.
        """
        return self._ask("list", "the pins", lambda: sorted(set(self._pins())), timeout)

    @final
    def delete(self, cid: str, *, timeout: float | None = None) -> None:
        """Remove `cid`, durably.

        Raises:
            InvalidCid: not a CID this store computes.
            ContentNotFound: nothing is stored under it.
            ContentPinned: a pin keeps it.
            StoreUnsupported: this store cannot delete.
        """
        cid_to_bytes(cid)
        self._check_writable()
        self._ask("delete", cid, lambda: self._delete(cid), timeout)

    @abstractmethod
    def close(self) -> None:
        """Release files and connections; closing twice is fine."""

    # What a backend implements. It need not check CIDs, caps or hashes: that was done, or will be.
    # Any exception of its own is fine, and becomes StoreUnavailable.

    @abstractmethod
    def _write(self, content: Incoming) -> None:
        """Store a content durably under its CID and this store's profile, all of it or nothing.

        What is there under the CID already may stay if it is this content.
        """

    @abstractmethod
    def _read(self, cid: str, profile: str) -> Iterable[bytes]:
        """Give what is stored under the CID and the profile, in order, in pieces of any size.

        Raises:
            ContentNotFound: nothing is.
        """

    @abstractmethod
    def _size(self, cid: str, profile: str) -> int:
        """Return the bytes that are stored under the CID and the profile, without reading them.

        Raises:
            ContentNotFound: nothing is.
        """

    def _pin(self, cid: str) -> None:  # noqa: ARG002 - for those that can
        """Keep the content durably; ContentNotFound where there is none."""
        raise StoreUnsupported("pin", self.url)

    def _unpin(self, cid: str) -> None:  # noqa: ARG002 - for those that can
        """Forget the pin durably, if there is one."""
        raise StoreUnsupported("unpin", self.url)

    def _pins(self) -> Iterable[str]:
        """Give the pinned CIDs, in any order."""
        raise StoreUnsupported("list pins", self.url)

    def _delete(self, cid: str) -> None:  # noqa: ARG002 - for those that can
        """Remove the content under every profile, durably, in one step with judging its pin.

        Raises:
            ContentNotFound: nothing is stored.
            ContentPinned: it is pinned.
        """
        raise StoreUnsupported("delete", self.url)

    # What a backend may do better.

    def _profiles(self) -> Sequence[Profile]:
        """Return the profiles under which it may have content, its own first."""
        return (profile_named(self.profile),)

    def _makers(self, profile: Profile) -> Sequence[Profile]:
        """Return those that may have made what is under a profile: several where all is one."""
        return (profile,)

    def _pinned(self, cid: str) -> bool:
        """Tell whether the CID is pinned."""
        return cid in self._pins()

    def _write_all(self, contents: Sequence[Incoming]) -> None:
        """Store several contents, each as `_write` does."""
        for content in contents:
            self._write(content)

    def _draft(self) -> AbstractContextManager[BinaryIO]:
        """Open a file for a stream whose CID is not known yet; it is gone when it is closed."""
        return tempfile.TemporaryFile()

    def _keep(self, draft: BinaryIO, cid: str, size: int) -> None:
        """Store what was written to the draft; it has the CID and the size."""
        draft.flush()
        self._write(Incoming(cid, draft, size))

    def _set_up(
        self,
        url: str,
        *,
        max_bytes: int,
        timeout: float | None,
        profile: str | Profile,
        read_only: bool = False,
    ) -> None:
        """Say what every store says of itself; a subclass may set the attributes itself.

        Raises:
            ConfigError: the cap is not positive.
            UnknownNameError: no profile of this name.
        """
        if max_bytes <= 0:
            raise ConfigError(f"size cap of {max_bytes} bytes is not positive")
        self.url, self.max_bytes, self.timeout = url, max_bytes, timeout
        self.profile = (profile_named(profile) if isinstance(profile, str) else profile).name
        self.read_only = read_only or self.read_only

    # How the first keep themselves safe from the second.

    def _check_writable(self) -> None:
        if self.read_only:
            raise StoreReadOnly(self.url)

    def _seconds(self, timeout: float | None) -> float | None:
        seconds = self.timeout if timeout is None else timeout
        if seconds is not None and not 0 < seconds <= LONGEST:
            raise ConfigError(f"timeout of {seconds} s: more than 0 and finite wanted")
        return seconds

    def _ask(self, operation: str, what: str, call: Callable[[], T], timeout: float | None) -> T:
        """Make a call of the backend within its time, in the library's errors."""
        seconds = self._seconds(timeout)
        with self._boundary(operation, what, seconds), Waiting(seconds) as waiting:
            return waiting.call(call)

    @contextmanager
    def _boundary(self, operation: str, what: str, seconds: float | None = None) -> Iterator[None]:
        """Map what a backend raises, whatever it is, to the store's errors."""
        try:
            yield
        except OutOfTime:
            raise StoreTimedOut(operation, what, seconds or math.inf) from None
        except FedledgerError:
            raise
        except Exception as error:
            raise StoreUnavailable(f"cannot {operation} {what}: {in_words(error)}") from error

    def _stated(self, cid: str, profile: Profile) -> int:
        size = self._size(cid, profile.name)
        if type(size) is not int or size < 0:
            raise StoreInconsistent(cid, f"it says that it has {size!r} bytes")
        return size

    def _first(self, cid: str, look: Callable[[Profile], T]) -> T:
        """Return what is found of the first copy that is no damaged one."""
        damaged: ContentCorrupted | None = None
        for profile in self._profiles():
            try:
                return look(profile)
            except ContentNotFound:
                continue
            except ContentCorrupted as error:
                logger.warning("%s, profile %s: %s", self.url, profile.name, error)
                damaged = error
        raise damaged or ContentNotFound(cid)

    def _verify(self, cid: str, profile: Profile, limit: int, file: _File) -> Tree:
        """Read a copy, into the file, and return its tree if that has the CID."""
        stated = self._stated(cid, profile)
        if stated > limit:
            raise ContentTooLarge(stated, limit)
        with closed(self._read(cid, profile.name)) as pieces:
            return hashed(pieces, cid, stated, self._makers(profile), file)

    def _checked(self, cid: str, tree: Tree, seconds: float | None, file: _File) -> Iterator[bytes]:
        """Give nothing, then a content's chunks, each once it has the hash that its tree says."""
        with file or nullcontext(), Waiting(seconds) as waiting:
            parts = self._chunks(cid, tree.profile, file)
            try:
                yield b""
                for digest in tree.digests():
                    with self._boundary("get", cid, seconds):
                        part = waiting.call(lambda: next(parts, b""))
                    if sha256(part).digest() != digest:
                        raise ContentCorrupted(cid, None)
                    if part:
                        yield part
            finally:
                waiting.afterwards(parts.close)

    def _chunks(self, cid: str, profile: Profile, file: _File = None) -> Generator[bytes]:
        read = self._read(cid, profile.name) if file is None else pieces_of(file)
        with closed(read) as pieces:
            yield from chunks(pieces, profile.chunk_bytes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
