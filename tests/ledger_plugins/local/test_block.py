"""Blocks: format, equations (4) and (5), Merkle root."""

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples

from fedledger.errors import ConfigError, MalformedBlock
from fedledger.ledger_plugins.addresses import address_from_bytes
from fedledger.ledger_plugins.contracts.twin import Entry
from fedledger.ledger_plugins.local.chain.block import (
    MAX_BLOCK_TRANSACTIONS,
    Block,
    ModelInfo,
    check_link,
    check_seal,
    mine,
    seal,
)
from fedledger.ledger_plugins.local.chain.directory import contract_address
from fedledger.ledger_plugins.local.chain.genesis import Genesis
from fedledger.ledger_plugins.local.chain.merkle import merkle_root
from fedledger.ledger_plugins.transactions import MAX_TRANSACTION_BYTES

DIFFICULTY = 2**252
TOKEN = Entry("StakeToken", 1, b"\1" * 32, b"\2" * 32)
TASKS = Entry("TrainingTask", 3, b"\3" * 32, b"\4" * 32, ("MINTER_ROLE", "OTHER_ROLE"))
GENESIS = Genesis(1337, DIFFICULTY, "0x" + "00" * 19 + "01", (TOKEN, TASKS))

infos = st.builds(
    ModelInfo,
    model_id=st.text(st.characters(codec="utf-8"), min_size=1, max_size=16),
    init_ipfs_hash=st.binary(min_size=4, max_size=64),
    total_iter=st.integers(0, 2**32 - 1),
    current_iter=st.integers(0, 2**32 - 1),
    from_addr=st.binary(min_size=20, max_size=20).map(address_from_bytes),
    accuracy=st.none() | st.integers(0, 1_000_000),
)
blocks = st.builds(
    seal,
    index=st.integers(0, 2**64 - 1),
    previous_hash=st.binary(min_size=32, max_size=32),
    timestamp=st.integers(0, 2**64 - 1),
    transactions=st.lists(st.binary(min_size=1, max_size=80), max_size=5).map(tuple),
    model_info=st.lists(infos, max_size=3).map(tuple),
    difficulty=st.just(DIFFICULTY),
)


def _next(parent: Block, **changes: object) -> Block:
    """Return a valid block after `parent`, or one that is sealed with `changes`."""
    fields = {
        "index": parent.header.index + 1,
        "previous_hash": parent.header.hash,
        "timestamp": parent.header.timestamp + 1,
        "transactions": (b"a", b"b"),
        "model_info": (ModelInfo("m", b"\x01\x55\x12\x20", 3, 1, "0x" + "00" * 20, 5),),
        "difficulty": DIFFICULTY,
    }
    return seal(**(fields | changes))


@given(blocks)
def test_encoding_and_decoding_are_inverse(block):
    """A block is its encoding's only reading, and what was sealed passes its own check."""
    assert Block.decode(block.encode()) == block
    check_seal(block, DIFFICULTY)


@examples(300)
@given(blocks, st.data())
def test_damaged_encodings_are_refused(block, data):
    """One flipped bit anywhere: no block at all, or one whose seal or link does not hold."""
    raw = bytearray(block.encode())
    position = data.draw(st.integers(0, len(raw) - 1))
    raw[position] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(MalformedBlock):
        check_seal(Block.decode(bytes(raw)), DIFFICULTY)


@examples(300)
@given(st.binary(max_size=400), st.booleans())
def test_garbage_is_malformed(raw, magic):
    """Any bytes at all decode to a block that encodes to them, or raise MalformedBlock."""
    data = b"FLB\x01" + raw if magic else raw
    try:
        block = Block.decode(data)
    except MalformedBlock:
        return
    assert block.encode() == data


