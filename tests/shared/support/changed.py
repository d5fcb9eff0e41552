"""Plain JSON values with something in them changed, for readers that take one form alone."""

import copy
from typing import Any

from hypothesis import strategies as st

__all__ = ["JSON", "changed"]

NUMBERS = st.integers(-9, 9) | st.sampled_from([2**40, 2**60, 2**64, 10**30, 1.0, 0.5])
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


def places(value: Any) -> list[tuple[Any, ...]]:
    """Return the way to every value inside, and to the whole."""
    found: list[tuple[Any, ...]] = [()]
    keys = value if isinstance(value, dict) else range(len(value) if isinstance(value, list) else 0)
    for key in keys:
        found += [(key, *way) for way in places(value[key])]
    return found


@st.composite
def changed(draw: st.DrawFn, value: Any, others: st.SearchStrategy[Any] = JSON) -> Any:
    """Put something else at one or two places of `value`, leave a value out, or add one.

    Args:
        draw: hypothesis's.
        value: made of dictionaries, lists and plain values; it is not changed itself.
        others: what is put in.
    """
    whole = [copy.deepcopy(value)]
    for _ in range(draw(st.integers(1, 2))):
        way = draw(st.sampled_from(places(whole)[1:]))
        parent: Any = whole
        for key in way[:-1]:
            parent = parent[key]
        key, change = way[-1], draw(st.sampled_from(["replace", "leave out", "add", "repeat"]))
        inner = parent[key]
        if change == "leave out" and len(way) > 1:
            del parent[key]
        elif change == "add" and isinstance(inner, dict):
            inner[draw(st.text(max_size=5))] = draw(others)
        elif change == "add" and isinstance(inner, list):
            inner.insert(draw(st.integers(0, len(inner))), draw(others))
        elif change == "repeat" and isinstance(parent, list) and len(way) > 1:
            parent.append(copy.deepcopy(inner))
        else:
            parent[key] = draw(others)
    return whole[0]
