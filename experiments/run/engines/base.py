"""What an engine is."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from flwr.app import Message
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid

__all__ = ["Engine", "OnReply"]

T = TypeVar("T")

OnReply = Callable[[Message], None]
"""Called with each reply once it is there, error replies too: for progress bars."""


class Engine(Protocol):
    """Runs ClientApps on a number of nodes and a server function beside them."""

    def run(self, client_app: ClientApp, nodes: int, main: Callable[[Grid], T]) -> T:
        """Call `main` with a grid of `nodes` nodes and return what it returns.

        Node i of n has the node config `{"partition-id": i, "num-partitions": n}` and a state that
        lasts from message to message, until `main` returns. `main` may run any number of strategies
        on the grid, one after another. Strategies that sample nodes do so from Python's global
        `random`: seed it in `main`.

        Raises:
            ConfigError: fewer than one node, or a package that the engine needs is missing.
            RunError: the engine itself failed.
            Exception: whatever `main` raised, unchanged.
        """
        ...
