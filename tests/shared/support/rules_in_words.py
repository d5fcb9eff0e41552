"""The rules' arithmetic written from docs/formats.md alone: Python floats and `struct`, one by one.

A float is f64; `single` rounds it to f32. For f32 values a and b, `single(a + b)`, `single(a - b)`
and `single(a * b)` are the f32 operations: f64 has more than twice as many bits, and rounding twice
is then rounding once. Nothing here is fast, and nothing is taken from the code that it checks.
"""

import struct
from fractions import Fraction
from math import inf

SEGMENT = 576
LANES = 16
STEPS = 36
PIECE = 64
OVERFLOW = 2.0**128 - 2.0**103  # from here on, what is rounded to f32 is infinite


def single(value):
    if abs(value) >= OVERFLOW:
        return inf if value > 0 else -inf
    return struct.unpack("<f", struct.pack("<f", value))[0]


def rounded_once(exact):
    """Return a fraction rounded to f32, for sums that f64 does not hold."""
    size = abs(exact)
    if size == 0:
        return 0.0
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    exponent -= Fraction(2) ** exponent > size
    unit = Fraction(2) ** max(exponent - 23, -149)
    value = round(size / unit) * unit
    value = inf if value >= 2**128 else float(value)
    return value if exact > 0 else -value


def total(values):
    result = 0.0
    for value in values:
        result = result + value
    return result


def two_sum(a, b):
    high = a + b
    z = high - a
    return high, (a - (high - z)) + (b - z)


def to_odd(high, error):
    """Return high + error rounded to odd; high is their sum rounded to nearest."""
    (bits,) = struct.unpack("<q", struct.pack("<d", high))
    if error == 0 or bits & 1:
        return high
    bits += 1 if (error > 0) == (high > 0) else -1
    return struct.unpack("<d", struct.pack("<q", bits))[0]


def fma_single(a, b, c):
    if inf in (a * b, abs(c)) or abs(a) == inf or abs(b) == inf:
        return inf  # squares only: no cancellation
    return single(to_odd(*two_sum(a * b, c)))


def split(a):
    z = (2.0**27 + 1) * a
    high = z - (z - a)
    return high, a - high


def two_product(a, b):
    product = a * b
    (a_high, a_low), (b_high, b_low) = split(a), split(b)
    error = a_high * b_high - product + a_high * b_low + a_low * b_high + a_low * b_low
    return product, error


def fma(a, b, c):
    p, q = two_product(a, b)
    u, v = two_sum(c, q)
    t, w = two_sum(p, u)
    return t + to_odd(*two_sum(v, w))


def ordered_sum(rows, weights=None):
    if weights is None:
        weights = [1.0] * len(rows)
    largest = max(weights)
    scaled = [weight / largest for weight in weights]
    divisor = total(scaled)
    return [
        single(total(x * w for x, w in zip(column, scaled, strict=True)) / divisor)
        for column in zip(*rows, strict=True)
    ]


def sorted_sum(rows, cut):
    kept = [sorted(column)[cut : len(rows) - cut] for column in zip(*rows, strict=True)]
    return [single(total(values) / float(len(values))) for values in kept]


def nearest_sum(rows, count):
    return [_nearest(sorted(column), count) for column in zip(*rows, strict=True)]


def _nearest(v, c):
    m = len(v)
    a, b = v[(m - 1) // 2], v[m // 2]
    twice, median = single(a + b), (a + b) * 0.5
    for k in range(m - c):
        low, high = v[k], v[k + c]
        both = single(low + high)
        nearer = both < twice if both != twice else high - median < median - low
        if not nearer:
            v[k + c] = low
    return single(total(v[m - c :]) / float(c))


def fold(lanes):
    for half in (8, 4, 2, 1):
        lanes = [lanes[i] + lanes[i + half] for i in range(half)]
    return lanes[0]


def _lane(p, q, lane):
    gaps = [single(p[at] - q[at]) for at in range(lane, SEGMENT, LANES)]
    chains = []
    for first in range(0, STEPS, 12):
        t = single(gaps[first] * gaps[first])
        for g in gaps[first + 1 : first + 12]:
            t = fma_single(g, g, t)
        chains.append(t)
    return single(single(chains[0] + chains[1]) + chains[2])


def _wide_lane(p, q, lane):
    t = 0.0
    for at in range(lane, SEGMENT, LANES):
        g = p[at] - q[at]
        t = fma(g, g, t)
    return t


def segment_sum(p, q):
    found = fold([_lane(p, q, lane) for lane in range(LANES)])
    if 1e-28 < found < inf:
        return found
    return fold([_wide_lane(p, q, lane) for lane in range(LANES)])


def distance(p, q):
    d = len(p)
    full = d // SEGMENT
    sums = [
        segment_sum(p[at : at + SEGMENT], q[at : at + SEGMENT])
        for at in range(0, full * SEGMENT, SEGMENT)
    ]
    found = total(total(sums[at : at + PIECE]) for at in range(0, full, PIECE))
    if rest := d % SEGMENT:
        fill = [0.0] * (SEGMENT - rest)
        found = found + segment_sum(p[d - rest :] + fill, q[d - rest :] + fill)
    return found


def distances(rows):
    n = len(rows)
    table = [[0.0] * n for _ in rows]
    for p in range(n):
        for q in range(p + 1, n):
            table[p][q] = table[q][p] = distance(rows[p], rows[q])
    return table


def krum_selection(table, f, keep, *, again):
    left = list(range(len(table)))
    chosen = []
    scores = {}
    for step in range(keep):
        if again or step == 0:
            m = len(left)
            count = min(max(1, m - f - 2), m - 1)
            for row in left:
                others = sorted(table[row][other] for other in left if other != row)
                scores[row] = total(others[:count])
        bound = min(scores[row] for row in left) * (1.0 + 1e-9)
        best = next(row for row in left if scores[row] <= bound)
        chosen.append(best)
        left.remove(best)
    return sorted(chosen)


def mean(rows, _f, weights=None):
    return ordered_sum(rows, weights), list(range(len(rows)))


def trimmed_mean(rows, f):
    return sorted_sum(rows, f), list(range(len(rows)))


def median(rows, _f):
    return sorted_sum(rows, (len(rows) - 1) // 2), list(range(len(rows)))


def krum(rows, f):
    chosen = krum_selection(distances(rows), f, 1, again=False)
    return rows[chosen[0]], chosen


def multi_krum(rows, f, keep=None):
    chosen = krum_selection(distances(rows), f, keep or len(rows) - f, again=False)
    return ordered_sum([rows[row] for row in chosen]), chosen


def bulyan(rows, f, strict=True):  # noqa: FBT002 - a rule's parameter
    theta = len(rows) - 2 * f
    beta = max(theta - 2 * f, 2 - theta % 2)
    chosen = krum_selection(distances(rows), f, theta, again=True)
    return nearest_sum([rows[row] for row in chosen], beta), chosen


RULES = {
    "bulyan": bulyan,
    "krum": krum,
    "mean": mean,
    "median": median,
    "multi_krum": multi_krum,
    "trimmed_mean": trimmed_mean,
}
