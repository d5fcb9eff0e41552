"""Which published keys are an account's: the contract keeps records, this judges them.

A key counts where its proof holds, in the newest record of its account. A record in which one key
fails keeps the others; what failed is named with the reason, for clients that refuse it and audits
that report it.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey as EcKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey as EdKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)
from eth_abi.abi import encode

from fedledger.errors import AccountError, ConfigError, LedgerUnavailable
from fedledger.guards import guarded

from ....crypto.bls import check_possession
from ...accounts import Account
from ...addresses import checksum_address
from ...base import Ledger, Receipt
from .facade import Identities, KeysSet
from .twin import digest_of

__all__ = [
    "FlowerKey",
    "Keys",
    "check_signed",
    "flower_in",
    "flower_owner",
    "keys_in",
    "keys_of",
    "publish_keys",
    "signed_by",
]

FlowerKey = EllipticCurvePrivateKey | Ed25519PrivateKey
"""The private key of a SuperNode: an elliptic curve's, as Flower makes them, or Ed25519."""

_LABEL = "fedledger flower key v1"
_NAME = "its statement about this account, chain and record"
_NONE = bytes(32)
_PROBE = X25519PrivateKey.from_private_bytes(b"\x40" * 32)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of an account.

    Attributes:
        account: its address.
        version: number of its records; 0: it never had any.
        hpke: X25519 public key, 32 bytes, or None.
        bls: BLS12-381 public key with a proof that held, 48 bytes, or None.
        flower: public key of its SuperNode, which stated so, DER, or None.
        refused: name of each key that the record has and that does not count, to the reason.
    """

    account: str
    version: int
    hpke: bytes | None = None
    bls: bytes | None = None
    flower: bytes | None = None
    refused: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def need(self, name: str) -> bytes:
        """Return one of the keys: "hpke", "bls" or "flower".

        Raises:
            AccountError: the account has none that counts; says why.
        """
        found: bytes | None = getattr(self, name)
        if found is None:
            why = self.refused.get(name, "it published none")
            raise AccountError(f"{self.account} has no {name} key: {why}")
        return found


def keys_of(ledger: Ledger, account: str) -> Keys:
    """Return what counts of an account's newest record.

    Args:
        ledger: has the contract Identities.
        account: the account's address.

    Raises:
        LedgerUnavailable: the ledger cannot be reached, or contradicts itself.
    """
    account = checksum_address(account)
    identities = Identities(ledger)
    version, digest = identities.record(account)
    if digest == _NONE:
        return Keys(account, version)
    for record in reversed(identities.keys_set(account)):
        keys = (record.hpke, record.bls, record.bls_proof, record.flower, record.flower_proof)
        if (record.version, digest_of(*keys)) == (version, digest):
            return keys_in(record, ledger)
    raise LedgerUnavailable(f"{ledger.url} does not show the keys of {account} that it has")


def keys_in(record: KeysSet, ledger: Ledger) -> Keys:
    """Return what counts of a record.

    Args:
        record: what an account published.
        ledger: where; statements name its chain and contract.
    """
    checks: dict[str, tuple[bytes, Callable[[], None]]] = {
        "hpke": (record.hpke.strip(b"\0"), lambda: _check_hpke(record.hpke)),
        "bls": (record.bls, lambda: check_possession(record.bls, record.bls_proof)),
        "flower": (record.flower, lambda: flower_in(record, ledger)),
    }
    refused = {}
    for name, (published, check) in checks.items():
        if not published:
            continue
        try:
            check()
        except (AccountError, ConfigError) as error:  # false, or not to be checked here
            refused[name] = str(error)
    found = {
        name: getattr(record, name)
        for name, (published, _) in checks.items()
        if published and name not in refused
    }
    return Keys(record.account, record.version, **found, refused=MappingProxyType(refused))


def publish_keys(
    ledger: Ledger,
    account: Account,
    *,
    hpke: bytes = _NONE,
    bls: bytes = b"",
    bls_proof: bytes = b"",
    flower: FlowerKey | None = None,
) -> Receipt:
    """Publish the keys of an account, in place of all before.

    Args:
        ledger: where.
        account: who signs.
        hpke: X25519 public key, 32 bytes.
        bls: BLS12-381 public key, 48 bytes.
        bls_proof: its proof of possession, 96 bytes.
        flower: private key of the account's SuperNode, which signs a statement and is not kept.

    Raises:
        AccountError: a key that nobody would count; nothing was sent.
        LedgerError: the ledger refused, or cannot be reached.
    """
    identities = Identities(ledger)
    public = proof = b""
    if flower is not None:
        version = identities.record(account.address).version + 1
        contract = ledger.contracts()[Identities.contract].address
        said = _statement(ledger.chain_id, contract, account.address, version)
        public = flower.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        proof = signed_by(flower, said)
        check_signed(public, proof, said, _NAME)
    if hpke != _NONE:
        _check_hpke(hpke)
    if bls or bls_proof:
        check_possession(bls, bls_proof)
    return identities.set_keys(
        account, hpke=hpke, bls=bls, bls_proof=bls_proof, flower=public, flower_proof=proof
    )


def flower_owner(ledger: Ledger, flower: bytes) -> str | None:
    """Return the account of a SuperNode's key, or None.

    An account that published the key without its statement has no claim to it. Where the key made
    statements for several accounts, the newest record that still counts has it.

    Args:
        ledger: has the contract Identities.
        flower: the public key, DER.

    Raises:
        LedgerUnavailable: the ledger cannot be reached, or contradicts itself.
    """
    claims = [one for one in Identities(ledger).keys_set() if one.flower == flower]
    for claim in reversed(claims):
        now = keys_of(ledger, claim.account)
        if (now.version, now.flower) == (claim.version, flower):
            return claim.account
    return None


def _statement(chain_id: int, contract: str, account: str, version: int) -> bytes:
    """Return what a SuperNode's key signs: whose it is, and in which record that is said."""
    kinds = ["string", "uint256", "address", "address", "uint64"]
    return encode(kinds, [_LABEL, chain_id, contract, account, version])


