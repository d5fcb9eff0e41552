"""Transcripts: challenges depend on everything before them, and on where one part ends."""

import itertools
from hashlib import shake_256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedledger.crypto.transcript import Label, Transcript, round_transcript

HOME = {"chain": 1, "contract": "0xAb", "task": 2, "round": 3, "account": "0xCd", "key": b"key"}


def u64(value):
    return value.to_bytes(8, "big")


def framed(data):
    return u64(len(data)) + data


def test_its_bytes_are_those_of_the_page():
    """A reading of docs/formats.md by hand gives the same challenges."""
    ours = Transcript("a protocol 1")
    ours.begin(Label.SHARES)
    ours.absorb("values", b"\x00\x01", 0, 258, "ü")
    said = b"fedledger transcript 1"
    said += b"\x01" + framed(b"protocol") + u64(1) + b"s" + framed(b"a protocol 1")
    said += b"\x01" + framed(b"begin") + u64(1) + b"s" + framed(b"decryption shares 1")
    said += b"\x01" + framed(b"values") + u64(4) + b"b" + framed(b"\x00\x01") + b"i" + framed(b"")
    said += b"i" + framed(b"\x01\x02") + b"s" + framed("ü".encode())
    said += b"\x02" + framed(b"factors") + u64(48)
    drawn = shake_256(said).digest(48)
    numbers = [int.from_bytes(drawn[at : at + 16], "big") for at in (0, 16, 32)]
    assert ours.challenges("factors", 3) == numbers
    said += b"\x02" + framed(b"challenge") + u64(16)
    assert ours.challenge("challenge") == int.from_bytes(shake_256(said).digest(16), "big")


def test_a_round_is_absorbed_as_the_page_says():
    """Chain, contract, task and round; then the account; then the key."""
    by_hand = Transcript("p 1")
    by_hand.absorb("place", 1, "0xab", 2, 3)
    by_hand.absorb("account", "0xcd")
    by_hand.absorb("key", b"key")
    assert by_hand.challenge("c") == round_transcript("p 1", **HOME).challenge("c")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("chain", 2),
        ("contract", "0xAc"),
        ("task", 3),
        ("round", 4),
        ("account", "0xCe"),
        ("key", b"kez"),
    ],
)
def test_every_part_of_the_place_counts(field, value):
    """Another chain, contract, task, round, account or key gives other challenges."""
    here, there = HOME, {**HOME, field: value}
    one, other = (round_transcript("p 1", **values) for values in (here, there))
    assert one.challenge("c") != other.challenge("c")
    assert one.challenge("c") != round_transcript("p 2", **HOME).challenge("c")


PARTS = st.lists(
    st.binary(max_size=3) | st.integers(0, 300) | st.text("ab", max_size=3), max_size=3
)
CALLS = st.lists(st.tuples(st.sampled_from(["a", "ab", "b"]), PARTS), max_size=3)


@given(CALLS, CALLS)
def test_no_two_series_of_calls_agree(left, right):
    """Names, kinds, lengths and the number of parts and calls all count."""
    drawn = []
    for calls in (left, right):
        one = Transcript("p")
        for name, parts in calls:
            one.absorb(name, *parts)
        drawn.append(one.challenge("c"))
    same = [(n, [(type(p), p) for p in parts]) for n, parts in left] == [
        (n, [(type(p), p) for p in parts]) for n, parts in right
    ]
    assert (drawn[0] == drawn[1]) == same


def test_a_draw_counts_and_a_copy_goes_on_alone():
    """A second challenge differs, what was drawn before changes it, and a copy is independent."""
    one = Transcript("p")
    copy, other = one.copy(), one.copy()
    first = one.challenge("c")
    assert copy.challenge("c") == first != one.challenge("c")
    other.challenges("c", 2)
    assert other.challenge("c") != copy.challenge("c")


def test_labels_are_unique():
    """No label is, or begins, another one, and each carries a version."""
    for one, other in itertools.permutations(Label, 2):
        assert not other.startswith(one)
    assert all(label.rsplit(" ", 1)[1].isdecimal() for label in Label)
    assert len(Label.__members__) == len(Label)  # else one were another's alias


def test_a_negative_number_is_no_part():
    """There is one way to write a number, and none for a negative one."""
    with pytest.raises(OverflowError):
        Transcript("p").absorb("a", -1)
