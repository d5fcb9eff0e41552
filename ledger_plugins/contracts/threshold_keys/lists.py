"""A round's list: the masked updates whose sum may be opened, and what trainers sign about it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from fedledger.errors import AccountError, CallError, ConfigError
from fedledger.formats import canonical_json

from ...accounts import recover_digest
from ...signing import Domain, Statement
from ...storage.cid import cid_from_bytes, cid_to_bytes
from .statements import LIST, MASKED
from .terms import ThresholdTerms

__all__ = ["CiphertextList", "Entry", "count_signers"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A masked update on a list.

    Attributes:
        account: the trainer that signed it.
        cid: CID of its ciphertexts and their proof.
        samples: number of training samples, as it says.
        signature: its signature of `MASKED` over both, 65 bytes.
    """

    account: str
    cid: str
    samples: int
    signature: bytes

    def check(self, domain: Domain) -> None:
        """Check that the account signed this for this round.

        Raises:
            AccountError: it did not.
        """
        values = {"cid": cid_to_bytes(self.cid), "samples": self.samples}
        _check_signed(MASKED, domain, values, self.account, self.signature)

    def plain(self) -> list[Any]:
        """Return it as JSON has it."""
        return [self.account, self.cid, self.samples, self.signature.hex()]


@dataclass(frozen=True, slots=True)
class CiphertextList:
    """A list.

    Attributes:
        entries: the masked updates, in the trainers' order.
    """

    entries: tuple[Entry, ...]

    @property
    def accounts(self) -> list[str]:
        """The trainers whose updates are on it."""
        return [entry.account for entry in self.entries]

    def digest(self, domain: Domain, keys: bytes) -> bytes:
        """Return what trainers sign: SHA-256 over the place, the keys and all entries.

        Args:
            domain: chain, contract, task and round.
            keys: digest of the threshold keys.
        """
        said = {
            "chain": domain.chain_id,
            "contract": domain.contract.lower(),
            "task": domain.task,
            "round": domain.round,
            "keys": keys.hex(),
            "entries": [[one.account, one.cid, one.samples] for one in self.entries],
        }
        return sha256(b"fedledger ciphertext list 1" + canonical_json(said)).digest()

    def check(self, domain: Domain, terms: ThresholdTerms, trainers: Sequence[str]) -> None:
        """Check that a list may be opened at all: who is on it, how many, and that they signed.

        Args:
            domain: chain, contract, task and round.
            terms: the task's.
            trainers: its clients, in their order.

        Raises:
            AccountError: somebody is no trainer, is there twice or out of order, or did not sign;
                or there are fewer than `floor`.
        """
        places = {account: at for at, account in enumerate(trainers)}
        for account in self.accounts:
            if account not in places:
                raise AccountError(f"{account} is on the list and is no trainer of the task")
        order = [places[account] for account in self.accounts]
        if order != sorted(set(order)):
            raise AccountError("the list names a trainer twice, or not in the task's order")
        if len(order) < terms.floor:
            raise AccountError(
                f"the list has {len(order)} updates, and a sum of fewer than {terms.floor} is not "
                "opened"
            )
        if len({one.cid for one in self.entries}) != len(self.entries):
            raise AccountError("the list names one content twice")
        for entry in self.entries:
            entry.check(domain)

    def weights(self, terms: ThresholdTerms) -> list[int]:
        """Return what each update weighs in the sum."""
        return terms.weigh([one.samples for one in self.entries])

    def plain(self) -> list[list[Any]]:
        """Return the entries as JSON has them."""
        return [entry.plain() for entry in self.entries]

    @classmethod
    def read(cls, plain: Any) -> "CiphertextList":
        """Return a list from JSON.

        Raises:
            ConfigError: it is none.
        """
        try:
            return cls(tuple(_entry(*one) for one in plain))
        except (AttributeError, CallError, TypeError, ValueError) as error:
            raise ConfigError(f"the message's list of ciphertexts is none: {error}") from error


def count_signers(
    signatures: Mapping[str, bytes], digest: bytes, domain: Domain, trainers: Collection[str]
) -> int:
    """Return how many trainers signed a list's digest; what does not hold is not counted.

    Args:
        signatures: account to its signature of `LIST`.
        digest: the list's.
        domain: chain, contract, task and round.
        trainers: the task's clients.
    """
    count = 0
    for account in set(signatures) & set(trainers):
        try:
            _check_signed(LIST, domain, {"list": digest}, account, signatures[account])
        except AccountError:
            continue
        count += 1
    return count


def _check_signed(
    statement: Statement, domain: Domain, values: Mapping[str, Any], account: str, signature: bytes
) -> None:
    try:
        signer = recover_digest(statement.digest(domain, values), signature)
    except (AccountError, CallError) as error:
        raise AccountError(f"{statement.name} of {account}: {error}") from error
    if signer != account:
        raise AccountError(f"{statement.name} of {account} is not signed by it for this round")


def _entry(account: Any, cid: Any, samples: Any, signature: Any) -> Entry:
    if not (isinstance(account, str) and isinstance(cid, str) and type(samples) is int):
        raise TypeError("an entry has an account, a CID, samples and a signature")
    if not 0 < samples < 1 << 63:
        raise ValueError(f"{samples} samples")
    if cid_from_bytes(cid_to_bytes(cid)) != cid:
        raise ValueError(f"{cid} is not a CID's one form")
    return Entry(account, cid, samples, bytes.fromhex(signature))
