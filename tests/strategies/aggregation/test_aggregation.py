"""Every rule against a plain float64 transcription, and the properties all rules share."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples

from fedledger.strategies.aggregation import aggregate, get_rule, rules

RULES = ["bulyan", "krum", "mean", "median", "multi_krum", "trimmed_mean"]
ORDER_FREE = ["median", "trimmed_mean"]  # exactly; Bulyan and the others up to the selection


def naive_distances(x):
    return np.array([[np.sum((a - b) ** 2) for b in x] for a in x])


def naive_krum_scores(distances, count):
    scores = []
    for row in range(len(distances)):
        others = sorted(np.delete(distances[row], row))
        scores.append(sum(others[:count]))
    return scores


def naive_krum(x, f):
    scores = naive_krum_scores(naive_distances(x), len(x) - f - 2)
    best = int(np.argmin(scores))
    return x[best], (best,)


def naive_multi_krum(x, f, keep=None):
    scores = naive_krum_scores(naive_distances(x), len(x) - f - 2)
    chosen = np.argsort(scores, kind="stable")[: len(x) - f if keep is None else keep]
    return x[chosen].mean(axis=0), tuple(sorted(int(row) for row in chosen))


def naive_trimmed_mean(x, f):
    middle = np.sort(x, axis=0)[f : len(x) - f]
    return middle.mean(axis=0), tuple(range(len(x)))


def naive_median(x, _f):
    return np.median(x, axis=0), tuple(range(len(x)))


def naive_mean(x, _f):
    return x.mean(axis=0), tuple(range(len(x)))


def naive_bulyan(x, f, beta=None):
    left = list(range(len(x)))
    theta = len(x) - 2 * f
    beta = theta - 2 * f if beta is None else beta
    chosen = []
    distances = naive_distances(x)
    while len(chosen) < theta:
        scores = naive_krum_scores(distances[np.ix_(left, left)], max(1, len(left) - f - 2))
        chosen.append(left.pop(int(np.argmin(scores))))
    kept = np.sort(x[sorted(chosen)], axis=0)
    median = np.median(kept, axis=0)
    nearest = np.argsort(np.abs(kept - median), axis=0, kind="stable")[:beta]
    return np.take_along_axis(kept, nearest, axis=0).mean(axis=0), tuple(sorted(chosen))


NAIVE = {
    "bulyan": naive_bulyan,
    "krum": naive_krum,
    "mean": naive_mean,
    "median": naive_median,
    "multi_krum": naive_multi_krum,
    "trimmed_mean": naive_trimmed_mean,
}


def most_byzantine(name, n):
    """The largest f the rule accepts for n updates, or None."""
    found = get_rule(name)
    fits = [f for f in range(n) if found.required(f) <= n]
    return min(max(fits), n // 2) if fits else None


def draw_updates(seed, n, d, scale=1.0):
    rng = np.random.default_rng(seed)
    return [(scale * rng.standard_normal(d)).astype(np.float32) for _ in range(n)]


def assert_close(vector, expected):
    """Equal to 1e-6 of the coordinate, or of the values that were averaged to it."""
    np.testing.assert_allclose(vector, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", RULES)
def test_matches_the_naive_reference_in_50_random_trials(name):
    """Vector and selection equal a plain float64 transcription, over tile borders and all n."""
    rng = np.random.default_rng(RULES.index(name))
    sizes = [1, 7, 15, 17, 95, 512, 575, 576, 577, 1024, 1025, 1153, 2304, 2305, 5000]
    for trial in range(50):
        n = int(rng.integers(3, 41))
        d = sizes[trial % len(sizes)] if trial < 40 else int(rng.integers(1, 3000))
        f = int(rng.integers(0, most_byzantine(name, n) + 1))
        x = draw_updates(1000 + trial, n, d)
        result = aggregate(name, x, byzantine=f)
        expected, selected = NAIVE[name](np.stack(x).astype(np.float64), f)
        assert result.selected == selected, (n, f, d)
        assert result.vector.dtype == np.float32
        assert_close(result.vector, expected)


@pytest.mark.parametrize("keep", [1, 2, 9])
def test_multi_krum_keeps_as_many_as_asked(keep):
    """`keep` counts the updates averaged; 1 is Krum."""
    x = draw_updates(3, 11, 300)
    result = aggregate("multi_krum", x, byzantine=3, keep=keep)
    expected, selected = naive_multi_krum(np.stack(x).astype(np.float64), 3, keep)
    assert result.selected == selected
    assert_close(result.vector, expected)
    if keep == 1:
        np.testing.assert_array_equal(result.vector, get_rule("krum")(x, byzantine=3))


def test_weighted_mean_matches_numpy():
    """Weights act as sample counts do, whatever their size."""
    x = draw_updates(4, 6, 2100)
    weights = [3, 1.5, 1, 40, 7, 2]
    expected = np.average(np.stack(x).astype(np.float64), axis=0, weights=weights)
    for scale in (1.0, 1e300, 1e-300):
        scaled = [weight * scale for weight in weights]
        assert_close(aggregate("mean", x, byzantine=0, weights=scaled).vector, expected)


@pytest.mark.parametrize(("n", "f", "beta"), [(30, 9, 2), (23, 9, 1), (25, 6, 1), (26, 6, 2)])
def test_bulyan_below_its_condition_takes_the_median_of_what_krum_selects(n, f, beta):
    """`strict=False` clamps β to the middle one or two and says so."""
    x = draw_updates(5, n, 700)
    result = aggregate("bulyan", x, byzantine=f, strict=False)
    expected, selected = naive_bulyan(np.stack(x).astype(np.float64), f, beta)
    assert result.clamped
    assert result.selected == selected
    assert_close(result.vector, expected)


def test_bulyan_says_nothing_of_clamping_where_its_condition_holds():
    """`clamped` marks only runs outside the guarantee; strict or not, the bits are the same."""
    x = draw_updates(6, 11, 100)
    strict = aggregate("bulyan", x, byzantine=2)
    loose = aggregate("bulyan", x, byzantine=2, strict=False)
    assert not strict.clamped
    assert not loose.clamped
    np.testing.assert_array_equal(strict.vector, loose.vector)


shapes = st.tuples(st.integers(7, 24), st.integers(1, 600), st.integers(0, 2**32 - 1))


@pytest.mark.parametrize("name", RULES)
@examples(25)
@given(shape=st.tuples(st.integers(15, 26), st.integers(8, 600), st.integers(0, 2**32 - 1)))
def test_permuting_the_updates_permutes_the_selection_and_keeps_the_result(name, shape):
    """No rule prefers a place in the sequence, unless scores tie.

    Bulyan below f = 3 compares single distances in its last rounds, and two nearest neighbours of
    each other share theirs: they always tie. Hence n ≥ 15.
    """
    n, d, seed = shape
    x = draw_updates(seed, n, d)
    order = np.random.default_rng(seed).permutation(n)
    f = most_byzantine(name, n)
    before = aggregate(name, x, byzantine=f)
    after = aggregate(name, [x[row] for row in order], byzantine=f)
    assert sorted(int(order[row]) for row in after.selected) == list(before.selected)
    if name in ORDER_FREE:
        np.testing.assert_array_equal(after.vector, before.vector)
    else:
        assert_close(after.vector, before.vector)


@pytest.mark.parametrize("name", RULES)
@examples(25)
@given(shape=shapes)
def test_translating_the_updates_translates_the_result(name, shape):
    """rule(x + t) = rule(x) + t, and the same updates are selected."""
    n, d, seed = shape
    # Multiples of 2⁻¹⁰ below 8: every sum here is exact in float32.
    rng = np.random.default_rng(seed)
    x = (rng.integers(-4096, 4096, (n, d)) / 1024).astype(np.float32)
    shift = (rng.integers(-4096, 4096, d) / 1024).astype(np.float32)
    f = most_byzantine(name, n)
    before = aggregate(name, x, byzantine=f)
    after = aggregate(name, x + shift, byzantine=f)
    assert after.selected == before.selected
    assert_close(after.vector, before.vector.astype(np.float64) + shift)


@pytest.mark.parametrize("name", RULES)
def test_an_array_and_a_sequence_of_its_rows_give_the_same_bits(name):
    """Rows are read where they lie: stacked, strided, reversed, unaligned or read-only."""
    x = np.stack(draw_updates(7, 11, 1300))
    expected = get_rule(name)(x, byzantine=2)
    raw = np.zeros(4 * x.shape[1] + 1, dtype=np.uint8)
    unaligned = raw[1:].view(np.float32)
    unaligned[:] = x[0]
    frozen = x[1].copy()
    frozen.setflags(write=False)
    forms = [list(x), np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2]]
    forms.append([unaligned, frozen, *x[2:]])
    for form in forms:
        np.testing.assert_array_equal(get_rule(name)(form, byzantine=2), expected)
    np.testing.assert_array_equal(x, np.stack(draw_updates(7, 11, 1300)))  # untouched


@pytest.mark.parametrize("name", ["trimmed_mean", "median", "bulyan", "krum", "multi_krum"])
@pytest.mark.parametrize("size", [1e8, 1e30])
def test_outliers_do_not_spoil_the_rest(name, size):
    """Two updates of ±10⁸ or ±10³⁰ leave the result inside the honest values, to full precision."""
    honest = draw_updates(8, 9, 900)
    wild = [np.full(900, sign * size, dtype=np.float32) for sign in (1, -1)]
    vector = get_rule(name)([*wild, *honest], byzantine=2)
    assert np.all(vector >= np.min(honest, axis=0))
    assert np.all(vector <= np.max(honest, axis=0))


def test_trimmed_mean_of_outliers_equals_the_mean_of_what_is_left():
    """One 10³⁰ on each side is cut off without a trace."""
    inner = draw_updates(9, 1, 500)[0]
    wild = np.full(500, 1e30, dtype=np.float32)
    result = get_rule("trimmed_mean")([wild, inner, -wild], byzantine=1)
    np.testing.assert_array_equal(result, inner)


@pytest.mark.parametrize("seed", range(10))
def test_krum_on_weights_picks_as_float64_does(seed):
    """Updates 10⁻⁵ of a part that all share, |w| near 1: the choice is the float64 one."""
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal(4000)
    x = [(weights + 1e-5 * rng.standard_normal(4000)).astype(np.float32) for _ in range(15)]
    wide = np.stack(x).astype(np.float64)
    assert aggregate("krum", x, byzantine=4).selected == naive_krum(wide, 4)[1]
    assert aggregate("bulyan", x, byzantine=3).selected == naive_bulyan(wide, 3)[1]


def test_equal_scores_go_to_the_lowest_index():
    """Four corners of a square tie; so do copies of one update."""
    corners = [np.array(c, dtype=np.float32) for c in ((0, 0), (0, 1), (1, 0), (1, 1))]
    assert aggregate("krum", corners, byzantine=0).selected == (0,)
    assert aggregate("multi_krum", corners, byzantine=0, keep=2).selected == (0, 1)
    copies = [np.ones(40, dtype=np.float32)] * 7
    assert aggregate("krum", copies, byzantine=2).selected == (0,)
    assert aggregate("bulyan", copies, byzantine=1).selected == (0, 1, 2, 3, 4)


@pytest.mark.parametrize("name", RULES)
def test_the_result_is_the_callers_own(name):
    """Writing to the result changes no update."""
    x = np.stack(draw_updates(10, 7, 50))
    kept = x.copy()
    get_rule(name)(x, byzantine=1)[:] = 0
    np.testing.assert_array_equal(x, kept)


def test_every_registered_rule_is_tested_here():
    """A new rule joins the suite."""
    assert rules.names() == RULES
