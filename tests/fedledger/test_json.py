"""JSON from outside."""

import sys

import pytest

from fedledger.formats import canonical_json, parse_json


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "1" * 5000, "NaN", "{} {}", ""])
def test_nothing_that_somebody_sends_ends_the_process(text):
    """Also where a package has raised Python's recursion limit, which ends Python's own parser."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1_000_000)
    try:
        for given in (text, text.encode()):
            with pytest.raises(ValueError, match="at line 1 column"):
                parse_json(given)
    finally:
        sys.setrecursionlimit(before)


def test_json_is_read_as_it_stands():
    """Objects, arrays, numbers, texts and nothing; no text that has no UTF-8 form."""
    assert parse_json('{"a": [1, 2.5, "x", null]}') == {"a": [1, 2.5, "x", None]}
    with pytest.raises(ValueError, match="surrogates not allowed"):
        parse_json('"\udcff"')


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_no_json(value):
    """`NaN` and `Infinity` are no JSON: they are refused, not written."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"value": value})
