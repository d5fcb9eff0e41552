"""The phase in which clients reveal the salts of a round's list."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from fedledger.errors import UpdateRejected

from ....ledger_plugins.contracts.training_task.calls import REVEAL_SALT
from ....ledger_plugins.contracts.training_task.seals import SALT, seal_of
from ....ledger_plugins.signing import Call, Statement
from ...rounds.phase import Given, Phase
from ...rounds.round import Round
from .draws import UpdateList

__all__ = ["Salt", "SaltCallsPhase", "SaltsPhase"]


@dataclass(frozen=True, slots=True)
class Salt:
    """What a client revealed.

    Attributes:
        list: digest of the list that it revealed its salt for: the round's first one it heard of.
        salt: the salt, 32 bytes.
        last_round: the round before in which it revealed a salt, 0 for none.
        last: digest of the list then.
    """

    list: bytes
    salt: bytes
    last_round: int
    last: bytes


class SaltsPhase(Phase[Salt]):
    """Clients sign their salts for a list, off the ledger."""

    name: ClassVar[str] = "salts"
    signs: ClassVar[tuple[Call | Statement, ...]] = (SALT,)

    def whom(self, round: Round, subject: UpdateList) -> Collection[str]:  # noqa: ARG002 - Phase
        """Ask the clients whose salts make the lot."""
        return subject.salters.keys()

    def details(self, round: Round, subject: UpdateList) -> Mapping[str, Any]:  # noqa: ARG002 - Phase
        """Tell which list it is."""
        return {"list": subject.digest.hex()}

    def parse(self, given: Given, round: Round, subject: UpdateList) -> Salt:  # noqa: ARG002 - Phase
        """Return the salt, once it is the one that the update sealed."""
        listed = subject.salters.get(given.party)
        if listed is None:
            raise UpdateRejected("salt", "its client is not asked for one")
        said = given.signed[self.signs[0].name]
        if seal_of(given.party, said["salt"]) != listed.seal:
            raise UpdateRejected("salt", "the update was sealed with another one")
        return Salt(
            said["list"], said["salt"], said.get("lastRound", 0), said.get("last", bytes(32))
        )


class SaltCallsPhase(SaltsPhase):
    """Clients reveal their salts on the ledger, where a miner reads them."""

    name: ClassVar[str] = "salts"
    signs: ClassVar[tuple[Call | Statement, ...]] = (REVEAL_SALT,)
