"""Sealed submissions: what a call names before a window is over, and opens after it.

Where a task's submissions are sealed, the `cid` of a call is that of an *opening*: a small document
that names chain, contract, task, round, account, the content's CID and 32 secret bytes. Until it is
in a store nobody learns from the call what was submitted (the salt hides it), and whoever repeats
the call's CID has submitted nothing, since the opening names another account. It is a commitment by
SHA-256: hiding as long as the salt is secret, binding as long as no two documents have one CID.

Where contents travel by a store, a sealed one does so under a *veil*: encrypted with a key that its
account tells nobody but the aggregator.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from fedledger.errors import AccountError, CallError
from fedledger.formats import canonical_json, parse_json

from .accounts import Account
from .addresses import checksum_address
from .base import Ledger
from .beside import FolderBeside
from .contracts import TrainingTask
from .signing import Domain
from .storage.base import Store
from .storage.cid import cid_of, cid_to_bytes

__all__ = [
    "MAX_OPENING_BYTES",
    "Opened",
    "Opening",
    "Pending",
    "open_pending",
    "veil",
    "veil_key",
]

LABEL = "fedledger opening v1"

MAX_OPENING_BYTES = 1024
"""Bytes of an opening at most; none is longer than about 450."""

_FIELDS = ("label", "chain", "contract", "task", "round", "account", "content", "salt")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Opening:
    """What a sealed submission opens to.

    Attributes:
        domain: chain, contract, task and round that it is for.
        account: whose submission it is.
        content: CID of the content.
        salt: 32 bytes that nobody knows before.
    """

    domain: Domain
    account: str
    content: str
    salt: bytes = field(repr=False)

    @classmethod
    def of(cls, account: Account, domain: Domain, content: str) -> "Opening":
        """Return an account's opening of a content; asked again, it is the same one.

        The salt is the account's secret for this chain, contract, task, round and content, and of
        no use for any other, nor does it say anything of the salt that a lot reveals.
        """
        return cls(domain, account.address, content, _secret("opening", account, domain, content))

    def encode(self) -> bytes:
        """Return the document: canonical JSON."""
        where = self.domain
        return canonical_json(
            {
                "label": LABEL,
                "chain": where.chain_id,
                "contract": where.contract,
                "task": where.task,
                "round": where.round,
                "account": self.account,
                "content": self.content,
                "salt": self.salt.hex(),
            }
        )

    @property
    def cid(self) -> str:
        """CID of the document, which the call names."""
        return cid_of(self.encode())

    @classmethod
    def decode(cls, data: bytes) -> "Opening":
        """Return what a document says.

        Raises:
            CallError: it is no opening, or not written in its one form.
        """
        if len(data) > MAX_OPENING_BYTES:
            raise CallError(f"an opening has at most {MAX_OPENING_BYTES} bytes, not {len(data)}")
        try:
            said = parse_json(data)
        except ValueError as error:
            raise CallError(f"an opening is JSON: {error}") from error
        if not isinstance(said, dict) or set(said) != set(_FIELDS) or said["label"] != LABEL:
            raise CallError(f"an opening is an object with {', '.join(_FIELDS)}")
        numbers, texts = ("chain", "task", "round"), ("contract", "account", "content", "salt")
        if not all(type(said[name]) is int and said[name] >= 0 for name in numbers):
            raise CallError("chain, task and round of an opening are whole numbers")
        if not all(isinstance(said[name], str) for name in texts):
            raise CallError("contract, account, content and salt of an opening are texts")
        try:
            salt = bytes.fromhex(said["salt"])
            cid_to_bytes(said["content"])
        except ValueError as error:
            raise CallError(f"an opening: {error}") from error
        if len(salt) != 32:
            raise CallError(f"the salt of an opening has 32 bytes, not {len(salt)}")
        contract, account = checksum_address(said["contract"]), checksum_address(said["account"])
        where = Domain(said["chain"], contract, said["task"], said["round"])
        found = cls(where, account, said["content"], salt)
        if found.encode() != data:
            raise CallError("the opening is not written in its one form")
        return found

    def check(self, account: str, domain: Domain) -> None:
        """Check that it is an account's, for a round.

        Raises:
            CallError: it is another account's, or for another chain, contract, task or round.
        """
        if self.account != account:
            raise CallError(f"the opening names {self.account}, the call is of {account}")
        if self.domain != domain:
            mine, asked = self.domain, domain
            raise CallError(
                f"the opening is for chain {mine.chain_id}, contract {mine.contract}, task "
                f"{mine.task}, round {mine.round}, not {asked.chain_id}, {asked.contract}, "
                f"{asked.task}, {asked.round}"
            )


class Pending(FolderBeside):
    """What an account has submitted sealed and not opened yet: a folder of its own.

    A content stays here, readable by its owner alone, and is in no store before its window is over.
    """

    suffix = ".pending"

    def keep(self, opening: Opening, content: bytes) -> None:
        """Remember a content and its opening, before the call that names it is sent.

        Raises:
            AccountError: it cannot be written, so nothing may be sent.
        """
        try:
            self._write(self._path(opening), opening.encode() + b"\n" + content)
        except OSError as error:
            raise AccountError(
                f"{self.folder} cannot be written, so nothing is submitted: {error.strerror}"
            ) from error

    def all(self) -> list[Opening]:
        """Return what is kept; what is damaged is logged and left where it is.

        Raises:
            AccountError: the folder, or something in it, cannot be read.
        """
        found = []
        try:
            names = self._disk.names(self.folder)
            for name in (name for name in names if name.endswith(".opening")):
                head = self._disk.read(self.folder / name, most=MAX_OPENING_BYTES + 1)
                try:
                    found.append(Opening.decode(head.partition(b"\n")[0]))
                except CallError as error:
                    logger.error("%s is damaged: %s", self.folder / name, error)  # noqa: TRY400 - said
        except FileNotFoundError:
            return []
        except OSError as error:
            raise AccountError(f"{self.folder} cannot be read: {error.strerror}") from error
        return found

    def content(self, opening: Opening) -> bytes | None:
        """Return the content that waits; None, and a line in the log, where it is damaged.

        Raises:
            AccountError: it cannot be read.
        """
        path = self._path(opening)
        try:
            _, _, content = self._disk.read(path).partition(b"\n")
        except OSError as error:
            raise AccountError(f"{path} cannot be read: {error.strerror}") from error
        if cid_of(content) != opening.content:
            logger.error("%s is damaged: its content is another", path)
            return None
        return content

    def forget(self, opening: Opening) -> None:
        """Remove what is in a store now.

        Raises:
            AccountError: it cannot be removed.
        """
        self._remove(self._path(opening))

    def _path(self, opening: Opening) -> Path:
        return self.folder / f"{opening.domain.task}-{opening.domain.round}-{opening.cid}.opening"


def veil_key(account: Account, opening: Opening) -> bytes:
    """Return the key of an account's veil over one content: 32 bytes, for it and no other."""
    return _secret("veil", account, opening.domain, opening.content)


