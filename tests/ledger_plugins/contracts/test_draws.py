"""What a drawn value chooses: the vectors by a reading of docs/formats.md, and evenly."""

import json
from collections import Counter
from hashlib import sha256
from importlib.resources import files
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedledger.errors import CallError
from fedledger.ledger_plugins.contracts.beacon import draws
from fedledger.ledger_plugins.contracts.beacon.draws import leader, panel, round_party, spot

PEOPLE = ["0x" + f"{n:02x}" * 20 for n in range(1, 7)]
VALUES = st.binary(min_size=32, max_size=32).filter(any)
VALUE = b"\1" * 32
ODD_WEIGHTS: Any = [1, 1, 1, 1, 1, 0.5]
VECTORS = json.loads((files("fedledger") / "vectors" / "draws.json").read_text())


def frame(data):
    return len(data).to_bytes(4, "big") + data


def numbers(kind, *parts):
    """Yield the numbers of the page, written down once more."""
    begin = b"".join(map(frame, (b"fedledger draw v1", parts[0], kind, *parts[1:])))
    count = 0
    while True:
        yield int.from_bytes(sha256(begin + count.to_bytes(8, "big")).digest(), "big")
        count += 1


def below(stream, limit):
    for number in stream:
        if number >= 2**256 % limit:
            return number % limit
    raise AssertionError


def named(address):
    return bytes.fromhex(address[2:])


@pytest.mark.parametrize("case", VECTORS)
def test_the_vectors_by_hand(case):
    """Panel, leader and spot are what docs/formats.md says, and what the wheel's file says."""
    value, subject = bytes.fromhex(case["value"]), bytes.fromhex(case["subject"])
    left = sorted(case["candidates"], key=named)
    stream, chosen = numbers(b"panel", value, subject), []
    for _ in range(3):
        place = below(stream, len(left))
        chosen.append(left[place])
        left[place] = left[-1]
        left.pop()
    assert chosen == case["panel_of_3"] == panel(value, subject, case["candidates"], 3)
    weights = dict(zip(case["candidates"], map(int, case["weights"]), strict=True))
    rest = below(numbers(b"leader", value, subject), sum(weights.values()))
    for one in sorted(weights, key=named):
        if rest < weights[one]:
            break
        rest -= weights[one]
    assert one == case["leader"] == leader(value, subject, list(weights), list(weights.values()))
    parties = [bytes.fromhex(party) for party in case["parties"]]
    assert parties == [round_party(2, number) for number in range(1, 13)]
    looked = [
        party
        for party in parties
        if below(numbers(b"spot", value, subject, party), 1_000_000) < case["probability_ppm"]
    ]
    assert [party.hex() for party in looked] == case["spot"]
    assert looked == spot(value, subject, parties, case["probability_ppm"])


@given(VALUES, st.permutations(PEOPLE), st.integers(0, 6))
def test_the_order_of_candidates_is_of_no_matter(value, people, size):
    """Whoever lists them, in whatever order, the same are chosen, each once."""
    chosen = panel(value, b"s", people, size)
    assert chosen == panel(value, b"s", PEOPLE, size)
    assert len(set(chosen)) == size
    weights = {one: number for number, one in enumerate(PEOPLE)}
    assert leader(value, b"s", people, [weights[one] for one in people]) == leader(
        value, b"s", PEOPLE, list(weights.values())
    )
    assert spot(value, b"s", people, 500_000) == [
        one for one in people if one in spot(value, b"s", PEOPLE, 500_000)
    ]


@given(VALUES, st.integers(0, 1_000_000))
def test_a_spot_does_not_depend_on_the_others(value, ppm):
    """Whether one is drawn is the same whoever else there is; more ppm draw no fewer."""
    whole = set(spot(value, b"s", PEOPLE, ppm))
    assert whole == {one for one in PEOPLE if spot(value, b"s", [one], ppm)}
    assert whole <= set(spot(value, b"s", PEOPLE, min(ppm + 100_000, 1_000_000)))
    assert spot(value, b"s", PEOPLE, 0) == []
    assert spot(value, b"s", PEOPLE, 1_000_000) == PEOPLE


