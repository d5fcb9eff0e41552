"""A store in an IPFS daemon: contents by the daemon's RPC, kept in its MFS, found by bitswap.

What is put, and what is pinned, has an entry in the folder `/fedledger` of the daemon's mutable
file system, which its garbage collector leaves alone. So the pins that others made in the same
daemon are theirs, and ours are ours. Reading asks the daemon for the CID: what it does not have it
looks for in its network until the deadline.

The RPC of a daemon gives whoever reaches it everything the daemon has: it belongs on 127.0.0.1 or
behind a proxy that asks for a password.
"""

import ipaddress
import logging
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any, BinaryIO, cast
from urllib.parse import SplitResult, unquote, urlsplit

from fedledger.errors import (
    ConfigError,
    ContentNotFound,
    StoreInconsistent,
    StoreUnavailable,
)
from fedledger.guards import in_words
from fedledger.urls import mask_url

from .base import DEFAULT_MAX_BYTES, DEFAULT_TIMEOUT, Store
from .blocks import size_of
from .cid import DEFAULT_PROFILE, Profile, cid_from_bytes, profile_named, profiles_from
from .patience import is_lasting
from .pieces import PIECE_BYTES, Incoming

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of the packages below it
    import ipfshttpclient
    from ipfshttpclient.exceptions import ConnectionError as Unreached
    from ipfshttpclient.exceptions import ErrorResponse, StatusError

__all__ = ["IpfsStore", "open_ipfs_store"]

_ROOT = "/fedledger"
_PINS = f"{_ROOT}/pins"
_MISSING = ("does not exist", "no link named", "not found")
"""What daemons say of an entry that is not there: Kubo and the one in JavaScript."""
_THERE = ("already has entry",)
_PORT = {"http": 5001, "https": 443}

logger = logging.getLogger(__name__)


def open_ipfs_store(
    url: str,
    *,
    max_bytes: int = DEFAULT_MAX_BYTES,
    timeout: float = DEFAULT_TIMEOUT,
    profile: str | Profile = DEFAULT_PROFILE,
    read_only: bool = False,
) -> "IpfsStore":
    """Open the store of the daemon whose RPC `ipfs+http://host:port` names.

    Args:
        url: the RPC, http or https; user and password, percent-encoded, go as basic authentication.
        max_bytes: size cap of one content.
        timeout: seconds that a call may take; what nobody in the network has takes all of them.
        profile: import profile for new content, or its name.
        read_only: refuse what would change the daemon.

    Raises:
        ConfigError: not such a URL, or the cap is not positive.
        UnknownNameError: no profile of this name.
        StoreUnavailable: no daemon answers there.
    """
    parts = _split(url)
    store = IpfsStore(
        url, parts, max_bytes=max_bytes, timeout=timeout, profile=profile, read_only=read_only
    )
    try:
        store.check()
    except BaseException:
        store.close()
        raise
    return store


