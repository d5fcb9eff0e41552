"""The stores' conformance suite (clauses S1 to S14) on the stores that are here."""

from contextlib import contextmanager
from pathlib import Path

import pytest
from support.anvil import free_port

from fedledger.errors import ContentNotFound, StoreTimedOut
from fedledger.ledger_plugins import open_store

pytest.register_assert_rewrite("fedledger.ledger_plugins.testing")

from fedledger.ledger_plugins.testing import (  # noqa: E402 - after its registration
    StoreConformance,
    StoreFactory,
)


class TestFile(StoreConformance):
    """A store in a folder keeps the clauses."""

    @pytest.fixture
    def store_factory(self, tmp_path: Path) -> StoreFactory:
        return lambda **options: open_store(f"file://{tmp_path}/store", **options)

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path):
        self.path = tmp_path

    def footprint(self, store):  # noqa: ARG002 - the folder is known
        return {
            path: (path.read_bytes(), path.stat().st_mtime_ns)
            for path in self.path.rglob("*")
            if path.is_file()
        }

    def damage(self, store, cid, data):
        (store.folder / store.profile / cid).write_bytes(data)


@pytest.mark.soak
class TestIpfs(StoreConformance):
    """A store in a real IPFS daemon keeps the clauses; it looks long for what is not there."""

    deletes = False
    absent = (StoreTimedOut, ContentNotFound)
    slowest = 5.0

    @pytest.fixture(autouse=True)
    def daemon(self, ipfs_daemon):
        self.running = ipfs_daemon
        yield
        ipfs_daemon.forget()

    @pytest.fixture
    def store_factory(self, ipfs_daemon) -> StoreFactory:
        return lambda **options: open_store(ipfs_daemon.url, **({"timeout": 5.0} | options))

    def nowhere(self, store):  # noqa: ARG002 - nobody listens there
        return f"ipfs+http://127.0.0.1:{free_port()}"

    @contextmanager
    def hanging(self, store):  # noqa: ARG002 - the whole daemon does
        self.running.pause()
        try:
            yield
        finally:  # this one keeps its locks for requests that were given up: it is started anew
            self.running.kill()
            self.running.start()
