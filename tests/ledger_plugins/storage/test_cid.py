"""Content identifiers: equal to what IPFS computes, and strict about what is one."""

import base64
import hashlib
import time

import pytest
from aleph_cid import CidHasher
from hypothesis import example, given
from hypothesis import strategies as st
from support.examples import examples

from fedledger.errors import InvalidCid, UnknownNameError
from fedledger.ledger_plugins.storage.cid import (
    DEFAULT_PROFILE,
    PROFILES,
    Profile,
    Tree,
    cid_from_bytes,
    cid_of,
    cid_to_bytes,
    profile_named,
)

CHUNK = DEFAULT_PROFILE.chunk_bytes
HELLO = "bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am"  # of b"hello\n"
NEWER = PROFILES["unixfs-v1-2025"]


def pattern(size: int) -> bytes:
    """Return `size` bytes in which no two chunks are alike."""
    return hashlib.shake_128(b"pattern").digest(size)


def oracle(data: bytes) -> str:
    hasher = CidHasher.for_ipfs_v1_raw_leaves()
    hasher.update(data)
    return hasher.finalize()


def binary(
    version=1, codec=0x55, function=0x12, length=0x20, digest: bytes = b"\x07" * 32
) -> bytes:
    return bytes((version, codec, function, length)) + digest


def text(raw: bytes) -> str:
    return "b" + base64.b32encode(raw).decode().rstrip("=").lower()


@pytest.mark.parametrize(
    ("data", "cid"),
    [
        (b"", "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"),
        (b"hello\n", HELLO),
        (bytes(CHUNK), "bafkreiekhhjkxu4ztk3tyng3er3ijhg56mb44oe3gwbgquhzu4afrg2ksa"),
        (bytes(CHUNK + 1), "bafybeigllfqgfpqydppr6cmv56g7ax4wyhruzswvcefv6j5kj77nzttfki"),
        (bytes(175 * CHUNK), "bafybeigfps5vzivfspwgm3uwsfyl5s6bn3ysh7uqidgauxgopw4yi66lse"),
    ],
    ids=["empty", "hello", "one chunk", "two chunks", "two levels"],
)
def test_frozen_vectors(data, cid):
    """CIDs never change between versions of this library."""
    assert cid_of(data) == cid


def test_frozen_vector_of_the_newer_profile():
    """The 2025 profile keeps 1 MiB in one raw block and cuts what is longer."""
    assert cid_of(bytes(NEWER.chunk_bytes), NEWER).startswith("bafkrei")
    assert (
        cid_of(bytes(NEWER.chunk_bytes + 1), NEWER)
        == "bafybeihd4yzq7n5umhjngdum4r6k2to7egxfkf2jz6thvwzf6djus22cmq"
    )


BORDERS = [0, CHUNK, 2 * CHUNK, 5 * CHUNK, 173 * CHUNK, 174 * CHUNK, 175 * CHUNK, 348 * CHUNK]


@pytest.mark.parametrize("border", BORDERS)
def test_equal_to_an_independent_implementation(border):
    """Around every border of chunk and fan-out the CID is that of another implementation."""
    data = pattern(border + 1)
    for size in {max(border - 1, 0), border, border + 1}:
        assert cid_of(memoryview(data)[:size]) == oracle(data[:size])


def grow(leaves: list[bytes], links: int) -> str:
    """Build the tree the other way round, from the root down; CID of the root.

    This follows the specifications' text and shares no code with the library.
    """

    def number(value: int) -> bytes:
        low, rest = value & 127, value >> 7
        return bytes([low | 128]) + number(rest) if rest else bytes([low])

    def node(part: list[bytes], depth: int) -> tuple[bytes, int, int]:
        if depth == 0:
            leaf, size = b"\x01\x55\x12\x20" + hashlib.sha256(part[0]).digest(), len(part[0])
            return leaf, size, size
        step = links ** (depth - 1)
        children = [node(part[i : i + step], depth - 1) for i in range(0, len(part), step)]
        block = b""
        for cid, _, total in children:
            link = b"\x0a\x24" + cid + b"\x12\x00" + b"\x18" + number(total)
            block += b"\x12" + number(len(link)) + link
        size = sum(child[1] for child in children)
        data = b"\x08\x02\x18" + number(size) + b"".join(b"\x20" + number(c[1]) for c in children)
        block += b"\x0a" + number(len(data)) + data
        return (
            b"\x01\x70\x12\x20" + hashlib.sha256(block).digest(),
            size,
            len(block) + sum(child[2] for child in children),
        )

    depth = 0
    while links**depth < len(leaves):
        depth += 1
    return text(node(leaves, depth)[0])


@examples(150)
@given(
    size=st.integers(min_value=1, max_value=700),
    chunk=st.integers(min_value=1, max_value=9),
    links=st.integers(min_value=2, max_value=5),
)
def test_deep_trees_equal_a_tree_grown_from_the_root(size, chunk, links):
    """Trees of any depth, under any chunk size and fan-out, are balanced as specified."""
    data = pattern(size)
    leaves = [data[at : at + chunk] for at in range(0, size, chunk)]
    assert cid_of(data, Profile("test", chunk, links)) == grow(leaves, links)


def test_views_are_hashed_where_they_lie():
    """A bytearray or a view gives the CID of its bytes, items of several bytes included."""
    data = pattern(CHUNK + 8)
    assert cid_of(bytearray(data)) == cid_of(memoryview(data)) == cid_of(data)
    assert cid_of(memoryview(data).cast("Q")) == cid_of(data)


