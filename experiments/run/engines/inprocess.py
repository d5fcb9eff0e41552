"""Flower's grid in this process: no ray, no start-up time, the same results.

Messages go through Flower's serialisation both ways, so what cannot be sent fails here as it would
between machines. ClientApps run one after another, in the order their messages were sent.
"""

import logging
import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import TypeVar

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid

from fedledger.errors import ConfigError

from .base import OnReply
from .wire import (
    CLIENT_CRASHED,
    CLIENT_RAISED,
    SERVER_NODE,
    Run,
    error_reply,
    over_the_wire,
    pack,
    quiet_flower,
    raised,
    set_id,
    task_identity,
    unavailable,
    unpack_message,
)

__all__ = ["InProcessEngine", "InProcessGrid"]

T = TypeVar("T")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class InProcessEngine:
    """Runs everything in this process, one ClientApp at a time.

    Attributes:
        seed: node ids are drawn from it; nothing else is.
        on_reply: called with each reply.
        quiet: keep Flower's log off the console.
    """

    seed: int = 0
    on_reply: OnReply | None = None
    quiet: bool = True

    def run(self, client_app: ClientApp, nodes: int, main: Callable[[Grid], T]) -> T:
        """Call `main` with a grid of `nodes` nodes and return what it returns; see `Engine`."""
        grid = InProcessGrid(client_app, nodes, seed=self.seed, on_reply=self.on_reply)
        with quiet_flower(quiet=self.quiet), task_identity(grid.run.run_id):
            return main(grid)


class InProcessGrid(Grid):
    """A Flower grid whose nodes are ClientApp calls; use it inside `InProcessEngine.run`.

    A client runs when its reply is pulled. When a ClientApp raises, its reply is an error of
    Flower's code 2 with the exception's type and text, and its state stays as it was before the
    message. A reply that cannot be serialised is an error of code 8, as if the client's process
    had died of it; an instruction that cannot be raises where it is sent.

    Args:
        client_app: the app of every node.
        nodes: number of nodes.
        seed: node ids and run id are drawn from it.
        on_reply: called with each reply.
        run_config: the run config of every context; empty by default.

    Raises:
        ConfigError: fewer than one node.
    """

    def __init__(
        self,
        client_app: ClientApp,
        nodes: int,
        *,
        seed: int = 0,
        on_reply: OnReply | None = None,
        run_config: Mapping[str, bool | float | int | str] | None = None,
    ) -> None:
        if nodes < 1:
            raise ConfigError(f"{nodes} nodes: at least one is needed")
        draw = random.Random(f"nodes of {seed}")
        ids: dict[int, int] = {}
        while len(ids) < nodes:
            ids.setdefault(draw.randrange(SERVER_NODE + 1, 2**63), len(ids))
        self._partitions = ids
        self._client_app = client_app
        self._on_reply = on_reply
        self._run_config = dict(run_config or {})
        self._states = {node: RecordDict() for node in ids}
        self._pending: dict[str, tuple[str, dict[str, bytes]]] = {}
        self._sent = 0
        self._run = Run.create_empty(run_id=draw.randrange(1, 2**63))

    def set_run(self, run: Run) -> None:
        """Set the run that this grid belongs to."""
        self._run = run

    @property
    def run(self) -> Run:
        """The run that this grid belongs to."""
        return self._run

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Return a message to a node; `Message(...)` itself is Flower's newer way."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> list[int]:
        """Return the nodes' ids, by partition."""
        return list(self._partitions)

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Take messages and return their ids; a message to an unknown node is logged and dropped.

        Raises:
            TypeError: an iterator instead of a list, which deployment would lose.
            ValueError: a value that Flower cannot send.
        """
        if iter(messages) is messages:
            raise TypeError("push a list of messages: an iterator is lost when deployed")
        contents: dict[str, bytes] = {}  # shared: what all messages carry is kept once
        accepted: list[str] = []
        for message in messages:
            node = message.metadata.dst_node_id
            if node not in self._partitions:
                logger.error("message to unknown node %d is dropped", node)
                continue
            self._sent += 1
            message_id = f"message-{self._sent}"
            set_id(message, message_id)
            self._pending[message_id] = (pack(message, contents), contents)
            accepted.append(message_id)
        return accepted

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Run the clients of these messages and return their replies, by partition.

        An id that is unknown, or whose reply was pulled before, gives an error reply of code 3.
        """
        return self._replies(list(message_ids), deadline=None)

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> list[Message]:
        """Push messages and return their replies, by partition.

        Args:
            messages: a list of messages.
            timeout: start no further client after this many seconds; the replies so far are
                returned.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        return self._replies(self.push_messages(messages), deadline=deadline)

    def _replies(self, message_ids: list[str], *, deadline: float | None) -> list[Message]:
        wanted = dict.fromkeys(message_ids)
        order = [known for known in self._pending if known in wanted]
        replies = [(-1, unavailable(i, self._run.run_id)) for i in wanted if i not in order]
        for message_id in order:
            if deadline is not None and time.monotonic() >= deadline:
                break
            message = set_id(unpack_message(*self._pending.pop(message_id)), message_id)
            reply = self._call(message, message.metadata.dst_node_id)
            self._sent += 1
            set_id(reply, f"message-{self._sent}")
            replies.append((self._partitions[message.metadata.dst_node_id], reply))
            if self._on_reply is not None:
                self._on_reply(reply)
        return [reply for _, reply in sorted(replies, key=itemgetter(0))]

    def _call(self, message: Message, node: int) -> Message:
        """Let the client answer one message; its state is kept when it did."""
        context = Context(
            run_id=self._run.run_id,
            node_id=node,
            node_config={
                "partition-id": self._partitions[node],
                "num-partitions": len(self._partitions),
            },
            state=over_the_wire(self._states[node]),
            run_config=dict(self._run_config),
        )
        try:
            reply = self._client_app(message, context)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            reason = raised(error)
            logger.warning("client %d raised %s", self._partitions[node], reason)
            logger.debug("client %d:", self._partitions[node], exc_info=error)
            return error_reply(message, CLIENT_RAISED, reason)
        try:
            received = over_the_wire(reply)
            state = over_the_wire(context.state)
        except Exception as error:  # a client can reply with anything
            reason = f"the reply or the state cannot be sent: {raised(error)}"
            logger.warning("client %d: %s", self._partitions[node], reason)
            logger.debug("client %d:", self._partitions[node], exc_info=error)
            return error_reply(message, CLIENT_CRASHED, reason)
        self._states[node] = state
        return received
