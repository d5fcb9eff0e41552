"""One process writes: an advisory lock on a file beside the chain.

The file also has the number of blocks that its holder acknowledged since it began, as long as some
of them may only be in the write-ahead log: see `database`.
"""

import os
import struct
from pathlib import Path

from fedledger.errors import LedgerUnavailable

try:
    import fcntl
except ImportError:  # pragma: no cover - a system without POSIX locks
    fcntl = None  # type: ignore[assignment]

__all__ = ["WriteLock", "acknowledged"]

_OWNER = 32  # bytes; eight aligned ones follow, which readers see as a whole
_COUNT = struct.Struct("<Q")


class WriteLock:
    """The right to write a chain, held until `release` or until the process ends.

    The lock file stays behind when it is released: removing it would let two processes hold locks
    on two files of one name.

    Args:
        path: the lock file; made when it does not exist.

    Raises:
        LedgerUnavailable: another process or another ledger object of this one holds it.
    """

    def __init__(self, path: Path) -> None:
        if fcntl is None:
            raise LedgerUnavailable("writing an embedded chain needs a system with POSIX locks")
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise LedgerUnavailable(f"{path} cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(self._descriptor, _OWNER, 0).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            raise LedgerUnavailable(
                f"{path} is locked: process {owner or 'unknown'} has the chain open for writing; "
                "close it there, or open with read_only=True"
            ) from error
        self._sign(str(os.getpid()))

    def acknowledge(self, blocks: int) -> None:
        """Note how many blocks the chain has; 0: all of them are in the chain's file itself."""
        os.pwrite(self._descriptor, _COUNT.pack(blocks), _OWNER)

    def release(self) -> None:
        """Give the lock back; a second time nothing happens."""
        if self._descriptor >= 0:
            self._sign("")
            os.close(self._descriptor)
            self._descriptor = -1

    def _sign(self, owner: str) -> None:
        os.pwrite(self._descriptor, f"{owner:<{_OWNER - 1}}\n".encode(), 0)


def acknowledged(path: Path) -> int:
    """Return the number of blocks that a lock file says the chain has at least."""
    try:
        noted = path.read_bytes()[_OWNER : _OWNER + _COUNT.size]
    except OSError:
        return 0
    return int(_COUNT.unpack(noted)[0]) if len(noted) == _COUNT.size else 0
