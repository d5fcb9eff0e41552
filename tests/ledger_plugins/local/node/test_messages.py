"""Fuzz: whatever bytes come, a node answers with an error of the library that names the field."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.clock import Clock
from support.cores import ADMIN, BLOCK, GENESIS, SIGNED
from support.examples import examples

from fedledger.errors import (
    ConfigError,
    ContractError,
    LedgerUnavailable,
    MalformedBlock,
    MalformedTransaction,
    TransactionRefused,
)
from fedledger.ledger_plugins.accounts import Account, decode_transaction
from fedledger.ledger_plugins.http.limits import RateLimit, Strikes
from fedledger.ledger_plugins.local.chain.block import Block, seal
from fedledger.ledger_plugins.local.node.chain.envelope import MAX_ENVELOPE_BYTES, Envelope
from fedledger.ledger_plugins.local.node.http.client import peer_url
from fedledger.ledger_plugins.local.node.http.wire import (
    error_from_json,
    error_to_json,
    pack,
    unpack,
)

ENVELOPE = Envelope.sign(BLOCK, ADMIN).encode()
FIELDS = {
    "envelope",
    "signature",
    "end",
    "version",
    "header",
    "model_flag",
    "transactions",
    "model_info",
    "model_id",
    "init_ipfs_hash",
    "total_iter",
    "current_iter",
    "from_addr",
    "accuracy",
}


def damages(good: bytes):
    """Cut, extended, overwritten and shuffled versions of something valid, and noise."""
    place = st.integers(0, len(good) - 1)
    piece = st.binary(min_size=1, max_size=12)
    return st.one_of(
        st.binary(max_size=300),
        place.map(lambda at: good[:at]),
        piece.map(lambda more: good + more),
        st.tuples(place, piece).map(lambda one: good[: one[0]] + one[1] + good[one[0] :]),
        st.tuples(place, piece).map(
            lambda one: good[: one[0]] + one[1] + good[one[0] + len(one[1]) :]
        ),
        st.tuples(place, place).map(lambda one: good[: min(one)] + good[max(one) :]),
    )


@settings(examples(400), deadline=500)
@given(damages(ENVELOPE))
def test_envelopes_decode_to_themselves_or_name_a_field(data):
    """A damaged envelope is another envelope or MalformedBlock with a field, at once."""
    try:
        envelope = Envelope.decode(data)
    except MalformedBlock as error:
        assert error.field in FIELDS  # noqa: PT017 - any of them
    else:
        assert envelope.encode() == data
        assert envelope.miner != ADMIN.address or envelope.block.header.hash == BLOCK.header.hash


@settings(examples(400), deadline=500)
@given(damages(SIGNED))
def test_transactions_decode_to_themselves_or_name_a_field(data):
    """A damaged transaction is somebody else's or MalformedTransaction with a field, at once."""
    try:
        transaction = decode_transaction(data)
    except MalformedTransaction as error:
        assert error.field  # noqa: PT017 - any
    else:
        assert transaction.raw == data
        assert (transaction.sender == ADMIN.address) == (data == SIGNED)


@settings(examples(300), deadline=500)
@given(damages(BLOCK.encode()))
def test_blocks_decode_to_themselves_or_name_a_field(data):
    """A damaged block is another block or MalformedBlock with a field, at once."""
    try:
        block = Block.decode(data)
    except MalformedBlock as error:
        assert error.field in FIELDS  # noqa: PT017 - any of them
    else:
        assert block.encode() == data


def lengths(data):
    """Return where an envelope's and its block's lengths and counts are, walking its structure."""
    found, at = [4], 4 + 4 + 65  # magic, the signature behind its length
    found.append(at)
    at += 4 + 4 + 8 + 32 + 32 + 8 + 8 + 1 + 32  # the block's length, its magic, its header
    for _ in range(2):  # transactions, then entries of model info
        found.append(at)
        count = int.from_bytes(data[at : at + 4], "big")
        at += 4
        for _ in range(count):
            inner = [at] if len(found) < 6 else [at, at + 4 + 1]
            found += inner
            at += 4 + int.from_bytes(data[at : at + 4], "big")
    return found


SIZES = st.one_of(
    st.sampled_from([0, 1, 2, 2**16, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1]),
    st.integers(0, 2**32 - 1),
)


@settings(examples(400), deadline=500)
@given(st.data())
def test_wrong_lengths_are_refused_with_the_field(data):
    """Whatever a length or a count says, or two of them at once, decoding ends with the field."""
    changed = bytearray(ENVELOPE)
    places = lengths(ENVELOPE)
    assert len(places) == 8
    for at in data.draw(st.lists(st.sampled_from(places), min_size=1, max_size=2, unique=True)):
        true = int.from_bytes(ENVELOPE[at : at + 4], "big")
        near = st.integers(max(0, true - 3), true + 3)
        wrong = data.draw(st.one_of(SIZES, near).filter(lambda size, true=true: size != true))
        changed[at : at + 4] = wrong.to_bytes(4, "big")
    with pytest.raises(MalformedBlock) as caught:
        Envelope.decode(bytes(changed))
    assert caught.value.field in FIELDS


