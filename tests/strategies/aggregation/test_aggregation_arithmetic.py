"""Every rule, bit for bit, against docs/formats.md read by somebody who has only Python floats."""

import math
import platform
import re
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support import rules_in_words as words
from support.examples import examples

from fedledger.arrays import Layout
from fedledger.errors import ConfigError, UnknownNameError
from fedledger.floats import check_floats
from fedledger.strategies.aggregation import (
    Rule,
    aggregate,
    arithmetic,
    get_rule,
    rule,
    rules,
    threads,
)
from fedledger.strategies.aggregation import registry as registry_module
from fedledger.strategies.aggregation.kernels.columns import mean_of_nearest
from fedledger.strategies.aggregation.kernels.distances import squared_distances
from fedledger.strategies.aggregation.kernels.rows import read_rows

FORMATS = Path(__file__).parents[3] / "docs" / "formats.md"
KINDS = ["normal", "denormal", "every scale", "few values", "last places", "nearly infinite"]
WIDTHS = [1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 100]

singles = st.floats(width=32, allow_nan=False, allow_infinity=False)


def drawn(kind, n, d, seed):
    rng = np.random.default_rng(seed)
    x = {
        "normal": lambda: rng.standard_normal((n, d)),
        "denormal": lambda: rng.integers(-50, 50, (n, d)) * 2.0**-149,
        "every scale": lambda: rng.standard_normal((n, d)) * 2.0 ** rng.integers(-140, 120, (n, d)),
        "few values": lambda: rng.choice([-1.0, -0.0, 0.0, 0.5, 1.0], (n, d)),
        "last places": lambda: 1 + 2.0**-23 * rng.integers(-9, 9, (n, d)),
        "nearly infinite": lambda: rng.uniform(-3.4e38, 3.4e38, (n, d)),
    }[kind]()
    return x.astype(np.float32)


def plain(x):
    return [[float(value) for value in row] for row in x]


def bits(vector):
    return np.array(vector, dtype=np.float32).tobytes()


def most(name, n):
    return max(f for f in range(n) if get_rule(name).required(f) <= n)


inputs = st.tuples(
    st.sampled_from(KINDS), st.integers(3, 30), st.sampled_from(WIDTHS), st.integers(0, 2**32 - 1)
)


@pytest.mark.parametrize("name", ["mean", "median", "trimmed_mean"])
@examples(60)
@given(given_input=inputs, share=st.floats(0, 1))
def test_sums_of_columns_have_the_bits_that_the_words_say(name, given_input, share):
    """At every scale, with ties, signed zeros and denormals, for every width of vectors."""
    x = drawn(*given_input)
    f = round(share * most(name, min(len(x), 30)))
    expected, selected = words.RULES[name](plain(x), f)
    found = aggregate(name, x, byzantine=f)
    assert found.vector.tobytes() == bits(expected)
    assert list(found.selected) == selected


@given(given_input=inputs, data=st.data())
def test_the_nearest_are_found_and_summed_in_the_order_of_the_words(given_input, data):
    """For every number of values kept, one to all of them."""
    x = drawn(*given_input)
    count = data.draw(st.integers(1, len(x)))
    expected = words.nearest_sum(plain(x), count)
    assert mean_of_nearest(read_rows(x), count).tobytes() == bits(expected)


@given(
    given_input=inputs,
    weights=st.lists(st.floats(1e-300, 1e300) | st.integers(1, 10**6), min_size=30, max_size=30),
)
def test_weighted_sums_have_the_bits_that_the_words_say(given_input, weights):
    """Products are rounded before they are added: no processor may fuse them."""
    x = drawn(*given_input)
    weights = weights[: len(x)]
    expected, _ = words.mean(plain(x), 0, [float(weight) for weight in weights])
    assert get_rule("mean", weights=weights)(x, byzantine=0).tobytes() == bits(expected)


@examples(30)
@given(st.lists(st.lists(singles, min_size=3, max_size=3), min_size=7, max_size=11))
@example([[-0.0] * 3] * 7)
@example([[2.0**-149, -(2.0**-149), 0.0]] * 3 + [[-0.0, 3.4028234663852886e38, 1.0]] * 4)
def test_every_rule_has_the_bits_of_the_words_on_whatever_floats(rows):
    """Floats as hypothesis chooses them, shrunk to what is smallest; selections are the same."""
    x = np.array(rows, dtype=np.float32)
    for name, reference in words.RULES.items():
        for f in {0, most(name, len(x))}:
            expected, selected = reference(plain(x), f)
            found = aggregate(name, x, byzantine=f)
            assert found.vector.tobytes() == bits(expected), (name, f)
            assert list(found.selected) == selected, (name, f)


