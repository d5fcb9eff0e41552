"""What the rules refuse, and how they say it."""

import pickle
from importlib import import_module
from inspect import signature
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fedledger.errors import ConfigError, InvalidUpdate, TooFewUpdates, UnknownNameError
from fedledger.strategies import aggregation
from fedledger.strategies.aggregation import Rule, aggregate, get_rule, rule

RULES = ["bulyan", "krum", "mean", "median", "multi_krum", "trimmed_mean"]


def updates(n, d=20):
    return [np.full(d, k, dtype=np.float32) for k in range(n)]


@given(
    name=st.sampled_from(RULES),
    value=st.sampled_from([np.nan, np.inf, -np.inf]),
    row=st.integers(0, 10),
    where=st.sampled_from([1, 3, 576, 5000, 200_000]).flatmap(
        lambda d: st.tuples(st.just(d), st.integers(0, d - 1) | st.just(d - 1))
    ),
)
def test_a_row_that_is_not_finite_is_named(name, value, row, where):
    """One NaN or infinity anywhere refuses the round and says in which update it comes first."""
    d, at = where
    x = updates(11, d)
    x[row][at] = value
    if row < 10:
        x[row + 1][0] = np.nan
    message = rf"update {row}: coordinate {at} is -?(nan|inf)"
    with pytest.raises(InvalidUpdate, match=message) as caught:
        get_rule(name)(x, byzantine=2)
    assert caught.value.row == row


@given(name=st.sampled_from(RULES), value=st.floats(width=32, allow_nan=False).filter(np.isfinite))
@example("krum", 3.4028234663852886e38)
@example("bulyan", -3.4028234663852886e38)
@example("mean", 1e-45)
@example("median", -0.0)
def test_every_finite_float32_is_accepted(name, value):
    """The largest and the smallest numbers are no reason to refuse."""
    x = updates(11)
    x[0][:] = value
    assert np.isfinite(get_rule(name)(x, byzantine=2)).all()


@pytest.mark.parametrize("name", RULES)
def test_malformed_updates_are_refused_with_their_row(name):
    """No update, no coordinate, unequal lengths, other dtypes, other dimensions, no array."""
    call = get_rule(name)
    good = updates(11)
    for empty in ([], np.zeros((0, 5), dtype=np.float32)):
        with pytest.raises(InvalidUpdate, match="there are none") as caught:
            call(empty, byzantine=0)
        assert caught.value.row is None
    with pytest.raises(InvalidUpdate, match=r"\(n, d\)"):
        call(np.zeros(5, dtype=np.float32), byzantine=0)
    with pytest.raises(InvalidUpdate, match="no coordinates"):
        call([np.zeros(0, dtype=np.float32)] * 11, byzantine=0)
    wrong: dict[str, Any] = {
        "19 coordinates": np.zeros(19, dtype=np.float32),
        "float64": np.zeros(20),
        ">f4": np.zeros(20, dtype=">f4"),
        r"\(4, 5\)": np.zeros((4, 5), dtype=np.float32),
        "got list": [0.0] * 20,
    }
    for message, update in wrong.items():
        with pytest.raises(InvalidUpdate, match=message) as caught:
            call([*good, update], byzantine=2)
        assert caught.value.row == 11


CONDITIONS = {
    "bulyan": (lambda f: 4 * f + 3),
    "krum": (lambda f: 2 * f + 3),
    "mean": (lambda _f: 1),
    "median": (lambda f: 2 * f + 1),
    "multi_krum": (lambda f: 2 * f + 3),
    "trimmed_mean": (lambda f: 2 * f + 1),
}


@given(name=st.sampled_from(RULES), f=st.integers(0, 20))
def test_too_few_updates_are_refused_at_the_exact_number(name, f):
    """One below the condition is refused with the numbers; at the condition it works."""
    required = CONDITIONS[name](f)
    assert get_rule(name).required(f) == required
    assert np.isfinite(get_rule(name)(updates(required), byzantine=f)).all()
    if required == 1:
        return
    with pytest.raises(TooFewUpdates) as caught:
        get_rule(name)(updates(required - 1), byzantine=f)
    error = caught.value
    assert (error.rule, error.n, error.byzantine, error.required) == (
        name,
        required - 1,
        f,
        required,
    )