def test_envelopes_are_bounded_and_signed_once():
    """An envelope above the cap is not looked into; a signature of another length is none."""
    with pytest.raises(MalformedBlock) as caught:
        Envelope.decode(bytes(MAX_ENVELOPE_BYTES + 1))
    assert caught.value.field == "envelope"
    signed = Envelope.decode(ENVELOPE)
    assert signed.miner == ADMIN.address
    assert Envelope.decode(Envelope.sign(BLOCK, None).encode()).miner is None
    for signature in (signed.signature[:-1], signed.signature[:64] + b"\x00"):
        with pytest.raises(MalformedBlock) as caught:
            Envelope.decode(Envelope(BLOCK, signature, None).encode())
        assert caught.value.field == "signature"


@settings(deadline=500)
@given(st.lists(st.binary(max_size=20), max_size=9), st.data())
def test_lists_are_read_back_or_refused(parts, data):
    """A list is what was written; anything else, or more than allowed, is refused."""
    packed = pack(parts)
    assert unpack(packed, at_most=9, each=20) == parts
    if parts:
        with pytest.raises(MalformedBlock):
            unpack(packed, at_most=len(parts) - 1, each=20)
    cut = data.draw(st.integers(0, len(packed) - 1))
    with pytest.raises(MalformedBlock):
        unpack(packed[:cut], at_most=9, each=20)


ARGUMENTS = st.dictionaries(
    st.text(min_size=1, max_size=9),
    st.one_of(
        st.integers(-(2**255), 2**256),
        st.binary(max_size=40),
        st.booleans(),
        st.text(max_size=20),
        st.lists(st.integers(0, 2**256), max_size=4).map(tuple),
    ),
    max_size=4,
)


@settings(deadline=500)
@given(ARGUMENTS)
def test_contract_errors_cross_the_wire_whole(arguments):
    """A contract's error has the same contract, name and arguments on the other side."""
    error = ContractError("StakeToken", "Refused", arguments)
    back = error_from_json(json.loads(json.dumps(error_to_json(error))))
    assert isinstance(back, ContractError)
    assert (back.contract, back.error, back.arguments) == ("StakeToken", "Refused", arguments)
    assert str(back) == str(error)


@pytest.mark.parametrize(
    "error",
    [
        TransactionRefused("nonce", "3, the next is 4"),
        MalformedTransaction("to", "too short"),
        MalformedBlock("hash", "wrong"),
        LedgerUnavailable("away"),
    ],
)
def test_other_errors_cross_the_wire_whole(error):
    """Type, text and attributes survive."""
    back = error_from_json(json.loads(json.dumps(error_to_json(error))))
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert vars(back) == vars(error)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=9,
)


@settings(deadline=500)
@given(
    st.one_of(
        JSON,
        st.fixed_dictionaries(
            {"error": st.sampled_from(["ContractError", "TransactionRefused"]), "message": JSON},
            optional={"arguments": JSON, "contract": JSON, "name": JSON, "reason": JSON},
        ),
    )
)
def test_nonsense_from_a_node_is_an_error_of_the_library(plain):
    """Whatever a node answers instead of an error, the client gets one of the library's."""
    assert isinstance(
        error_from_json(plain), ContractError | TransactionRefused | LedgerUnavailable
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost",
        "http://a:0",
        "http://a:99999",
        "https://a:1",
        "http://u@a:1",
        "a:1/x",
        "::1",
    ],
)
def test_peers_are_urls(text):
    """A peer is HOST:PORT, with http:// or without; everything else is refused by name."""
    with pytest.raises(ConfigError, match="HOST:PORT"):
        peer_url(text)


def test_one_peer_has_one_name():
    """Ways to write a peer lead to one URL."""
    assert {peer_url(one) for one in ("LocalHost:7", "http://localhost:7/")} == {
        "http://localhost:7"
    }


def test_rates_are_by_address_and_refill():
    """An address that asks too often is refused until time passes; others are not affected."""
    clock = Clock()
    limit = RateLimit(2, 4, clock=clock)
    assert [limit.take("a") for _ in range(6)] == [True] * 4 + [False] * 2
    assert limit.take("b")
    clock.now = 1.0
    assert [limit.take("a") for _ in range(3)] == [True, True, False]
    limit.charge("a", 100)
    clock.now = 3.5
    assert limit.take("a")


def test_strikes_pause_longer_each_time_and_fade():
    """Two strikes pause a peer, the next two twice as long; one alone is forgotten."""
    clock = Clock()
    strikes = Strikes(limit=2, pause=10, forgive=5, clock=clock)
    strikes.strike()
    assert strikes.paused == 0
    clock.now = 6.0
    strikes.strike()
    assert strikes.paused == 0
    strikes.strike()
    assert strikes.paused == 10
    clock.now = 20.0
    strikes.strike()
    strikes.strike()
    assert strikes.paused == 20


def test_a_stranger_cannot_sign_for_another():
    """The miner of an envelope is who signed this block, not who signed another."""
    other = seal(
        index=5,
        previous_hash=bytes(32),
        timestamp=9,
        transactions=(),
        model_info=(),
        difficulty=GENESIS.difficulty,
    )
    moved = Envelope(other, Envelope.decode(ENVELOPE).signature, None).encode()
    assert Envelope.decode(moved).miner not in {ADMIN.address, Account.create().address}