class IpfsStore(Store):
    """A store in an IPFS daemon. It cannot delete: what others fetched is theirs.

    Args:
        url: the daemon's RPC.
        parts: the same, split.
        max_bytes: size cap of one content.
        timeout: seconds that a call may take.
        profile: import profile for new content; content of the other profiles is read as well.
        read_only: refuse what would change the daemon.
    """

    far = True

    def __init__(
        self,
        url: str,
        parts: SplitResult,
        *,
        max_bytes: int,
        timeout: float,
        profile: str | Profile,
        read_only: bool,
    ) -> None:
        self._set_up(
            url, max_bytes=max_bytes, timeout=timeout, profile=profile, read_only=read_only
        )
        auth = None
        if parts.username is not None:
            auth = unquote(parts.username), unquote(parts.password or "")
        # Its connect() refuses every daemon since 2021 for its version; what is used here is older.
        self._client = ipfshttpclient.Client(_address(parts), timeout=timeout, auth=auth)

    def close(self) -> None:
        """Do nothing: no connection stays open between calls."""

    def check(self) -> None:
        """Ask the daemon who it is.

        Raises:
            StoreUnavailable: nobody answers, or no daemon does.
        """
        said = self._ask("reach", mask_url(self.url), self._client.version, None)
        logger.info("%s: version %s", mask_url(self.url), said.get("Version"))

    def __repr__(self) -> str:
        return f"IpfsStore({mask_url(self.url)!r}, profile={self.profile!r})"

    @contextmanager
    def _boundary(self, operation: str, what: str, seconds: float | None = None) -> Iterator[None]:
        """Say in words that nobody answers, or that the daemon refuses."""
        with super()._boundary(operation, what, seconds):
            try:
                yield
            except Unreached as error:
                where = mask_url(self.url)
                raise StoreUnavailable(
                    f"cannot {operation} {what}: no IPFS daemon answers at {where}: is it running?"
                ) from error
            except StatusError as error:
                answer = getattr(error.original, "response", None)
                raise StoreUnavailable(
                    f"cannot {operation} {what}: {in_words(error)}",
                    lasting=answer is not None and is_lasting(answer.status_code),
                ) from error

    def _write(self, content: Incoming) -> None:
        profile = profile_named(self.profile)
        source = BytesIO(content.source) if isinstance(content.source, bytes) else content.source
        source.seek(0)
        added = self._client.add(
            cast("BinaryIO", _Unclosed(source)),
            cid_version=1,
            chunker=f"size-{profile.chunk_bytes}",
            raw_leaves=True,
            pin=False,
            opts={"cid-base": "base32", "max-file-links": profile.links},
        )
        if added["Hash"] != content.cid:
            raise StoreInconsistent(
                content.cid, f"the daemon cuts contents otherwise and made {added['Hash']} of it"
            )
        self._keep_entry(f"{_ROOT}/{self.profile}", content.cid)

    def _read(self, cid: str, profile: str) -> Iterator[bytes]:  # noqa: ARG002 - the CID says it all
        offset = 0
        while True:
            with _found(cid):
                piece = self._client.cat(cid, offset=offset, length=PIECE_BYTES)
            if len(piece) > PIECE_BYTES:
                raise StoreInconsistent(cid, f"it gives {len(piece)} bytes where fewer were asked")
            if piece:
                yield piece
            if len(piece) < PIECE_BYTES:
                return
            offset += len(piece)

    def _size(self, cid: str, profile: str) -> int:  # noqa: ARG002 - the CID says it all
        # Not by `files/stat`: a daemon may lock its files for as long as it looks for the content.
        with _found(cid):
            return size_of(cid, lambda raw: self._client.block.get(cid_from_bytes(raw)))

    def _pin(self, cid: str) -> None:
        self._size(cid, self.profile)
        self._keep_entry(_PINS, cid)

    def _unpin(self, cid: str) -> None:
        _done(lambda: self._client.files.rm(f"{_PINS}/{cid}"), _MISSING)

    def _pins(self) -> Iterable[str]:
        entries: list[Any] = []
        _done(lambda: entries.extend(self._client.files.ls(_PINS)["Entries"] or []), _MISSING)
        return [one["Name"] for one in entries]

    def _pinned(self, cid: str) -> bool:
        return _done(lambda: self._client.files.stat(f"{_PINS}/{cid}"), _MISSING)

    def _makers(self, profile: Profile) -> list[Profile]:
        """Give all: the daemon has one content under a CID, whatever made it."""
        return profiles_from(profile.name)

    def _keep_entry(self, folder: str, cid: str) -> None:
        """Have an entry of a content in a folder, so that no garbage collector takes it."""
        self._client.files.mkdir(folder, parents=True)
        _done(lambda: self._client.files.cp(f"/ipfs/{cid}", f"{folder}/{cid}"), _THERE)


class _Unclosed:
    """A file that whoever reads it cannot close."""

    def __init__(self, file: BinaryIO) -> None:
        self.read = file.read


def _done(call: Callable[[], object], but: Iterable[str]) -> bool:
    """Make a call, and tell whether it was done: not where the daemon says one of these texts."""
    try:
        call()
    except ErrorResponse as error:
        if _says(error, but):
            return False
        raise
    return True


@contextmanager
def _found(cid: str) -> Iterator[None]:
    """Say of a CID what the daemon says of it."""
    try:
        yield
    except ErrorResponse as error:
        if _says(error, _MISSING):
            raise ContentNotFound(cid) from error
        raise


def _says(error: ErrorResponse, texts: Iterable[str]) -> bool:
    said = str(error).lower()
    return any(text in said for text in texts)


def _split(url: str) -> SplitResult:
    """Return a URL's parts.

    Raises:
        ConfigError: not ipfs+http://host:port, with a user and a password perhaps.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:  # it repeats what stands there, which may be a part of a password
        host, port = None, None
    kind = parts.scheme.removeprefix("ipfs+") if host else ""
    if kind not in _PORT or kind == parts.scheme or port == 0:
        raise ConfigError(
            f"store URL {mask_url(url)!r}: expected ipfs+http://host:port or "
            "ipfs+https://host:port, the RPC of an IPFS daemon (in a password, '/', '@', '#' and "
            "'?' are written %2F, %40, %23 and %3F)"
        )
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ConfigError(f"store URL {mask_url(url)!r}: nothing may follow host and port")
    return parts._replace(scheme=kind)


def _address(parts: SplitResult) -> str:
    """Return the multiaddr of a daemon's RPC."""
    host = cast("str", parts.hostname)
    try:
        kind = "ip6" if ipaddress.ip_address(host).version == 6 else "ip4"
    except ValueError:
        kind = "dns"
    return f"/{kind}/{host}/tcp/{parts.port or _PORT[parts.scheme]}/{parts.scheme}"
