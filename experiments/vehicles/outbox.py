"""What a vehicle is about to send, on its disk before it leaves.

Training twice gives two updates, and of one round a client signs one. So an answer is kept until
its round is over: a vehicle that was killed, or whose answer a reorganisation took away, sends the
same again, under a new nonce or a newer block where it must.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from fedledger.effects import Disk, OpenFile
from fedledger.errors import AccountError, ConfigError

from ...ledger_plugins.storage.cid import cid_of

__all__ = ["Kept", "Outbox"]

_MOST = 1 << 20


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Kept(_Strict):
    """An answer that was signed.

    Attributes:
        about: what it answers (`subject_of`).
        content: CID of its content; None: it has none.
        transaction: the signed call, raw, in hexadecimal; sent again it is the same call.
        hash: the call's hash, or that of the same call as the ledger has it.
    """

    about: str
    content: str | None
    transaction: str
    hash: str


class _Round(_Strict):
    version: Literal[1] = 1
    round: int
    answers: dict[str, Kept]


class Outbox:
    """The answers of one account to the newest round of one task.

    One process at a time has it: two would train, and sign, two updates for one round.

    Args:
        folder: where it is; made when it is missing.
        task: the task's number.
        disk: has the folder.

    Raises:
        ConfigError: another process has it, or the folder cannot be used.
    """

    def __init__(self, folder: Path, task: int, disk: Disk) -> None:
        self._disk = disk
        self._path = folder / f"task-{task}.json"
        self._content = folder / f"task-{task}"
        try:
            disk.make_folder(folder, private=True)
            self._lock: OpenFile = disk.lock(folder / f".task-{task}.lock", private=True)
        except BlockingIOError as error:
            raise ConfigError(
                f"another process trains with this account for task {task} ({folder}): one at a "
                "time, or it would sign two updates for one round"
            ) from error
        except OSError as error:
            raise ConfigError(f"{folder} cannot be used: {error.strerror or error}") from error

    def close(self) -> None:
        """Let another process have it."""
        self._lock.close()

    def answers(self, number: int) -> Mapping[str, Kept]:
        """Return what is kept of a round, by phase.

        Raises:
            AccountError: it is damaged.
        """
        kept = self._read()
        return kept.answers if kept is not None and kept.round == number else {}

    def content(self, kept: Kept) -> bytes | None:
        """Return an answer's content; None where it has none.

        Raises:
            AccountError: it is damaged or gone.
        """
        if kept.content is None:
            return None
        path = self._content_of(kept.content)
        try:
            data = self._disk.read(path)
        except OSError as error:
            raise AccountError(f"{path} cannot be read: {error.strerror or error}") from error
        if cid_of(data) != kept.content:
            raise AccountError(f"{path} is damaged: remove {self._path} to train again")
        return data

    def keep(self, number: int, phase: str, kept: Kept, content: bytes | None) -> None:
        """Keep an answer, durably; those to other rounds are forgotten.

        Raises:
            AccountError: it cannot be written, so nothing may be sent.
        """
        before = self._read()
        same = before is not None and before.round == number
        answers = dict(before.answers) if same and before is not None else {}
        try:
            if content is not None and kept.content is not None:
                self._disk.write(self._content_of(kept.content), content, private=True)
            answers[phase] = kept
            text = _Round(round=number, answers=answers).model_dump_json()
            self._disk.write(self._path, text.encode(), private=True)
            self._forget({one.content for one in answers.values()})
        except OSError as error:
            raise AccountError(
                f"{self._path} cannot be written, so nothing is sent: {error.strerror or error}"
            ) from error

    def _content_of(self, cid: str) -> Path:
        return self._content.with_name(f"{self._content.name}-{cid}.safetensors")

    def _forget(self, wanted: Collection[str | None]) -> None:
        begin, end = f"{self._content.name}-", ".safetensors"
        for name in self._disk.names(self._path.parent):
            if name.startswith(begin) and name.endswith(end):
                cid = name.removeprefix(begin).removesuffix(end)
                if cid not in wanted:
                    self._disk.remove(self._path.with_name(name))

    def _read(self) -> _Round | None:
        try:
            return _Round.model_validate_json(self._disk.read_small(self._path, _MOST))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise AccountError(f"{self._path} cannot be read: {error.strerror or error}") from error
        except ValidationError as error:
            raise AccountError(
                f"{self._path} is damaged ({error.errors()[0]['msg']}): remove it, and what was "
                "trained for the open round is trained again"
            ) from error
