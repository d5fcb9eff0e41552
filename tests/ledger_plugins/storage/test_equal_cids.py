"""A content has one CID: the embedded store's, a real IPFS daemon's, and another author's."""

import pytest
from aleph_cid import CidHasher

from fedledger.ledger_plugins import open_store
from fedledger.ledger_plugins.storage.cid import DEFAULT_PROFILE

CHUNK = DEFAULT_PROFILE.chunk_bytes
NODE = DEFAULT_PROFILE.links * CHUNK
MIB = 1024 * 1024
BLOCK = bytes(range(256)) * (CHUNK // 256)


def pieces(size: int):
    """Give `size` bytes in which no two chunks are alike, a chunk at a time."""
    for at in range(0, size, CHUNK):
        yield (at.to_bytes(8, "big") + BLOCK[8:])[: size - at]


@pytest.mark.parametrize(
    "size",
    [
        *(0, 1, CHUNK - 1, CHUNK, CHUNK + 1, NODE, NODE + 1),
        pytest.param(NODE - 1, marks=pytest.mark.soak),
        pytest.param(100_000_000, marks=pytest.mark.soak),
        pytest.param(1024 * MIB, marks=pytest.mark.soak),
    ],
)
def test_the_stores_agree(tmp_path, ipfs_daemon, size):
    """From nothing to 1 GiB: the same CID everywhere, and the daemon's copy reads as the content.

    The IPFS store refuses a daemon whose CID is another one; what it gives is hashed again.
    """
    hasher = CidHasher.for_ipfs_v1_raw_leaves()
    for piece in pieces(size):
        hasher.update(piece)
    options = {"max_bytes": 2048 * MIB, "timeout": 300.0}
    with (
        open_store(f"file://{tmp_path}/store", **options) as embedded,
        open_store(ipfs_daemon.url, **options) as ipfs,
    ):
        cid = embedded.put_stream(pieces(size))
        assert cid == ipfs.put_stream(pieces(size)) == hasher.finalize()
        assert ipfs.size(cid) == size
        assert sum(map(len, ipfs.get_stream(cid))) == size
    ipfs_daemon.forget()