@examples(50)
@given(blocks, st.data())
def test_cut_and_extended_encodings_are_refused(block, data):
    """A strict prefix of an encoding is refused, and so is an encoding with bytes behind it."""
    raw = block.encode()
    with pytest.raises(MalformedBlock):
        Block.decode(raw[: data.draw(st.integers(0, len(raw) - 1))])
    with pytest.raises(MalformedBlock) as caught:
        Block.decode(raw + b"\0")
    assert caught.value.field == "end"


def test_lengths_that_promise_too_much_are_refused_at_once():
    """A count or length above the bounds is refused before anything is read for it (L9)."""
    header = _next(GENESIS.block(0), transactions=(), model_info=()).encode()[:125]
    for body, field in (
        ((MAX_BLOCK_TRANSACTIONS + 1).to_bytes(4, "big"), "transactions"),
        (b"\0\0\0\1" + (MAX_TRANSACTION_BYTES + 1).to_bytes(4, "big"), "transactions"),
        (b"\0\0\0\1" + bytes(4), "transactions"),
        (bytes(4) + b"\xff\xff\xff\xff", "model_info"),
    ):
        with pytest.raises(MalformedBlock) as caught:
            Block.decode(header + body)
        assert caught.value.field == field


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"index": 5}, "hash"),
        ({"previous_hash": bytes(32)}, "hash"),
        ({"timestamp": 99}, "hash"),
        ({"transactions_root": bytes(32)}, "transactions_root"),
        ({"hash": bytes(32)}, "hash"),
        ({"nonce": 10**9}, "nonce"),
    ],
)
def test_every_field_of_the_header_is_sealed(change, field):
    """A header with one field changed is refused, and the error names the field."""
    block = _next(GENESIS.block(0))
    with pytest.raises(MalformedBlock) as caught:
        check_seal(replace(block, header=replace(block.header, **change)), DIFFICULTY)
    assert caught.value.field == field


def test_the_body_is_sealed():
    """Changed transactions and changed model info are refused, and so is a wrong model flag."""
    block = _next(GENESIS.block(0))
    for changed, field in (
        (replace(block, transactions=(b"b", b"a")), "transactions_root"),
        (replace(block, transactions=(b"a",)), "transactions_root"),
        (replace(block, model_info=()), "hash"),
        (replace(block, model_info=(replace(block.model_info[0], accuracy=6),)), "hash"),
        (replace(block, model_info=(replace(block.model_info[0], accuracy=None),)), "hash"),
    ):
        with pytest.raises(MalformedBlock) as caught:
            check_seal(changed, DIFFICULTY)
        assert caught.value.field == field
    flagless = replace(block, header=replace(block.header, model_flag=0))
    with pytest.raises(MalformedBlock) as caught:
        Block.decode(flagless.encode())
    assert caught.value.field == "model_flag"


def test_equation_4_links_blocks():
    """Equation (4): index plus one, the parent's hash, a later timestamp."""
    parent = GENESIS.block(1_000)
    check_link(_next(parent), parent.header)
    for change, field in (
        ({"index": 2}, "index"),
        ({"index": 0}, "index"),
        ({"previous_hash": bytes(32)}, "previous_hash"),
        ({"timestamp": 1_000}, "timestamp"),
        ({"timestamp": 999}, "timestamp"),
    ):
        with pytest.raises(MalformedBlock) as caught:
            check_link(_next(parent, **change), parent.header)
        assert caught.value.field == field


def test_equation_5_has_one_nonce():
    """Equation (5) holds for the mined nonce, for no smaller one, and a larger one is refused."""
    block = _next(GENESIS.block(0))

    def fits(nonce: int) -> bool:
        digest = hashlib.sha256(block.header.hash + nonce.to_bytes(8, "big")).digest()
        return int.from_bytes(digest, "big") < DIFFICULTY

    nonce = block.header.nonce
    assert [fits(smaller) for smaller in range(nonce + 1)] == [False] * nonce + [True]
    larger = next(other for other in range(nonce + 1, 10_000) if fits(other))
    with pytest.raises(MalformedBlock) as caught:
        check_seal(replace(block, header=replace(block.header, nonce=larger)), DIFFICULTY)
    assert caught.value.field == "nonce"


