"""The guard: any exception is the failure of its unit, named, logged once; an end is an end."""

import logging

import pytest

from fedledger.errors import ModelError, NotChecked
from fedledger.guards import Failures, guarded, in_words, spared

LOG = logging.getLogger("fedledger.tests")


class Rude(Exception):
    """An exception whose own text raises."""

    def __str__(self):
        raise RuntimeError("no text")


PanicException = type("PanicException", (BaseException,), {})  # what a library in Rust raises

FOREIGN = [
    ValueError("array is too big"),
    RecursionError("too deep"),
    MemoryError(),
    KeyError("a"),
    OverflowError("x" * 10_000),
    Rude(),
    PanicException("range end index 9"),
]


@pytest.mark.parametrize("error", FOREIGN, ids=lambda error: type(error).__name__)
def test_any_exception_is_the_failure_of_its_unit(error, caplog):
    """It is raised as the boundary's error, from the original, and logged with its traceback."""
    with pytest.raises(NotChecked) as caught, guarded("task 3", NotChecked, LOG):
        raise error
    assert caught.value.__cause__ is error
    said = str(caught.value)
    assert said.startswith(type(error).__name__)
    assert len(said) <= 300
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == f"task 3 fails: {in_words(error)}"
    assert record.exc_info
    assert record.exc_info[1] is error


def test_an_exception_in_words_fits_every_document():
    """Its text can be encoded, whatever it holds."""
    assert in_words(ValueError("the device said \udcff")) == "ValueError: the device said \\udcff"
    assert in_words(KeyError()) == "KeyError"
    assert in_words(Rude()) == "Rude: its text raises RuntimeError"


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_ends_a_program_passes(end, caplog):
    """No guard holds back who ends the program."""
    with pytest.raises(end), guarded("task 3", NotChecked, LOG):
        raise end
    with pytest.raises(end), spared("task 3", LOG):
        raise end
    assert caplog.records == []


def test_errors_of_the_library_say_themselves_what_is_wrong(caplog):
    """They pass as they are; where nobody needs them they are a line without a traceback."""

    def fails():
        raise ModelError("no model")

    with pytest.raises(ModelError, match="no model"), guarded("a file", NotChecked, LOG):
        fails()
    assert caplog.records == []
    with spared("a file", LOG):
        fails()
    [record] = caplog.records
    assert (record.getMessage(), record.exc_info) == ("a file fails: ModelError: no model", None)
    with pytest.raises(NotChecked), guarded("a file", NotChecked, LOG, passes=NotChecked):
        raise ModelError("another boundary lets only its own pass")


def test_a_unit_that_fails_again_is_logged_once(caplog):
    """Until it fails in another way; of a thousand others' failures the oldest are forgotten."""
    failures = Failures()
    for unit, error in [("a", ValueError), ("a", ValueError), ("a", KeyError), ("b", ValueError)]:
        with spared(unit, LOG, failures=failures):
            raise error
    said = [record.getMessage() for record in caplog.records]
    assert said == ["a fails: ValueError", "a fails: KeyError", "b fails: ValueError"]
    for number in range(2_000):
        assert failures.is_news(f"unit {number}", ValueError())
    assert len(failures._known) == 1_024
    assert failures.is_news("a", ValueError())
