"""One process writes: an advisory lock on a file beside the chain.

The file also has the number of blocks that its holder acknowledged since it began, as long as some
of them may only be in the write-ahead log: see `database`.
"""

import os
import struct
from pathlib import Path

from fedledger.effects import Disk
from fedledger.errors import LedgerUnavailable

__all__ = ["WriteLock", "acknowledged"]

_OWNER = 32  # bytes; eight aligned ones follow, which readers see as a whole
_COUNT = struct.Struct("<Q")


class WriteLock:
    """The right to write a chain, held until `release` or until the process ends.

    The lock file stays behind when it is released: removing it would let two processes hold locks
    on two files of one name.

    Args:
        path: the lock file; made when it does not exist.
        disk: where it is.

    Raises:
        LedgerUnavailable: another process or another ledger object of this one holds it.
    """

    def __init__(self, path: Path, disk: Disk) -> None:
        try:
            self._file = disk.lock(path)
            try:
                self._sign(str(os.getpid()))
            except BaseException:
                self._file.close()
                raise
        except NotImplementedError as error:
            raise LedgerUnavailable("writing an embedded chain needs POSIX locks") from error
        except BlockingIOError as error:
            owner = disk.read(path, most=_OWNER).decode("ascii", "replace").strip()
            raise LedgerUnavailable(
                f"{path} is locked: process {owner or 'unknown'} has the chain open for writing; "
                "close it there, or open with read_only=True"
            ) from error
        except OSError as error:
            raise LedgerUnavailable(f"{path} cannot be opened: {error.strerror}") from error
        self._held = True

    def acknowledge(self, blocks: int) -> None:
        """Note how many blocks the chain has; 0: all of them are in the chain's file itself."""
        self._file.write(_OWNER, _COUNT.pack(blocks))

    def release(self) -> None:
        """Give the lock back; a second time nothing happens."""
        if self._held:
            self._held = False
            self._sign("")
            self._file.close()

    def _sign(self, owner: str) -> None:
        self._file.write(0, f"{owner:<{_OWNER - 1}}\n".encode())


def acknowledged(path: Path, disk: Disk) -> int:
    """Return the number of blocks that a lock file says the chain has at least."""
    try:
        noted = disk.read(path)[_OWNER : _OWNER + _COUNT.size]
    except OSError:
        return 0
    return int(_COUNT.unpack(noted)[0]) if len(noted) == _COUNT.size else 0
