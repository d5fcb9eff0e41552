"""Two IPFS daemons that know each other by one limited link alone."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

import httpx
from pydantic import BaseModel, ValidationError

from fedledger.errors import ConfigError, RunError
from fedledger.formats import first_wrong
from fedledger.urls import mask_url

__all__ = ["bitswap_over"]

_SECONDS = 30.0
_PLAIN_TCP = re.compile(r"/ip4/([0-9.]{7,15})/tcp/([0-9]{1,5})(?:/p2p/[A-Za-z0-9]+)?")

S = TypeVar("S", bound=BaseModel)


class _Identity(BaseModel):
    ID: str
    Addresses: list[str] | None = None


class _Connection(BaseModel):
    Addr: str
    Peer: str


class _Connections(BaseModel):
    Peers: list[_Connection] | None = None


@contextmanager
def bitswap_over(store: str, peer: str, open_link: Callable[[str, int], int]) -> Iterator[None]:
    """Have a daemon connected to another one by way of a link, and not otherwise.

    Args:
        store: the RPC of the daemon where contents are added, `ipfs+http://…`.
        peer: that of the one which fetches them.
        open_link: opens a link to a host and a port, and returns the port where it begins.

    Raises:
        ConfigError: the first daemon can be reached by no plain TCP.
        RunError: a daemon does not do it, or the two are connected otherwise as well.
    """
    known = _read(_Identity, store, "id")
    name = known.ID
    host, port = _place(store, known.Addresses or [])
    _leave(peer, name)
    over = f"/ip4/127.0.0.1/tcp/{open_link(host, port)}"
    _asked(peer, "swarm/connect", arg=f"{over}/p2p/{name}")
    try:
        _check(peer, name, over)
        yield
        _check(peer, name, over)
    finally:
        _leave(peer, name)


def _place(store: str, addresses: list[str]) -> tuple[str, int]:
    """Return host and port of an address of plain TCP."""
    for address in addresses:
        found = _PLAIN_TCP.fullmatch(address)
        if found:
            return found[1], int(found[2])
    raise ConfigError(
        f"{mask_url(store)}: this daemon listens at no address like /ip4/127.0.0.1/tcp/4001 "
        f"(Addresses.Swarm), so that no second peer can fetch from it; it has {addresses}"
    )


def _connections(rpc: str, name: str) -> list[str]:
    found = _read(_Connections, rpc, "swarm/peers").Peers or []
    return [one.Addr for one in found if one.Peer == name]


def _check(rpc: str, name: str, over: str) -> None:
    others = [one for one in _connections(rpc, name) if not one.startswith(over)]
    if others or not _connections(rpc, name):
        raise RunError(
            f"{mask_url(rpc)}: it is to reach {name} at {over} alone, and does at {others}"
        )


def _leave(rpc: str, name: str) -> None:
    for address in _connections(rpc, name):
        whole = address if f"/p2p/{name}" in address else f"{address}/p2p/{name}"
        _asked(rpc, "swarm/disconnect", arg=whole)


def _read(kind: type[S], rpc: str, command: str) -> S:
    """Return what a daemon says of itself."""
    try:
        return kind.model_validate_json(_asked(rpc, command))
    except ValidationError as error:
        raise RunError(
            f"{mask_url(rpc)} is no IPFS daemon: {command} has no {first_wrong(error)[0]}"
        ) from error


def _asked(rpc: str, command: str, **arguments: str) -> bytes:
    """Return what a daemon answers to a command."""
    parts = urlsplit(rpc.removeprefix("ipfs+"))
    url = urlunsplit((parts.scheme, parts.netloc, f"/api/v0/{command}", "", ""))
    try:
        answer = httpx.post(url, params=arguments, timeout=_SECONDS)
        answer.raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        said = error.response.text if isinstance(error, httpx.HTTPStatusError) else str(error)
        raise RunError(f"{mask_url(rpc)} cannot do {command}: {said.strip()[:200]}") from error
    return answer.content
