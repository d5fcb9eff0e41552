"""One process writes: an advisory lock on a file beside the chain.

The file also has the number of blocks that its holder acknowledged since it began, as long as some
of them may only be in the write-ahead log: see `database`. The number has a checksum: a damaged one
is no number.
"""

import os
from hashlib import sha256
from pathlib import Path

from fedledger.effects import Disk
from fedledger.errors import LedgerUnavailable

__all__ = ["WriteLock", "acknowledged"]

_OWNER = 32  # bytes; eight aligned ones follow, which readers see as a whole
_NUMBER, _CHECK = 5, 3


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
        number = blocks.to_bytes(_NUMBER, "little")
        self._file.write(_OWNER, number + _check(number))

    def release(self) -> None:
        """Give the lock back; a second time nothing happens."""
        if self._held:
            self._held = False
            self._sign("")
            self._file.close()

    def _sign(self, owner: str) -> None:
        self._file.write(0, f"{owner:<{_OWNER - 1}}\n".encode())


def acknowledged(path: Path, disk: Disk) -> int | None:
    """Return the number of blocks that a lock file says the chain has at least.

    None: there is no such file, or it is damaged. An empty one says 0: whoever puts it there
    accepts what the chain has.
    """
    try:
        noted = disk.read(path, most=_OWNER + _NUMBER + _CHECK + 1)
    except OSError:
        return None
    number, check = noted[_OWNER:][:_NUMBER], noted[_OWNER + _NUMBER :]
    if noted and (len(number) != _NUMBER or check != _check(number)):
        return None
    return int.from_bytes(number, "little")


def _check(number: bytes) -> bytes:
    return sha256(number).digest()[:_CHECK]
