"""A store that has not a content yet, or does not answer now, is asked again; but not for ever."""

from collections.abc import Callable
from typing import TypeVar

from fedledger.effects import Clock
from fedledger.errors import ContentNotFound, StoreError, StoreReadOnly, StoreUnavailable

__all__ = ["may_pass", "patiently", "pause"]

T = TypeVar("T")

_FIRST, _LONGEST = 0.25, 5.0  # seconds between two tries
_LEAST = 1.0  # seconds that a try may take, however little is left


def may_pass(error: StoreError) -> bool:
    """Tell whether a store's error may be over a moment later.

    What hashes to something else, is too large, or is no CID, stays so.
    """
    passing = isinstance(error, ContentNotFound | StoreUnavailable)
    return passing and not isinstance(error, StoreReadOnly)


def pause(tries: int) -> float:
    """Return the seconds between a try and the next one, each longer than the one before.

    Args:
        tries: how many there were, 1 or more.
    """
    return float(min(_FIRST * 2 ** min(tries - 1, 16), _LONGEST))


def patiently(call: Callable[[float], T], time: Clock, seconds: float) -> T:
    """Return what a call of a store returns, made again as long as its error may pass.

    Args:
        call: is given the seconds that it may take.
        time: passes.
        seconds: how long all tries together may take; one begins before that is over.

    Raises:
        StoreError: the last one.
    """
    end, tries = time.monotonic() + seconds, 0
    while True:
        tries += 1
        try:
            return call(max(end - time.monotonic(), _LEAST))
        except StoreError as error:
            left = end - time.monotonic()
            if not may_pass(error) or left <= 0:
                raise
        time.sleep(min(pause(tries), left))
