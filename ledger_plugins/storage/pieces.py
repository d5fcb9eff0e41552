"""Contents in pieces: what a backend is given to write, and what it reads cut into chunks."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

__all__ = ["PIECE_BYTES", "Incoming", "chunks", "closed"]

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
        self.source.seek(0)
        while piece := self.source.read(PIECE_BYTES):
            yield piece


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
