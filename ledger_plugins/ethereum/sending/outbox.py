"""The outbox of calls under way: on the disk before a call is sent, until it is final.

One line of JSON each: {"deployment": …} first, {"sent": RAW}, {"block": …, "hash": …} when a block
has it, {"end": HASH, "why": …} when nothing can happen to it any more. Several processes may write
one outbox: each line is appended under a lock.
"""

import json
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from fedledger.errors import LedgerUnavailable, MalformedTransaction

from ...base import SignedTransaction
from ...transactions import decode_transaction

try:
    import fcntl
except ImportError:  # pragma: no cover - a system without POSIX locks
    fcntl = None  # type: ignore[assignment]

__all__ = ["Entry", "Outbox"]

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Entry:
    """A call under way.

    Attributes:
        transaction: the call.
        block: index of the block that has it, or None when that is not known.
        block_hash: that block's hash.
    """

    transaction: SignedTransaction
    block: int | None = None
    block_hash: str | None = None


class Outbox:
    """Calls under way, in the order in which they were sent.

    Args:
        path: the file, or None: nothing outlives this process.
        identity: the deployment it belongs to; an outbox of another one is put aside.

    Raises:
        LedgerUnavailable: the file cannot be read or written, or is damaged.
    """

    def __init__(self, path: Path | None, identity: str) -> None:
        self._path = path
        self.entries: dict[str, Entry] = {}
        if path is None:
            return
        try:
            with self._locked():
                self._load(path, identity)
                self._rewrite(path, identity)
        except OSError as error:
            raise LedgerUnavailable(f"outbox {path}: {error.strerror}") from error

    def send(self, transactions: Iterable[SignedTransaction]) -> None:
        """Note calls that are about to be sent; they are on the disk when this returns."""
        fresh = [one for one in transactions if one.hash not in self.entries]
        self._append([{"sent": "0x" + one.raw.hex()} for one in fresh], sync=True)
        for one in fresh:
            self.entries[one.hash] = Entry(one)

    def place(self, places: Iterable[tuple[str, int, str]]) -> None:
        """Note where calls are: hash, block and the block's hash."""
        lines = []
        for transaction, block, block_hash in places:
            entry = self.entries[transaction]
            entry.block, entry.block_hash = block, block_hash
            lines.append({"in": transaction, "block": block, "hash": block_hash})
        self._append(lines)

    def end(self, ends: Iterable[tuple[str, str]]) -> None:
        """Forget calls that are final, or never will be: hash and reason."""
        lines = []
        for transaction, why in ends:
            if self.entries.pop(transaction, None) is not None:
                lines.append({"end": transaction, "why": why})
        self._append(lines)

    def _append(self, lines: list[dict[str, Any]], *, sync: bool = False) -> None:
        if self._path is None or not lines:
            return
        text = "".join(json.dumps(line) + "\n" for line in lines).encode()
        try:
            with self._locked(), self._path.open("r+b") as file:
                _drop_torn_line(file)
                file.write(text)
                file.flush()
                if sync:
                    os.fsync(file.fileno())
        except OSError as error:
            raise LedgerUnavailable(f"outbox {self._path}: {error.strerror}") from error

    def _load(self, path: Path, identity: str) -> None:
        if not path.exists():
            return
        lines = path.read_text(encoding="ascii", errors="replace").split("\n")
        for number, text in enumerate(lines, start=1):
            if number == len(lines):
                break  # nothing, or a line whose writing was cut off: nothing of it was sent
            try:
                line = json.loads(text)
                if number == 1 and line["deployment"] != identity:
                    aside = path.with_name(path.name + ".old")
                    path.replace(aside)
                    _log.warning("%s belongs to another deployment: now %s", path, aside)
                    return
                self._apply(line)
            except (KeyError, TypeError, ValueError, MalformedTransaction) as error:
                raise LedgerUnavailable(
                    f"outbox {path}, line {number}, is damaged; it says which calls are under "
                    "way: look them up by hand, then remove it"
                ) from error

    def _apply(self, line: dict[str, Any]) -> None:
        if "sent" in line:
            one = decode_transaction(bytes.fromhex(line["sent"].removeprefix("0x")))
            self.entries.setdefault(one.hash, Entry(one))
        elif "in" in line and line["in"] in self.entries:
            entry = self.entries[line["in"]]
            entry.block, entry.block_hash = int(line["block"]), str(line["hash"])
        elif "end" in line:
            self.entries.pop(line["end"], None)

    def _rewrite(self, path: Path, identity: str) -> None:
        """Leave only what is still under way."""
        lines: list[dict[str, Any]] = [{"deployment": identity}]
        for transaction, entry in self.entries.items():
            lines.append({"sent": "0x" + entry.transaction.raw.hex()})
            if entry.block is not None:
                lines.append({"in": transaction, "block": entry.block, "hash": entry.block_hash})
        temporary = path.with_name(path.name + ".new")
        with temporary.open("w", encoding="ascii") as file:
            file.write("".join(json.dumps(line) + "\n" for line in lines))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes away; the lock file stays, or two could hold two of one name."""
        if self._path is None or fcntl is None:
            yield
            return
        with self._path.with_name(self._path.name + ".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _drop_torn_line(file: BinaryIO) -> None:
    """Go to the end; a line that a killed process left unfinished is taken away.

    It was not on the disk yet, so nothing of it was sent.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 1))
    if file.read(1) == b"\n":
        return
    file.seek(0)
    whole = file.read().rpartition(b"\n")
    file.seek(len(whole[0]) + len(whole[1]))
    file.truncate()
