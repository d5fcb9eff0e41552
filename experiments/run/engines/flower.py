"""Flower's own simulation engine (ray), with a result, an exception and an order.

`run_simulation` returns nothing, lists nodes in random order, delivers replies as they come, and
starts the server before the nodes are registered and ray is up. All of that is put right here.
"""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from types import FrameType
from typing import TypeVar

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from fedledger.errors import ConfigError, RunError
from fedledger.grids import WrappedGrid
from fedledger.registry import check_installed

from .base import OnReply
from .wire import quiet_flower, raised, task_identity

__all__ = ["FlowerEngine"]

T = TypeVar("T")

_PULL_SECONDS = 0.02

_ENVIRONMENT = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a question that ray asks in a warning
}


@dataclass(frozen=True, slots=True)
class FlowerEngine:
    """Runs ClientApps in ray actors, by Flower's `run_simulation`.

    Attributes:
        num_cpus: CPUs of one actor; CPUs of the machine / `num_cpus` actors are started.
        num_gpus: GPUs of one actor.
        on_reply: called with each reply as it is pulled.
        quiet: keep the log of Flower and ray off the console.
    """

    num_cpus: float = 1
    num_gpus: float = 0.0
    on_reply: OnReply | None = None
    quiet: bool = True

    def run(self, client_app: ClientApp, nodes: int, main: Callable[[Grid], T]) -> T:
        """Call `main` with a grid of `nodes` nodes and return what it returns; see `Engine`."""
        if nodes < 1:
            raise ConfigError(f"{nodes} nodes: at least one is needed")
        check_installed("engine 'flower'", "simulation", "ray")
        results: list[T] = []
        errors: list[Exception] = []
        ended = threading.Event()

        def serve(grid: Grid, context: Context) -> None:  # noqa: ARG001 - Flower's signature
            try:
                ordered = _OrderedGrid(grid, ended, self.on_reply)
                ordered.wait_for(nodes)
                results.append(main(ordered))
            except Exception as error:  # noqa: BLE001 - raised again below, in the caller
                errors.append(error)

        server_app = ServerApp()
        server_app.main()(serve)
        try:
            with (
                _interruptible(ended),
                _environment(),
                task_identity(1),
                quiet_flower(quiet=self.quiet),
            ):
                self._simulate(server_app, client_app, nodes, ended)
        except Exception as error:
            # What `main` raised comes first: the engine's own trouble may only follow from it.
            if not errors:
                raise RunError(f"Flower's simulation failed: {error}") from error
        finally:
            ended.set()
        if errors:
            raise errors[0]
        if not results:
            raise RunError("Flower's simulation ended before the server did")
        return results[0]

    def _simulate(
        self, server_app: ServerApp, client_app: ClientApp, nodes: int, ended: threading.Event
    ) -> None:
        # Imported here: it loads ray, which takes seconds, and reads the environment.
        from flwr.simulation import run_simulation  # noqa: PLC0415
        from flwr.supercore import telemetry  # noqa: PLC0415

        # Read from the environment at import, which something else may have done before us.
        telemetry.FLWR_TELEMETRY_ENABLED = os.environ["FLWR_TELEMETRY_ENABLED"]
        with _ray(quiet=self.quiet):
            if ended.is_set():
                return
            run_simulation(
                server_app,
                _Lasting(client_app),
                nodes,
                backend_config={
                    "client_resources": {"num_cpus": self.num_cpus, "num_gpus": self.num_gpus}
                },
            )


