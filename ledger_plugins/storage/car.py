"""Contents in one file that travels: CARv1, as IPFS exports and imports it.

A file of this kind is a header, which names contents, and then blocks, each with its CID. It is a
store to read from (`car:///absolute/file.car`), so that an audit needs nothing else but a ledger.

Source: CARv1 specification (ipld.io/specs/transport/car/carv1).
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from urllib.parse import unquote, urlsplit

from fedledger.effects import Effects, OpenFile
from fedledger.errors import ConfigError, ContentNotFound, StoreUnavailable

from .base import DEFAULT_MAX_BYTES, Store
from .blocks import BlockStore, read_uint
from .cid import (
    DEFAULT_PROFILE,
    PROFILES,
    Profile,
    Tree,
    chunk_cid,
    cid_from_bytes,
    cid_to_bytes,
    uint,
)
from .draft import draft

__all__ = ["CarStore", "export_car", "open_car_store"]

_HEAD = b"\xa2\x65roots"  # DAG-CBOR: a map of two, whose first key is "roots",
_TAIL = b"\x67version\x01"  # and whose second is "version", 1
_LINK = b"\xd8\x2a\x58\x25\x00"  # a CID of 36 bytes
_CID = 36
_OURS = (b"\x01\x55\x12\x20", b"\x01\x70\x12\x20")  # CIDv1, raw or dag-pb, SHA-256
_MOST_BLOCKS = 2_000_000
_MOST_HEADER = 32 * 1024 * 1024  # as IPFS has it


def open_car_store(
    url: str,
    *,
    max_bytes: int = DEFAULT_MAX_BYTES,
    timeout: float | None = None,
    profile: str | Profile = DEFAULT_PROFILE,
    read_only: bool = False,  # noqa: ARG001 - it never writes
    effects: Effects | None = None,
) -> "CarStore":
    """Open the file that `car:///absolute/file.car` names, to read.

    Args:
        url: the file, percent-encoded where needed.
        max_bytes: size cap of one content.
        timeout: seconds that a call may take; None: a disk of this machine answers by itself.
        profile: import profile of the contents, or its name; those of the others are found too.
        read_only: nothing else is possible.
        effects: whose disk; this machine's by default.

    Raises:
        ConfigError: not such a URL, or the cap is not positive.
        UnknownNameError: no profile of this name.
        StoreUnavailable: there is no such file, or it is no CARv1, or cut off.
    """
    parts = urlsplit(url)
    path = unquote(parts.path)
    if parts.scheme != "car" or parts.netloc not in ("", "localhost") or "\0" in path:
        raise ConfigError(f"store URL {url!r}: expected car:///absolute/file.car")
    if not path.startswith("/") or parts.query or parts.fragment:
        raise ConfigError(f"store URL {url!r}: expected an absolute path after car://")
    return CarStore(
        Path(path),
        effects or Effects.real(),
        max_bytes=max_bytes,
        timeout=timeout,
        profile=profile,
    )


class CarStore(BlockStore):
    """The contents of a CAR; it is read only.

    Args:
        path: the file.
        effects: whose disk.
        max_bytes: size cap of one content.
        timeout: seconds that a call may take; None: as long as the disk takes.
        profile: import profile of the contents.

    Attributes:
        roots: CIDs of the contents that the file names; those of other kinds are left out.
    """

    hint = ", or not all of it, in this file: have it exported again"

    def __init__(
        self,
        path: Path,
        effects: Effects,
        *,
        max_bytes: int = DEFAULT_MAX_BYTES,
        timeout: float | None = None,
        profile: str | Profile = DEFAULT_PROFILE,
    ) -> None:
        url = f"car://{path.as_posix()}" if path.is_absolute() else f"car:///{path}"
        self._set_up(url, max_bytes=max_bytes, timeout=timeout, profile=profile)
        try:
            self._file = effects.disk.view(path)
        except OSError as error:
            raise StoreUnavailable(f"{path} cannot be read: {error.strerror or error}") from error
        try:
            self.roots, self._blocks = _index(self._file)
        except ValueError as error:
            self._file.close()
            raise StoreUnavailable(f"{path} is no CARv1 that can be read: {error}") from error
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __repr__(self) -> str:
        return f"CarStore({self.url!r}, profile={self.profile!r})"

    def _block(self, raw: bytes) -> bytes:
        if raw not in self._blocks:
            raise ContentNotFound(cid_from_bytes(raw))
        start, length = self._blocks[raw]
        return self._file.read(start, length)


def export_car(
    store: Store,
    cids: Iterable[str],
    path: Path,
    effects: Effects | None = None,
    *,
    first: Sequence[bytes] = (),
) -> list[str]:
    """Write contents into a new CAR, in bounded memory; the file appears when it is whole.

    Args:
        store: has the contents.
        cids: their CIDs; each is a root of the file.
        path: the file; one that is there is replaced.
        effects: whose disk; this machine's by default.
        first: contents of one block each that the file has before them, and the store need not.

    Returns:
        The CIDs that the store does not have, which the file leaves out.

    Raises:
        InvalidCid: one is no CID of ours.
        StoreError: the store cannot be read, or one of the contents is damaged.
        OSError: the file cannot be written.
    """
    effects = effects or Effects.real()
    has = {cid: store.has(cid) for cid in dict.fromkeys(cids)}
    there = [cid for cid, found in has.items() if found]
    roots = [*map(chunk_cid, first), *map(cid_to_bytes, there)]
    links = b"".join(_LINK + raw for raw in roots)
    header = _HEAD + _array(len(roots)) + links + _TAIL
    own = ((chunk_cid(content), content) for content in first)
    others = (block for cid in there for block in _blocks(store, cid))
    written: set[bytes] = set()
    with draft(effects.disk, effects.entropy, path.absolute().parent) as file:
        file.write(uint(len(header)) + header)
        for raw, block in chain(own, others):
            if raw not in written:
                written.add(raw)
                file.write(uint(len(raw) + len(block)) + raw + block)
        file.keep(path)
    effects.disk.sync_folder(path.absolute().parent)
    return [cid for cid, found in has.items() if not found]


def _blocks(store: Store, cid: str) -> Iterator[tuple[bytes, bytes]]:
    """Yield the blocks of a content, each after its binary CID: chunks, then the nodes above."""
    trees = [Tree(profile) for profile in PROFILES.values()]
    for chunk in store.get_stream(cid):
        yield chunk_cid(chunk), chunk
        for tree in trees:
            tree.update(chunk)
    for tree in trees:
        if tree.cid() == cid:
            yield from ((node.cid, node.block) for node in tree.nodes())
            if not tree.size:
                yield cid_to_bytes(cid), b""
            break


def _index(file: OpenFile) -> tuple[list[str], dict[bytes, tuple[int, int]]]:
    """Return the roots, and by binary CID where each block begins and how long it is.

    Raises:
        ValueError: it is no CARv1, or ends in the middle.
    """
    size = file.size()
    length, at = read_uint(file.read(0, 10), 0)
    if not 0 < length <= min(_MOST_HEADER, size - at):
        raise ValueError("its first bytes are no header")
    roots = _roots(file.read(at, length))
    at += length
    blocks: dict[bytes, tuple[int, int]] = {}
    while at < size:
        length, inside = read_uint(head := file.read(at, 10 + _CID), 0)
        if length > size - at - inside:
            raise ValueError(f"it is cut off in the block after byte {at}")
        raw = head[inside : inside + _CID]
        if raw[:4] in _OURS and length >= _CID:
            if len(blocks) == _MOST_BLOCKS:
                raise ValueError(f"it has more than {_MOST_BLOCKS} blocks")
            blocks[raw] = at + inside + _CID, length - _CID
        at += inside + length
    return roots, blocks


def _roots(header: bytes) -> list[str]:
    if not header.startswith(_HEAD) or not header.endswith(_TAIL):
        raise ValueError("its header is not that of version 1")
    links = header[len(_HEAD) : -len(_TAIL)]
    step = len(_LINK) + _CID
    for width in (1, 2, 3, 5):  # of the array's length
        count, rest = divmod(len(links) - width, step)
        if count >= 0 and not rest and links[:width] == _array(count):
            parts = [links[at : at + step] for at in range(width, len(links), step)]
            return [
                cid_from_bytes(part[len(_LINK) :])
                for part in parts
                if part.startswith(_LINK) and part[len(_LINK) :][:4] in _OURS
            ]
    return []  # of another kind, as IPFS's older CIDs are


def _array(count: int) -> bytes:
    """Encode the beginning of an array in DAG-CBOR, in the shortest form."""
    if count < 24:
        return bytes([0x80 + count])
    for kind, width in ((0x98, 1), (0x99, 2), (0x9A, 4)):
        if count < 1 << 8 * width:
            return bytes([kind]) + count.to_bytes(width, "big")
    raise ConfigError(f"{count} contents are too many for one file")
