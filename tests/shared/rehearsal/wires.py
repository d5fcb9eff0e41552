"""Links between network namespaces: Ethernet frames that come late, get lost, or find it cut.

A link is a pair of TAP devices and this program between them, which works wherever Linux has TAP;
`tc netem` is not in every kernel. Frames of one direction stay in order.
"""

import fcntl
import heapq
import os
import random
import selectors
import struct
import threading
import time
from dataclasses import dataclass, field
from itertools import count

__all__ = ["Link", "Wires", "open_tap"]

_TUNSETIFF = 0x400454CA
_TAP, _NO_INFO = 0x0002, 0x1000
_FRAME = 65_536
_AT_ONCE = 64  # frames that are read of one device before the others have their turn


@dataclass(slots=True)
class Link:
    """What a link does to frames, and what it has done.

    Attributes:
        seconds: how late a frame is.
        jitter: seconds that it may be later.
        loss: the share of frames that gets lost.
        up: bytes of frames that came from the machine and arrived.
        down: bytes of those that went to it and arrived.
        frames: how many frames came, both ways.
        lost: how many of them did not arrive.
    """

    seconds: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    up: int = 0
    down: int = 0
    frames: int = 0
    lost: int = 0


@dataclass(slots=True)
class _End:
    """A TAP device that frames are read from, and where they go."""

    link: Link
    other: int
    is_up: bool
    last: float = 0.0


@dataclass(order=True, slots=True)
class _Frame:
    due: float
    number: int
    end: _End = field(compare=False)
    data: bytes = field(compare=False)


def open_tap(name: str) -> int:
    """Make a TAP device in this network namespace, and return the file that its frames pass by."""
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tap, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _TAP | _NO_INFO))
    return tap


class Wires:
    """All links, carried by one thread.

    Args:
        seed: which frames get lost, and how late others are.
    """

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)
        self._waiting: list[_Frame] = []
        self._numbers = count()
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = os.pipe()
        os.set_blocking(self._wake, False)
        self._selector.register(self._wake, selectors.EVENT_READ, None)
        self._open: list[int] = []
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._carry, name="wires", daemon=True)
        self._thread.start()

    def connect(self, machine: int, hub: int, link: Link) -> None:
        """Join two TAP devices by a link; both files belong to this from now on."""
        self._open += [machine, hub]
        for here, there, is_up in ((machine, hub, True), (hub, machine, False)):
            self._selector.register(here, selectors.EVENT_READ, _End(link, there, is_up))
        os.write(self._woken, b"\0")

    def close(self) -> None:
        """End the thread, and take all devices away."""
        self._closing.set()
        os.write(self._woken, b"\0")
        self._thread.join(10)
        self._selector.close()
        for one in (*self._open, self._wake, self._woken):
            os.close(one)

    def _carry(self) -> None:
        while not self._closing.is_set():
            now = time.monotonic()
            while self._waiting and self._waiting[0].due <= now:
                self._deliver(heapq.heappop(self._waiting))
            until = self._waiting[0].due - now if self._waiting else None
            for key, _ in self._selector.select(until):
                if key.data is None:
                    os.read(self._wake, _FRAME)
                else:
                    self._take(key.fd, key.data)

    def _take(self, device: int, end: _End) -> None:
        link = end.link
        for _ in range(_AT_ONCE):
            try:
                data = os.read(device, _FRAME)
            except OSError:  # nothing more for now, or the device is down
                return
            link.frames += 1
            if self._draw.random() < link.loss:
                link.lost += 1
                continue
            late = link.seconds + self._draw.random() * link.jitter
            end.last = max(end.last, time.monotonic() + late)
            heapq.heappush(self._waiting, _Frame(end.last, next(self._numbers), end, data))

    def _deliver(self, frame: _Frame) -> None:
        link = frame.end.link
        try:
            os.write(frame.end.other, frame.data)
        except OSError:  # the other side is down, or has no room: a frame may get lost
            link.lost += 1
            return
        if frame.end.is_up:
            link.up += len(frame.data)
        else:
            link.down += len(frame.data)
