"""All known blocks that link to block 0, and which of them may become the head."""

from collections import OrderedDict
from dataclasses import dataclass, field

from ...chain.block import Header

__all__ = ["Node", "Tree"]

_REMEMBERED = 10_000


@dataclass(slots=True, eq=False)
class Node:
    """A block in the tree.

    Attributes:
        header: its header.
        parent: the block before; None for block 0.
        miner: who signed it, or None.
        work: hashes that the branch up to here took on average.
        seen: when it came, counted in blocks.
        size: bytes of its envelope.
        empty: whether it holds no transactions.
        valid: whether the branch up to here was executed and verified.
        missing: CID of a content without which it cannot be verified, or None.
        blocked: whether it, or a block before it, cannot be verified now.
        children: the blocks after it.
    """

    header: Header
    parent: "Node | None"
    miner: str | None
    work: int
    seen: int
    size: int
    empty: bool
    valid: bool = False
    missing: str | None = None
    blocked: bool = False
    children: "list[Node]" = field(default_factory=list)


class Tree:
    """Blocks by hash.

    Args:
        first: header of block 0.
        unit: hashes that one block takes on average.
    """

    def __init__(self, first: Header, unit: int) -> None:
        self._unit = unit
        self.root = Node(first, None, None, unit, 0, 0, empty=False, valid=True)
        self.bytes = 0
        """Bytes of all blocks here but block 0."""
        self._nodes = {first.hash: self.root}
        self._levels: dict[int, list[Node]] = {first.index: [self.root]}
        self._refused: OrderedDict[bytes, None] = OrderedDict()
        self._waiting: dict[Node, None] = {}
        self._seen = 0

    def get(self, block: bytes) -> Node | None:
        """Return the block with this hash, or None."""
        return self._nodes.get(block)

    def add(self, header: Header, miner: str | None, *, size: int, empty: bool) -> Node:
        """Add a block whose parent is here and which links to it.

        Raises:
            KeyError: the parent is not here.
        """
        parent = self._nodes[header.previous_hash]
        self._seen += 1
        node = Node(header, parent, miner, parent.work + self._unit, self._seen, size, empty)
        self.bytes += size
        node.blocked = parent.blocked
        parent.children.append(node)
        self._nodes[header.hash] = node
        self._levels.setdefault(header.index, []).append(node)
        return node

    def refuse(self, node: Node, *, remember: bool) -> list[Node]:
        """Remove a block and all after it, and return them.

        Args:
            node: the block that is not valid.
            remember: whether its content is what is wrong, so that it never becomes valid.
        """
        gone = list(_subtree(node))
        for one in gone:
            del self._nodes[one.header.hash]
            self.bytes -= one.size
            self._waiting.pop(one, None)
            level = self._levels[one.header.index]
            level.remove(one)
            if not level:
                del self._levels[one.header.index]
            if remember:
                self._refused[one.header.hash] = None
        if node.parent is not None:
            node.parent.children.remove(node)
        while len(self._refused) > _REMEMBERED:
            self._refused.popitem(last=False)
        return gone

    def is_refused(self, block: bytes) -> bool:
        """Tell whether a block with this hash was found to be invalid."""
        return block in self._refused

    def best(self, above: int) -> Node | None:
        """Return the block with most work, first seen on ties, that is not blocked.

        Args:
            above: only blocks with more work than this.
        """
        for index in range(len(self._levels) - 1, -1, -1):  # no level is empty
            nodes = self._levels[index]
            if nodes[0].work <= above:  # work grows with the index: below there is no more
                return None
            if free := [node for node in nodes if not node.blocked]:
                return min(free, key=lambda node: node.seen)
        return None

    def rivals(self, node: Node) -> list[Node]:
        """Return the other blocks with as much work as `node` that are not blocked."""
        level = self._levels[node.header.index]
        return [other for other in level if other is not node and not other.blocked]

    def restless(self, node: Node, buried: int) -> bool:
        """Tell whether a head has rivals, or transactions not yet `buried` blocks deep."""
        if self.rivals(node):
            return True
        for _ in range(buried):
            if not node.empty:
                return node.parent is not None
            assert node.parent is not None  # noqa: S101 - block 0 is not empty
            node = node.parent
        return False

    def wait_for(self, node: Node, cid: str) -> None:
        """Block a block and all after it until a content is there."""
        node.missing = cid
        self._waiting[node] = None
        for one in _subtree(node):
            one.blocked = True

    def missing(self) -> dict[str, list[Node]]:
        """Return the blocks that wait, by the CID they wait for."""
        found: dict[str, list[Node]] = {}
        for node in self._waiting:
            if node.missing is not None:
                found.setdefault(node.missing, []).append(node)
        return found

    def release(self, node: Node) -> None:
        """Take a block's wait back; what is after it may still wait for something itself."""
        node.missing = None
        self._waiting.pop(node, None)
        todo = [node]
        while todo:
            one = todo.pop()
            held = one.missing is not None or (one.parent is not None and one.parent.blocked)
            one.blocked = held
            todo += one.children

    def side_blocks(self) -> int:
        """Return how many blocks are beside the longest level-by-level path."""
        return len(self._nodes) - len(self._levels)

    def weakest(self, keep: Node) -> Node | None:
        """Return the leaf with least work that is not before `keep`; None when there is none."""
        for index in range(len(self._levels)):
            for node in self._levels[index]:
                if not node.children and node is not keep:
                    return node
        return None

    def __len__(self) -> int:
        return len(self._nodes)


def _subtree(node: Node) -> "list[Node]":
    found, todo = [], [node]
    while todo:
        one = todo.pop()
        found.append(one)
        todo += one.children
    return found