@examples(150)
@given(
    pieces=st.lists(st.binary(max_size=40), max_size=20),
    chunk=st.integers(min_value=1, max_value=9),
    links=st.integers(min_value=2, max_value=5),
)
def test_a_content_in_pieces_has_the_tree_of_the_whole(pieces, chunk, links):
    """However it is cut, size, CID and the chunks' hashes are those of the content at once."""
    profile, data = Profile("test", chunk, links), b"".join(pieces)
    tree = Tree(profile)
    for piece in pieces:
        tree.update(piece)
        tree.cid()  # asking changes nothing
    assert (tree.size, tree.cid()) == (len(data), cid_of(data, profile))
    leaves = [data[at : at + chunk] for at in range(0, len(data), chunk)] or [b""]
    assert tree.digests() == [hashlib.sha256(leaf).digest() for leaf in leaves]


def test_hashing_is_fast_enough_for_models():
    """100 MB take well under the time that storing them takes."""
    data = bytes(100_000_000)
    start = time.perf_counter()
    cid_of(data)
    assert time.perf_counter() - start < 3


@given(digest=st.binary(min_size=32, max_size=32), codec=st.sampled_from([0x55, 0x70]))
def test_binary_and_text_forms_are_inverse(digest, codec):
    """36 bytes and 59 characters name the same thing, one to one."""
    raw = binary(codec=codec, digest=digest)
    cid = cid_from_bytes(raw)
    assert cid == text(raw)
    assert cid_to_bytes(cid) == raw


HEADS = [bytes((1, codec, 0x12, 0x20)) for codec in (0x55, 0x70)]
NEARLY = st.tuples(
    st.sampled_from(HEADS) | st.binary(min_size=3, max_size=5),
    st.integers(0, 3),
    st.integers(0, 255) | st.just(0x12),
    st.integers(31, 33) | st.integers(0, 40),
).map(lambda one: one[0][: one[1]] + bytes([one[2]]) + one[0][one[1] + 1 :] + bytes(one[3]))


@given(raw=NEARLY | st.binary(max_size=40))
@example(binary(version=0))
@example(binary(codec=0x71))  # dag-cbor
@example(b"\x01\xd5\x00" + binary()[2:-1])  # a codec of two bytes
@example(binary(function=0x13))  # sha2-512
@example(binary(function=0x00))  # identity
@example(binary(length=0x1F))
@example(binary() + b"\x00")
def test_only_cids_of_version_1_over_sha256_are_cids(raw):
    """36 bytes that begin as CIDv1 of raw or dag-pb over SHA-256 do; no others, in either form."""
    if len(raw) == 36 and raw[:4] in HEADS:
        assert cid_to_bytes(cid_from_bytes(raw)) == raw
        return
    for read, form in ((cid_from_bytes, raw), (cid_to_bytes, text(raw))):
        with pytest.raises(InvalidCid):
            read(form)


LETTERS = st.text(st.sampled_from("abyz2357 018=\nAZ\u0131/."), max_size=6)
PLACE = st.integers(0, len(HELLO))
NEAR_TEXT = st.tuples(PLACE, PLACE, LETTERS).map(
    lambda one: HELLO[: min(one[:2])] + one[2] + HELLO[max(one[:2]) :]
) | st.tuples(PLACE, PLACE).map(
    lambda one: HELLO[: min(one)] + HELLO[min(one) : max(one)].upper() + HELLO[max(one) :]
)


@given(cid=NEAR_TEXT | st.text(max_size=70))
@example("QmZULkCELmmk5XNfCgTnCyFgAVxBRBXyDHGGMVoLFLiXEN")  # version 0
@example("f" + binary().hex())
@example("z" + HELLO[1:])  # base58
@example(HELLO + "======")
@example(HELLO[:-2] + "==")
@example(HELLO + "\n")
@example(HELLO[:-1] + chr(ord(HELLO[-1]) + 1))  # unused bits
@example("../" + HELLO[3:])
@example("b" * 1_000_000)
def test_any_text_is_refused_or_canonical(cid):
    """One content has one spelling; nothing else is accepted, and nothing huge is repeated."""
    try:
        raw = cid_to_bytes(cid)
    except InvalidCid as error:
        assert len(str(error)) < 300  # noqa: PT017 - of whatever is refused
    else:
        assert text(raw) == cid


@pytest.mark.parametrize("thing", [None, 7, b"bafk", ["b"]])
def test_other_types_are_no_cid(thing):
    """A value of the wrong type is an invalid CID, not a crash."""
    with pytest.raises(InvalidCid):
        cid_to_bytes(thing)


def test_text_is_no_binary_cid():
    """A string where bytes belong is refused."""
    with pytest.raises(InvalidCid):
        cid_from_bytes(HELLO)


def test_profiles_are_found_by_name():
    """Every profile is registered under its own name; an unknown one names the nearest."""
    assert all(profile_named(name).name == name for name in PROFILES)
    assert profile_named("unixfs-v1-256k-174-raw") is DEFAULT_PROFILE
    assert (CHUNK, DEFAULT_PROFILE.links) == (262144, 174)
    with pytest.raises(UnknownNameError, match="unixfs-v1-2025"):
        profile_named("unixfs-v1-2024")
