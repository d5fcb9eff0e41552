"""ThresholdKeys: keys that dealers published, and which trainers accepted them for a task.

Nothing here, and nothing in the contract, looks into the keys: `crypto.threshold.ThresholdKeys`
decodes and checks them.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, ClassVar, NamedTuple

from fedledger.errors import ChainCorrupted, LedgerUnavailable

from ...accounts import Account
from ...addresses import ZERO_ADDRESS, checksum_address
from ..facade import Facade, sends
from ..meanings import Address, Hash32
from ..records import EventRecord

__all__ = ["Acceptance", "KeysAccepted", "KeysPublished", "OnRecord", "ThresholdKeys"]


@dataclass(frozen=True, slots=True)
class KeysPublished(EventRecord):
    """Keys that a dealer published, which nobody has looked into.

    Attributes:
        dealer: who signed the call.
        digest: SHA-256 of the keys, 32 bytes.
        trainers: who is said to hold a share; the one at place i has number i + 1.
        threshold: how many of them are said to open together.
        keys: the bytes of `crypto.threshold.ThresholdKeys.encode`, if they are what they should be.
    """

    event: ClassVar = "KeysPublished"
    dealer: Address
    digest: Hash32
    trainers: tuple[Address, ...]
    threshold: int
    keys: bytes


@dataclass(frozen=True, slots=True)
class KeysAccepted(EventRecord):
    """A trainer's word that it has its share of keys and uses it for a task.

    Attributes:
        task: the task's number; the contract does not know whether there is such a task.
        round: the round in which it said so.
        trainer: who signed the call.
        dealer: whose keys.
        digest: SHA-256 of the keys, 32 bytes.
    """

    event: ClassVar = "KeysAccepted"
    task: int
    round: int
    trainer: Address
    dealer: Address
    digest: Hash32


class OnRecord(NamedTuple):
    """What the contract holds of keys: threshold, number of trainers, block (0: no such keys)."""

    threshold: int
    trainers: int
    published: int


class Acceptance(NamedTuple):
    """Which keys a trainer accepted for a task, and in which round last."""

    dealer: Address
    digest: Hash32
    round: int


class ThresholdKeys(Facade):
    """Keys that a threshold of trainers use together, and who accepted them for which task."""

    contract = "ThresholdKeys"

    @sends
    def publish_keys(
        self, account: Account, *, trainers: Sequence[Address], threshold: int, keys: bytes
    ) -> None:
        """Publish keys that `account` dealt.

        Args:
            account: the dealer.
            trainers: who holds a share, in their order: 2 to 64 accounts, each once.
            threshold: how many open together: more than half of them.
            keys: what `crypto.threshold.ThresholdKeys.encode` gives, at most 64 KiB.
        """

    @sends
    def accept_keys(
        self, account: Account, *, task: int, round: int, dealer: Address, digest: Hash32
    ) -> None:
        """Say that `account` has its share of these keys, and uses it for this task alone.

        Args:
            account: one of the keys' trainers.
            task: the task's number.
            round: the round; higher than that of an acceptance before, for the same task.
            dealer: whose keys.
            digest: SHA-256 of the keys, 32 bytes.
        """

    def keys_of(self, dealer: str, digest: bytes) -> OnRecord:
        """Return what the contract holds of a dealer's keys; zeros where there are none."""
        return self._call(OnRecord, "keysOf", dealer, digest)

    def trainer_number(self, dealer: str, digest: bytes, account: str) -> int:
        """Return the number that an account has among the keys' trainers, from 1; 0: it is none."""
        return self._call(int, "trainerNumber", dealer, digest, account)

    def acceptance(self, task: int, trainer: str) -> Acceptance | None:
        """Return which keys a trainer accepted for a task; None: it accepted none."""
        found = self._call(Acceptance, "acceptance", task, trainer)
        return None if found.dealer == ZERO_ADDRESS else found

    def published(self, dealer: str, digest: bytes) -> KeysPublished | None:
        """Return keys that a dealer published, with the trainers in their order; None: it did not.

        One block is looked at, whatever others publish.

        Raises:
            CallError: no address, or no 32 bytes.
            ChainCorrupted: the ledger shows other keys than those that have the digest.
            LedgerUnavailable: it does not show them any more.
        """
        dealer = checksum_address(dealer)
        there = self.keys_of(dealer, digest)
        if not there.published:
            return None
        block = there.published
        found = self._events(KeysPublished, since=block, until=block, dealer=dealer, digest=digest)
        if not found:
            raise LedgerUnavailable(
                f"{self.ledger.url} does not show the keys {digest.hex()} of {dealer}: its newest "
                "blocks changed meanwhile, try again"
            )
        [keys] = found
        if sha256(keys.keys).digest() != digest:
            raise ChainCorrupted(block, f"the keys {digest.hex()} of {dealer} have another SHA-256")
        if (keys.threshold, len(keys.trainers)) != there[:2]:
            raise ChainCorrupted(
                block, f"the keys {digest.hex()} of {dealer} are not of {there[0]} of {there[1]}"
            )
        return keys

    def acceptances(
        self,
        task: int,
        trainers: Collection[str] | None = None,
        *,
        round: int | None = None,
        since: int = 0,
        until: int | None = None,
    ) -> list[KeysAccepted]:
        """Return who accepted keys for a task, in ledger order; repeated acceptances too.

        Args:
            task: the task's number.
            trainers: of these accounts alone, so that nobody else's calls cost time. None: of all.
                Anybody may deal keys to itself and accept them, for any task.
            round: in this round alone. None: in all; a trainer may name as many as it likes.
            since: first block to look at.
            until: last block to look at (default: the head).

        Raises:
            CallError: no address.
        """
        equal: dict[str, Any] = {} if round is None else {"round": round}
        if trainers is not None:
            equal["trainer"] = [checksum_address(one) for one in trainers]
        return self._events(KeysAccepted, since=since, until=until, task=task, **equal)
