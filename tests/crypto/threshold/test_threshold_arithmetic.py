"""Products of powers, inverses, interpolation and safe primes, against plain Python."""

from fractions import Fraction
from math import factorial, prod

import gmpy2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples
from support.threshold import entropy, scene

from fedledger.crypto.threshold.arithmetic import inverses, lagrange, power_product
from fedledger.crypto.threshold.primes import safe_prime


@examples(40)
@given(
    st.lists(st.tuples(st.integers(1, 2**90), st.integers(0, 2**70)), max_size=80),
    st.integers(2**80, 2**90).map(lambda n: 2 * n + 1),
)
def test_a_product_of_powers_is_what_it_says(pairs, n):
    """Few or many bases, exponents of any length and 0: the same number as by `pow`."""
    bases, exponents = [base % n for base, _ in pairs], [one for _, one in pairs]
    expected = prod(pow(b, e, n) for b, e in zip(bases, exponents, strict=True)) % n
    assert power_product(bases, exponents, n) == expected


def test_unequal_lengths_are_no_product():
    """As many exponents as bases, else nothing is left out silently."""
    for count in (3, 30):
        with pytest.raises(ValueError, match="shorter"):
            power_product([2] * count, [3] * (count - 1), 101)


def test_inverses_are_inverses():
    """One inversion gives all; where one has none, nothing is given."""
    assert inverses([1, 2, 3, 100], 101) == [pow(one, -1, 101) for one in (1, 2, 3, 100)]
    assert inverses([], 101) == []
    with pytest.raises(ZeroDivisionError):
        inverses([1, 7, 2], 77)


@given(st.integers(2, 12), st.data())
def test_interpolation_is_whole_and_exact(trainers, data):
    """Any t points give a polynomial of degree t-1 everywhere, times l!, in whole numbers."""
    threshold = data.draw(st.integers(1, trainers))
    points = data.draw(st.permutations(range(1, trainers + 1)))[:threshold]
    at = data.draw(st.integers(0, trainers))
    terms = data.draw(st.lists(st.integers(-99, 99), min_size=threshold, max_size=threshold))
    value = [sum(c * Fraction(x) ** k for k, c in enumerate(terms)) for x in (*points, at)]
    scale = factorial(trainers)
    weights = lagrange(points, at, scale)
    assert sum(w * v for w, v in zip(weights, value, strict=False)) == scale * value[-1]


@pytest.mark.parametrize("bits", [32, 40, 64, 128, 256])
def test_safe_primes_are_safe(bits):
    """Exactly so many bits, the top two set; p and (p-1)/2 are prime; draws differ."""
    draws = entropy("primes")
    found = {safe_prime(bits, draws) for _ in range(4)}
    assert len(found) == 4
    for p in found:
        assert p >> (bits - 2) == 3
        assert gmpy2.is_prime(p, 30)
        assert gmpy2.is_prime(p // 2, 30)


def test_the_scene_is_what_it_says():
    """The other tests' key is a product of two safe primes of half its size each."""
    made = scene()
    assert made.p * made.q == made.n
    assert made.n.bit_length() == 512
    assert all(gmpy2.is_prime(one) and gmpy2.is_prime(one // 2) for one in (made.p, made.q))
