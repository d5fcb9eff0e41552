"""Content identifiers exactly as IPFS computes them, with the standard library alone.

A CID here is a CIDv1 over SHA-256, written in lower-case base32. Content of one chunk is a raw
block and its CID names the hash of the bytes. Longer content becomes a balanced UnixFS tree: raw
leaves of a fixed size under dag-pb nodes of a fixed fan-out, and the CID names the root. Chunk size
and fan-out are the *profile*: the same bytes have another CID under another profile.

Sources: multiformats CID, dag-pb and UnixFS specifications; IPIP-499 for the profiles.
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from fedledger.errors import InvalidCid, UnknownNameError

__all__ = [
    "DEFAULT_PROFILE",
    "PROFILES",
    "Node",
    "Profile",
    "Tree",
    "chunk_cid",
    "cid_from_bytes",
    "cid_of",
    "cid_to_bytes",
    "is_chunk",
    "parent_of",
    "profile_named",
    "profiles_from",
    "uint",
]

_VERSION = 0x01
_RAW = 0x55
_DAG_PB = 0x70
_MULTIHASH = bytes((0x12, 0x20))  # sha2-256, 32 bytes
_BINARY_LENGTH = 36
_TEXT_LENGTH = 59  # "b" and 58 characters of base32


@dataclass(frozen=True, slots=True)
class Profile:
    """How content is cut into a tree before it is hashed.

    Attributes:
        name: the name kept beside every CID the profile made.
        chunk_bytes: bytes of a leaf.
        links: children of a node, at most.
    """

    name: str
    chunk_bytes: int
    links: int


DEFAULT_PROFILE = Profile("unixfs-v1-256k-174-raw", chunk_bytes=256 * 1024, links=174)
"""What `ipfs add --cid-version=1` does: 256 KiB chunks, 174 links a node, raw leaves."""

PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        profile.name: profile
        for profile in (
            DEFAULT_PROFILE,
            Profile("unixfs-v1-2025", chunk_bytes=1024 * 1024, links=1024),
        )
    }
)


@dataclass(frozen=True, slots=True)
class Node:
    """One block of a tree.

    Attributes:
        cid: its binary CID.
        content: bytes of the content below it.
        cumulative: bytes of all blocks of its subtree.
        block: its bytes; of a chunk none, whoever has the content has them.
    """

    cid: bytes
    content: int
    cumulative: int
    block: bytes = b""


def profile_named(name: str) -> Profile:
    """Return the profile called `name`.

    Raises:
        UnknownNameError: there is none.
    """
    try:
        return PROFILES[name]
    except KeyError:
        raise UnknownNameError("CID profile", name, PROFILES) from None


def profiles_from(name: str) -> list[Profile]:
    """Return all profiles, the one of this name first.

    Raises:
        UnknownNameError: there is none of this name.
    """
    first = profile_named(name)
    return [first, *(one for one in PROFILES.values() if one is not first)]


class Tree:
    """The tree of a content that comes in pieces; the bytes are hashed where they lie.

    It keeps 32 bytes and an object's overhead a chunk, and none of the content.

    Args:
        profile: how the content is cut.
    """

    def __init__(self, profile: Profile = DEFAULT_PROFILE) -> None:
        self.profile = profile
        self.size = 0
        """Bytes so far."""
        self._chunk = hashlib.sha256()  # of the chunk that is not full yet
        self._digests: list[bytes] = []  # of those that are

    def update(self, piece: bytes | bytearray | memoryview) -> None:
        """Take the next piece, of any length."""
        view = memoryview(piece).cast("B")
        step = self.profile.chunk_bytes
        while view:
            if self.size and self.size % step == 0:
                self._digests.append(self._chunk.digest())
                self._chunk = hashlib.sha256()
            part = view[: step - self.size % step]
            self._chunk.update(part)
            self.size += len(part)
            view = view[len(part) :]

    def digests(self) -> list[bytes]:
        """Return the SHA-256 of each chunk so far, of no content that of no bytes."""
        return [*self._digests, self._chunk.digest()]

    def cid(self) -> str:
        """Return the CID of the content so far."""
        return _text(self._levels()[-1][0].cid)

    def nodes(self) -> list[Node]:
        """Return the blocks above the chunks; none where one chunk is all."""
        return [node for level in self._levels()[1:] for node in level]

    def _levels(self) -> list[list[Node]]:
        step, links = self.profile.chunk_bytes, self.profile.links
        digests = self.digests()
        last = self.size - step * (len(digests) - 1)
        leaves = [
            _leaf(digest, step if at < len(digests) - 1 else last)
            for at, digest in enumerate(digests)
        ]
        levels = [leaves]
        while len(below := levels[-1]) > 1:
            levels.append([parent_of(below[at : at + links]) for at in range(0, len(below), links)])
        return levels


def cid_of(data: bytes | bytearray | memoryview, profile: Profile = DEFAULT_PROFILE) -> str:
    """Return the CID of `data`, as `ipfs add --cid-version=1` computes it under `profile`.

    The bytes are hashed where they lie; nothing is copied.
    """
    tree = Tree(profile)
    tree.update(data)
    return tree.cid()


def cid_to_bytes(cid: str) -> bytes:
    """Return the 36 bytes of a CID: version, codec, hash function, length, digest.

    Raises:
        InvalidCid: not the one text form of a CIDv1 over SHA-256 with codec raw or dag-pb.
    """
    if not isinstance(cid, str):
        raise InvalidCid(cid, "not a string")
    if not cid.startswith("b"):
        raise InvalidCid(cid[:_TEXT_LENGTH], "not lower-case base32 (multibase prefix 'b')")
    if len(cid) != _TEXT_LENGTH:
        raise InvalidCid(cid[:_TEXT_LENGTH], f"{len(cid)} characters instead of {_TEXT_LENGTH}")
    if not cid.isascii() or cid != cid.lower():
        raise InvalidCid(cid, "not lower-case base32")
    try:
        raw = base64.b32decode(cid[1:].upper() + "======")
    except binascii.Error as error:
        raise InvalidCid(cid, "not base32") from error
    _check(raw, cid)
    if _text(raw) != cid:
        raise InvalidCid(cid, "base32 with unused bits set")
    return raw


def cid_from_bytes(raw: bytes) -> str:
    """Return the text of a binary CID of 36 bytes.

    Raises:
        InvalidCid: not a CIDv1 over SHA-256 with codec raw or dag-pb.
    """
    if not isinstance(raw, bytes | bytearray | memoryview):
        raise InvalidCid(raw, "not bytes")
    raw = bytes(raw[: _BINARY_LENGTH + 1])
    _check(raw, raw)
    return _text(raw)


def chunk_cid(chunk: bytes) -> bytes:
    """Return the binary CID of a chunk, however long it is."""
    return _binary(_RAW, hashlib.sha256(chunk).digest())


def is_chunk(raw: bytes) -> bool:
    """Tell whether a binary CID names a chunk, and not a node above chunks."""
    return raw[1] == _RAW


def _check(raw: bytes, given: object) -> None:
    if len(raw) != _BINARY_LENGTH:
        raise InvalidCid(given, f"not {_BINARY_LENGTH} bytes long")
    if raw[0] != _VERSION:
        raise InvalidCid(given, f"version {raw[0]} instead of 1")
    if raw[1] not in (_RAW, _DAG_PB):
        raise InvalidCid(given, f"codec {raw[1]:#x} instead of raw or dag-pb")
    if raw[2:4] != _MULTIHASH:
        raise InvalidCid(given, "hash is not SHA-256 of 32 bytes")


def _text(raw: bytes) -> str:
    return "b" + base64.b32encode(raw).decode("ascii").rstrip("=").lower()


def _binary(codec: int, digest: bytes) -> bytes:
    return bytes((_VERSION, codec)) + _MULTIHASH + digest


def _leaf(digest: bytes, size: int) -> Node:
    return Node(_binary(_RAW, digest), size, size)


def parent_of(children: list[Node]) -> Node:
    """Encode a dag-pb node: its links (field 2) come first, its UnixFS data (field 1) last."""
    content = sum(child.content for child in children)
    links = b"".join(
        b"\x12" + _framed(b"\x0a" + _framed(child.cid) + b"\x12\x00\x18" + uint(child.cumulative))
        for child in children
    )
    sizes = b"".join(b"\x20" + uint(child.content) for child in children)
    unixfs = b"\x08\x02\x18" + uint(content) + sizes  # type File, file size, sizes of the parts
    block = links + b"\x0a" + _framed(unixfs)
    return Node(
        _binary(_DAG_PB, hashlib.sha256(block).digest()),
        content,
        len(block) + sum(child.cumulative for child in children),
        block,
    )


def _framed(data: bytes) -> bytes:
    return uint(len(data)) + data


def uint(value: int) -> bytes:
    """Encode an unsigned LEB128 integer."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
