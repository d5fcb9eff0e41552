"""A store behind a server of this library: `fedledger store serve`, reached over HTTP.

Anybody reads, and hashes what comes. Changes are signed by an account: the one that is handed to
`open_store`, or the one that the environment names. It is asked for with the first change, so that
who only reads needs none.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from pathlib import Path
from threading import Lock
from typing import TypeVar
from urllib.parse import SplitResult, parse_qsl, urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fedledger.effects import Effects, Question, Streamed
from fedledger.errors import (
    AnswerTooLarge,
    ConfigError,
    ContentCorrupted,
    ContentNotFound,
    ContentTooLarge,
    NoAnswer,
    StoreError,
    StoreTimedOut,
    StoreUnavailable,
    StoreUnsupported,
    TransportError,
)
from fedledger.formats import parse_json
from fedledger.guards import encodable
from fedledger.urls import mask_url

from ..accounts import Account, environment_account
from .base import DEFAULT_MAX_BYTES, Store
from .cid import DEFAULT_PROFILE, Profile, profile_named, profiles_from
from .patience import is_lasting
from .pieces import Incoming
from .requests import PREFIX, StoreRequest, server_name

__all__ = ["ServedStore", "Signing", "open_served_store"]

Signing = Account | Callable[[], Account]
"""Who signs, or what opens the account once something is to be signed."""

DEFAULT_TIMEOUT = 600.0
"""Seconds that a call may take; a server that does not move is noticed much earlier."""

_SECONDS = 20.0  # for an answer, or its next piece
_REACH = 30.0  # for all of what it says of itself
_KEEPING = 300.0  # for the answer to a content: the server's own store takes it
_AT_ONCE = 1.0  # seconds within which it is noticed that a server hung up,
_HUNG_UP = 1.5  # and for which it is asked again
_ASKED = 1024 * 1024  # bytes from which on a content is offered before it is sent
_BUSY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_PATIENCE = 30.0  # seconds for which a busy server is asked again
_FIRST, _LONGEST = 0.1, 2.0  # pauses
_SMALL = 256 * 1024  # bytes of an answer that is no content
_MOST_PINS = 1_000_000
_LONGEST_SAID = 600  # characters of what a server says
_PORTS = {"http": 80, "https": 443}


class _Said(BaseModel):
    """What a server says; there may be more, of later versions."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class _Status(_Said):
    service: str
    profile: str = Field(max_length=100)


class _Size(_Said):
    bytes: int = Field(ge=0)


class _Pins(_Said):
    pins: list[str]
    more: bool


class _Pinned(_Said):
    pinned: bool


class _Offered(_Said):
    there: bool


class _Refused(_Said):
    error: str
    message: str
    size: int = 0
    limit: int = 0
    seconds: float = 0.0


SaidT = TypeVar("SaidT", bound=_Said)

Change = tuple[str, str, int]
"""What is done to which content, of how many bytes."""


def open_served_store(
    url: str,
    *,
    max_bytes: int = DEFAULT_MAX_BYTES,
    timeout: float | None = None,
    profile: str | Profile | None = None,
    read_only: bool = False,
    account: Signing | None = None,
    effects: Effects | None = None,
) -> "ServedStore":
    """Open the store that a server of this library serves: `store+http://HOST:PORT`.

    Args:
        url: the server, by `store+http` or `store+https`; `?timeout=SECONDS` may follow, and
            `&ca=/absolute/file`, who is believed about the server's certificate (default: those
            that browsers know).
        max_bytes: size cap of one content.
        timeout: seconds that a call may take (default: the URL's, or 600).
        profile: import profile for new content, or its name; default: the server's, which is the
            only one that it takes.
        read_only: refuse what would change the store.
        account: who signs changes; default: the one that the environment names.
        effects: reach the server; this machine's by default.

    Raises:
        ConfigError: not such a URL, the cap is not positive, or the profile is not the server's.
        UnknownNameError: no profile of this name.
        StoreUnavailable: no server of this library answers there.
    """
    parts, seconds, authorities = _split(url)
    store = ServedStore(
        url,
        parts,
        effects or Effects.real(),
        authorities=authorities,
        max_bytes=max_bytes,
        timeout=timeout or seconds or DEFAULT_TIMEOUT,
        profile=profile,
        read_only=read_only,
        account=account,
    )
    try:
        store.check()
    except BaseException:
        store.close()
        raise
    return store