def agrees_on_distances(x):
    table = words.distances(plain(x))
    assert squared_distances(read_rows(x)).tolist() == table
    return table


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "d"), [(3, 2), (6, 17), (7, 575), (5, 576), (4, 577), (3, 1153)])
def test_distances_have_the_bits_that_the_words_say(kind, n, d):
    """Around the borders of lanes, panels and segments."""
    agrees_on_distances(drawn(kind, n, d, 10 * n))


def test_pieces_are_summed_by_themselves():
    """66 segments and a tail: a full piece, one of two segments, what is left."""
    full = 66 * 576
    x = drawn("nearly infinite", 3, full + 5, 1)
    table = agrees_on_distances(x)
    p, q, _ = plain(x)
    segments = [words.segment_sum(p[at : at + 576], q[at : at + 576]) for at in range(0, full, 576)]
    fill = [0.0] * 571
    tail = words.segment_sum(p[full:] + fill, q[full:] + fill)
    assert table[0][1] == words.total(segments[:64]) + (segments[64] + segments[65]) + tail
    assert table[0][1] != words.total([*segments, tail])


@pytest.mark.parametrize("kind", KINDS)
def test_krum_and_bulyan_select_what_the_words_select_among_thirty(kind):
    """30 updates; scores, ties and the order of selection, for every f that each rule accepts."""
    x = drawn(kind, 30, 11, 30)
    table = agrees_on_distances(x)
    for f in range(14):
        for keep in (1, 30 - f):
            chosen = words.krum_selection(table, f, keep, again=False)
            name, extra = ("krum", {}) if keep == 1 else ("multi_krum", {"keep": keep})
            found = aggregate(name, x, byzantine=f, **extra)
            assert list(found.selected) == chosen
        theta = 30 - 2 * f
        chosen = words.krum_selection(table, f, theta, again=True)
        found = aggregate("bulyan", x, byzantine=f, strict=False)
        assert list(found.selected) == chosen
        kept = [row for at, row in enumerate(plain(x)) if at in chosen]
        beta = max(theta - 2 * f, 2 - theta % 2)
        assert found.vector.tobytes() == bits(words.nearest_sum(kept, beta))


@pytest.mark.parametrize("name", ["bulyan", "mean", "median", "multi_krum", "trimmed_mean"])
@pytest.mark.parametrize("count", [1, 3])
def test_large_updates_have_the_bits_of_the_words_at_sampled_coordinates(name, count):
    """Several pieces of work and a tail; with one thread and with more."""
    d = 300_007
    x = drawn("every scale", 11, d, 3)
    with threads(count):
        found = aggregate(name, x, byzantine=2)
    ends = [0, 1, 65_535, 65_536, d - 513, d - 512, d - 8, d - 1]
    sample = sorted({*ends, *np.random.default_rng(4).integers(0, d, 200).tolist()})
    rows = plain(x[list(found.selected)][:, sample])
    if name == "bulyan":
        expected = words.nearest_sum(rows, 3)
    elif name in {"mean", "multi_krum"}:
        expected = words.ordered_sum(rows)
    else:
        expected, _ = words.RULES[name](rows, 2)
    assert found.vector[sample].tobytes() == bits(expected)


def test_the_window_of_the_nearest_hands_its_values_round():
    """From the smallest on would be another sum: the order is part of the arithmetic's name."""
    column = [-(2.0**53), -1.0, -1.0, 2.0**53, 2.0**60]  # the first four are nearest to the median
    x = np.array(column, dtype=np.float32).reshape(5, 1)
    assert words.total([-1.0, -1.0, 2.0**53, -(2.0**53)]) == -2
    assert words.total(sorted(column)[:4]) == 0
    assert mean_of_nearest(read_rows(x), 4)[0] == words.nearest_sum(plain(x), 4)[0] == -0.5


squarable = st.floats(-(2.0**129), 2.0**129).map(lambda x: math.ldexp(round(x * 2.0**149), -149))


@examples(400)
@given(a=squarable, c=st.floats(0, 2.0**260))
@example(a=1 + 2.0**-30, c=2.0**-53)
def test_fma_comes_out_of_sums_products_and_comparisons(a, c):
    """What the words give for a language without `fma` is a² + c rounded once, to f64 as to f32."""
    c = math.ldexp(round(math.ldexp(c, 298)), -298) if c < 2.0**-200 else c
    assert words.fma(a, a, c) == float(Fraction(a) ** 2 + Fraction(c))
    b, narrow = words.single(a), words.single(c)
    if math.inf not in (abs(b), narrow):
        exact = Fraction(b) ** 2 + Fraction(narrow)
        assert words.fma_single(b, b, narrow) == words.rounded_once(exact)


