"""What a drawn value chooses: members of a panel, a leader, parties to look at.

All is a function of the value, of a subject that says what is chosen for, and of who there is to
choose from; so anybody recomputes it, and two subjects are chosen for independently of each other.
Given a value that nobody knew, nobody is more likely than it should be: numbers come by rejection
(as in NIST SP 800-90A, appendix A.5.1), and not by a remainder. How far somebody could have chosen
the value itself, docs/contracts.md says source by source ("Draws").

Who can be chosen has to be fixed before the value: else names are tried until one is drawn.
"""

from collections.abc import Iterator, Sequence
from hashlib import sha256

from fedledger.errors import CallError

from ...addresses import checksum_address

__all__ = ["Party", "leader", "panel", "round_party", "spot"]

Party = str | bytes
"""Who or what can be chosen: an account's address, or bytes that name something else."""

_DOMAIN = b"fedledger draw v1"
_MILLION = 1_000_000
_BITS = 256


def panel(value: bytes, subject: bytes, candidates: Sequence[Party], size: int) -> list[Party]:
    """Return a panel, every set of `size` candidates with the same probability.

    Args:
        value: 32 bytes, as a draw gave them.
        subject: what is chosen for, any bytes.
        candidates: who can be chosen, each once; their order is of no matter.
        size: how many are chosen, from 0 to all.

    Returns:
        The members, in the order in which they were drawn (Fisher-Yates).

    Raises:
        CallError: a value that is none, a candidate twice, or a panel larger than there are.
    """
    left = _sorted(candidates)
    if not 0 <= size <= len(left):
        raise CallError(f"a panel of {size} cannot be chosen among {len(left)}")
    numbers = _numbers(value, b"panel", subject)
    chosen = []
    for _ in range(size):
        place = _below(numbers, len(left))
        left[place], left[-1] = left[-1], left[place]
        chosen.append(left.pop()[1])
    return chosen


def leader(
    value: bytes, subject: bytes, candidates: Sequence[Party], weights: Sequence[int]
) -> Party:
    """Return one candidate, each with a probability in proportion to its weight.

    Args:
        value: 32 bytes, as a draw gave them.
        subject: what is chosen for, any bytes.
        candidates: who can be chosen, each once; their order is of no matter.
        weights: a whole number for each candidate, 0 or more; who has 0 is never chosen.

    Raises:
        CallError: a value that is none, a candidate twice, or weights that do not fit or are all 0.
    """
    if len(weights) != len(candidates):
        raise CallError(f"{len(candidates)} candidates have {len(weights)} weights")
    if any(isinstance(one, bool) or not isinstance(one, int) or one < 0 for one in weights):
        raise CallError("a weight is a whole number, 0 or more")
    total = sum(weights)
    if not 0 < total < 1 << _BITS:
        raise CallError(f"the weights are {total} together: 1 at least, and less than 2^{_BITS}")
    heavy = {_name(one): weight for one, weight in zip(candidates, weights, strict=True)}
    lot = _below(_numbers(value, b"leader", subject), total)
    for name, candidate in _sorted(candidates):
        if lot < heavy[name]:
            return candidate
        lot -= heavy[name]
    raise AssertionError("a lot is below the sum of the weights")


def spot(
    value: bytes, subject: bytes, parties: Sequence[Party], probability_ppm: int
) -> list[Party]:
    """Return the parties that are looked at, each with the same probability and by itself.

    Whether one is drawn does not depend on which others there are.

    Args:
        value: 32 bytes, as a draw gave them.
        subject: what is chosen for, any bytes.
        parties: who can be chosen, each once.
        probability_ppm: in parts per million, from 0 to 1,000,000.

    Returns:
        Those drawn, in the order of `parties`.

    Raises:
        CallError: a value that is none, a party twice, or no probability.
    """
    if not 0 <= probability_ppm <= _MILLION:
        raise CallError(f"{probability_ppm} parts per million are no probability")
    _sorted(parties)
    return [
        one
        for one in parties
        if _below(_numbers(value, b"spot", subject, _name(one)), _MILLION) < probability_ppm
    ]


def round_party(task: int, number: int) -> bytes:
    """Return how a task's round is named where rounds are drawn: both numbers, 16 bytes each."""
    return task.to_bytes(16, "big") + number.to_bytes(16, "big")


def _numbers(value: bytes, *parts: bytes) -> Iterator[int]:
    """Yield whole numbers below 2^256: SHA-256 of all that is given, and of a counter."""
    if len(value) != 32 or not any(value):
        raise CallError("a drawn value is 32 bytes, and a void draw has none")
    digest = sha256()
    for part in (_DOMAIN, value, *parts):
        digest.update(len(part).to_bytes(4, "big") + part)
    count = 0
    while True:
        one = digest.copy()
        one.update(count.to_bytes(8, "big"))
        yield int.from_bytes(one.digest(), "big")
        count += 1


def _below(numbers: Iterator[int], limit: int) -> int:
    """Return a number from 0 to `limit` less 1, each with the same probability."""
    least = (1 << _BITS) % limit  # below it, the remainders that are one too many
    return next(number for number in numbers if number >= least) % limit


def _name(party: Party) -> bytes:
    return party if isinstance(party, bytes) else bytes.fromhex(checksum_address(party)[2:])


def _sorted(parties: Sequence[Party]) -> list[tuple[bytes, Party]]:
    found = sorted(((_name(one), one) for one in parties), key=lambda one: one[0])
    if len({name for name, _ in found}) != len(found):
        raise CallError("somebody is there twice")
    return found
