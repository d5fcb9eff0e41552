"""Transactions: the same bytes as eth-account makes, and no others accepted."""

from dataclasses import replace

import pytest
import rlp
from eth_account import Account as EthAccount
from eth_hash.auto import keccak
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.examples import examples

from fedledger.errors import CallError, MalformedTransaction
from fedledger.ledger_plugins.accounts import Account, decode_transaction
from fedledger.ledger_plugins.addresses import address_from_bytes
from fedledger.ledger_plugins.base import CallTerms, UnsignedTransaction

KEY = bytes.fromhex("4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318")
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
TO = address_from_bytes(b"\x11" * 20)
UNSIGNED = UnsignedTransaction(CallTerms(1337, TO, 80_000, 3_000, 2_000), 5, b"\x01\x02\x03\x04")
FIELDS = [
    "chain_id", "nonce", "max_priority_fee_per_gas", "max_fee_per_gas", "gas", "to", "value",
    "data", "access_list", "y_parity", "r", "s",
]  # fmt: skip
SIGNED = Account.from_key(KEY).sign(UNSIGNED)

KEYS = st.integers(1, ORDER - 1).map(lambda number: number.to_bytes(32, "big"))
FEES = st.tuples(st.integers(0, 2**128), st.integers(0, 2**128)).map(sorted)
TRANSACTIONS = st.builds(
    lambda chain, to, gas, fees, nonce, data: UnsignedTransaction(
        CallTerms(chain, address_from_bytes(to), gas, fees[1], fees[0]), nonce, data
    ),
    st.integers(0, 2**64 - 1),
    st.binary(min_size=20, max_size=20),
    st.integers(0, 2**64 - 1),
    FEES,
    st.integers(0, 2**64 - 2),
    st.binary(max_size=300),
)


def as_dict(unsigned):
    terms = unsigned.terms
    return {
        "type": 2,
        "chainId": terms.chain_id,
        "nonce": unsigned.nonce,
        "maxPriorityFeePerGas": terms.max_priority_fee_per_gas,
        "maxFeePerGas": terms.max_fee_per_gas,
        "gas": terms.gas,
        "to": terms.to,
        "value": 0,
        "data": unsigned.data,
    }


def fields():
    """Return the signed transaction's RLP items by name, for a test to change."""
    return dict(zip(FIELDS, rlp.decode(SIGNED.raw[1:]), strict=True))


def envelope(items):
    return b"\x02" + rlp.encode(list(items.values()))


@examples(150)
@given(key=KEYS, unsigned=TRANSACTIONS)
def test_signing_equals_eth_account(key, unsigned):
    """The envelope, hash and sender are byte for byte what eth-account makes of the same call."""
    account = Account.from_key(key)
    signed = account.sign(unsigned)
    theirs = EthAccount.from_key(key).sign_transaction(as_dict(unsigned))
    assert signed.raw == theirs.raw_transaction
    assert signed.hash == "0x" + bytes(theirs.hash).hex()
    assert signed.sender == account.address == EthAccount.recover_transaction(signed.raw)


@examples(150)
@given(key=KEYS, unsigned=TRANSACTIONS)
def test_decoding_equals_what_was_signed(key, unsigned):
    """A transaction that eth-account signed decodes to the value that `sign` returns."""
    raw = bytes(EthAccount.from_key(key).sign_transaction(as_dict(unsigned)).raw_transaction)
    assert decode_transaction(raw) == Account.from_key(key).sign(unsigned)


@examples(300)
@given(data=st.data())
def test_a_changed_transaction_is_another_or_none(data):
    """One changed byte gives another sender or content, or no transaction; never the same (L1)."""
    raw = bytearray(SIGNED.raw)
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        found = decode_transaction(bytes(raw))
    except MalformedTransaction:
        return
    assert (found.sender, found.unsigned) != (SIGNED.sender, SIGNED.unsigned)
    assert found.raw == bytes(raw) == envelope_of(found)


def envelope_of(signed):
    """Return the canonical RLP of what was decoded, made by another library."""
    return b"\x02" + rlp.encode(rlp.decode(signed.raw[1:], strict=True))


