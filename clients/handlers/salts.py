"""A client's salt: sealed with its update, revealed for one list of updates."""

from typing import Any, ClassVar

from flwr.app import Message, RecordDict

from fedledger.errors import ConfigError

from ...ledger_plugins.contracts.training_task.calls import REVEAL_SALT
from ...ledger_plugins.contracts.training_task.seals import SALT
from ..phases import Answered, Asked, PhaseHandler

__all__ = ["SaltsHandler"]

_LIST = "update list"


class SaltsHandler(PhaseHandler):
    """Reveals the salt for the round's first list; asked about another, it names the first."""

    signs: ClassVar = (SALT,)
    mined: ClassVar = (REVEAL_SALT,)

    def answer(self, asked: Asked) -> Answered:
        """Return an empty reply and the salt to sign; the app is not asked.

        Raises:
            ConfigError: the request names no list.
        """
        try:
            digest = bytes.fromhex(str(asked.details.get("list")))
        except ValueError as error:
            raise ConfigError("the details of a salt need the 'list' in hexadecimal") from error
        if len(digest) != 32:
            raise ConfigError(f"the 'list' of a salt has 32 bytes, not {len(digest)}")
        first = asked.first(_LIST, digest.hex())
        last_round, last = asked.before(_LIST)
        called: dict[str, Any] = {"list": bytes.fromhex(first), "salt": asked.salt}
        stated = called | {
            "lastRound": last_round,
            "last": bytes.fromhex(last) if last else bytes(32),
        }
        values = {SALT.name: stated, REVEAL_SALT.name: called}
        return Answered(Message(RecordDict(), reply_to=asked.message), values)
