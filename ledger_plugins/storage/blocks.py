"""Contents as the blocks that IPFS keeps and sends: what is read of them, block by block.

A block is named by the hash of its bytes, so nobody can give another one. What a node says of the
sizes below it is compared with the one tree that a profile makes of so many bytes: a tree of
another form is refused before anything below it is asked for.

Sources: dag-pb and UnixFS specifications; the trustless gateway specification of IPFS.
"""

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, TypeVar

from fedledger.errors import ContentCorrupted, ContentNotFound, InvalidCid, StoreReadOnly

from .base import Store
from .cid import (
    Node,
    Profile,
    cid_from_bytes,
    cid_to_bytes,
    is_chunk,
    parent_of,
    profile_named,
    profiles_from,
)
from .pieces import Incoming

__all__ = ["BlockStore", "Fetch", "FetchAll", "content_of", "read_uint", "size_of"]

Fetch = Callable[[bytes], bytes]
"""Gives the block of a binary CID; ContentNotFound where there is none."""

FetchAll = Callable[[Fetch, Sequence[bytes]], list[bytes]]
"""Gives the blocks of binary CIDs, in order, by something that gives one."""

T = TypeVar("T")

_NODE_BYTES = 256 * 1024  # of a node; those of our profiles have at most 60 KB
_LINKS, _DATA = 2, 1  # fields of a dag-pb node,
_HASH, _TSIZE = 1, 3  # of a link,
_BLOCKSIZES = 4  # and of the UnixFS data


class BlockStore(Store):
    """A store to read from that has blocks, and finds contents by their trees."""

    read_only = True
    hint: ClassVar[str]
    """What to do where a content is missing or damaged, as errors end: ", …"."""

    at_once: ClassVar[int] = 1
    """How many blocks it is asked for together, which lie in memory then."""

    @abstractmethod
    def _block(self, raw: bytes) -> bytes:
        """Return the block of a binary CID; ContentNotFound where there is none."""

    def _together(self, fetch: Fetch, raws: Sequence[bytes]) -> list[bytes]:
        """Return the blocks of at most `at_once` binary CIDs, in order."""
        return _in_turn(fetch, raws)

    def _write(self, content: Incoming) -> None:  # noqa: ARG002 - never
        raise StoreReadOnly(self.url)

    def _read(self, cid: str, profile: str) -> Iterator[bytes]:
        profile_of = profile_named(profile)
        return content_of(cid, profile_of, self._block, self._together, self.at_once)

    def _size(self, cid: str, profile: str) -> int:  # noqa: ARG002 - the tree says it
        return size_of(cid, self._block)

    def _profiles(self) -> list[Profile]:
        return profiles_from(self.profile)

    def _first(self, cid: str, look: Callable[[Profile], T]) -> T:
        """Return what is found; a tree looks damaged under another profile than its own.

        So a content of which a block is missing is missing, whatever the other profiles say.
        """
        missing = False

        def looked(profile: Profile) -> T:
            nonlocal missing
            try:
                return look(profile)
            except ContentNotFound:
                missing = True
                raise

        try:
            return super()._first(cid, looked)
        except (ContentCorrupted, ContentNotFound) as error:
            if isinstance(error, ContentCorrupted) and not missing:
                raise ContentCorrupted(cid, error.actual, self.hint) from error
            raise ContentNotFound(cid, self.hint) from error


def size_of(cid: str, fetch: Fetch) -> int:
    """Return the bytes of a content, as its first block says.

    Raises:
        ContentNotFound: the block is not there.
        ContentCorrupted: it is another one, or no node.
    """
    raw = cid_to_bytes(cid)
    block = _fetched(raw, cid, fetch)
    return len(block) if is_chunk(raw) else sum(node.content for node in _children(block, cid))


def _in_turn(fetch: Fetch, raws: Sequence[bytes]) -> list[bytes]:
    return [fetch(raw) for raw in raws]


