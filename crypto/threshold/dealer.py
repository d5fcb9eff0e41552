"""The dealer, a process of its own: `python -m fedledger.crypto.threshold.dealer`.

It reads a request from standard input, writes the dealing to standard output, and ends; with it end
the factors, the polynomial and the shares that were not sealed. It has no ledger, no account and no
file. The request is JSON, of public things alone:

    {"bits": 2048, "threshold": 3, "recipients": ["HEX", …], "context": "HEX"}

with the trainers' X25519 public keys in their order. What is wrong is one line on standard error,
with exit status 2.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from fedledger.effects import Effects, Entropy
from fedledger.errors import CryptoError, FedledgerError
from fedledger.formats import canonical_json, parse_json

from .dealt import Dealing

__all__ = ["deal_apart"]

_FIELDS: Final = {"bits", "threshold", "recipients", "context"}
_MOST: Final = 1 << 16
_NOT_ITS: Final = "FEDLEDGER_"  # an account's password among them
_PROBE: Final = X25519PrivateKey.from_private_bytes(b"\x40" * 32)
_SECONDS: Final = 600.0
_STATUS: Final = 2


def deal_apart(
    bits: int,
    threshold: int,
    recipients: Sequence[bytes],
    context: bytes,
    *,
    seconds: float = _SECONDS,
) -> Dealing:
    """Have a process of its own deal a key; return what it hands out, checked.

    Args:
        bits: size of the modulus, 2048 or 3072.
        threshold: t, more than half of the trainers.
        recipients: the trainers' X25519 public keys, in their order; all different.
        context: where the key is used, in the caller's encoding.
        seconds: how long it may take; 3072 bits take about four on an idle core.

    Raises:
        CryptoError: sizes that do not go together, what is no key, or the same key twice; or the
            process did not end in time, or not with a dealing of this kind.
        ConfigError: the extra `paillier` is not installed.
    """
    _check(bits, threshold, recipients)
    request = {"bits": bits, "threshold": threshold, "context": context.hex()}
    request["recipients"] = [one.hex() for one in recipients]
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "fedledger.crypto.threshold.dealer"],
            input=canonical_json(request),
            capture_output=True,
            check=False,
            env={name: said for name, said in os.environ.items() if not name.startswith(_NOT_ITS)},
            start_new_session=True,  # Ctrl-C is for who started it, who then ends it
            timeout=seconds,
        )
    except subprocess.TimeoutExpired as error:
        raise CryptoError("dealer", f"its process dealt nothing in {seconds:g} seconds") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").splitlines()
        why = f": {said[-1].removeprefix('error: ')}" if said else ""
        raise CryptoError("dealer", f"its process ended with status {done.returncode}{why}")
    dealing = Dealing.decode(done.stdout)
    keys = dealing.check()
    keys.check_agreed(bits=bits, trainers=len(recipients), threshold=threshold)
    return dealing


def main() -> None:
    """Answer one request."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a traceback would be more than one line
    try:
        found = _answer(sys.stdin.buffer.read(_MOST + 1), Effects.real().entropy)
        sys.stdout.buffer.write(found)
        sys.stdout.buffer.flush()
    except (FedledgerError, OSError) as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        sys.exit(_STATUS)


def _answer(data: bytes, entropy: Entropy) -> bytes:
    """Return the dealing that a request asks for."""
    request = _read(data)
    bits, threshold, recipients, context = request
    _check(bits, threshold, recipients)
    from . import deal, seal_share  # noqa: PLC0415 - an extra, and only the dealer deals

    keys, shares = deal(bits, len(recipients), threshold, entropy)
    sealed = (
        seal_share(share, recipient, context)
        for share, recipient in zip(shares, recipients, strict=True)
    )
    return Dealing(keys.encode(), tuple(sealed)).encode()


def _check(bits: int, threshold: int, recipients: Sequence[bytes]) -> None:
    """Refuse, before anything is drawn, what cannot be dealt."""
    from ..paillier import SIZES  # noqa: PLC0415 - an extra
    from . import check_threshold  # noqa: PLC0415 - the same

    if bits not in SIZES:
        raise CryptoError("key size", f"a modulus has {' or '.join(map(str, SIZES))} bits")
    check_threshold(threshold, len(recipients))
    first: dict[bytes, int] = {}
    for at, one in enumerate(recipients, 1):
        try:
            _PROBE.exchange(X25519PublicKey.from_public_bytes(one))
        except ValueError as error:  # a wrong length, or a point of small order
            raise CryptoError("recipients", f"trainer {at}: it is no X25519 key") from error
        if first.setdefault(one, at) != at:
            raise CryptoError(
                "recipients",
                f"trainers {first[one]} and {at} have the same key: one would open both shares",
            )


def _read(data: bytes) -> tuple[int, int, list[bytes], bytes]:
    """Return what a request says: bits, threshold, recipients, context.

    Raises:
        CryptoError: it is none.
    """
    if len(data) > _MOST:
        raise CryptoError("request", f"more than {_MOST} bytes")
    try:
        said: Any = parse_json(data)
    except ValueError as error:
        raise CryptoError("request", "it is no JSON") from error
    if not isinstance(said, dict) or said.keys() != _FIELDS:
        raise CryptoError("request", f"it has the fields {', '.join(sorted(_FIELDS))}")
    for name in ("bits", "threshold"):
        if type(said[name]) is not int:
            raise CryptoError("request", f"{name!r} is a whole number")
    listed, context = said["recipients"], said["context"]
    if type(listed) is not list or any(type(one) is not str for one in (*listed, context)):
        raise CryptoError("request", "keys and context are hexadecimal digits")
    try:
        recipients = [bytes.fromhex(one) for one in listed]
        return said["bits"], said["threshold"], recipients, bytes.fromhex(context)
    except ValueError as error:
        raise CryptoError("request", "keys and context are hexadecimal digits") from error


if __name__ == "__main__":
    main()
