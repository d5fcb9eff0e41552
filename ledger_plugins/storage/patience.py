"""A store that has not a content yet, or does not answer now, is asked again; but not for ever."""

import logging
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TypeVar

from fedledger.effects import Clock
from fedledger.errors import ContentNotFound, StoreError, StoreUnavailable

from .base import Store

__all__ = ["AWAY", "is_lasting", "kept", "may_pass", "patiently", "pause", "put_all"]

AWAY = 120.0
"""Seconds that a store may be away before who has to put something into it gives up."""

T = TypeVar("T")

logger = logging.getLogger(__name__)

_FIRST, _LONGEST = 0.25, 5.0  # seconds between two tries
_LEAST = 1.0  # seconds that a try may take, however little is left
_IN_TROUBLE = 500  # and above
_BUSY = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)


def may_pass(error: StoreError) -> bool:
    """Tell whether a store's error may be over a moment later.

    What hashes to something else, is too large, or is no CID, stays so; and so does what a server
    refuses (`is_lasting`).
    """
    if isinstance(error, StoreUnavailable):
        return not error.lasting
    return isinstance(error, ContentNotFound)


def is_lasting(status: int) -> bool:
    """Tell whether an answer that is no good one is a refusal, which waiting does not change.

    A server that is busy, or in trouble, is no refusal.

    Args:
        status: HTTP's status code.
    """
    return status < _IN_TROUBLE and status not in _BUSY


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


def put_all(store: Store, contents: Iterable[bytes], time: Clock) -> list[str]:
    """Store contents and return their CIDs, also where the store is away for a while.

    Raises:
        StoreError: as of `kept`.
    """
    listed = list(contents)
    return kept(lambda: store.put_all(listed), time)


def kept(put: Callable[[], T], time: Clock) -> T:
    """Return what a call that stores something returns, made again while the store is away.

    Args:
        put: has the store's own deadline, or none.
        time: passes.

    Raises:
        StoreError: of the call; the last one, where the store is away for `AWAY` seconds.
    """

    def tried(_left: float) -> T:
        try:
            return put()
        except StoreError as error:
            if may_pass(error):
                logger.warning("%s: trying again for up to %.0f s", error, AWAY)
            raise

    return patiently(tried, time, AWAY)
