"""A model moves from peer to peer by bitswap, under the CID that our store computed."""

import numpy as np
import pytest
from support.kubo import KuboCore

from fedledger.arrays import to_safetensors
from fedledger.ledger_plugins import open_store
from fedledger.ledger_plugins.storage.blocks import content_of
from fedledger.ledger_plugins.storage.cid import (
    DEFAULT_PROFILE,
    Tree,
    chunk_cid,
    cid_of,
    cid_to_bytes,
)


def blocks_of(content: bytes) -> dict[bytes, bytes]:
    """Return the blocks of a content, by their binary CIDs."""
    tree = Tree()
    tree.update(content)
    found = {node.cid: node.block for node in tree.nodes()}
    step = DEFAULT_PROFILE.chunk_bytes
    for at in range(0, len(content), step):
        chunk = content[at : at + step]
        found[chunk_cid(chunk)] = chunk
    return found


@pytest.mark.soak
def test_a_model_moves_by_bitswap(tmp_path):
    """Of two real Kubo cores one has our blocks; the other one fetches the model by our CID.

    The model is a tree of two levels (50 MB). Kubo hashes what comes, as we do again: of the block
    store of the second core our own reader makes the same content. What nobody has is not found.
    """
    rng = np.random.default_rng(12)
    model = to_safetensors({"weight": rng.standard_normal((12_500, 1_000)).astype(np.float32)})
    with open_store(f"file://{tmp_path}/store") as store:
        cid = store.put(model)
    blocks = blocks_of(model)
    assert len({len(block) for block in blocks.values()}) > 2  # full chunks, a rest, nodes
    with (
        KuboCore(tmp_path / "first", blocks) as first,
        KuboCore(tmp_path / "second", {}) as second,
    ):
        assert not any(map(second.has, blocks))
        second.connect(first)
        second.download(cid, tmp_path / "model")
        assert (tmp_path / "model").read_bytes() == model
        assert b"".join(content_of(cid, DEFAULT_PROFILE, second.block)) == model
        assert not second.has(cid_to_bytes(cid_of(b"nobody has it")))
