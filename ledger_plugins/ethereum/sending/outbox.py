"""The outbox of calls under way: on the disk before a call is sent, until it is final.

One line of JSON each: {"deployment": …} first, {"sent": RAW}, {"in": HASH, "block": …, "hash": …}
when a block has it, {"end": HASH, "why": …} when nothing can happen to it any more. Several
processes may write one outbox: each line is appended under a lock.
"""

import json
import logging
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedledger.effects import Disk, OpenFile
from fedledger.errors import LedgerUnavailable, MalformedTransaction
from fedledger.formats import parse_json

from ...base import SignedTransaction
from ...transactions import decode_transaction

__all__ = ["Entry", "Outbox", "OutboxFile"]

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
    """Calls under way, in the order in which they were sent; nothing outlives this process."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}

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
        """Put lines down, where somebody keeps them."""


class OutboxFile(Outbox):
    """An outbox in a file.

    Args:
        path: the file.
        identity: the deployment it belongs to; an outbox of another one is put aside.
        disk: where the file is.

    Raises:
        LedgerUnavailable: the file cannot be read or written, or is damaged.
    """

    def __init__(self, path: Path, identity: str, disk: Disk) -> None:
        super().__init__()
        self._path = path
        self._disk = disk
        try:
            with self._locked():
                self._load(identity)
                self._rewrite(identity)
        except OSError as error:
            raise LedgerUnavailable(f"outbox {path}: {error.strerror}") from error

    def _append(self, lines: list[dict[str, Any]], *, sync: bool = False) -> None:
        if not lines:
            return
        text = "".join(json.dumps(line) + "\n" for line in lines).encode()
        try:
            with self._locked():
                self._disk.size(self._path)  # one that somebody removed is not begun again
                with self._disk.open(self._path) as file:
                    file.write(_whole(file), text)
                    if sync:
                        file.sync()
        except OSError as error:
            raise LedgerUnavailable(f"outbox {self._path}: {error.strerror}") from error

    def _load(self, identity: str) -> None:
        path, disk = self._path, self._disk
        if not disk.exists(path):
            return
        lines = disk.read(path).decode("ascii", "replace").split("\n")
        for number, text in enumerate(lines, start=1):
            if number == len(lines):
                break  # nothing, or a line whose writing was cut off: nothing of it was sent
            try:
                line = parse_json(text)
                if number == 1 and line["deployment"] != identity:
                    aside = path.with_name(path.name + ".old")
                    disk.rename(path, aside)
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

    def _rewrite(self, identity: str) -> None:
        """Leave only what is still under way."""
        lines: list[dict[str, Any]] = [{"deployment": identity}]
        for transaction, entry in self.entries.items():
            lines.append({"sent": "0x" + entry.transaction.raw.hex()})
            if entry.block is not None:
                lines.append({"in": transaction, "block": entry.block, "hash": entry.block_hash})
        self._disk.write(self._path, "".join(json.dumps(line) + "\n" for line in lines).encode())

    def _locked(self) -> AbstractContextManager[object]:
        """Keep other processes away; the lock file stays, or two could hold two of one name."""
        try:
            return self._disk.lock(self._path.with_name(self._path.name + ".lock"), wait=True)
        except NotImplementedError:  # a system without locks
            return nullcontext()


def _whole(file: OpenFile) -> int:
    """Return where the next line begins; one that a killed process left unfinished is taken away.

    It was not on the disk yet, so nothing of it was sent.
    """
    size = file.size()
    if not size or file.read(size - 1, 1) == b"\n":
        return size
    size = file.read(0, size).rfind(b"\n") + 1
    file.truncate(size)
    return size
