"""The stores' conformance suite (clauses S1 to S14) on the stores that are here."""

import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.anvil import free_port
from support.store_server import WRITER, StoreServer, named_account

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


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A store's server for all tests that leave it running; what is behind it they clear away."""
    with StoreServer(tmp_path_factory.mktemp("served"), "--allow", WRITER.address) as running:
        yield running


@pytest.fixture(scope="module")
def ipfs_server(ipfs_daemon, tmp_path_factory):
    """The same before a daemon."""
    options = ("--allow", WRITER.address, "--deadline", "8", "--timeout", "5")
    folder = tmp_path_factory.mktemp("served-ipfs")
    with StoreServer(folder, *options, store=ipfs_daemon.url) as running:
        yield running


class TestServed(StoreConformance):
    """A store in a folder, served by a real process over HTTP, keeps the clauses."""

    deletes = False

    @pytest.fixture(autouse=True)
    def running(self, server, monkeypatch):
        self.server = server
        named_account(monkeypatch, server.folder)
        yield
        shutil.rmtree(server.behind, ignore_errors=True)

    @pytest.fixture
    def store_factory(self, server) -> StoreFactory:
        return lambda **options: open_store(server.url, **options)

    def nowhere(self, store):  # noqa: ARG002 - nobody listens there
        return f"store+http://127.0.0.1:{free_port()}"

    def footprint(self, store):  # noqa: ARG002 - the folder is known
        return {
            path: (path.read_bytes(), path.stat().st_mtime_ns)
            for path in self.server.behind.rglob("*")
            if path.is_file()
        }

    def damage(self, store, cid, data):
        (self.server.behind / store.profile / cid).write_bytes(data)

    @contextmanager
    def hanging(self, store):  # noqa: ARG002 - the whole server does
        self.server.pause()
        try:
            yield
        finally:
            self.server.resume()


@pytest.mark.soak
class TestServedIpfs(TestServed):
    """So does one whose contents are in a real IPFS daemon."""

    absent = (StoreTimedOut, ContentNotFound)
    impatient = 2.0
    damage = StoreConformance.damage
    footprint = StoreConformance.footprint

    @pytest.fixture
    def server(self, ipfs_server):
        return ipfs_server

    @pytest.fixture(autouse=True)
    def daemon(self, ipfs_daemon):
        yield
        ipfs_daemon.forget()


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
