"""Links of a limited rate on this machine: a port behind which another port is.

What comes in on one side goes out on the other no sooner than a link of the rate would have carried
it. A link holds one piece each way, ten milliseconds of it, so whoever sends is slowed down by TCP
and nothing is dropped. Delay is not added.
"""

import asyncio
import contextlib
import math
import socket
from collections.abc import Sequence

from fedledger.errors import ConfigError, RunError

__all__ = ["Link", "TokenBucket"]

_SLACK = 0.005
_PIECE_SECONDS = 0.01
_PIECE = 1024, 64 * 1024
_BACKLOG = 128


class TokenBucket:
    """Says when bytes have passed that may not pass faster than at a rate.

    Tokens come at the rate, a byte takes one, and the bucket holds those of `slack` seconds: what a
    timer that rings late would lose is made up for, and an idle link has no more in store.

    Args:
        rate: bytes a second.
        slack: seconds.

    Raises:
        ConfigError: the rate is not a positive number.
    """

    def __init__(self, rate: float, *, slack: float = _SLACK) -> None:
        if not 0 < rate < math.inf:
            raise ConfigError(f"a link of {rate:g} bytes a second carries nothing: more than 0")
        self.rate = rate
        self._slack = slack
        self._until = -math.inf  # when the last byte so far has passed

    def take(self, size: int, now: float) -> float:
        """Send bytes after all that were sent before; return when the last of them has passed."""
        self._until = max(self._until, now - self._slack) + size / self.rate
        return self._until


class Link:
    """A port of 127.0.0.1 that leads to another one, as many connections as there are.

    Args:
        port: where it leads to, on 127.0.0.1; it may be said later, before anybody connects.
        up: what limits the bytes to that port; several: the slowest of them does.
        down: what limits the bytes from it.
        host: where it leads to, if not to this machine.
    """

    def __init__(
        self,
        port: int,
        up: Sequence[TokenBucket],
        down: Sequence[TokenBucket],
        *,
        host: str = "127.0.0.1",
    ) -> None:
        self.port = port
        self._host = host
        self._up, self._down = tuple(up), tuple(down)
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Task[None] | None = None

    async def open(self, port: int = 0) -> int:
        """Listen, and return the port: a free one where none is named.

        Raises:
            RunError: the port is taken.
        """
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setblocking(False)
        try:
            listening.bind(("127.0.0.1", port))
            listening.listen(_BACKLOG)
        except OSError as error:
            listening.close()
            raise RunError(f"no link at 127.0.0.1:{port}: {error.strerror or error}") from error
        self._server = asyncio.create_task(self._accept(listening))
        return int(listening.getsockname()[1])

    async def close(self) -> None:
        """Stop listening, and cut the connections."""
        tasks = [*self._tasks, *([self._server] if self._server else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with listening:
            while True:
                near, _ = await loop.sock_accept(listening)
                task = asyncio.create_task(self._carry(near))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _carry(self, near: socket.socket) -> None:
        """Carry one connection until both sides have ended it, or one has cut it."""
        loop = asyncio.get_running_loop()
        with near, socket.socket() as far, contextlib.suppress(OSError, asyncio.CancelledError):
            for end in (near, far):
                end.setblocking(False)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.sock_connect(far, (self._host, self.port))
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(near, far, self._up))
                both.create_task(_pump(far, near, self._down))


async def _pump(source: socket.socket, sink: socket.socket, limits: Sequence[TokenBucket]) -> None:
    loop = asyncio.get_running_loop()
    slowest = min((one.rate for one in limits), default=math.inf)
    most = int(max(_PIECE[0], min(_PIECE[1], slowest * _PIECE_SECONDS)))
    try:
        while piece := await loop.sock_recv(source, most):
            now = loop.time()
            wait = max((one.take(len(piece), now) for one in limits), default=now) - now
            if wait > 0:
                await asyncio.sleep(wait)
            await loop.sock_sendall(sink, piece)
        sink.shutdown(socket.SHUT_WR)
    except OSError:  # cut on one side: the other one is to see it
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