def table_of(heading):
    text = FORMATS.read_text()
    lines = text[text.index(heading) :].splitlines()[2:]
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def test_the_documented_table_is_what_the_rules_say():
    """One table names every rule's arithmetic, another defines every name, each in a section."""
    documented = {name.strip("`"): parts.strip("`") for name, parts in table_of("| rule | arith")}
    assert documented == {name: arithmetic(name) for name in rules.names()}
    defined = [name.strip("`") for name, _ in table_of("| arithmetic | in one")]
    used = {part for name in rules.names() for part in arithmetic(name).split("+")}
    assert set(defined) == used
    sections = re.findall(r"^### (\S+/\d+)$", FORMATS.read_text(), re.MULTILINE)
    assert sections == defined


def test_an_arithmetic_is_asked_for_by_the_rules_name():
    """An unknown rule is an error with the nearest name; a bound rule's is its rule's."""
    assert arithmetic("median") == arithmetic("trimmed_mean") == "f32-sorted-sum-f64/1"
    assert get_rule("multi_krum", keep=3).arithmetic == arithmetic("multi_krum")
    with pytest.raises(UnknownNameError, match="did you mean 'median'"):
        arithmetic("medain")


@pytest.mark.parametrize(
    "name", [None, "", "sum", "sum/0", "sum/01", "Sum/1", "sum/1+", "sum/1 + mean/1", 1, "a--b/1"]
)
def test_a_rule_without_a_name_for_its_arithmetic_is_refused(name, monkeypatch):
    """A third party's rule is refused by name when it is made, or when its function is loaded."""

    def first(updates, *, byzantine):
        return updates[0]

    wanted = r"rule 'first' has to name its arithmetic with a version"
    with pytest.raises(ConfigError, match=wanted):
        rule(requires=lambda _byzantine: 1, arithmetic=name)(first)
    first.arithmetic = name  # type: ignore[attr-defined]
    monkeypatch.setattr(registry_module.rules, "load", lambda _name: first)
    for call in (get_rule, arithmetic):
        with pytest.raises(ConfigError, match=wanted):
            call("first")


def test_a_third_partys_rule_names_what_it_is_made_of():
    """Its own arithmetic, or parts that it shares with the rules here."""
    for name in ("theirs/12", "f32-squared-distances-f64/1+their-choice/1"):
        made = rule(requires=lambda _byzantine: 1, arithmetic=name)(lambda updates: updates[0])
        assert isinstance(made, Rule)
        assert made.arithmetic == name


def test_a_thread_that_flushes_denormals_computes_nothing():
    """Other bits than everybody's would come out; the error says what set it, and it can go on."""
    torch = pytest.importorskip("torch")
    layout = Layout(("w",), ((1,),), ("float32",))
    x = np.full((3, 1), 2.0**-149, dtype=np.float32)
    seen = []

    def attempt():
        if not torch.set_flush_denormal(True):
            seen.append("not on this processor")
            return
        try:
            for call in (
                lambda: get_rule("median")(x, byzantine=0),
                lambda: layout.add({"w": x[0]}, x[0]),
                check_floats,
            ):
                with pytest.raises(ConfigError, match=r"set_flush_denormal\(True\)"):
                    call()
                seen.append("refused")
        finally:
            torch.set_flush_denormal(False)
        check_floats()
        assert get_rule("median")(x, byzantine=0)[0] == x[0, 0]
        seen.append("computed")

    worker = threading.Thread(target=attempt)
    worker.start()
    worker.join()
    assert seen in (["not on this processor"], ["refused"] * 3 + ["computed"])


OTHER_ROUNDING = """
import ctypes, ctypes.util, sys
from fedledger.errors import ConfigError
from fedledger.floats import check_floats
check_floats()
libm = ctypes.CDLL(ctypes.util.find_library("m"))
for mode in map(int, sys.argv[1:]):
    assert libm.fesetround(mode) == 0
    try:
        check_floats()
    except ConfigError as error:
        print(mode, "does not round to nearest" in str(error))
    libm.fesetround(0)
check_floats()
"""


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or platform.machine() not in {"x86_64", "aarch64"},
    reason="calls the C library by its Linux name, with these processors' numbers",
)
def test_a_thread_that_rounds_another_way_computes_nothing():
    """Up, down and towards zero are each noticed."""
    shift = 10 if platform.machine() == "x86_64" else 22  # where the processor keeps the mode
    modes = [str(mode << shift) for mode in (1, 2, 3)]
    done = subprocess.run(
        [sys.executable, "-c", OTHER_ROUNDING, *modes], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [f"{mode} True" for mode in modes]
