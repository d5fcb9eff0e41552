"""A store behind an IPFS gateway: read only, and nothing it says is believed.

Blocks are asked for by their CIDs and hashed here, so a gateway can withhold a content and cannot
change one. What a person reads of it, it may note: a gateway sees which contents are wanted.

Source: IPFS's specification of trustless gateways, `?format=raw`.
"""

from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import urlsplit

from fedledger.effects import Effects, Question
from fedledger.errors import (
    ConfigError,
    ContentNotFound,
    StoreUnavailable,
    TransportError,
)
from fedledger.urls import mask_url

from .base import DEFAULT_MAX_BYTES, DEFAULT_TIMEOUT
from .blocks import BlockStore, Fetch
from .cid import (
    DEFAULT_PROFILE,
    Profile,
    cid_from_bytes,
    cid_of,
)
from .patience import is_lasting

__all__ = ["GatewayStore", "open_gateway_store"]

_RAW = "application/vnd.ipld.raw"
_MOST = 2 * 1024 * 1024  # bytes of a block, as IPFS has it
_SECONDS = 15.0
_AT_ONCE = 16  # blocks that are asked for together; so many lie in memory
_GONE = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
_SCHEMES = {"ipfs+gateway": "https", "ipfs+gateway+http": "http"}


def open_gateway_store(
    url: str,
    *,
    max_bytes: int = DEFAULT_MAX_BYTES,
    timeout: float = DEFAULT_TIMEOUT,
    profile: str | Profile = DEFAULT_PROFILE,
    read_only: bool = False,  # noqa: ARG001 - it never writes
    effects: Effects | None = None,
) -> "GatewayStore":
    """Open what a gateway gives: `ipfs+gateway://host` by HTTPS, `ipfs+gateway+http://host:port`.

    Args:
        url: the gateway; contents are at /ipfs/CID below it.
        max_bytes: size cap of one content.
        timeout: seconds that a call may take.
        profile: import profile of the contents, or its name; those of the others are found too.
        read_only: nothing else is possible.
        effects: reach it; this machine's by default.

    Raises:
        ConfigError: not such a URL, or the cap is not positive.
        UnknownNameError: no profile of this name.
        StoreUnavailable: nobody answers there.
    """
    try:
        parts = urlsplit(url)
        host, kind = parts.hostname, _SCHEMES.get(parts.scheme)
        _ = parts.port
    except ValueError:
        host, kind = None, None
    if not host or kind is None or parts.path.strip("/") or parts.query or parts.fragment:
        raise ConfigError(
            f"store URL {mask_url(url)!r}: expected ipfs+gateway://host, or "
            "ipfs+gateway+http://host:port where it is on this machine"
        )
    if parts.username is not None:
        raise ConfigError(f"store URL {mask_url(url)!r}: a gateway is asked without a password")
    store = GatewayStore(
        url,
        f"{kind}://{parts.netloc}",
        effects or Effects.real(),
        max_bytes=max_bytes,
        timeout=timeout,
        profile=profile,
    )
    try:
        store.has(cid_of(b""))  # of which every gateway knows
    except BaseException:
        store.close()
        raise
    return store


class GatewayStore(BlockStore):
    """What a gateway gives, block by block; it is read only.

    Args:
        url: the store's.
        base: the gateway's, by http or https.
        effects: reach it.
        max_bytes: size cap of one content.
        timeout: seconds that a call may take.
        profile: import profile of the contents.
    """

    far = True
    at_once = _AT_ONCE
    hint = ", says this gateway: ask another one"

    def __init__(
        self,
        url: str,
        base: str,
        effects: Effects,
        *,
        max_bytes: int = DEFAULT_MAX_BYTES,
        timeout: float = DEFAULT_TIMEOUT,
        profile: str | Profile = DEFAULT_PROFILE,
    ) -> None:
        self._set_up(url, max_bytes=max_bytes, timeout=timeout, profile=profile)
        self._line = effects.transport.line(base)
        self._work = effects.work

    def close(self) -> None:
        """Close the connections."""
        self._line.close()

    def __repr__(self) -> str:
        return f"GatewayStore({self.url!r}, profile={self.profile!r})"

    def _together(self, fetch: Fetch, raws: Sequence[bytes]) -> list[bytes]:
        """Ask for all at once: each takes as long as the way there and back."""
        return self._work.map(fetch, raws, at_once=_AT_ONCE)

    def _block(self, raw: bytes) -> bytes:
        cid = cid_from_bytes(raw)
        question = Question(
            method="GET",
            path=f"/ipfs/{cid}?format=raw",
            headers={"accept": _RAW},
            most=_MOST,
            seconds=_SECONDS,
        )
        try:
            answer = self._line.ask(question)
        except TransportError as error:
            raise StoreUnavailable(f"no gateway answers: {error}") from error
        if answer.status in _GONE:
            raise ContentNotFound(cid)
        if answer.status != HTTPStatus.OK:
            moved = (
                ": it sends elsewhere, which nobody follows" if answer.status // 100 == 3 else ""
            )
            raise StoreUnavailable(
                f"{self.url} answers {answer.status} when asked for the block {cid}{moved}",
                lasting=is_lasting(answer.status),
            )
        return answer.body
