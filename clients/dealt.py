"""What a trainer finds in a dealing, before it accepts the keys for a task."""

from collections.abc import Sequence
from typing import Any

from fedledger.errors import AccountError

from ..ledger_plugins import Ledger
from ..ledger_plugins.contracts.threshold_keys.dealing import context_on, publications
from .keyring import Keyring

__all__ = ["check_share"]


def check_share(
    ledger: Ledger,
    ring: Keyring,
    keys: bytes,
    envelopes: Sequence[bytes],
    address: str | None,
) -> dict[str, Any]:
    """Return what is said of a trainer's share, which opens here and fits to its v_i.

    Args:
        ledger: where the keys are to be used.
        ring: the trainer's; nothing is kept in it.
        keys: `ThresholdKeys.encode()`.
        envelopes: each trainer's, or a single one, of which nobody knows whose it is.
        address: the trainer's, where it is known.

    Returns:
        The trainer's number, that of all trainers, the threshold, the modulus' bits, the digest,
        and under "published" who published these keys, and which account as that trainer.

    Raises:
        CryptoError: these are no keys, or no share opens and fits.
        AccountError: all who published the keys named another account as that trainer.
        ConfigError: the ledger lacks a contract, or the extra `paillier` is not installed.
        LedgerUnavailable: it cannot be reached.
    """
    from ..crypto.threshold import ThresholdKeys  # noqa: PLC0415 - an extra

    context, found = context_on(ledger), ThresholdKeys.decode(keys)
    numbers = range(1, found.trainers + 1)
    each = envelopes if len(envelopes) > 1 else [*envelopes] * found.trainers
    share = ring.find_share(found, dict(zip(numbers, each, strict=False)), context)
    published = [
        {"dealer": one.dealer, "trainer": one.trainers[share.trainer - 1]}
        for one in publications(ledger, found.digest)
        if (one.threshold, len(one.trainers)) == (found.threshold, found.trainers)
    ]
    if address and published and all(one["trainer"] != address for one in published):
        raise AccountError(
            f"the share opens as that of trainer {share.trainer}, who is "
            f"{published[0]['trainer']} on the ledger, and not {address}"
        )
    return {
        "number": share.trainer,
        "trainers": found.trainers,
        "threshold": found.threshold,
        "key_bits": found.public.bits,
        "digest": found.digest.hex(),
        "published": published,
    }
