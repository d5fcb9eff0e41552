"""Asking over HTTP, by httpx: no proxy of the environment, no redirect, no compression."""

import asyncio
import time

import httpx

from fedledger.errors import AnswerTooLarge, AnswerTooSlow, NoAnswer

from ..transport import PIECE, Answer, AsyncLine, Line, Question

__all__ = ["AsyncHttpLine", "HttpLine"]

_CONNECT = 3.0
_PLAIN = {"accept-encoding": "identity"}


class HttpLine(Line):
    """HTTP to one party, in the calling thread.

    Args:
        url: the party, "http://HOST:PORT".
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._closed = False
        self._http = httpx.Client(base_url=url, headers=_PLAIN, trust_env=False)

    def ask(self, question: Question) -> Answer:
        """Return the party's answer; the calling thread waits."""
        try:
            with self._http.stream(
                question.method,
                question.path,
                content=question.body,
                headers=dict(question.headers),
                timeout=httpx.Timeout(question.seconds, connect=_CONNECT),
            ) as answer:
                data, enough, end = bytearray(), PIECE, time.monotonic() + question.seconds
                for chunk in answer.iter_raw():
                    data += chunk
                    if len(data) > question.most:
                        raise AnswerTooLarge(self._url, question.most)
                    if len(data) >= enough:
                        enough, end = len(data) + PIECE, time.monotonic() + question.seconds
                    elif time.monotonic() > end:
                        raise AnswerTooSlow(self._url, question.seconds)
        except httpx.InvalidURL as error:
            raise NoAnswer(self._url, str(error)) from error
        except (httpx.HTTPError, RuntimeError) as error:
            # With a RuntimeError httpx says that another thread has closed it.
            why = "the line was closed" if self._closed else f"{type(error).__name__} {error}"
            raise NoAnswer(self._url, why) from error
        return Answer(answer.status_code, bytes(data))

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
