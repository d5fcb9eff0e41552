"""EIP-1559 transactions to bytes and back, in the one canonical form.

The envelope is 0x02 and the RLP list [chain id, nonce, tip, fee cap, gas, to, value, data, access
list, y parity, r, s] (EIP-2718, EIP-1559). Every call this library makes has value 0 and an empty
access list, and nothing else is accepted. Two different byte strings never decode to the same
transaction: integers and lengths are minimal, and s is at most half the group's order (EIP-2).
"""

from dataclasses import replace

import coincurve
from eth_hash.auto import keccak

from fedledger.errors import CallError, MalformedTransaction, TransactionRefused

from .addresses import address_from_bytes, address_of_public_key, checksum_address
from .base import CallTerms, SignedTransaction, UnsignedTransaction

__all__ = [
    "MAX_TRANSACTION_BYTES",
    "checked",
    "decode_transaction",
    "encode_signed",
    "recover_signer",
    "sign_creation",
    "sign_transaction",
    "transaction_hash",
]

MAX_TRANSACTION_BYTES = 256 * 1024
"""The largest envelope that is signed or decoded."""

_TYPE = b"\x02"
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_BITS = {
    "chain_id": 64,
    "nonce": 64,
    "max_priority_fee_per_gas": 256,
    "max_fee_per_gas": 256,
    "gas": 64,
}
_FIELDS = (*_BITS, "to", "value", "data", "access_list", "y_parity", "r", "s")
_EMPTY_LIST = b"\xc0"


def sign_transaction(
    unsigned: UnsignedTransaction, key: coincurve.PrivateKey, sender: str
) -> SignedTransaction:
    """Sign a call (deterministic ECDSA, RFC 6979).

    Args:
        unsigned: the call; its address may be all lower case.
        key: the private key.
        sender: the key's address.

    Raises:
        CallError: a field is out of range, or the envelope would be too large.
    """
    terms = replace(unsigned.terms, to=checksum_address(unsigned.terms.to))
    checked = UnsignedTransaction(terms, unsigned.nonce, bytes(unsigned.data))
    raw = _sign(checked, key)
    return SignedTransaction(raw, "0x" + keccak(raw).hex(), sender, checked)


def sign_creation(unsigned: UnsignedTransaction, key: coincurve.PrivateKey) -> tuple[bytes, str]:
    """Sign the creation of a contract, which is no call: `decode_transaction` refuses it.

    Args:
        unsigned: `data` is the contract's creation code with its arguments, `terms.to` is "".
        key: the private key.

    Returns:
        The envelope's bytes and its hash.

    Raises:
        CallError: it names an address, a field is out of range, or the envelope is too large.
    """
    if unsigned.terms.to:
        raise CallError(f"a contract is created at no address, got {unsigned.terms.to}")
    raw = _sign(unsigned, key)
    return raw, "0x" + keccak(raw).hex()


def encode_signed(unsigned: UnsignedTransaction, *, r: int, s: int, parity: int) -> bytes:
    """Return the envelope of a call and its signature, as a node hands them out in pieces.

    Raises:
        MalformedTransaction: a field that cannot be encoded.
    """
    payload = _payload(unsigned)
    return _TYPE + _list(payload + _integer(parity) + _integer(r) + _integer(s))


def _sign(unsigned: UnsignedTransaction, key: coincurve.PrivateKey) -> bytes:
    try:
        payload = _payload(unsigned)
        _check_fees(unsigned.terms)
    except MalformedTransaction as error:
        raise CallError(f"cannot be signed: {error}") from error
    signature = key.sign_recoverable(keccak(_TYPE + _list(payload)), hasher=None)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    raw = _TYPE + _list(payload + _integer(signature[64]) + _integer(r) + _integer(s))
    if len(raw) > MAX_TRANSACTION_BYTES:
        raise CallError(f"cannot be signed: {len(raw)} bytes, above {MAX_TRANSACTION_BYTES}")
    return raw


def decode_transaction(raw: bytes) -> SignedTransaction:
    """Decode a signed call and recover who signed it.

    Raises:
        MalformedTransaction: with the field that is wrong ("envelope" for the bytes around them).
    """
    if len(raw) > MAX_TRANSACTION_BYTES:
        raise MalformedTransaction("envelope", f"{len(raw)} bytes, above {MAX_TRANSACTION_BYTES}")
    raw = bytes(raw)
    if raw[:1] != _TYPE:
        raise MalformedTransaction("envelope", "not of type 2 (EIP-1559)")
    items, payload = _parse(raw)
    numbers = {name: _number(name, items[name], bits) for name, bits in _BITS.items()}
    if len(items["to"]) != 20:
        raise MalformedTransaction("to", f"{len(items['to'])} bytes instead of 20")
    if items["value"]:
        raise MalformedTransaction("value", "a call carries no value")
    nonce = numbers.pop("nonce")
    terms = CallTerms(to=address_from_bytes(items["to"]), **numbers)
    unsigned = UnsignedTransaction(terms, nonce, items["data"])
    _check_nonce(nonce)
    _check_fees(terms)
    digest = keccak(_TYPE + _list(payload))
    sender = _recover(digest, items)
    return SignedTransaction(raw, transaction_hash(raw), sender, unsigned)


def transaction_hash(raw: bytes) -> str:
    """Return the hash of an envelope, which names the transaction; nothing is checked."""
    return "0x" + keccak(raw).hex()


