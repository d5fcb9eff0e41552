"""How the world enters: five values, made once where a program starts and passed down.

`Effects` bundles a clock, entropy, a transport, a disk and a worker of computations. A program
takes `Effects.real()` where it starts (the command line, a node's process, an app) and hands it, or
the one of the five that is needed, to whoever waits, draws, asks, writes or computes; nothing below
has a default for it. A simulation hands down five others, all drawn from one seed.

Asynchronous code waits by its event loop (`asyncio.sleep`, `asyncio.timeout`, `loop.time()`): the
loop is the seam there, and a simulation's loop has a time of its own.
"""

from dataclasses import dataclass
from typing import Self

from .base import Clock, Entropy, Work, Worker
from .disk import Disk, NotAFile, OpenFile
from .transport import Answer, AsyncLine, Line, Question, Streamed, Transport

__all__ = [
    "Answer",
    "AsyncLine",
    "Clock",
    "Disk",
    "Effects",
    "Entropy",
    "Line",
    "NotAFile",
    "OpenFile",
    "Question",
    "Streamed",
    "Transport",
    "Work",
    "Worker",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """The five.

    Attributes:
        clock: what time it is, and waiting.
        entropy: what nobody foresees.
        transport: asking a party.
        disk: files and databases.
        work: computations off the event loop, in parallel, or in the background.
    """

    clock: Clock
    entropy: Entropy
    transport: Transport
    disk: Disk
    work: Work

    @classmethod
    def real(cls) -> Self:
        """Return this machine's own: made once, where a program starts."""
        from . import real  # noqa: PLC0415 - a simulation needs none of it

        return cls(
            clock=real.SystemClock(),
            entropy=real.SystemEntropy(),
            transport=real.HttpTransport(),
            disk=real.SystemDisk(),
            work=real.ThreadWork(),
        )
