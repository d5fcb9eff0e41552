"""From decryption shares to messages, and the check of messages by anybody (formulas: `keys`).

`combine` makes roots of any t trainers' shares, `lift` messages of roots. Lifting is most of the
work, needs no secret, and goes ciphertext by ciphertext: parties can divide it. Both find out when
a share was wrong, whatever its proof said. Who holds roots and messages shows with `check_opening`
that they are right, for much less than they cost, and without any share.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import gmpy2

from fedledger.errors import CryptoError

from ..paillier.batch import to_bytes
from ..paillier.cores import Cores
from ..transcript import Label, Transcript
from .arithmetic import inverses, lagrange, power_product, powers, reduced
from .keys import ThresholdKeys
from .shares import check_ciphertexts, check_numbers, encode_numbers

__all__ = ["Opening", "check_opening", "combine", "lift"]


@dataclass(frozen=True, slots=True)
class Opening:
    """Opened ciphertexts, in their order.

    Attributes:
        messages: 0 to n-1 each.
        roots: w of each, or its negative: the smaller one. They prove the messages.
    """

    messages: tuple[int, ...]
    roots: tuple[int, ...]


def combine(
    keys: ThresholdKeys,
    ciphertexts: Sequence[int],
    shares: Mapping[int, Sequence[int]],
    cores: Cores,
) -> list[int]:
    """Return the roots of ciphertexts from the decryption shares of t trainers.

    Args:
        keys: the threshold key.
        ciphertexts: numbers of Z*_{n²}.
        shares: by trainer's number, its decryption shares of all of them. Of more than t trainers,
            those with the lowest numbers count.
        cores: who computes.

    Raises:
        CryptoError: fewer than t trainers, a share that is no number of Z*_n, or roots that do not
            fit to the ciphertexts: a share is wrong, and `verify_shares` tells whose.
    """
    check_ciphertexts(keys, ciphertexts)
    if len(shares) < keys.threshold:
        raise CryptoError(
            "decryption shares", f"of {len(shares)} trainers, and {keys.threshold} are needed"
        )
    for trainer in shares:
        keys.check_trainer(trainer)
    n, chosen = gmpy2.mpz(keys.public.n), sorted(shares)[: keys.threshold]
    over = under = [gmpy2.mpz(1)] * len(ciphertexts)
    for trainer, weight in zip(chosen, lagrange(chosen, 0, keys.delta), strict=True):
        what = f"decryption shares of trainer {trainer}"
        check_numbers(what, keys, shares[trainer], len(ciphertexts))
        found = powers(shares[trainer], 2 * abs(weight), n, cores)
        if weight > 0:
            over = [a * b % n for a, b in zip(over, found, strict=True)]
        else:
            under = [a * b % n for a, b in zip(under, found, strict=True)]
    combined = [a * b % n for a, b in zip(over, inverses(under, n), strict=True)]
    roots = [int(min(one, n - one)) for one in combined]
    _check_roots(keys, ciphertexts, roots)
    return roots


def lift(
    keys: ThresholdKeys, ciphertexts: Sequence[int], roots: Sequence[int], cores: Cores
) -> Opening:
    """Return the messages of ciphertexts whose roots are known.

    Args:
        keys: the threshold key.
        ciphertexts: numbers of Z*_{n²}, or a part of what was combined.
        roots: one each, as `combine` gave.
        cores: who computes.

    Raises:
        CryptoError: a root is none of its ciphertext's, with its position.
    """
    check_ciphertexts(keys, ciphertexts)
    check_numbers("roots", keys, roots, len(ciphertexts))
    n, n2 = gmpy2.mpz(keys.public.n), gmpy2.mpz(keys.public.n2)
    # A root's sign is unknown: the ciphertext's power is compared with both.
    lifted = powers(roots, n, n2, cores)
    raised = powers(ciphertexts, 4 * keys.delta**2, n2, cores)
    differences = []
    for at, (power, one) in enumerate(zip(raised, lifted, strict=True)):
        same = one if (power - one) % n == 0 else n2 - one
        whole, rest = gmpy2.f_divmod(power - same, n)
        if rest:
            raise CryptoError("roots", f"number {at} is no root of its ciphertext")
        differences.append(whole)
    inverted = inverses(reduced(raised, n), n)
    messages = tuple(
        int(one * inverse * keys.theta % n)
        for one, inverse in zip(differences, inverted, strict=True)
    )
    return Opening(messages, tuple(roots))


def check_opening(
    keys: ThresholdKeys, ciphertexts: Sequence[int], opening: Opening, transcript: Transcript
) -> None:
    """Check that all messages are those of their ciphertexts.

    One equation over a random linear combination: Π c_j^(4Δ²e_j) = (1 + n)^(4Δ²·Σ e_j M_j) ·
    (Π w_j^(e_j))ⁿ modulo n², up to the sign, with factors e_j of 128 bits drawn from everything.
    Were a message wrong, its ciphertext's quotient of both sides had a prime factor of n in its
    order, and the equation would hold with a chance of 2^-128.

    Args:
        keys: the threshold key.
        ciphertexts: numbers of Z*_{n²}.
        opening: what is said to be in them.
        transcript: made for this check; it moves on.

    Raises:
        CryptoError: a number is none, or the equation does not hold.
    """
    check_ciphertexts(keys, ciphertexts)
    check_numbers("roots", keys, opening.roots, len(ciphertexts))
    n, n2 = gmpy2.mpz(keys.public.n), gmpy2.mpz(keys.public.n2)
    if len(opening.messages) != len(ciphertexts):
        raise CryptoError(
            "messages", f"{len(opening.messages)} of them for {len(ciphertexts)} ciphertexts"
        )
    for at, one in enumerate(opening.messages):
        if type(one) is not int or not 0 <= one < n:
            raise CryptoError("messages", f"number {at} is not from 0 to n-1")
    transcript.begin(Label.OPENING)
    transcript.absorb("keys", keys.digest)
    transcript.absorb("ciphertexts", to_bytes(keys.public, ciphertexts))
    transcript.absorb("messages", encode_numbers(keys, opening.messages))
    transcript.absorb("roots", encode_numbers(keys, opening.roots))
    factors = transcript.challenges("factors", len(ciphertexts))
    scale = 4 * keys.delta**2
    total = sum(a * b for a, b in zip(factors, opening.messages, strict=True))
    left = gmpy2.powmod(power_product(ciphertexts, factors, n2), scale, n2)
    root = power_product(opening.roots, factors, n)
    right = (1 + scale * total * n) * gmpy2.powmod(root, n, n2) % n2
    if left not in {right, n2 - right}:
        raise CryptoError("opening", "its messages are not those of the ciphertexts")


def _check_roots(keys: ThresholdKeys, ciphertexts: Sequence[int], roots: Sequence[int]) -> None:
    """Check wⁿ = ±c^(4Δ²) modulo n for all, in one equation.

    The factors are drawn from a transcript of this check's own: there is no proof to bind.
    """
    n = gmpy2.mpz(keys.public.n)
    transcript = Transcript("roots")
    transcript.absorb("keys", keys.digest)
    transcript.absorb("ciphertexts", to_bytes(keys.public, ciphertexts))
    transcript.absorb("roots", encode_numbers(keys, roots))
    factors = transcript.challenges("factors", len(roots))
    left = power_product(reduced(ciphertexts, n), factors, n)
    left = gmpy2.powmod(left, 4 * keys.delta**2, n)
    right = gmpy2.powmod(power_product(roots, factors, n), n, n)
    if left not in {right, n - right}:
        raise CryptoError(
            "decryption shares",
            "they do not fit to the ciphertexts: a trainer's are wrong, or of other ciphertexts",
        )
