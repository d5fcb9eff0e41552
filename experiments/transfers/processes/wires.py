"""The process of the links."""

from .helper import answer_all, cpu_seconds
from .links import Link, TokenBucket

__all__ = ["main"]

_links: list[Link] = []


async def _open_links(
    to: list[int],
    groups: list[int],
    client: float,
    server: float | None,
    host: str = "127.0.0.1",
) -> list[int]:
    """Open a link for each client, and return their ports.

    Args:
        to: the port that each leads to; 0 where that is said later.
        groups: those of one group share a link of their own, behind the clients' links.
        client: bytes a second of each client's link, each way.
        server: bytes a second of each group's link, each way; None: no limit.
        host: the machine that they lead to.
    """
    shared = {
        group: ([], []) if server is None else ([TokenBucket(server)], [TokenBucket(server)])
        for group in groups
    }
    ports = []
    for port, group in zip(to, groups, strict=True):
        up, down = shared[group]
        link = Link(port, [TokenBucket(client), *up], [TokenBucket(client), *down], host=host)
        ports.append(await link.open())
        _links.append(link)
    return ports


async def _lead_to(port: int) -> None:
    """Say where all links lead to."""
    for link in _links:
        link.port = port


async def _close_links() -> None:
    while _links:
        await _links.pop().close()


def main() -> None:
    """Answer questions until there are no more."""
    answer_all({"open": _open_links, "lead": _lead_to, "close": _close_links, "cpu": cpu_seconds})
