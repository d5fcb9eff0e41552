"""A grid for experiments: a client that fails makes the cell fail, loudly."""

from collections.abc import Iterable

from flwr.app import Message

from fedledger.errors import RunError
from fedledger.grids import WrappedGrid

__all__ = ["CheckedGrid"]


class CheckedGrid(WrappedGrid):
    """Passes everything on, and raises when a client's reply is an error.

    In a deployment a failing client is dropped and the round goes on. In an experiment it means
    that what the table says was measured was not.

    Args:
        grid: the engine's grid.
    """

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Return the replies that are there.

        Raises:
            RunError: a client raised; says which and what.
        """
        return [self._checked(reply) for reply in self._grid.pull_messages(message_ids)]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Send and wait for replies; RunError when a client raised."""
        replies = self._grid.send_and_receive(messages, timeout=timeout)
        return [self._checked(reply) for reply in replies]

    def _checked(self, reply: Message) -> Message:
        if reply.has_error():
            nodes = list(self._grid.get_node_ids())
            node = reply.metadata.src_node_id
            who = f"client {nodes.index(node)}" if node in nodes else f"node {node}"
            raise RunError(f"{who} failed: {reply.error.reason or f'code {reply.error.code}'}")
        return reply
