"""A dealing to accounts: a key dealt apart, sealed to the trainers' HPKE keys, and published."""

from collections.abc import Sequence
from typing import NamedTuple

from fedledger.errors import AccountError, ConfigError
from fedledger.formats import canonical_json

from ....crypto.threshold.dealt import MOST_BYTES, Dealing
from ...accounts import Account
from ...addresses import checksum_address
from ...base import Ledger, Receipt
from ...storage.base import Store
from ..identities.keys import keys_of
from .facade import KeysPublished, ThresholdKeys

__all__ = [
    "MOST_BYTES",
    "Dealing",
    "Dealt",
    "context_of",
    "context_on",
    "deal_to",
    "publications",
    "recipients_of",
]


class Dealt(NamedTuple):
    """What became of a dealing.

    Attributes:
        dealing: keys and envelopes.
        cid: where a store has it.
        receipt: where the ledger has the keys.
        recipients: the HPKE keys that the shares are sealed to, in the trainers' order.
    """

    dealing: Dealing
    cid: str
    receipt: Receipt
    recipients: Sequence[bytes]


def context_of(chain_id: int, contract: str) -> bytes:
    """Return what shares are sealed for: docs/formats.md.

    Args:
        chain_id: EIP-155 id of the chain.
        contract: address of its TrainingTask contract, with or without capitals.
    """
    return canonical_json([chain_id, contract.lower()])


def context_on(ledger: Ledger) -> bytes:
    """Return what shares are sealed for on a ledger.

    Raises:
        ConfigError: it has no contract TrainingTask.
    """
    return context_of(ledger.chain_id, _address(ledger, "TrainingTask"))


def recipients_of(ledger: Ledger, trainers: Sequence[str]) -> list[bytes]:
    """Return the HPKE keys of trainers, in their order, all different.

    Args:
        ledger: has the contract Identities.
        trainers: their addresses.

    Raises:
        AccountError: names all that have no key, and why; or two trainers that have the same.
        ConfigError: the ledger has no such contract.
        LedgerUnavailable: it cannot be reached, or contradicts itself.
    """
    _address(ledger, "Identities")
    found: dict[bytes, str] = {}
    missing: list[str] = []
    for trainer in trainers:
        try:
            key = keys_of(ledger, trainer).need("hpke")
        except AccountError as error:
            missing.append(str(error))
            continue
        if key in found:
            raise AccountError(
                f"{found[key]} and {trainer} published the same hpke key: one would open both "
                "shares; `fedledger keys new` draws another"
            )
        found[key] = trainer
    if missing:
        raise AccountError(f"{'; '.join(missing)} (`fedledger keys new` publishes one)")
    return list(found)


def publications(ledger: Ledger, digest: bytes) -> list[KeysPublished]:
    """Return who published the keys of a digest, and for whom: anybody can publish others' keys.

    Raises:
        ConfigError: the ledger has no contract ThresholdKeys.
        LedgerUnavailable: it cannot be reached.
    """
    _address(ledger, ThresholdKeys.contract)
    found = ledger.matching(ThresholdKeys.contract, KeysPublished.event, {"digest": digest})
    return [KeysPublished.read(one) for one in found]


def deal_to(
    ledger: Ledger,
    store: Store,
    dealer: Account,
    trainers: Sequence[str],
    *,
    threshold: int,
    bits: int,
) -> Dealt:
    """Deal a key to accounts in a process of its own; store the dealing, and publish the keys.

    Args:
        ledger: has the contracts Identities, ThresholdKeys and TrainingTask.
        store: gets the dealing.
        dealer: publishes the keys.
        trainers: 2 to 64 addresses; the one at place i becomes trainer i + 1.
        threshold: how many of them open together: more than half.
        bits: size of the modulus, 2048 or 3072.

    Raises:
        CryptoError: sizes that do not go together; or the dealer failed.
        AccountError: as of `recipients_of`; or an account is named twice.
        ConfigError: a contract is not there, or the extra `paillier` is not installed.
        StoreError: the store does not take it; nothing was published.
        LedgerError: the ledger refused, or cannot be reached.
    """
    from ....crypto.threshold import check_threshold, deal_apart  # noqa: PLC0415 - an extra

    listed = [checksum_address(one) for one in trainers]
    if twice := [one for at, one in enumerate(listed) if one in listed[:at]]:
        raise AccountError(f"{twice[0]} is named twice: a trainer has one share")
    check_threshold(threshold, len(listed))
    _address(ledger, ThresholdKeys.contract)
    recipients = recipients_of(ledger, listed)
    dealing = deal_apart(bits, threshold, recipients, context_on(ledger))
    cid = store.put(dealing.encode())
    receipt = ThresholdKeys(ledger).publish_keys(
        dealer, trainers=listed, threshold=threshold, keys=dealing.keys
    )
    return Dealt(dealing, cid, receipt, recipients)


def _address(ledger: Ledger, contract: str) -> str:
    there = ledger.contracts()
    if contract not in there:
        raise ConfigError(f"{ledger.url} has no contract {contract}: `fedledger deploy` adds it")
    return there[contract].address
