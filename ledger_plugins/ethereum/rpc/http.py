"""JSON-RPC over HTTP: answers have a cap and a deadline, and a status may carry JSON-RPC."""

import logging
from typing import Any

from requests import Response, Session
from requests.exceptions import (
    ConnectionError as Unreachable,
)
from requests.exceptions import (
    ConnectTimeout,
    ProxyError,
    RequestException,
    SSLError,
    Timeout,
)
from urllib3.exceptions import HTTPError, ReadTimeoutError

from fedledger.effects import Clock
from fedledger.errors import LedgerUnavailable
from fedledger.urls import mask_text, secrets_of

from .carrying import MOST, PIECE, JsonProvider, Later, TooMuch, parsed
from .dialects import seconds

__all__ = ["HttpProvider"]

_READ = 64 * 1024
_OK, _REDIRECTS, _TOO_LARGE, _LIMIT = 200, range(300, 400), 413, 429
_DENIED = (401, 402, 403, 407)
_LATER = (408, 425, _LIMIT, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529)
_LONGEST = 3600.0
_HEADERS = {"content-type": "application/json", "accept-encoding": "identity"}


class _Masking(logging.Filter):
    """Takes keys out of what urllib3 logs: it names the path of every request."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = mask_text(record.getMessage(), self.secrets), ()
        return True


_MASKING = _Masking()


class HttpProvider(JsonProvider):
    """Requests to one URL, over connections that are kept.

    Args:
        url: the node's, user, password, path and all.
        where: the node, for messages.
        timeout: seconds within which an answer has to end, or another `PIECE` of it has to come.
        clock: measures them.
    """

    def __init__(self, url: str, where: str, timeout: float, clock: Clock) -> None:
        super().__init__(where)
        self._url = url
        self._timeout = timeout
        self._clock = clock
        self._session = Session()
        _MASKING.secrets |= secrets_of(url)
        logging.getLogger("urllib3.connectionpool").addFilter(_MASKING)

    def exchange(self, request: bytes) -> Any:
        """Return what the node answers to some bytes, parsed."""
        # No cause is kept of what requests raises: it names the whole URL, key and all.
        where = self._where
        try:
            with self._session.post(
                self._url,
                data=request,
                headers=_HEADERS,
                timeout=self._timeout,
                stream=True,
                allow_redirects=False,
            ) as response:
                return self._answer(response, self._body(response))
        except ConnectTimeout:
            raise Later(
                f"{where} cannot be reached within {self._timeout:g} seconds", lost=False
            ) from None
        except (Timeout, ReadTimeoutError):
            raise self._slow() from None
        except (SSLError, ProxyError) as error:
            what = "its certificate" if isinstance(error, SSLError) else "the proxy"
            raise LedgerUnavailable(f"{where} cannot be reached securely: {what} fails") from None
        except (Unreachable, HTTPError):
            raise Later(
                f"{where} cannot be reached: is the node running there?", lost=True
            ) from None
        except (RequestException, OSError, ValueError) as error:
            raise LedgerUnavailable(f"{where} cannot be asked: {type(error).__name__}") from None

    def close(self) -> None:
        """Close the connections; closing twice is fine."""
        self._session.close()

    def _body(self, response: Response) -> bytes:
        data, enough = bytearray(), PIECE
        end = self._clock.monotonic() + self._timeout
        while piece := response.raw.read1(_READ, decode_content=False):
            data += piece
            if len(data) > MOST:
                raise TooMuch(f"{self._where} answered with more than {MOST} bytes")
            if len(data) >= enough:
                enough, end = len(data) + PIECE, self._clock.monotonic() + self._timeout
            elif self._clock.monotonic() > end:
                raise self._slow()
        return bytes(data)

    def _answer(self, response: Response, body: bytes) -> Any:
        """Return a body's JSON where it is JSON-RPC, whatever the status; else say what it is."""
        status, where = response.status_code, self._where
        try:
            answer = parsed(body, where)
        except LedgerUnavailable:
            answer = None
        if status == _LIMIT:
            raise Later(
                f"{where} answers too many requests with HTTP status {status}",
                lost=False,
                seconds=_retry_after(response) or _said(answer),
            )
        if _is_rpc(answer) or (status == _OK and answer is not None):
            return answer
        said = f"{where} answered with HTTP status {status}"
        if status in _LATER:
            raise Later(said, lost=True, seconds=_retry_after(response))
        if status == _TOO_LARGE:
            raise TooMuch(said)
        if status in _DENIED:
            raise LedgerUnavailable(f"{said}: it wants a key or password, or another one")
        if status in _REDIRECTS:
            raise LedgerUnavailable(f"{said}: it is at another URL now, https:// perhaps")
        if status != _OK:
            raise LedgerUnavailable(said)
        raise LedgerUnavailable(f"{where} speaks no Ethereum JSON-RPC")

    def _slow(self) -> Later:
        return Later(f"{self._where} did not answer within {self._timeout:g} seconds", lost=True)


def _is_rpc(answer: Any) -> bool:
    if isinstance(answer, list):
        return bool(answer) and all(map(_is_rpc, answer))
    return (
        isinstance(answer, dict)
        and ("result" in answer or "error" in answer)
        and ("jsonrpc" in answer or isinstance(answer.get("error"), dict))
    )


def _said(answer: Any) -> float:
    error = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(error, dict):
        return 0.0
    return seconds(str(error.get("message", "")), error.get("data"))


def _retry_after(response: Response) -> float:
    """Return the seconds of a Retry-After header; a date in it counts as nothing said."""
    text = response.headers.get("retry-after", "").strip()
    return min(float(text), _LONGEST) if text.isdecimal() and text.isascii() else 0.0