class ServedStore(Store):
    """What a server has. It cannot delete: that is the operator's, in the store behind it.

    Args:
        url: the store's.
        parts: the same, split, without what precedes http.
        effects: reach it.
        authorities: file of those whose word is taken for the server's certificate.
        max_bytes: size cap of one content.
        timeout: seconds that a call may take.
        profile: import profile for new content; None: the server's.
        read_only: refuse what would change the store.
        account: who signs changes.
    """

    far = True

    def __init__(
        self,
        url: str,
        parts: SplitResult,
        effects: Effects,
        *,
        authorities: Path | None = None,
        max_bytes: int,
        timeout: float,
        profile: str | Profile | None,
        read_only: bool,
        account: Signing | None,
    ) -> None:
        self._set_up(
            url,
            max_bytes=max_bytes,
            timeout=timeout,
            profile=profile or DEFAULT_PROFILE,
            read_only=read_only,
        )
        self._wanted = None if profile is None else self.profile
        self._server = _server_of(parts)
        self._clock = effects.clock
        self._disk = effects.disk
        self._line = effects.transport.line(
            f"{parts.scheme}://{parts.netloc}", authorities=authorities
        )
        self._account = account
        self._opening = Lock()
        self._issued = 0

    def close(self) -> None:
        """Close the connections."""
        self._line.close()

    def check(self) -> None:
        """Ask the server who it is, and take its profile.

        Raises:
            ConfigError: it has another profile than is wanted.
            StoreUnavailable: nobody answers, or no server of this library.
        """
        seconds = min(self.timeout or _REACH, _REACH)  # also where it answers byte by byte
        say = partial(self._say, _Status, "/status")
        status = self._ask("reach", mask_url(self.url), say, seconds)
        if status.service != "fedledger store":
            why = f"{self.url} is no store's server: it says {status.service!r}"
            raise StoreUnavailable(why, lasting=True)
        if self._wanted not in (None, status.profile):
            raise ConfigError(
                f"{self.url} keeps contents under the profile {status.profile!r}: it cannot be "
                f"opened with {self._wanted!r}"
            )
        self.profile = profile_named(status.profile).name

    def __repr__(self) -> str:
        return f"ServedStore({mask_url(self.url)!r})"

    def _write(self, content: Incoming) -> None:
        path = f"/contents/{content.cid}"
        if content.size >= _ASKED:
            offered = self._say(
                _Offered,
                f"{path}?size={content.size}",
                method="POST",
                change=("put", content.cid, content.size),
                seconds=_KEEPING,
            )
            if offered.there:
                return
        self._say(
            _Said,
            path,
            method="PUT",
            change=("put", content.cid, content.size),
            content=content,
            seconds=_KEEPING,
        )

    def _read(self, cid: str, profile: str) -> Iterator[bytes]:  # noqa: ARG002 - the CID says it all
        with self._asked(f"/contents/{cid}", cid=cid, most=self.max_bytes + 1) as answer:
            yield from answer.pieces

    def _size(self, cid: str, profile: str) -> int:  # noqa: ARG002 - the CID says it all
        return self._say(_Size, f"/contents/{cid}/size", cid=cid).bytes

    def _pin(self, cid: str) -> None:
        self._say(_Said, f"/pins/{cid}", cid=cid, method="PUT", change=("pin", cid, 0))

    def _unpin(self, cid: str) -> None:
        self._say(_Said, f"/pins/{cid}", cid=cid, method="DELETE", change=("unpin", cid, 0))

    def _pins(self) -> list[str]:
        found: list[str] = []
        while True:
            page = self._say(_Pins, f"/pins?after={found[-1] if found else ''}")
            new = page.pins
            if new != sorted(set(new)) or (found and new and new[0] <= found[-1]):
                raise StoreUnavailable(f"{self.url}: its list of pins is out of order")
            found += new
            if not page.more:
                return found
            if not new or len(found) > _MOST_PINS:
                raise StoreUnavailable(f"{self.url}: its list of pins has no end")

    def _pinned(self, cid: str) -> bool:
        return self._say(_Pinned, f"/pins/{cid}", cid=cid).pinned

    def _makers(self, profile: Profile) -> list[Profile]:
        """Give all: the server has one content under a CID, whatever made it."""
        return profiles_from(profile.name)

    # Inside -------------------------------------------------------------------------------

    def _say(
        self,
        kind: type[SaidT],
        path: str,
        *,
        cid: str = "",
        method: str = "GET",
        change: Change | None = None,
        content: Incoming | None = None,
        seconds: float = _SECONDS,
    ) -> SaidT:
        """Return what the server says to a question, in the form that is wanted of it."""
        asked = self._asked(
            path, cid=cid, method=method, change=change, content=content, seconds=seconds
        )
        with asked as answer:
            data = _small(answer.pieces)
        try:
            return kind.model_validate(parse_json(data))
        except (ValidationError, ValueError) as error:
            raise StoreUnavailable(
                f"{mask_url(self.url)} is no store's server of this version: what it answers to "
                f"{method} {PREFIX}{path.partition('?')[0]} is none of its answers",
                lasting=True,
            ) from error

    @contextmanager
    def _asked(
        self,
        path: str,
        *,
        cid: str = "",
        method: str = "GET",
        change: Change | None = None,
        content: Incoming | None = None,
        most: int = _SMALL,
        seconds: float = _SECONDS,
    ) -> Iterator[Streamed]:
        """Have the answer to a question, a good one; a server that is busy is asked again.

        So is one that hangs up at once, for a moment: it may have closed a connection that was
        kept, or may be starting anew, and what is asked here it can take twice like once.
        """
        first, pause = self._clock.monotonic(), _FIRST
        body = None if content is None else (content, content.size)
        while True:
            began, given = self._clock.monotonic(), False
            question = Question(
                method=method,
                path=PREFIX + path,
                headers={} if change is None else {"authorization": self._signed(*change)},
                most=most,
                seconds=seconds,
            )
            try:
                with self._line.stream(question, body) as answer:
                    if answer.status == HTTPStatus.OK:
                        given = True
                        yield answer
                        return
                    said = _small(answer.pieces)
            except TransportError as error:
                now = self._clock.monotonic()
                again = isinstance(error, NoAnswer) and now - began < _AT_ONCE and not given
                if not again or now + pause > first + _HUNG_UP:
                    raise StoreUnavailable(
                        f"no answer of the store's server: {error}",
                        lasting=isinstance(error, AnswerTooLarge),
                    ) from error
            else:
                now = self._clock.monotonic()
                if answer.status not in _BUSY or now + pause > first + _PATIENCE:
                    raise self._refusal(answer.status, said, cid, change)
            self._clock.sleep(pause)
            pause = min(2 * pause, _LONGEST)

    def _refusal(self, status: int, data: bytes, cid: str, change: Change | None) -> StoreError:
        """Return the error that an answer which is no good one stands for."""
        here = mask_url(self.url)
        try:
            refused = _Refused.model_validate(parse_json(data))
        except (ValidationError, ValueError):
            moved = ": it sends elsewhere, which nobody follows" if status // 100 == 3 else ""
            why = f"{here} answers {status} as no store's server does{moved}"
            return StoreUnavailable(why, lasting=is_lasting(status))
        kinds: dict[str, Callable[[], StoreError]] = {
            "ContentTooLarge": lambda: ContentTooLarge(refused.size, refused.limit),
            "StoreUnsupported": lambda: StoreUnsupported(
                change[0] if change else "list pins", self.url
            ),
        }
        if cid:
            kinds |= {
                "ContentNotFound": lambda: ContentNotFound(cid),
                "ContentCorrupted": lambda: ContentCorrupted(cid, None),
                "StoreTimedOut": lambda: StoreTimedOut("find", cid, refused.seconds),
            }
        if (known := kinds.get(refused.error)) is not None:
            return known()
        said = " ".join(encodable(refused.message).split())[:_LONGEST_SAID]
        return StoreUnavailable(f"{here} refuses ({status}): {said}", lasting=is_lasting(status))

    def _signed(self, action: str, cid: str, size: int) -> str:
        """Return the `authorization` of a change; no two of them are of the same moment."""
        with self._opening:
            if self._account is None:
                self._account = environment_account(
                    f"{mask_url(self.url)} takes changes of an account alone", self._disk
                )
            if not isinstance(self._account, Account):
                self._account = self._account()
            self._issued = max(self._issued + 1, int(self._clock.wall() * 1000))
            account, issued = self._account, self._issued
        request = StoreRequest(
            account=account.address,
            server=self._server,
            action=action,
            content=cid,
            size=size,
            issued=issued,
        )
        return request.header(account)