def test_difficulty_is_the_bound():
    """The easiest difficulty takes the first nonce; 2**250 takes 64 hashes on average."""
    hashes = [hashlib.sha256(bytes([number])).digest() for number in range(200)]
    assert {mine(one, 2**256) for one in hashes} == {0}
    mean = sum(mine(one, 2**250) + 1 for one in hashes) / len(hashes)
    assert 50 < mean < 80


def test_merkle_roots_are_those_of_rfc_6962():
    """Roots over zero to eight entries equal the Certificate Transparency test vectors."""
    entries = [
        bytes.fromhex(text)
        for text in (
            "",
            "00",
            "10",
            "2021",
            "3031",
            "40414243",
            "5051525354555657",
            "606162636465666768696a6b6c6d6e6f",
        )
    ]
    roots = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ]
    assert [merkle_root(entries[:size]).hex() for size in range(9)] == roots


def test_the_format_is_frozen():
    """Block 0 and a block after it encode and hash to these values: they are on disks."""
    first = GENESIS.block(1_700_000_000_000)
    second = _next(first)
    assert first.header.hash.hex() == (
        "4f76d419fa7bd34e87ba769196577613b788c9908c976a89a0e50dc0d8fa9812"
    )
    assert hashlib.sha256(first.encode() + second.encode()).hexdigest() == (
        "74ddbca6314ce260166f4e1df8ed2641e72f812e13d36316d630ce5c0327e971"
    )


def test_genesis_reads_what_it_wrote():
    """The chain's parameters survive block 0, with and without an administrator."""
    for genesis in (GENESIS, replace(GENESIS, admin=None, difficulty=2**256)):
        assert Genesis.of(Block.decode(genesis.block(7).encode())) == genesis


def test_block_0_holds_the_parameters_alone():
    """A first block with another index, parent or content is refused with the field."""
    first = GENESIS.block(0)
    record = first.transactions[0]
    for changes, field in (
        ({"index": 1}, "index"),
        ({"previous_hash": b"\1" * 32}, "previous_hash"),
        ({"transactions": (record, record)}, "transactions"),
        ({"transactions": (record[:-1],)}, "contracts"),
        ({"transactions": (record + b"\0",)}, "end"),
        ({"transactions": (b"\0" * 60,)}, "genesis"),
        ({"model_info": _next(first).model_info}, "model_flag"),
    ):
        plain = {"index": 0, "previous_hash": bytes(32), "transactions": (record,)}
        block = _next(first, **({"model_info": ()} | plain | changes))
        with pytest.raises(MalformedBlock) as caught:
            Genesis.of(block)
        assert caught.value.field == field


@examples(200)
@given(st.data())
def test_damaged_parameters_are_malformed(data):
    """A genesis record with bytes changed or cut reads as one that encodes to it, or is refused."""
    raw = bytearray(GENESIS.encode())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(raw[: data.draw(st.integers(0, len(raw)))])
    try:
        genesis = Genesis.decode(damaged)
    except MalformedBlock:
        return
    assert genesis.encode() == damaged


def test_genesis_parameters_have_ranges():
    """A chain id, difficulty or contract list out of range is a ConfigError."""
    for change in (
        {"chain_id": 0},
        {"chain_id": 2**63},
        {"difficulty": 2**232 - 1},
        {"difficulty": 2**256 + 1},
        {"contracts": (TASKS, TOKEN)},
        {"contracts": (TOKEN, TOKEN)},
    ):
        with pytest.raises(ConfigError):
            replace(GENESIS, **change)


def test_contract_addresses_are_frozen():
    """A contract's address is the end of the hash of its name, the same on every chain."""
    assert contract_address("StakeToken") == "0xc191C53444fd8b4Aa662108De1354C73aBD02648"
    assert contract_address("TrainingTask") == "0x8343986e43777183C734228084621a89a8143f3D"
