"""The decoder reads what eth_abi writes, and refuses what it would not have written."""

import pytest
from eth_abi.abi import decode as eth_decode
from eth_abi.abi import encode
from eth_abi.exceptions import DecodingError
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.examples import examples

from fedledger.errors import CallError
from fedledger.ledger_plugins.addresses import address_from_bytes
from fedledger.ledger_plugins.contracts.decoding import decode

ELEMENTARY = {
    "uint8": st.integers(0, 2**8 - 1),
    "uint64": st.integers(0, 2**64 - 1),
    "uint256": st.integers(0, 2**256 - 1),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "bool": st.booleans(),
    "address": st.binary(min_size=20, max_size=20).map(address_from_bytes),
    "bytes4": st.binary(min_size=4, max_size=4),
    "bytes32": st.binary(min_size=32, max_size=32),
    "bytes": st.binary(max_size=70),
    "string": st.text(max_size=30),
}


@st.composite
def typed(draw, depth=2):
    """A type and a value of it."""
    kind = draw(st.sampled_from(sorted(ELEMENTARY)))
    values = ELEMENTARY[kind]
    for _ in range(draw(st.integers(0, depth))):
        length = draw(st.none() | st.integers(1, 3))
        least, most = (0, 3) if length is None else (length, length)
        values = st.lists(values, min_size=least, max_size=most).map(tuple)
        kind += "[]" if length is None else f"[{length}]"
    return kind, draw(values)


@examples(300)
@given(st.lists(typed(), max_size=5))
def test_what_was_encoded_comes_back(pairs):
    """Values of all supported types, nested arrays included, are what was encoded."""
    kinds = [kind for kind, _ in pairs]
    values = tuple(value for _, value in pairs)
    assert decode(kinds, encode(kinds, values)) == values


@examples(500)
@given(st.lists(typed(), min_size=1, max_size=4), st.data())
def test_changed_bytes_are_read_as_eth_abi_reads_them_or_refused(pairs, data):
    """Of damaged bytes exactly those are accepted that encode what eth_abi reads in them."""
    kinds = [kind for kind, _ in pairs]
    raw = bytearray(encode(kinds, [value for _, value in pairs]))
    words = len(raw) // 32
    for _ in range(data.draw(st.integers(1, 3))):
        at = 32 * data.draw(st.integers(0, max(words - 1, 0)))
        number = data.draw(st.sampled_from([0, 1, 2, 31, 32, 33, 64, 96, 128, 2**64, 2**256 - 1]))
        raw[at : at + 32] = number.to_bytes(32, "big")
    raw = raw[: len(raw) - data.draw(st.sampled_from([0, 0, 0, 1, 32]))]
    raw += bytes(data.draw(st.sampled_from([0, 0, 0, 1, 32])))
    try:
        values = eth_decode(kinds, bytes(raw))
        canonical = encode(kinds, values) == raw
    except (DecodingError, ArithmeticError, ValueError, TypeError):
        canonical = False
    if canonical:
        assert encode(kinds, decode(kinds, bytes(raw))) == raw
    else:
        with pytest.raises(CallError):
            decode(kinds, bytes(raw))


@settings(examples(200), deadline=500)
@given(st.lists(typed().map(lambda pair: pair[0]), max_size=4), st.binary(max_size=400))
@example(["uint256[][]"], bytes(31) + b"\x20" + b"\xff" * 32)
@example(["bytes"], bytes(31) + b"\x20" + b"\xff" * 32)
def test_noise_is_refused_at_once(kinds, raw):
    """Whatever the lengths promise, decoding ends at once, with CallError or with what it says."""
    try:
        values = decode(kinds, raw)
    except CallError:
        return
    assert encode(kinds, values) == raw


@pytest.mark.parametrize("kind", ["fixed128x18", "function", "uint8[0]", "(uint8)", "bytes0x", ""])
def test_other_types_are_not_supported(kind):
    """A type that no contract of ours has is named."""
    with pytest.raises(CallError, match="not supported"):
        decode([kind], bytes(32))