def veil(key: bytes, data: bytes) -> bytes:
    """Return data under a veil, or what is under one: AES-256 in counter mode, from 0.

    It hides, and proves nothing: what is found under it is checked by its own CID.

    Args:
        key: 32 bytes, for one content alone.
        data: the content, or the same veiled; both have one length.

    Raises:
        CallError: it is no key.
    """
    if len(key) != 32:
        raise CallError(f"the key of a veil has 32 bytes, not {len(key)}")
    return Cipher(AES(key), CTR(bytes(16))).encryptor().update(data)


def _secret(purpose: str, account: Account, domain: Domain, content: str) -> bytes:
    place = (domain.chain_id, domain.contract.lower(), domain.task, domain.round, content)
    return account.secret("/".join(map(str, (purpose, *place))).encode())


@dataclass(frozen=True, slots=True)
class Opened:
    """What became of pending openings.

    Attributes:
        opened: those whose content is in the store now.
        waiting: those whose window is open still, with the second after which it is over.
    """

    opened: Sequence[Opening]
    waiting: Sequence[tuple[Opening, int]]


def open_pending(ledger: Ledger, store: Store, pending: Pending) -> Opened:
    """Put the openings and contents of an account into a store whose windows are over.

    A window is over when the ledger's newest block says so, or the round has ended: then nobody can
    submit any more. Openings for other chains or contracts stay as they are.

    Args:
        ledger: says what time it is.
        store: where contents go; others have to reach it.
        pending: what the account has submitted.

    Raises:
        AccountError: what is pending cannot be read or removed.
        LedgerError: the ledger cannot be reached.
        StoreError: the store takes nothing; what is pending stays.
    """
    kept = pending.all()
    if not kept:
        return Opened((), ())
    here = ledger.chain_id, ledger.terms("TrainingTask", "submitUpdate").to
    now, tasks = ledger.head().timestamp, TrainingTask(ledger)
    opened, waiting = [], []
    for opening in kept:
        where = opening.domain
        if (where.chain_id, where.contract) != here:
            continue
        task = tasks.task(where.task)
        closes = task.opened_at + task.window
        if task.current_round < where.round and now <= closes:
            waiting.append((opening, closes))
            continue
        content = pending.content(opening)
        if content is None:
            continue
        store.put_all([opening.encode(), content])
        pending.forget(opening)
        opened.append(opening)
    return Opened(tuple(opened), tuple(waiting))