def values(count):
    return (sha256(number.to_bytes(4, "big")).digest() for number in range(count))


def test_everybody_is_chosen_as_often_as_it_should_be():
    """Over 6,000 values that are fixed here: within five standard deviations of what is expected.

    Of the 20 panels of three, of leaders by weight, and of parties that are looked at.
    """
    n = 6_000
    panels = Counter(frozenset(panel(value, b"s", PEOPLE, 3)) for value in values(n))
    weights = [0, 1, 2, 3, 10, 14]
    leaders = Counter(leader(value, b"s", PEOPLE, weights) for value in values(n))
    looked = Counter(one for value in values(n) for one in spot(value, b"s", PEOPLE, 300_000))
    expected = [
        *((panels[frozenset(some)], 1 / 20) for some in combinations(PEOPLE, 3)),
        *((leaders[one], weight / 30) for one, weight in zip(PEOPLE, weights, strict=True)),
        *((looked[one], 0.3) for one in PEOPLE),
    ]
    for found, share in expected:
        assert abs(found - n * share) <= 5 * (n * share * (1 - share)) ** 0.5, (found, share)


def test_kinds_and_subjects_are_drawn_independently():
    """The same value says something else for each kind and subject: they agree as by chance."""
    n, same = 2_000, Counter()
    for value in values(n):
        first = leader(value, b"a", PEOPLE, [1] * 6)
        same["subject"] += first == leader(value, b"b", PEOPLE, [1] * 6)
        same["kind"] += [first] == panel(value, b"a", PEOPLE, 1)
    for count in same.values():
        assert abs(count - n / 6) <= 5 * (n * 5 / 36) ** 0.5


def test_numbers_that_would_favour_somebody_are_passed_over(monkeypatch):
    """2^256 is no multiple of 6: the few numbers below its remainder are rejected (not taken)."""
    given_out = iter([0, 2**256 % 6 - 1, 6 * 7 + 5])
    monkeypatch.setattr(draws, "_numbers", lambda *_: given_out)
    assert panel(VALUE, b"s", PEOPLE, 1) == [PEOPLE[5]]
    assert next(given_out, None) is None


REFUSED = [
    (lambda: panel(bytes(32), b"s", PEOPLE, 1), "a void draw has none"),
    (lambda: panel(b"\1" * 31, b"s", PEOPLE, 1), "32 bytes"),
    (lambda: panel(VALUE, b"s", PEOPLE, 7), "a panel of 7 cannot be chosen among 6"),
    (lambda: panel(VALUE, b"s", PEOPLE, -1), "a panel of -1"),
    (lambda: panel(VALUE, b"s", [*PEOPLE, PEOPLE[0]], 1), "twice"),
    (lambda: panel(VALUE, b"s", [PEOPLE[0], PEOPLE[0].upper().replace("X", "x")], 1), "twice"),
    (lambda: panel(VALUE, b"s", ["somebody"], 1), "somebody"),
    (lambda: leader(VALUE, b"s", PEOPLE, [1]), "6 candidates have 1 weights"),
    (lambda: leader(VALUE, b"s", PEOPLE, [0] * 6), "0 together"),
    (lambda: leader(VALUE, b"s", PEOPLE, [2**255] * 6), "together"),
    (lambda: leader(VALUE, b"s", PEOPLE, [1, 1, 1, 1, 1, -1]), "whole number"),
    (lambda: leader(VALUE, b"s", PEOPLE, ODD_WEIGHTS), "whole number"),
    (lambda: leader(VALUE, b"s", [], []), "0 together"),
    (lambda: spot(VALUE, b"s", PEOPLE, 1_000_001), "no probability"),
    (lambda: spot(VALUE, b"s", [PEOPLE[0]] * 2, 1), "twice"),
]


@pytest.mark.parametrize(("draw", "says"), REFUSED)
def test_what_is_no_draw_is_refused(draw, says):
    """A void value, candidates that are listed twice, sizes and weights that do not fit."""
    with pytest.raises(CallError, match=says):
        draw()
