"""Devices whose client app is a real process, one for each message, as Flower's SuperNodes do it.

Between them and the strategy is a grid in the test's process, so that a fault costs seconds. The
processes are forked from one that has imported everything.
"""

import logging
import multiprocessing
import os
import pickle
import resource
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from flwr.app import Context, Message, RecordDict

from fedledger.experiments.run.engines.inprocess import InProcessGrid
from fedledger.experiments.run.engines.wire import (
    CLIENT_CRASHED,
    CLIENT_RAISED,
    error_reply,
    pack,
    quiet_flower,
    raised,
    set_id,
    task_identity,
    unpack_message,
)

from .federation import make_app

__all__ = ["Device", "DeviceGrid", "running"]

_PROCESSES = multiprocessing.get_context("forkserver")
_PRELOAD = ["fedledger.clients", "fedledger.experiments.run.engines.wire", "fedledger.strategies"]


@dataclass
class Device:
    """One device, and what is wrong with it.

    Attributes:
        number: its partition.
        home: its folder, where its client app runs; what that says goes to `log`.
        config: its node config.
        sleep: seconds that its training takes besides.
        clock: seconds by which its clock is wrong.
        largest: bytes that a file may have on its disk; None: as many as that takes.
        asked: how many messages it got.
    """

    number: int
    home: Path
    config: dict[str, bool | float | int | str] = field(default_factory=dict)
    sleep: float = 0.0
    clock: float = 0.0
    largest: int | None = None
    asked: int = 0

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self.processes: list[ForkServerProcess] = []

    @property
    def log(self) -> str:
        """What its processes said."""
        path = self.home / "device.log"
        return path.read_text() if path.exists() else ""

    @property
    def trains(self) -> bool:
        """Whether its newest process has trained, and has signed nothing yet if it sleeps."""
        return (self.home / f"training-{self.asked}").exists()

    def start(self, given: dict[str, Any]) -> ForkServerProcess:
        """Start a process for a message."""
        self.asked += 1
        work = {name: getattr(self, name) for name in _WORK}
        process = _PROCESSES.Process(target=_answer, args=(pickle.dumps(given | work),))
        process.start()
        self.processes.append(process)
        return process

    def kill(self) -> None:
        """End its processes as a power cut would."""
        for process in self.processes:
            process.kill()
            process.join(20)
        self.processes.clear()


_WORK = ("number", "home", "sleep", "clock", "largest", "asked")


class DeviceGrid(InProcessGrid):
    """A grid whose nodes are devices.

    Args:
        devices: they, by partition.
    """

    def __init__(self, devices: Iterable[Device]) -> None:
        self.devices = list(devices)
        super().__init__(make_app(), len(self.devices))
        self.before: Iterator[Callable[[], object]] = iter(())
        """What happens before messages go out, one thing each time."""
        self._running: dict[str, tuple[Any, Device, ForkServerProcess]] = {}

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Start a process of each message's device."""
        taken = super().push_messages(messages)
        if taken:  # Flower's own loop sends none
            next(self.before, bool)()
        for key in taken:
            packed = self._pending.pop(key)
            node = unpack_message(*packed).metadata.dst_node_id
            device = self.devices[self._partitions[node]]
            own = {"partition-id": device.number, "num-partitions": len(self.devices)}
            place = self._place(key, device)
            context = (self.run.run_id, node, own | device.config)
            given = {"packed": packed, "key": key, "context": context, "place": place}
            self._running[key] = packed, device, device.start(given)
        return taken

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Return the replies that are there; of who was killed, the error that Flower makes."""
        found = []
        for key in message_ids:
            packed, device, process = self._running[key]
            dead, place = not process.is_alive(), self._place(key, device)
            if place.exists():
                reply = unpack_message(*pickle.loads(place.read_bytes()))  # noqa: S301 - ours
                place.unlink()
            elif dead:
                message = set_id(unpack_message(*packed), key)
                reply = error_reply(message, CLIENT_CRASHED, "ClientApp stopped responding.")
            else:
                continue
            found.append(set_id(reply, f"reply-to-{key}"))
        return found

    def stop(self) -> None:
        """End all processes."""
        for device in self.devices:
            device.kill()

    def _place(self, key: str, device: Device) -> Path:
        return device.home / f"answer-to-{key}"


@contextmanager
def running(devices: Iterable[Device]) -> Iterator[DeviceGrid]:
    """Have a grid of devices; their processes are ended at the end."""
    _PROCESSES.set_forkserver_preload(_PRELOAD)
    grid = DeviceGrid(devices)
    try:
        with quiet_flower(quiet=True), task_identity(grid.run.run_id):
            yield grid
    finally:
        grid.stop()


def _answer(pickled: bytes) -> None:
    """Answer one message, as `flwr-clientapp` does; runs in the device's process."""
    given = pickle.loads(pickled)  # noqa: S301 - ours
    os.chdir(given["home"])
    log = os.open("device.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, force=True)
    _set_clock(given["clock"])
    run, node, config = given["context"]
    message = set_id(unpack_message(*given["packed"]), given["key"])
    context = Context(
        run_id=run, node_id=node, node_config=config, state=RecordDict(), run_config={}
    )

    def trained(reply: Message, _message: Message, _context: Context) -> Message:
        Path(f"training-{given['asked']}").touch()
        time.sleep(given["sleep"])
        return reply

    app = make_app(before_signing={given["number"]: trained})
    with task_identity(run):
        try:
            with _files_of(given["largest"]):
                reply = app(message, context)
        except Exception as error:  # noqa: BLE001 - as Flower
            traceback.print_exc()
            reply = error_reply(message, CLIENT_RAISED, raised(error))
        contents: dict[str, bytes] = {}
        packed = pickle.dumps((pack(reply, contents), contents))
    place = given["place"]
    partial = place.with_suffix(".part")
    partial.write_bytes(packed)
    partial.rename(place)


def _set_clock(seconds: float) -> None:
    """Put this process's clock wrong, where this library reads it."""
    right = time.time
    time.time = lambda: right() + seconds


@contextmanager
def _files_of(largest: int | None) -> Iterator[None]:
    """Let no file be larger while inside: what a full quota looks like."""
    if largest is None:
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