def _check_hpke(key: bytes) -> None:
    try:
        _PROBE.exchange(X25519PublicKey.from_public_bytes(key))
    except ValueError as error:
        raise AccountError(
            f"0x{key.hex()} is no X25519 key: a point of small order, with which nothing is secret"
        ) from error


def flower_in(record: KeysSet, ledger: Ledger) -> None:
    """Check that the SuperNode's key of a record states whose it is.

    Raises:
        AccountError: it is no key, or does not state it.
    """
    where = (ledger.chain_id, ledger.contracts()[Identities.contract].address)
    said = _statement(*where, record.account, record.version)
    check_signed(record.flower, record.flower_proof, said, _NAME)


def signed_by(key: FlowerKey, said: bytes) -> bytes:
    """Return a SuperNode's signature: Ed25519, or ECDSA with SHA-256."""
    return key.sign(said) if isinstance(key, Ed25519PrivateKey) else key.sign(said, ECDSA(SHA256()))


def check_signed(key: bytes, proof: bytes, said: bytes, name: str) -> None:
    """Check a SuperNode's signature.

    Args:
        key: the public key, DER.
        proof: the signature.
        said: what is signed.
        name: what it is called where it does not hold.

    Raises:
        AccountError: it is no key of a SuperNode, or did not sign this.
    """
    with guarded("a SuperNode's key", _unreadable, _log):
        public = load_der_public_key(key)
        plain = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if plain != key or not isinstance(public, EcKey | EdKey):
        raise AccountError("it is no elliptic curve's or Ed25519 key in DER, SubjectPublicKeyInfo")
    try:
        if isinstance(public, EdKey):
            public.verify(proof, said)
        else:
            public.verify(proof, said, ECDSA(SHA256()))
    except InvalidSignature as error:
        raise AccountError(f"{name} does not hold") from error


def _unreadable(why: str) -> AccountError:
    return AccountError(f"it cannot be read: {why}")