def test_bulyan_not_strict_needs_what_krum_needs():
    """Bift's own setting, n=30 and f=9, is refused by default and runs when asked to."""
    with pytest.raises(TooFewUpdates, match="at least 39 updates"):
        get_rule("bulyan")(updates(30), byzantine=9)
    assert aggregate("bulyan", updates(30), byzantine=9, strict=False).clamped
    with pytest.raises(TooFewUpdates, match="at least 21 updates"):
        get_rule("bulyan", strict=False)(updates(20), byzantine=9)


def test_multi_krum_refuses_to_keep_more_than_there_are():
    """`keep` above n is too few updates; below 1 or no integer is a wrong setting."""
    with pytest.raises(TooFewUpdates, match="at least 9"):
        get_rule("multi_krum", keep=9)(updates(8), byzantine=2)
    for keep in (0, -1, 2.0, True):
        with pytest.raises(ConfigError, match="keep"):
            get_rule("multi_krum", keep=keep)(updates(8), byzantine=2)


@given(
    name=st.sampled_from(RULES),
    byzantine=st.integers(max_value=-1) | st.floats() | st.booleans() | st.none() | st.text(),
)
def test_a_number_of_byzantine_clients_is_a_count(name, byzantine):
    """Negative, fractional or other values are refused, by name."""
    with pytest.raises(ConfigError, match="byzantine must"):
        get_rule(name)(updates(11), byzantine=byzantine)


@pytest.mark.parametrize(
    "weights",
    [[1, 1], [1, 1, 0], [1, 1, -1], [1, 1, np.nan], [1, 1, np.inf], [1, 1, True], [1, 1, 10**400]],
)
def test_weights_are_n_positive_finite_numbers(weights):
    """Anything else is refused."""
    with pytest.raises(ConfigError, match="weight"):
        get_rule("mean", weights=weights)(updates(3), byzantine=0)


def test_an_unknown_rule_names_the_nearest():
    """A typing mistake is answered with the name meant."""
    with pytest.raises(UnknownNameError, match="unknown rule 'bulian': did you mean 'bulyan'"):
        get_rule("bulian")


@pytest.mark.parametrize(
    ("name", "parameter", "nearest"),
    [
        ("bulyan", "strickt", "strict"),
        ("multi_krum", "keeps", "keep"),
        ("mean", "weight", "weights"),
    ],
)
def test_an_unknown_parameter_names_the_nearest(name, parameter, nearest):
    """Parameters are checked when the rule is named, before there is an update."""
    with pytest.raises(UnknownNameError) as caught:
        get_rule(name, **{parameter: 1})
    assert caught.value.kind == f"parameter of {name}"
    assert caught.value.nearest == nearest


def test_what_every_call_gives_is_no_parameter():
    """`byzantine` and the updates belong to the call."""
    for parameter in ("byzantine", "updates"):
        with pytest.raises(UnknownNameError):
            get_rule("krum", **{parameter: 1})


def test_a_plain_function_is_a_rule_too(monkeypatch):
    """A third party's function works by name; it is taken to use every update."""

    def first(rows, *, byzantine, offset=0):
        return rows[0] + np.float32(offset + byzantine)

    first.arithmetic = "first-f32/1"  # type: ignore[attr-defined]
    monkeypatch.setattr(aggregation.rules, "load", lambda _name: first)
    result = aggregate("first", updates(3), byzantine=1, offset=2)
    assert result.selected == (0, 1, 2)
    assert result.vector[0] == 3
    with pytest.raises(UnknownNameError, match="did you mean 'offset'"):
        get_rule("first", ofset=1)


def test_a_rule_carries_its_signature_and_survives_pickling():
    """Tools see the parameters; worker processes get the same object."""
    for name in RULES:
        found = getattr(aggregation, name)
        assert isinstance(found, Rule)
        assert "updates" in signature(found).parameters
        assert pickle.loads(pickle.dumps(found)) is found  # noqa: S301 - made one line above
        assert found.__doc__


def test_the_decorator_makes_rules_outside_this_package():
    """`rule(requires=…)` gives the conditions and errors of the rules here."""

    @rule(requires=lambda byzantine: byzantine + 1, arithmetic="lowest/1")
    def lowest(rows, *, byzantine):
        read, _ = lowest.read(rows, byzantine)
        return np.min(read.arrays, axis=0)

    assert lowest(updates(3), byzantine=2)[0] == 0
    with pytest.raises(TooFewUpdates, match="lowest needs at least 4"):
        lowest(updates(3), byzantine=3)


def test_every_public_name_is_exported():
    """`__all__` lists what exists."""
    for name in aggregation.__all__:
        assert hasattr(aggregation, name)
    assert import_module("fedledger.strategies.aggregation") is aggregation
