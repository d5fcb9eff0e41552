"""Tying answers to SuperNodes: a node's key signs what its account signed.

Flower shows no app the key of a SuperNode, neither the server's nor the client's: node ids are all.
So the client app signs by itself, with the private key of the SuperNode that it runs on, a
statement about what its account signs, and whoever reads the answer checks that against the key
that the account published (`keys`).
"""

import logging
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
)
from eth_abi.abi import encode
from eth_hash.auto import keccak

from fedledger.effects import Disk
from fedledger.errors import AccountError
from fedledger.formats import canonical_json
from fedledger.records import SEEN

from ...accounts import Account
from ...base import Ledger, Receipt
from ...signing import Domain
from .facade import Identities, KeysRevoked, KeysSet
from .keys import FlowerKey, check_signed, flower_in, publish_keys, signed_by

__all__ = [
    "bind_node",
    "check_node_proof",
    "fingerprint",
    "load_node_key",
    "node_keys",
    "node_proof",
    "public_of",
    "publish_hpke",
]

_LABEL = "fedledger node v1"
_MOST = 64 * 1024
_log = logging.getLogger(__name__)


def load_node_key(path: Path, disk: Disk) -> FlowerKey:
    """Return the private key of a SuperNode from the file that it authenticates with.

    Args:
        path: the file: OpenSSH's form, as `ssh-keygen` writes it, or PEM; without a passphrase.
        disk: where it is.

    Raises:
        AccountError: it cannot be read, or is no elliptic curve's or Ed25519 key.
    """
    try:
        content = disk.read_small(path, _MOST)
    except OSError as error:
        raise AccountError(f"node key {path}: {error.strerror or error}") from error
    for load in (load_ssh_private_key, load_pem_private_key):
        try:
            found = load(content, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            _log.debug("no key by %s: %s", load.__name__, type(error).__name__)
            continue
        if isinstance(found, EllipticCurvePrivateKey | Ed25519PrivateKey):
            return found
    raise AccountError(
        f"node key {path}: it is no private key of an elliptic curve or Ed25519 without a "
        "passphrase; `ssh-keygen -t ecdsa -b 384` makes one"
    )


def bind_node(ledger: Ledger, account: Account, key: FlowerKey) -> Receipt:
    """Publish a SuperNode's key as the account's; what else the account published stays.

    Args:
        ledger: has the contract Identities.
        account: signs.
        key: the node's private key, which signs a statement and is not kept.

    Raises:
        LedgerError: the ledger refused, or cannot be reached.
    """
    newest = _newest(ledger, account.address)
    names = () if newest is None else ("hpke", "bls", "bls_proof")
    kept = {name: getattr(newest, name) for name in names}
    return publish_keys(ledger, account, flower=key, **kept)


def publish_hpke(
    ledger: Ledger, account: Account, draw: Callable[[], bytes], key: FlowerKey | None = None
) -> tuple[bytes, Receipt]:
    """Publish an HPKE key as the account's; what else the account published stays.

    A SuperNode's statement is about one record, so the node's key makes a new one.

    Args:
        ledger: has the contract Identities.
        account: signs.
        draw: returns the X25519 public key; called once nothing else is missing.
        key: the private key of the account's SuperNode, where it bound one; it is not kept.

    Returns:
        The key that `draw` gave, and where it was published.

    Raises:
        AccountError: the account bound a SuperNode, and its key is not given, or another one is.
        LedgerError: the ledger refused, or cannot be reached.
    """
    newest = _newest(ledger, account.address)
    bound = b"" if newest is None else newest.flower
    if bound and key is None:
        raise AccountError(
            f"account {account.address} has bound a SuperNode, whose statement is about the record "
            "that would be replaced: give its key with --node-key, as for `fedledger account bind`"
        )
    if key is not None and public_of(key) != bound:
        raise AccountError(
            f"the node's key is not the one that account {account.address} has bound: `fedledger "
            "account bind` binds it"
        )
    names = () if newest is None else ("bls", "bls_proof")
    kept = {name: getattr(newest, name) for name in names}
    hpke = draw()
    return hpke, publish_keys(ledger, account, hpke=hpke, flower=key, **kept)


def public_of(key: FlowerKey) -> bytes:
    """Return the public key, DER, as accounts publish it."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def fingerprint(public: bytes) -> bytes:
    """Return the SHA-256 of a public key, by which a server tells a client which key counts."""
    digest = Hash(SHA256())
    digest.update(public)
    return digest.finalize()


def node_keys(
    ledger: Ledger, accounts: Collection[str], before: tuple[int, int]
) -> Mapping[str, bytes]:
    """Return the SuperNode's key of each account that had one at a place of the ledger.

    Of an account its newest record before that place counts, when its statement holds. Where
    several of the accounts claim one key, the newest claim has it.

    Args:
        ledger: has the contract Identities.
        accounts: the accounts.
        before: block and position of an event (`Placed.place`).
    """
    wanted = {"account": list(accounts)}
    newest: dict[str, KeysSet | KeysRevoked] = {}
    for record in (KeysSet, KeysRevoked):
        for event in ledger.matching(Identities.contract, record.event, wanted, until=before[0]):
            found = record.read(event)
            old = newest.get(found.account)
            if found.place < before and (old is None or old.place < found.place):
                newest[found.account] = found
    claims: dict[bytes, str] = {}
    for one in sorted(newest.values(), key=lambda one: one.place):
        if isinstance(one, KeysSet) and one.flower:
            try:
                flower_in(one, ledger)
            except AccountError as error:
                _log.debug("the node's key of %s: %s", one.account, error)
                continue
            claims[one.flower] = one.account
    return {account: key for key, account in claims.items()}


def node_proof(
    key: FlowerKey,
    domain: Domain,
    phase: str,
    account: str,
    signed: Mapping[str, Mapping[str, Any]],
) -> bytes:
    """Sign, as a SuperNode, what an account signs in a phase.

    Args:
        key: the node's.
        domain: chain, contract, task and round.
        phase: name of the phase.
        account: address of the account.
        signed: name of each call and statement to its values, as decoding gives them.
    """
    return signed_by(key, _statement(domain, phase, account, signed))


def check_node_proof(  # noqa: PLR0917 - a key and a proof, then what it is about
    public: bytes,
    proof: bytes,
    domain: Domain,
    phase: str,
    account: str,
    signed: Mapping[str, Mapping[str, Any]],
) -> None:
    """Check what `node_proof` returned.

    Raises:
        AccountError: the key did not sign this.
    """
    said = _statement(domain, phase, account, signed)
    check_signed(public, proof, said, "the node's statement about this answer")


def _newest(ledger: Ledger, address: str) -> KeysSet | None:
    """Return an account's newest record; None: it has none, or took it back."""
    identities = Identities(ledger)
    version = identities.record(address).version
    records = [one for one in identities.keys_set(address) if one.version == version]
    return records[-1] if records else None


def _statement(
    domain: Domain, phase: str, account: str, signed: Mapping[str, Mapping[str, Any]]
) -> bytes:
    """Return what a SuperNode's key signs; which block a call names is left to the call.

    A client that is asked again after its server was killed names a newer block, and the ledger may
    have its first call already.
    """
    values = {
        name: {key: _plain(value) for key, value in one.items() if key != SEEN}
        for name, one in signed.items()
    }
    digest = keccak(canonical_json(values))
    kinds = ["string", "uint256", "address", "uint256", "uint256", "string", "address", "bytes32"]
    where = [domain.chain_id, domain.contract, domain.task, domain.round]
    return encode(kinds, [_LABEL, *where, phase, account, digest])


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value
