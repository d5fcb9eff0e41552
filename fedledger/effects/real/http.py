"""Asking over HTTP, by httpx: no proxy of the environment, no redirect, no compression."""

import asyncio
import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import cast

import httpx

from fedledger.errors import AnswerTooLarge, AnswerTooSlow, ConfigError, NoAnswer

from ..transport import PIECE, Answer, AsyncLine, Line, Question, Streamed

__all__ = ["AsyncHttpLine", "HttpLine"]

_CONNECT = 3.0
_PLAIN = {"accept-encoding": "identity"}
_LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=2.0)
"""A connection is kept shorter than servers keep it: so nobody asks over one that just closed."""


class HttpLine(Line):
    """HTTP to one party, in the calling thread.

    Args:
        url: the party, "http://HOST:PORT".
        authorities: file of those whose word is taken for a certificate.

    Raises:
        ConfigError: the file cannot be read, or holds no certificates.
    """

    def __init__(self, url: str, authorities: Path | None = None) -> None:
        self._url = url
        self._closed = False
        try:
            verify = True if authorities is None else ssl.create_default_context(cafile=authorities)
        except OSError as error:  # an SSLError is one
            raise ConfigError(f"{authorities} is no file of certificates: {error}") from error
        self._http = httpx.Client(
            base_url=url, headers=_PLAIN, trust_env=False, verify=verify, limits=_LIMITS
        )

    def ask(self, question: Question) -> Answer:
        """Return the party's answer; the calling thread waits."""
        with self.stream(question) as answer:
            return Answer(answer.status, b"".join(answer.pieces))

    @contextmanager
    def stream(
        self, question: Question, body: tuple[Iterable[bytes], int] | None = None
    ) -> Iterator[Streamed]:
        """Have the party's answer as it comes; the calling thread waits for each piece."""
        headers, content = dict(question.headers), cast("Iterable[bytes] | bytes", question.body)
        if body is not None:
            content = body[0]
            headers["content-length"] = str(body[1])
        with ExitStack() as stack:
            with self._mapped():
                answer = stack.enter_context(
                    self._http.stream(
                        question.method,
                        question.path,
                        content=content,
                        headers=headers,
                        timeout=httpx.Timeout(question.seconds, connect=_CONNECT),
                    )
                )
            yield Streamed(answer.status_code, self._pieces(answer, question))

    def _pieces(self, answer: httpx.Response, question: Question) -> Iterator[bytes]:
        size, enough, left = 0, PIECE, question.seconds
        with self._mapped():
            pieces = answer.iter_raw()
            while True:
                began = time.monotonic()
                piece = next(pieces, None)
                left -= time.monotonic() - began  # the time that the reader takes does not count
                if piece is None:
                    return
                size += len(piece)
                if size > question.most:
                    raise AnswerTooLarge(self._url, question.most)
                if size >= enough:
                    enough, left = size + PIECE, question.seconds
                elif left < 0:
                    raise AnswerTooSlow(self._url, question.seconds)
                yield piece

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        """Say in the library's errors what httpx raises."""
        try:
            yield
        except httpx.InvalidURL as error:
            raise NoAnswer(self._url, str(error)) from error
        except (httpx.HTTPError, RuntimeError) as error:
            # With a RuntimeError httpx says that another thread has closed it.
            why = "the line was closed" if self._closed else f"{type(error).__name__} {error}"
            raise NoAnswer(self._url, why) from error

    def close(self) -> None:
        """Close the connections; closing twice is fine."""
        self._closed = True
        self._http.close()


class AsyncHttpLine(AsyncLine):
    """HTTP to one party, in an event loop.

    Args:
        url: the party, "http://HOST:PORT".
        at_once: connections at most.
    """

    def __init__(self, url: str, at_once: int) -> None:
        self._url = url
        self._http = httpx.AsyncClient(
            base_url=url,
            headers=_PLAIN,
            limits=httpx.Limits(max_connections=at_once),
            follow_redirects=False,
            trust_env=False,
        )

    async def ask(self, question: Question) -> Answer:
        """Return the party's answer."""
        seconds, loop = question.seconds, asyncio.get_running_loop()
        try:
            async with (
                asyncio.timeout(seconds) as deadline,
                self._http.stream(
                    question.method,
                    question.path,
                    content=question.body,
                    headers=dict(question.headers),
                    timeout=httpx.Timeout(seconds, connect=_CONNECT),
                ) as answer,
            ):
                data, enough = bytearray(), PIECE
                async for chunk in answer.aiter_raw():
                    data += chunk
                    if len(data) > question.most:
                        raise AnswerTooLarge(self._url, question.most)
                    if len(data) >= enough:
                        enough = len(data) + PIECE
                        deadline.reschedule(loop.time() + seconds)
                return Answer(answer.status_code, bytes(data))
        except TimeoutError as error:
            raise AnswerTooSlow(self._url, seconds) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NoAnswer(self._url, f"{type(error).__name__} {error}") from error

    async def close(self) -> None:
        """Close the connections; closing twice is fine."""
        await self._http.aclose()
