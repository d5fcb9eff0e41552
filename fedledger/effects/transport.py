"""Asking a party: a question with a cap and a deadline on the answer."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

__all__ = ["PIECE", "Answer", "AsyncLine", "Line", "Question", "Streamed", "Transport"]

PIECE = 256 * 1024
"""Bytes that have to get through within one deadline, on both sides of a connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked.

    Attributes:
        method: HTTP's method.
        path: path and query, from "/" on.
        body: bytes that go with it.
        headers: further headers.
        most: bytes that the answer may have.
        seconds: within this the answer has to end, or another `PIECE` of it has to come.
    """

    method: str
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    most: int = 64 * 1024
    seconds: float = 15.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a party answered.

    Attributes:
        status: HTTP's status code.
        body: its bytes, uncompressed.
    """

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Streamed:
    """What a party answers, as it comes.

    Attributes:
        status: HTTP's status code.
        pieces: its bytes, uncompressed, in pieces of any size; to be read once. It raises what
            `Line.ask` raises.
    """

    status: int
    pieces: Iterator[bytes]


class Line(ABC):
    """Asks one party, and waits for the answer; threads may share it."""

    @contextmanager
    def stream(
        self, question: Question, body: tuple[Iterable[bytes], int] | None = None
    ) -> Iterator[Streamed]:
        """Have the party's answer in pieces, in bounded memory; what is not read is not fetched.

        This one has all of both in memory: a line over a network does better.

        Args:
            question: what is asked.
            body: pieces of the bytes that go with it, and how many bytes they are, in place of the
                question's own.

        Raises:
            NoAnswer: there was none; the party may have got the question.
            AnswerTooLarge, AnswerTooSlow: it is above the question's limits.
        """
        if body is not None:
            question = replace(question, body=b"".join(body[0]))
        answer = self.ask(question)
        yield Streamed(answer.status, iter([answer.body]))

    @abstractmethod
    def ask(self, question: Question) -> Answer:
        """Return the party's answer, whatever its status.

        Raises:
            NoAnswer: there was none; the party may have got the question.
            AnswerTooLarge, AnswerTooSlow: it is above the question's limits.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the connections; closing twice is fine."""


class AsyncLine(ABC):
    """Asks one party from an event loop."""

    @abstractmethod
    async def ask(self, question: Question) -> Answer:
        """Return the party's answer, whatever its status.

        Raises:
            NoAnswer: there was none; the party may have got the question.
            AnswerTooLarge, AnswerTooSlow: it is above the question's limits.
        """

    @abstractmethod
    async def close(self) -> None:
        """Close the connections; closing twice is fine."""


class Transport(ABC):
    """Reaches parties by URL."""

    @abstractmethod
    def line(self, url: str, *, authorities: Path | None = None) -> Line:
        """Return a line to the party at "http://HOST:PORT"; nothing is sent yet.

        Args:
            url: the party; https asks for a certificate of its host's name.
            authorities: file of those whose word is taken for a certificate, PEM (default: those
                that browsers know).

        Raises:
            ConfigError: the file cannot be read, or holds no certificates.
        """

    @abstractmethod
    def async_line(self, url: str, *, at_once: int) -> AsyncLine:
        """Return a line for an event loop, over which `at_once` questions may be open."""
