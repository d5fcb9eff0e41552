"""Links carry what comes at their rate, by a clock that only waiting moves."""

import asyncio
import contextlib
import math
import selectors
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedledger.errors import ConfigError, RunError
from fedledger.experiments.transfers.processes.links import Link, TokenBucket

RATE = 5_000_000.0  # 40 Mbit/s
SLACK = 0.005


class WaitingMovesTheClock(selectors.DefaultSelector):
    """Sockets are real; where none is ready the time that would be waited is over at once."""

    now = 0.0

    def select(self, timeout=None):
        ready = super().select(0)
        if not ready and timeout is None:
            return super().select(5)  # of another thread's doing
        if not ready:
            self.now += timeout
        return ready


class Simulated(asyncio.SelectorEventLoop):
    def __init__(self):
        self.selector = WaitingMovesTheClock()
        super().__init__(self.selector)

    def time(self):
        return self.selector.now


def simulated(coroutine):
    """Run a coroutine by such a clock."""
    loop = Simulated()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()


def test_a_busy_link_carries_its_rate():
    """Pieces one after the other leave when a link of the rate would have carried them."""
    bucket = TokenBucket(RATE)
    now = 0.0
    for _ in range(1000):
        now = bucket.take(10_000, now)
    assert now == pytest.approx(10_000_000 / RATE, abs=SLACK + 1e-6)


def test_what_late_timers_lose_is_made_up_for():
    """A timer that rings 3 ms late each time costs no rate; one that rings 30 ms late does."""
    for late, expected in ((0.003, 2.0), (0.03, 2.0 + 100 * 0.025)):
        bucket = TokenBucket(RATE)
        now = 0.0
        for _ in range(100):
            now = bucket.take(100_000, now) + late
        assert now == pytest.approx(expected, rel=0.03), late


@given(st.lists(st.tuples(st.floats(0, 2), st.integers(1, 65_536)), min_size=1, max_size=60))
def test_no_window_has_more_than_rate_and_slack(sends):
    """Whatever comes when: between any two moments no more passes than the rate, and 5 ms of it."""
    bucket = TokenBucket(RATE)
    now, passed = 0.0, []
    for gap, size in sends:
        now += gap
        passed.append((bucket.take(size, now), size))
    for first, (begin, before) in enumerate(passed):
        begins = begin - before / RATE
        total = before
        for end, size in passed[first + 1 :]:
            total += size
            assert total <= (end - begins) * RATE + SLACK * RATE + 1


@pytest.mark.parametrize("rate", [0, -1, math.nan, math.inf])
def test_a_link_of_no_rate_is_refused(rate):
    """What carries nothing, or everything, is no link."""
    with pytest.raises(ConfigError, match="carries nothing"):
        TokenBucket(rate)


async def exchange(port, sent):
    """Send bytes, end that side, and return what comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    writer.write_eof()
    got = await reader.read()
    writer.close()
    return got


async def echo(reader, writer):
    writer.write(await reader.read())
    writer.close()


@pytest.mark.parametrize(
    ("clients", "server", "seconds"),
    [(1, None, 0.4), (4, None, 0.4), (4, RATE, 1.6), (2, 4 * RATE, 0.4)],
    ids=["one", "four", "four that share one as wide", "two that share a wide one"],
)
def test_bytes_take_the_time_of_their_links(clients, server, seconds):
    """1 MB there and back takes 0.4 s at 40 Mbit/s; where all share such a link, all take longer.

    What arrives is what was sent, and the end of it arrives too.
    """

    async def run():
        loop = asyncio.get_running_loop()
        peer = await asyncio.start_server(echo, "127.0.0.1", 0)
        to = peer.sockets[0].getsockname()[1]
        shared = [[] if server is None else [TokenBucket(server)] for _ in range(2)]
        links = [
            Link(to, [TokenBucket(RATE), *shared[0]], [TokenBucket(RATE), *shared[1]])
            for _ in range(clients)
        ]
        sent = [bytes([number]) * 1_000_000 for number in range(clients)]
        ports = [await link.open() for link in links]
        began = loop.time()
        got = await asyncio.gather(*(exchange(*pair) for pair in zip(ports, sent, strict=True)))
        took = loop.time() - began
        for link in links:
            await link.close()
        peer.close()
        await peer.wait_closed()
        assert got == sent
        return took

    assert simulated(run()) == pytest.approx(seconds, rel=0.05)


def test_a_port_that_is_taken_is_said():
    """Two links cannot begin at one port."""

    async def run():
        with socket.create_server(("127.0.0.1", 0)) as taken:
            link = Link(1, [TokenBucket(RATE)], [TokenBucket(RATE)])
            with pytest.raises(RunError, match=r"no link at 127\.0\.0\.1:\d+: .*in use"):
                await link.open(taken.getsockname()[1])

    asyncio.run(run())


def test_where_nobody_listens_a_connection_ends():
    """A link to nowhere cuts the connection, and closing it leaves nothing behind."""

    async def run():
        with socket.create_server(("127.0.0.1", 0)) as gone:
            nowhere = gone.getsockname()[1]
        link = Link(nowhere, [TokenBucket(RATE)], [TokenBucket(RATE)])
        port = await link.open()
        with contextlib.suppress(ConnectionError):  # the end may come as a reset
            assert await exchange(port, b"hello") == b""
        await link.close()
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", port)

    asyncio.run(run())
