"""Contents in pieces: what a backend is given to write, and what it reads cut into chunks."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from fedledger.errors import ContentCorrupted, StoreInconsistent

from .cid import Profile, Tree

__all__ = ["PIECE_BYTES", "Incoming", "chunks", "closed", "hashed", "pieces_of"]

PIECE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Incoming:
    """A content on its way into a store; iterating gives its pieces, each time from the beginning.

    Attributes:
        cid: its CID under the store's profile.
        source: its bytes, or a file that can be read and has nothing else.
        size: bytes of the content.
    """

    cid: str
    source: bytes | BinaryIO
    size: int

    def __iter__(self) -> Iterator[bytes]:
        """Give pieces of 1 MiB and a shorter last one; of no content none."""
        if isinstance(self.source, bytes):
            for at in range(0, self.size, PIECE_BYTES):
                yield self.source[at : at + PIECE_BYTES]
            return
        yield from pieces_of(self.source)


def pieces_of(file: BinaryIO) -> Iterator[bytes]:
    """Give what is in a file, from its beginning."""
    file.seek(0)
    while piece := file.read(PIECE_BYTES):
        yield piece


def hashed(
    pieces: Iterable[bytes],
    cid: str,
    stated: int,
    makers: Sequence[Profile],
    file: BinaryIO | None,
) -> Tree:
    """Read a content once, and return the tree of it that has its CID.

    Args:
        pieces: the content, as a store gives it.
        cid: its CID.
        stated: the bytes that it has, as the store says.
        makers: the profiles of which one has made it, the likeliest first.
        file: takes it, in place of what it had; None: nobody wants it, and there is one maker.

    Raises:
        StoreInconsistent: it has more or fewer bytes.
        ContentCorrupted: no profile gives it this CID.
    """
    likeliest, *others = makers
    if file is not None:
        file.seek(0)
        file.truncate()
    tree = Tree(likeliest)
    for piece in pieces:
        tree.update(piece)
        if tree.size > stated:
            raise StoreInconsistent(cid, f"it gives more than the {stated} bytes it states")
        if file is not None:
            file.write(piece)
    actual = tree.cid()
    while tree.cid() != cid:
        if file is None or not others:
            raise ContentCorrupted(cid, actual)
        tree = Tree(others.pop(0))
        for piece in pieces_of(file):
            tree.update(piece)
    if tree.size != stated:
        raise StoreInconsistent(cid, f"it states {stated} bytes and has {tree.size}")
    return tree


def chunks(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Cut pieces of any size into chunks of `size` bytes and a shorter last one."""
    waiting = bytearray()
    for piece in pieces:
        view = memoryview(piece)
        while view:
            part = view[: size - len(waiting)]
            waiting += part
            view = view[len(part) :]
            if len(waiting) == size:
                yield bytes(waiting)
                waiting.clear()
    if waiting:
        yield bytes(waiting)


@contextmanager
def closed(pieces: Iterable[bytes]) -> Iterator[Iterable[bytes]]:
    """Have what a backend gives; a generator is closed in the thread that read it."""
    try:
        yield pieces
    finally:
        if isinstance(pieces, Generator):
            pieces.close()
