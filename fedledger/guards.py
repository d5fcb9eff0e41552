"""The guard around what strangers made: whatever it raises is the failure of that unit alone.

A unit is what one stranger can spoil: a task, a round, a reply, a document, an answer, a miner's
source, a stored file. Errors of this library say what is wrong; the class of any other exception
says nothing about who is to blame, and so the boundary names the error that it becomes.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fedledger.errors import FedledgerError

__all__ = ["Failures", "encodable", "guarded", "in_words", "spared", "text_of"]

_REMEMBERED = 1_024
_LONGEST = 300
_PANIC = "PanicException"  # how a library in Rust fails: no Exception, and nowhere to import from


class Failures:
    """Which units failed how, so that one which fails again and again is logged once.

    Only the newest thousand are remembered.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, type], None] = {}

    def is_news(self, unit: str, error: BaseException) -> bool:
        """Tell whether a unit fails with an error of this class for the first time."""
        key = unit, type(error)
        news = key not in self._known
        self._known.pop(key, None)
        self._known[key] = None
        while len(self._known) > _REMEMBERED:
            del self._known[next(iter(self._known))]
        return news


@contextmanager
def guarded(
    unit: str,
    failure: Callable[[str], Exception],
    log: logging.Logger,
    *,
    passes: type[Exception] | tuple[type[Exception], ...] = FedledgerError,
    failures: Failures | None = None,
) -> Iterator[None]:
    """Make whatever is raised inside the failure of one unit, named and logged with its traceback.

    What ends a program (KeyboardInterrupt, SystemExit) passes.

    Args:
        unit: what fails: "task 3", "the reply of node 7".
        failure: makes the error that is raised instead, of the exception in words.
        log: the logger of whoever stands at the boundary.
        passes: what is raised as it is.
        failures: what was logged already; default: every failure is logged.
    """
    try:
        yield
    except passes:
        raise
    except BaseException as error:
        if _ends(error):
            raise
        _log(log, unit, error, failures)
        raise failure(in_words(error)) from error


@contextmanager
def spared(unit: str, log: logging.Logger, *, failures: Failures | None = None) -> Iterator[None]:
    """As `guarded`, for a unit whose failure is known to all who need it once it is logged.

    Errors of this library are logged without a traceback: they say what is wrong.
    """
    try:
        yield
    except BaseException as error:
        if _ends(error):
            raise
        _log(log, unit, error, failures)


def in_words(error: BaseException) -> str:
    """Return an exception's class and text: short, and of characters that every document holds."""
    text = text_of(error)
    said = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return said if len(said) <= _LONGEST else said[: _LONGEST - 3] + "..."


def text_of(error: BaseException) -> str:
    """Return an exception's text, which can be encoded; making it is a stranger's code, too."""
    try:
        return encodable(str(error))
    except Exception as worse:  # noqa: BLE001 - as above
        return f"its text raises {type(worse).__name__}"


def encodable(text: str) -> str:
    """Return text with lone surrogates escaped: no file, message or database takes them."""
    return text.encode("utf-8", "backslashreplace").decode()


def _ends(error: BaseException) -> bool:
    return not isinstance(error, Exception) and type(error).__name__ != _PANIC


def _log(log: logging.Logger, unit: str, error: BaseException, failures: Failures | None) -> None:
    if failures is None or failures.is_news(unit, error):
        strange = not isinstance(error, FedledgerError)
        log.warning("%s fails: %s", unit, in_words(error), exc_info=error if strange else None)
