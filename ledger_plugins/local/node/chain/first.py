"""A node's block 0: from its disk, or as somebody gave it when the disk has none."""

from fedledger.errors import ChainCorrupted, LedgerUnavailable, MalformedBlock

from ...chain.block import Block, check_seal
from ...chain.genesis import Genesis
from .envelope import Envelope
from .file import NodeFile, Step

__all__ = ["checked_first", "first_block"]


def first_block(file: NodeFile, given: bytes | None) -> Block:
    """Return block 0, and keep it if the file has none.

    Args:
        file: the node's file.
        given: block 0's envelope for a new file, checked against the one in an old file.

    Raises:
        ChainCorrupted: the file's block 0 is damaged.
        LedgerUnavailable: there is none.
        MalformedBlock: `given` is no block 0, or another one than the file's.
    """
    row = next(file.blocks(), None)
    try:
        known = Envelope.decode(row[1]).block if row is not None else None
    except MalformedBlock as error:
        raise ChainCorrupted(0, f"the node's block 0 is damaged: {error}") from error
    if given is None:
        if known is None:
            raise LedgerUnavailable("the node has no chain yet")
        return known
    if known is None:
        block = checked_first(given)
        step = Step()
        step.blocks[block.header.hash] = Envelope.sign(block, None).encode()
        file.commit(step)
        return block
    if known.header.hash != Envelope.decode(given).block.header.hash:
        raise MalformedBlock("hash", "the node's chain begins with another block 0")
    return known


def checked_first(envelope: bytes) -> Block:
    """Return a block 0 that somebody gave.

    Raises:
        MalformedBlock: it is none, with the field.
    """
    block = Envelope.decode(envelope).block
    check_seal(block, Genesis.of(block).difficulty)
    return block
