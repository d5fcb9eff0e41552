"""BLS signatures on BLS12-381, with proofs of possession (draft-irtf-cfrg-bls-signature-05).

Public keys are points of G1 (48 bytes compressed), signatures and proofs points of G2 (96 bytes):
the suite `BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_`. A signature of a message under a key is
unique. A key that others are going to add to theirs needs its proof of possession, else its owner
could have chosen it as a difference to theirs.

The group's arithmetic is that of `py-arkworks-bls12381` (extra `pairing`), which checks the curve
and the subgroup of every point that it reads from bytes; it is not constant-time.
"""

from typing import TYPE_CHECKING, Any, Final

from fedledger.effects import Effects, Entropy
from fedledger.errors import AccountError, ConfigError

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["KEY_BYTES", "ORDER", "PROOF_BYTES", "BlsKey", "check_possession", "verify"]

KEY_BYTES: Final = 48
"""Size of a public key."""

PROOF_BYTES: Final = 96
"""Size of a signature, and of a proof of possession."""

ORDER: Final = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
"""Number of points in each group."""

_SIGN = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"
_POSSESS = b"BLS_POP_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"


class BlsKey:
    """A secret key.

    Args:
        secret: a number above 0 and below `ORDER`.

    Raises:
        AccountError: it is no such number.
        ConfigError: the package for the arithmetic is not installed.
    """

    __slots__ = ("_secret", "public")

    def __init__(self, secret: int) -> None:
        if type(secret) is not int or not 0 < secret < ORDER:
            raise AccountError("a BLS secret key is a number above 0 and below the group's order")
        group = _group()
        self._secret = group.Scalar.from_be_bytes(secret.to_bytes(32, "big"))
        self.public = bytes((group.G1Point() * self._secret).to_compressed_bytes())
        """The public key, 48 bytes."""

    @classmethod
    def create(cls, entropy: Entropy | None = None) -> "BlsKey":
        """Return a new key.

        Args:
            entropy: where its bytes are drawn; this machine's by default.
        """
        drawn = (entropy or Effects.real().entropy).draw(48)
        return cls(1 + int.from_bytes(drawn, "big") % (ORDER - 1))  # biased by 2^-128

    def to_bytes(self) -> bytes:
        """Return the secret, 32 bytes big-endian."""
        return bytes(self._secret.to_be_bytes())

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a message, 96 bytes, always the same."""
        return self._times(message, _SIGN)

    def prove_possession(self) -> bytes:
        """Return the proof that whoever published this public key has its secret, 96 bytes."""
        return self._times(self.public, _POSSESS)

    def __repr__(self) -> str:
        return f"BlsKey(public={self.public.hex()})"

    def __reduce__(self) -> Any:
        raise TypeError("a secret key is not pickled")

    def _times(self, message: bytes, suite: bytes) -> bytes:
        point = _group().G2Point.hash_to_curve(message, suite)
        return bytes((point * self._secret).to_compressed_bytes())


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether a signature is that of a message under a public key.

    Args:
        public: 48 bytes.
        message: what was signed.
        signature: 96 bytes.

    Raises:
        AccountError: `public` is no key: a wrong length, no point, one outside the group, or zero.
        ConfigError: the package for the arithmetic is not installed.
    """
    return _holds(_key(public), message, signature, _SIGN)


def check_possession(public: bytes, proof: bytes) -> None:
    """Check that whoever published a public key had its secret.

    Args:
        public: 48 bytes.
        proof: 96 bytes.

    Raises:
        AccountError: `public` is no key, or the proof is not its proof.
        ConfigError: the package for the arithmetic is not installed.
    """
    if not _holds(_key(public), public, proof, _POSSESS):
        raise AccountError(f"BLS key 0x{public.hex()}: its proof of possession does not hold")


def _key(public: bytes) -> Any:
    found = _point(_group().G1Point, public, KEY_BYTES)
    if found is None:
        said = public.hex() if len(public) <= KEY_BYTES else f"… of {len(public)} bytes"
        raise AccountError(f"0x{said} is no BLS public key: 48 bytes, a point of G1 and not zero")
    return found


def _holds(public: Any, message: bytes, signature: bytes, suite: bytes) -> bool:
    group = _group()
    signed = _point(group.G2Point, signature, PROOF_BYTES)
    if signed is None:
        return False
    hashed = group.G2Point.hash_to_curve(message, suite)
    return bool(group.GT.pairing_check([-group.G1Point(), public], [signed, hashed]))


def _point(group: Any, raw: bytes, size: int) -> Any:
    """Return a point that is not zero, or None."""
    if len(raw) != size:
        return None
    try:
        found = group.from_compressed_bytes(raw)
    except ValueError:
        return None
    return None if found == group.identity() else found


def _group() -> "ModuleType":
    try:
        import py_arkworks_bls12381  # noqa: PLC0415 - an extra, which not every machine has
    except ImportError as error:
        raise ConfigError(
            "BLS keys need the package py-arkworks-bls12381: pip install 'fedledger[pairing]' "
            "(it has no wheel for Linux on aarch64)"
        ) from error
    return py_arkworks_bls12381