def content_of(
    cid: str,
    profile: Profile,
    fetch: Fetch,
    together: FetchAll = _in_turn,
    at_once: int = 1,
) -> Iterator[bytes]:
    """Give the chunks of a content, in order.

    Args:
        cid: its CID.
        profile: has made it.
        fetch: gives a block.
        together: gives several chunks below one node, each by a function that gives one.
        at_once: how many, and so how many lie in memory.

    Raises:
        ContentNotFound: a block is not there; it names that one.
        ContentCorrupted: a block is another one, or the tree is not the one of the profile.
    """
    raw = cid_to_bytes(cid)
    block = _fetched(raw, cid, fetch)
    if is_chunk(raw):
        yield block
        return
    children = _children(block, cid)
    size, below = sum(node.content for node in children), profile.chunk_bytes
    while below * profile.links < size:
        below *= profile.links
    checked = partial(_fetched, cid=cid, fetch=fetch)
    yield from _Reading(cid, profile, checked, together, at_once).below(children, size, below)


@dataclass(frozen=True, slots=True)
class _Reading:
    """How a content is read: see `content_of`."""

    cid: str
    profile: Profile
    fetch: Fetch
    together: FetchAll
    at_once: int

    def below(self, children: list[Node], size: int, below: int) -> Iterator[bytes]:
        """Give the chunks below a node with `size` bytes, of which its children have `below` each.

        Raises:
            ContentNotFound, ContentCorrupted: as `content_of`.
        """
        full, rest = divmod(size, below)
        wanted = [below] * full + [rest] * (rest > 0)
        last = below == self.profile.chunk_bytes
        if [node.content for node in children] != wanted or any(
            is_chunk(node.cid) != last for node in children
        ):
            raise ContentCorrupted(self.cid, None)
        if not last:
            for node in children:
                inside = _children(self.fetch(node.cid), self.cid)
                yield from self.below(inside, node.content, below // self.profile.links)
            return
        for at in range(0, len(children), self.at_once):
            some = children[at : at + self.at_once]
            blocks = self.together(self.fetch, [node.cid for node in some])
            for node, block in zip(some, blocks, strict=True):
                if len(block) != node.content:
                    raise ContentCorrupted(self.cid, None)
                yield block


def _fetched(raw: bytes, cid: str, fetch: Fetch) -> bytes:
    block = fetch(raw)
    if hashlib.sha256(block).digest() != raw[4:]:
        raise ContentCorrupted(cid, None)
    return block


def _children(block: bytes, cid: str) -> list[Node]:
    """Return what a node points to: the node that has exactly these children is this one."""
    try:
        children = list(_links(block))
    except (KeyError, TypeError, ValueError, InvalidCid) as error:
        raise ContentCorrupted(cid, None) from error
    if not children or parent_of(children).block != block:
        raise ContentCorrupted(cid, None)
    return children


def _links(block: bytes) -> Iterator[Node]:
    if len(block) > _NODE_BYTES:
        raise ValueError("no node of ours is so large")
    fields = list(_fields(block))
    links = [dict(_fields(_bytes_of(value))) for number, value in fields if number == _LINKS]
    data = b"".join(_bytes_of(value) for number, value in fields if number == _DATA)
    sizes = [value for number, value in _fields(data) if number == _BLOCKSIZES]
    for link, size in zip(links, sizes, strict=True):
        raw = _bytes_of(link[_HASH])
        cid_from_bytes(raw)
        yield Node(raw, _int_of(size), _int_of(link[_TSIZE]))


def _int_of(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise TypeError("bytes where a number was wanted")
    return value


def _bytes_of(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise TypeError("a number where bytes were wanted")
    return value


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Give the fields of a protocol buffer: numbers, and values of varints and byte strings."""
    at = 0
    while at < len(data):
        key, at = read_uint(data, at)
        value, at = read_uint(data, at)
        if key & 7 == 0:
            yield key >> 3, value
        elif key & 7 == 2 and value <= len(data) - at:
            yield key >> 3, data[at : at + value]
            at += value
        else:
            raise ValueError("cut off, or of another type")


def read_uint(data: bytes, at: int) -> tuple[int, int]:
    """Return the unsigned LEB128 integer, below 2^63, that begins at a place, and where it ends.

    Raises:
        ValueError: it is cut off, or too large.
    """
    value = shift = 0
    while at < len(data) and shift < 63:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ValueError("an integer is cut off, or too large")