@examples(300)
@given(raw=st.one_of(st.binary(max_size=200), st.binary(max_size=200).map(lambda b: b"\x02" + b)))
def test_noise_is_refused(raw):
    """Random bytes raise MalformedTransaction and nothing else."""
    with pytest.raises(MalformedTransaction):
        decode_transaction(raw)


def number(least, most):
    """Return a strategy of numbers as RLP has them: no zero byte in front."""
    return st.integers(least, most).map(lambda n: n.to_bytes((n.bit_length() + 7) // 8, "big"))


def not_a_number(above):
    """A leading zero, more than the field holds, or a list."""
    return st.one_of(
        st.binary(max_size=8).map(lambda rest: b"\0" + rest),
        number(above, above << 64),
        st.lists(st.binary(max_size=2), max_size=2),
    )


WRONG = {
    "chain_id": not_a_number(2**64),
    "nonce": not_a_number(2**64 - 1),
    "max_priority_fee_per_gas": not_a_number(3_001),  # above the whole fee
    "max_fee_per_gas": not_a_number(2**256),
    "gas": not_a_number(2**64),
    "to": st.binary(max_size=40).filter(lambda to: len(to) != 20) | st.just([]),
    "value": st.binary(min_size=1, max_size=9) | st.just([]),
    "data": st.lists(st.binary(max_size=9), max_size=2),
    "access_list": st.lists(st.binary(max_size=20), min_size=1, max_size=2) | st.binary(max_size=9),
    "y_parity": st.binary(min_size=1, max_size=2).filter(lambda one: one != b"\x01"),
    "r": st.just(b"") | not_a_number(ORDER),
    "s": st.just(b"") | not_a_number(ORDER // 2 + 1),
}


@given(st.sampled_from(FIELDS).flatmap(lambda one: st.tuples(st.just(one), WRONG[one])))
@example(("access_list", [[b"\x11" * 20, []]]))
@example(("to", b""))  # which would make a contract
@example(("nonce", b"\xff" * 8))
def test_a_wrong_field_is_named(wrong):
    """Each field out of its form or range is refused by name."""
    field, value = wrong
    with pytest.raises(MalformedTransaction) as caught:
        decode_transaction(envelope(fields() | {field: value}))
    assert caught.value.field == field


HEADS = st.one_of(
    st.binary(max_size=3),
    st.integers(0, 255).map(lambda first: bytes([first])),
    st.tuples(st.sampled_from([0x80, 0xB7, 0xC0, 0xF7]), st.integers(1, 8), st.binary(max_size=8))
    .filter(lambda head: head[0] + head[1] < 256)
    .map(lambda head: bytes([head[0] + head[1]]) + head[2].ljust(head[1], b"\xff")),
)
ITEMS = st.recursive(
    st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=6,
)


@settings(examples(400), deadline=500)
@given(data=st.data())
def test_wrong_structures_are_refused_with_the_field(data):
    """Nested, missing and surplus items, and lengths of every form, name a field and never hang.

    What decodes all the same encodes to the same bytes, and is not the signer's.
    """
    items = list(fields().values())
    for _ in range(data.draw(st.integers(1, 2))):
        at = data.draw(st.integers(0, len(items) - 1))
        items[at : at + data.draw(st.integers(0, 2))] = [data.draw(ITEMS)]
    raw = b"\x02" + rlp.encode(items)
    if data.draw(st.booleans()):
        at = data.draw(st.integers(1, len(raw) - 1))
        raw = raw[:at] + data.draw(HEADS) + raw[at + data.draw(st.integers(0, 3)) :]
    try:
        transaction = decode_transaction(raw)
    except MalformedTransaction as error:
        assert error.field in {"envelope", *FIELDS}  # noqa: PT017 - any of them
    else:
        assert transaction.raw == raw
        assert (transaction.sender == SIGNED.sender) == (raw == SIGNED.raw)


def test_signatures_cannot_be_turned_round():
    """The other signature that verifies, with s' = n - s, is refused (EIP-2)."""
    items = fields()
    items["s"] = (ORDER - int.from_bytes(items["s"], "big")).to_bytes(32, "big")
    items["y_parity"] = b"" if items["y_parity"] else b"\x01"
    assert EthAccount.recover_transaction(envelope(items)) == SIGNED.sender
    with pytest.raises(MalformedTransaction) as caught:
        decode_transaction(envelope(items))
    assert caught.value.field == "s"


def test_an_r_on_no_curve_point_is_refused():
    """A signature that no key can have made is refused."""
    items = fields()
    items["r"] = b"\x05"  # 5^3 + 7 is no square modulo the field's prime
    with pytest.raises(MalformedTransaction, match="no key makes"):
        decode_transaction(envelope(items))


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw + b"\0",
        lambda raw: raw[:-1],
        lambda raw: b"\x01" + raw[1:],
        lambda raw: raw[1:],
        lambda raw: raw[:0],
        lambda raw: b"\x02" + b"\xf9\x00" + bytes([len(raw) - 3]) + raw[3:],
        lambda raw: b"\x02" + b"\xb8" + raw[2:],
        lambda raw: raw[:1] + b"\xff" + b"\xff" * 8 + raw[3:],
        lambda raw: b"\x02" + rlp.encode([*rlp.decode(raw[1:]), b""]),
        lambda raw: b"\x02" + rlp.encode(rlp.decode(raw[1:])[:11]),
        lambda raw: raw[:1] + b"\xc1" * 200_000,
        lambda raw: raw[:1] * (256 * 1024 + 1),
    ],
)
def test_a_wrong_envelope_is_refused(change):
    """Bytes before, after or around the fields are refused, deep nesting and size included."""
    with pytest.raises(MalformedTransaction):
        decode_transaction(change(SIGNED.raw))


def test_single_bytes_have_no_length():
    """A byte below 0x80 written as a string of length one is refused (canonical RLP)."""
    body = rlp.encode(rlp.decode(SIGNED.raw[1:])[1])
    assert body == b"\x05"
    payload = SIGNED.raw[3:]
    at = payload.index(b"\x05", 3)
    longer = payload[:at] + b"\x81" + payload[at:]
    with pytest.raises(MalformedTransaction) as caught:
        decode_transaction(b"\x02\xf8" + bytes([len(longer)]) + longer)
    assert caught.value.field == "nonce"


@pytest.mark.parametrize(
    "unsigned",
    [
        replace(UNSIGNED, nonce=-1),
        replace(UNSIGNED, nonce=2**64 - 1),
        replace(UNSIGNED, nonce=True),
        replace(UNSIGNED, terms=replace(UNSIGNED.terms, chain_id=2**64)),
        replace(UNSIGNED, terms=replace(UNSIGNED.terms, gas=1.5)),
        replace(UNSIGNED, terms=replace(UNSIGNED.terms, max_fee_per_gas=1_999)),
        replace(UNSIGNED, terms=replace(UNSIGNED.terms, to="0x12")),
        replace(UNSIGNED, data=bytes(256 * 1024)),
    ],
)
def test_nothing_is_signed_that_would_be_refused(unsigned):
    """A field out of range is a clear error before anything is sent (clause L10)."""
    with pytest.raises(CallError):
        Account.from_key(KEY).sign(unsigned)


def test_the_largest_transaction_comes_back():
    """A transaction of exactly the cap is signed and decoded."""
    room = 256 * 1024 - len(Account.from_key(KEY).sign(replace(UNSIGNED, data=bytes(200_000))).raw)
    signed = Account.from_key(KEY).sign(replace(UNSIGNED, data=bytes(200_000 + room)))
    assert len(signed.raw) == 256 * 1024
    assert decode_transaction(signed.raw) == signed


def test_short_lengths_have_no_long_form():
    """Four bytes of data written with a length of its own are refused (canonical RLP)."""
    payload = SIGNED.raw[3:]
    at = payload.index(b"\x84\x01\x02\x03\x04")
    longer = payload[:at] + b"\xb8\x04" + payload[at + 1 :]
    with pytest.raises(MalformedTransaction) as caught:
        decode_transaction(b"\x02\xf8" + bytes([len(longer)]) + longer)
    assert caught.value.field == "data"


def test_the_hash_is_of_the_envelope():
    """A transaction's hash is keccak-256 of its bytes."""
    assert SIGNED.hash == "0x" + keccak(SIGNED.raw).hex()