def _small(pieces: Iterable[bytes]) -> bytes:
    """Return what is no content."""
    data = bytearray()
    for piece in pieces:
        data += piece
        if len(data) > _SMALL:
            break
    return bytes(data[:_SMALL])


def _split(url: str) -> tuple[SplitResult, float | None, Path | None]:
    """Return a URL's parts, and the seconds and the file of authorities that it says.

    Raises:
        ConfigError: not store+http://HOST:PORT.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        options = (
            dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True))
            if (parts.query)
            else {}
        )
        seconds = float(options.pop("timeout")) if "timeout" in options else None
    except ValueError:
        host, port, options, seconds = None, None, {}, None
    file = options.pop("ca", None)
    kind = parts.scheme.removeprefix("store+") if host else ""
    if kind not in _PORTS or kind == parts.scheme or port == 0 or options:
        raise ConfigError(
            f"store URL {mask_url(url)!r}: expected store+http://HOST:PORT or "
            "store+https://HOST:PORT, which `fedledger store serve` prints; ?timeout=SECONDS may "
            "follow, and ca=FILE"
        )
    if parts.username is not None or parts.path.strip("/") or parts.fragment:
        raise ConfigError(
            f"store URL {mask_url(url)!r}: nothing but host and port; an account signs what is "
            "changed, so no password belongs into the URL"
        )
    return parts._replace(scheme=kind), seconds, None if file is None else Path(file)


def _server_of(parts: SplitResult) -> str:
    """Return the server's name, as its URL has it."""
    host = str(parts.hostname)
    port = parts.port or _PORTS[parts.scheme]
    return server_name(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
