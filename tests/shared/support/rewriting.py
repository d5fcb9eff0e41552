"""What the keeper of an embedded chain can do alone: write another history, valid in itself."""

from collections.abc import Callable

from fedledger.ledger_plugins.local.chain.chain import Chain
from fedledger.ledger_plugins.local.disk.database import BlockFile
from fedledger.ledger_plugins.local.ledger import LocalLedger
from fedledger.ledger_plugins.transactions import decode_transaction

__all__ = ["rewritten"]


def rewritten(
    ledger: LocalLedger, first: int, also: Callable[[Chain], list[bytes]] = lambda _chain: []
) -> None:
    """Close a chain and write all of it from block `first` on again, a millisecond later.

    Every block holds what it held, in the same order; block `first` holds what `also` gives before
    that. The file that is left is a valid chain with the same parameters.
    """
    blocks = list(ledger.full_blocks())
    path = ledger._path
    ledger.close()
    chain = Chain(blocks[0])
    encoded = [blocks[0].encode()]
    for block in blocks[1:]:
        moved = block.header.index >= first
        with chain.begin(block.header.timestamp + moved) as draft:
            more = also(chain) if block.header.index == first else []
            for raw in (*more, *block.transactions):
                draft.add(decode_transaction(raw))
            made = draft.seal()
            draft.keep(made)
            encoded.append(made.encode())
    for leftover in path.parent.glob(path.name + "*"):
        leftover.unlink()
    BlockFile.create(path, encoded[0])
    file = BlockFile(path, write=True)
    file.read_all()
    file.start_writing()
    for index, data in enumerate(encoded[1:], start=1):
        file.append(index, data)
    file.close()