class _Lasting(ClientApp):
    """An app whose end is an error: a ray actor that ends takes along what others' clients do.

    Args:
        app: the app.
    """

    def __init__(self, app: ClientApp) -> None:
        super().__init__()
        self._app = app

    def __call__(self, message: Message, context: Context) -> Message:
        try:
            return self._app(message, context)
        except (Exception, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise RunError(f"the client's app raised {raised(error)}") from error


class _OrderedGrid(WrappedGrid):
    """A grid that gives nodes, and the replies of one call, in the order of the partitions.

    Args:
        grid: Flower's in-memory grid.
        ended: set when the simulation is over; a server thread that still waits then stops.
        on_reply: called with each reply.
    """

    def __init__(self, grid: Grid, ended: threading.Event, on_reply: OnReply | None) -> None:
        super().__init__(grid)
        self._ended = ended
        self._on_reply = on_reply
        self._partitions: dict[int, int] = {}
        self._sent_to: dict[str, int] = {}

    def wait_for(self, nodes: int) -> None:
        """Wait until all nodes are registered: Flower registers them while the server runs."""
        while len(node_ids := self.get_node_ids()) < nodes:
            time.sleep(_PULL_SECONDS)
        self._partitions = {node_id: number for number, node_id in enumerate(node_ids)}

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> list[int]:
        """Return the nodes' ids, by partition: partitions are numbered as nodes register."""
        self._check()
        nodes = [
            (datetime.fromisoformat(node.registered_at), node.node_id)
            for node in self._grid.get_nodes()
        ]
        return [node_id for _, node_id in sorted(nodes)]

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        self._check()
        messages = list(messages)
        message_ids = list(self._grid.push_messages(messages))
        for message in messages:
            self._sent_to[message.metadata.message_id] = message.metadata.dst_node_id
        return message_ids

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        self._check()
        replies = sorted(self._grid.pull_messages(message_ids), key=self._position)
        if self._on_reply is not None:
            for reply in replies:
                self._on_reply(reply)
        return replies

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> list[Message]:
        waiting = set(self.push_messages(messages))
        deadline = None if timeout is None else time.monotonic() + timeout
        replies: list[Message] = []
        while waiting and (deadline is None or time.monotonic() < deadline):
            pulled = self.pull_messages(waiting)
            replies += pulled
            waiting -= {reply.metadata.reply_to_message_id for reply in pulled}
            if waiting:
                time.sleep(_PULL_SECONDS)
        return sorted(replies, key=self._position)

    def _position(self, reply: Message) -> int:
        # By the instruction's node: an error that the server made comes from no client.
        node_id = self._sent_to.get(reply.metadata.reply_to_message_id)
        return -1 if node_id is None else self._partitions.get(node_id, -1)

    def _check(self) -> None:
        if self._ended.is_set():
            raise RunError("Flower's simulation has ended")


@contextmanager
def _ray(*, quiet: bool) -> Iterator[None]:
    """Start ray before Flower does, so that the server does not run meanwhile; stop it at the end.

    Starting ray draws from Python's global `random`, from which Flower's strategies sample nodes: a
    seed set by the server would be spoilt.
    """
    import ray  # noqa: PLC0415 - takes a second

    if not ray.is_initialized():
        # Actors import what this process can import; ray's own way to say so costs a second more.
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        ray.init(
            include_dashboard=False,
            log_to_driver=not quiet,
            logging_level=logging.ERROR if quiet else logging.WARNING,
        )
    try:
        yield
    finally:
        ray.shutdown()  # Flower has done so, unless it failed early


@contextmanager
def _interruptible(ended: threading.Event) -> Iterator[None]:
    """Let Ctrl-C end the server, and then the engine: raised inside ray it hangs or crashes."""
    if threading.current_thread() is not threading.main_thread():  # which alone hears signals
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        if ended.is_set():  # asked for again
            signal.default_int_handler(number, frame)
        ended.set()

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if ended.is_set():
            raise KeyboardInterrupt


@contextmanager
def _environment() -> Iterator[None]:
    """Set what keeps Flower and ray offline, unless the user set it; undone at the end.

    What ray leaves behind is put back too: a path for its processes, and its own debugger as the
    one that `breakpoint()` opens.
    """
    names = [*_ENVIRONMENT, "PYTHONPATH", "PYTHONBREAKPOINT", "RAY_CLIENT_MODE"]
    before = {name: os.environ.get(name) for name in names}
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        yield
    finally:
        for name, old in before.items():
            if old is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = old