def checked(transaction: SignedTransaction) -> SignedTransaction:
    """Return what the envelope says; what the object says beside it is not believed (clause L1).

    Raises:
        TransactionRefused: reason "signature"; the object says something else.
    """
    try:
        decoded = decode_transaction(transaction.raw)
    except MalformedTransaction as error:
        raise TransactionRefused("signature", str(error)) from error
    if decoded != transaction:
        raise TransactionRefused("signature", "sender, hash or call are not those of the envelope")
    return decoded


def _payload(unsigned: UnsignedTransaction) -> bytes:
    terms = unsigned.terms
    values = {
        "chain_id": terms.chain_id,
        "nonce": unsigned.nonce,
        "max_priority_fee_per_gas": terms.max_priority_fee_per_gas,
        "max_fee_per_gas": terms.max_fee_per_gas,
        "gas": terms.gas,
    }
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int):
            raise MalformedTransaction(name, f"{type(value).__name__} instead of int")
        if not 0 <= value < 1 << _BITS[name]:
            raise MalformedTransaction(name, f"{value} is not in {_BITS[name]} bits")
    _check_nonce(unsigned.nonce)
    return (
        b"".join(_integer(value) for value in values.values())
        + _string(bytes.fromhex(terms.to[2:]))
        + _integer(0)
        + _string(unsigned.data)
        + _EMPTY_LIST
    )


def _check_nonce(nonce: int) -> None:
    if nonce == (1 << 64) - 1:
        raise MalformedTransaction("nonce", "the last nonce is never used (EIP-2681)")


def _check_fees(terms: CallTerms) -> None:
    if terms.max_priority_fee_per_gas > terms.max_fee_per_gas:
        raise MalformedTransaction("max_priority_fee_per_gas", "above max_fee_per_gas")


def _recover(digest: bytes, items: dict[str, bytes]) -> str:
    parity = _number("y_parity", items["y_parity"], 1)
    r, s = _number("r", items["r"], 256), _number("s", items["s"], 256)
    if not 0 < r < _ORDER:
        raise MalformedTransaction("r", "not between 0 and the group's order")
    if not 0 < s <= _ORDER // 2:
        raise MalformedTransaction("s", "not between 0 and half the group's order")
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([parity])
    return recover_signer(digest, signature)


def recover_signer(digest: bytes, signature: bytes) -> str:
    """Return the address that signed a digest; `signature` is r, s and the parity, 65 bytes.

    Raises:
        MalformedTransaction: no key makes this signature.
    """
    try:
        key = coincurve.PublicKey.from_signature_and_message(signature, digest, hasher=None)
    except Exception as error:  # coincurve raises bare Exception
        raise MalformedTransaction("r", "no key makes this signature") from error
    return address_of_public_key(key.format(compressed=False))


def _parse(raw: bytes) -> tuple[dict[str, bytes], bytes]:
    """Return the fields' bytes by name and the RLP of the fields that are signed."""
    at, end = _span(raw, 1, len(raw), 0xC0, "envelope")
    if end != len(raw):
        raise MalformedTransaction("envelope", f"{len(raw) - end} bytes after its end")
    first = at
    items: dict[str, bytes] = {}
    signed = b""
    for name in _FIELDS:
        if name == "access_list":
            if raw[at : at + 1] != _EMPTY_LIST:
                raise MalformedTransaction(name, "not empty")
            at += 1
            signed = raw[first:at]
        elif at < end and raw[at] < 0x80:
            items[name] = raw[at : at + 1]
            at += 1
        else:
            start, at = _span(raw, at, end, 0x80, name)
            items[name] = raw[start:at]
            if at - start == 1 and raw[start] < 0x80:
                raise MalformedTransaction(name, "a single byte written with a length")
    if at != end:
        raise MalformedTransaction("envelope", "more fields than a transaction has")
    return items, signed


def _span(raw: bytes, at: int, end: int, offset: int, name: str) -> tuple[int, int]:
    """Return where the content of the RLP string or list at `at` starts and ends."""
    if at >= end:
        raise MalformedTransaction(name, "missing")
    kind = raw[at] - offset
    at += 1
    if not 0 <= kind < 64:
        raise MalformedTransaction(name, "a string instead of a list, or the other way round")
    length = kind
    if kind > 55:
        size = raw[at : min(at + kind - 55, end)]
        length = int.from_bytes(size, "big")
        if len(size) < kind - 55 or size[0] == 0 or length < 56:
            raise MalformedTransaction(name, "a length that is cut off or not minimal")
        at += len(size)
    if at + length > end:
        raise MalformedTransaction(name, "cut off")
    return at, at + length


def _number(name: str, data: bytes, bits: int) -> int:
    if data[:1] == b"\0":
        raise MalformedTransaction(name, "an integer with leading zeros")
    if len(data) * 8 > bits + 7 or int.from_bytes(data, "big") >> bits:
        raise MalformedTransaction(name, f"above {bits} bits")
    return int.from_bytes(data, "big")


def _integer(value: int) -> bytes:
    return _string(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def _string(data: bytes) -> bytes:
    if len(data) == 1 and data[0] < 0x80:
        return data
    return _head(0x80, len(data)) + data


def _list(payload: bytes) -> bytes:
    return _head(0xC0, len(payload)) + payload


def _head(offset: int, length: int) -> bytes:
    if length < 56:
        return bytes([offset + length])
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([offset + 55 + len(size)]) + size
