"""In which order nodes have a round, as the contract computes it: `Turns.sol`.

It is `panel` of `beacon.draws` with all nodes; written here once more because a twin's digest is of
its own folder's code, and what a chain computes must not change with a module beside it.
"""

from collections.abc import Sequence
from hashlib import sha256

__all__ = ["order_of"]

_DOMAIN = b"fedledger draw v1"
_BITS = 256


def order_of(value: bytes, task: int, number: int, nodes: Sequence[str]) -> list[str]:
    """Return nodes in the order of their turns.

    Args:
        value: the draw's, 32 bytes.
        task: the task's number.
        number: the round's.
        nodes: their addresses, ascending.
    """
    subject = (task % (1 << 128)).to_bytes(16, "big") + number.to_bytes(16, "big")
    parts = (_DOMAIN, value, b"panel", subject)
    head = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    left, order, count = list(nodes), [], 0
    while left:
        least = (1 << _BITS) % len(left)
        lot = -1
        while lot < least:
            lot = int.from_bytes(sha256(head + count.to_bytes(8, "big")).digest(), "big")
            count += 1
        place = lot % len(left)
        left[place], left[-1] = left[-1], left[place]
        order.append(left.pop())
    return order
