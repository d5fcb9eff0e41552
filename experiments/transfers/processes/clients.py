"""The process of the clients: SFTP's in its event loop, those of stores in a thread each.

All are connected before the first one begins, and all begin at once. What is timed is the transfer
until the last byte is there: from a store it is there when its hash was checked. What came by SFTP
is hashed when the clock stands.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    ExitStack,
    asynccontextmanager,
)
from pathlib import Path
from threading import Barrier
from typing import Any

import asyncssh
import numpy as np

from fedledger.errors import RunError

from ....ledger_plugins import Store, open_store
from ....ledger_plugins.accounts import Account
from . import sftp
from .helper import answer_all, cpu_seconds

__all__ = ["content", "main"]

Go = Callable[[], Awaitable[list[float]]]
"""Does what was made ready, and returns the seconds that each client took."""

_key = sftp.make_key()
_ready = AsyncExitStack()
_go: list[Go] = []
_accounts: list[Account] = []


def content(seed: Sequence[int], size: int) -> bytes:
    """Return bytes drawn from a seed, which no compression makes shorter."""
    return np.random.default_rng(list(seed)).bytes(size)


@asynccontextmanager
async def _sftp_get(ports: list[int], host_key: str, name: str, digest: str) -> AsyncIterator[Go]:
    """Have every client read the same file."""
    found: dict[int, bytes] = {}

    async def get(number: int, session: asyncssh.SFTPClient) -> None:
        found[number] = await sftp.read_file(session, name)

    async with _logged_in(ports, host_key, get) as go:
        yield go
    for number, data in found.items():
        if hashlib.sha256(data).hexdigest() != digest:
            raise RunError(f"SFTP client {number} got other bytes than were served")


@asynccontextmanager
async def _sftp_put(
    ports: list[int], host_key: str, seed: list[int], size: int
) -> AsyncIterator[Go]:
    """Have every client put a file of its own."""
    contents = _contents(seed, size, len(ports))

    async def put(number: int, session: asyncssh.SFTPClient) -> None:
        await sftp.write_file(session, f"put-{number}", contents[number])

    async with _logged_in(ports, host_key, put) as go:
        yield go


@asynccontextmanager
async def _logged_in(
    ports: list[int],
    host_key: str,
    transfer: Callable[[int, asyncssh.SFTPClient], Awaitable[None]],
) -> AsyncIterator[Go]:
    async def one(number: int, session: asyncssh.SFTPClient) -> float:
        began = time.perf_counter()
        await transfer(number, session)
        return time.perf_counter() - began

    async with AsyncExitStack() as stack:
        logins = [sftp.connected(port, host_key, _key) for port in ports]
        sessions = await asyncio.gather(*(stack.enter_async_context(one) for one in logins))

        async def go() -> list[float]:
            return list(await asyncio.gather(*(one(n, each) for n, each in enumerate(sessions))))

        yield go


@asynccontextmanager
async def _store_get(urls: list[str], cid: str, patience: float) -> AsyncIterator[Go]:
    """Have every client read the same content, each from its URL."""
    with ExitStack() as stack:
        stores = [_opened(stack, url, read_only=True) for url in urls]

        def get(number: int) -> None:
            stores[number].get(cid, timeout=patience)

        yield _in_threads(get, len(urls))


@asynccontextmanager
async def _store_put(
    urls: list[str], seed: list[int], size: int, patience: float
) -> AsyncIterator[Go]:
    """Have every client put a content of its own, each into its URL."""
    contents = _contents(seed, size, len(urls))
    with ExitStack() as stack:
        stores = [
            stack.enter_context(open_store(url, account=_account(number)))
            for number, url in enumerate(urls)
        ]

        def put(number: int) -> None:
            stores[number].put(contents[number], timeout=patience)

        yield _in_threads(put, len(urls))


@asynccontextmanager
async def _store_pass(
    *, urls: list[str], over: list[str], to: str, seed: list[int], size: int, patience: float
) -> AsyncIterator[Go]:
    """Have every client add a content of its own, and another peer fetch each of them.

    Args:
        urls: each client's store.
        over: where the other peer finds each of them.
        to: the store where it keeps them; "": that where it finds them does so.
        seed: of the contents.
        size: bytes of each.
        patience: seconds that one of the steps may take.
    """
    contents = _contents(seed, size, len(urls))
    with ExitStack() as stack:
        stores = [_opened(stack, url) for url in urls]
        found = [_opened(stack, url, read_only=True) for url in over]
        kept = _opened(stack, to) if to else None

        def hand_over(number: int) -> None:
            cid = stores[number].put(contents[number], timeout=patience)
            contents[number] = b""  # it is on the disk, and memory may be short
            data = found[number].get(cid, timeout=patience)
            if kept is not None:
                kept.put(data, timeout=patience)

        yield _in_threads(hand_over, len(urls))


def _in_threads(transfer: Callable[[int], None], clients: int) -> Go:
    """Return what does something for every client at once, each in a thread of its own."""
    line = Barrier(clients)

    def one(number: int) -> float:
        line.wait()
        began = time.perf_counter()
        transfer(number)
        return time.perf_counter() - began

    def all_of_them() -> list[float]:
        with ThreadPoolExecutor(clients) as pool:
            return list(pool.map(one, range(clients)))

    return lambda: asyncio.to_thread(all_of_them)


def _opened(stack: ExitStack, url: str, *, read_only: bool = False) -> Store:
    return stack.enter_context(open_store(url, read_only=read_only))


def _contents(seed: Sequence[int], size: int, clients: int) -> list[bytes]:
    return [content([*seed, number], size) for number in range(clients)]


async def _get_ready(way: str, **arguments: Any) -> float:
    """Connect all clients; returns how many seconds that took."""
    began = time.perf_counter()
    _go[:] = [await _ready.enter_async_context(_WAYS[way](**arguments))]
    return time.perf_counter() - began


async def _start() -> list[float]:
    return await _go[0]()


async def _end() -> None:
    await _ready.aclose()


async def _digests(seed: list[int], size: int, clients: int) -> list[str]:
    """Return the SHA-256 of what each client put."""
    return [hashlib.sha256(one).hexdigest() for one in _contents(seed, size, clients)]


async def _write(file: str, seed: list[int], size: int) -> str:
    """Write a content into a file, and return its SHA-256."""

    def write() -> str:
        data = content(seed, size)
        Path(file).write_bytes(data)
        return hashlib.sha256(data).hexdigest()

    return await asyncio.to_thread(write)


async def _add(url: str, seed: list[int], size: int) -> str:
    """Put a content into a store, and return its CID."""

    def add() -> str:
        with open_store(url) as store:
            return store.put(content(seed, size))

    return await asyncio.to_thread(add)


def _account(number: int) -> Account:
    """Return the account of a client, made when it is first asked for."""
    while len(_accounts) <= number:
        _accounts.append(Account.create())
    return _accounts[number]


async def _addresses(clients: int) -> list[str]:
    return [_account(number).address for number in range(clients)]


async def _public_key() -> str:
    return sftp.public(_key)


_WAYS: dict[str, Callable[..., AbstractAsyncContextManager[Go]]] = {
    "sftp get": _sftp_get,
    "sftp put": _sftp_put,
    "store get": _store_get,
    "store put": _store_put,
    "store pass": _store_pass,
}


def main() -> None:
    """Answer questions until there are no more."""
    answer_all(
        {
            "key": _public_key,
            "accounts": _addresses,
            "write": _write,
            "add": _add,
            "ready": _get_ready,
            "go": _start,
            "end": _end,
            "digests": _digests,
            "cpu": cpu_seconds,
        }
    )
