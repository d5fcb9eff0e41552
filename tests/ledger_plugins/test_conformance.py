"""The conformance suite (clauses L1 to L17) on every ledger that is here."""

import secrets
from pathlib import Path
from urllib.parse import quote

import pytest

from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.ethereum import deploy
from fedledger.ledger_plugins.ethereum.rpc.tester import local_node
from fedledger.ledger_plugins.local import open_local_ledger
from fedledger.ledger_plugins.testing import (
    LedgerConformance,
    LedgerFactory,
)


def contents(folder: Path) -> dict[str, bytes]:
    """Return files with their bytes; a writer's shared memory, marks included, is its own."""
    return {
        path.name: b"" if path.name.endswith("-shm") else path.read_bytes()
        for path in folder.iterdir()
    }


class TestLocal(LedgerConformance):
    """The embedded chain keeps the clauses."""

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path):
        self.path = tmp_path

    def footprint(self, ledger):  # noqa: ARG002 - the folder is known
        return contents(self.path)

    @pytest.fixture
    def ledger_factory(self, tmp_path: Path) -> LedgerFactory:
        return lambda admin: open_local_ledger(f"local://{tmp_path}/chain.db", admin=admin)


class TestTester(LedgerConformance):
    """The contracts on py-evm keep the clauses."""

    reorganises = True

    @pytest.fixture(autouse=True)
    def chain(self):
        self.name = secrets.token_hex(8)

    @pytest.fixture
    def ledger_factory(self) -> LedgerFactory:
        return lambda admin: open_ledger(f"ethereum+tester://{self.name}", admin=admin)

    def pass_time(self, seconds):
        local_node(self.name).make_request("evm_increaseTime", [round(seconds)])

    def reorganise(self, ledger, depth):  # noqa: ARG002 - the chain is known by name
        local_node(self.name).reorganise(depth)


class TestAnvil(LedgerConformance):
    """The contracts on a node keep the clauses."""

    reorganises = True

    @pytest.fixture(autouse=True)
    def node(self, anvil, tmp_path):
        self.anvil = anvil
        self.path = tmp_path

    def footprint(self, ledger):  # noqa: ARG002 - the folder is known
        return contents(self.path), self.anvil.rpc("eth_blockNumber")

    @pytest.fixture
    def ledger_factory(self, tmp_path: Path) -> LedgerFactory:
        url = f"ethereum+{self.anvil.url}?deployment={quote(str(tmp_path / 'deployment.json'))}"

        def factory(admin):
            deploy(url, admin=admin)
            return open_ledger(url, admin=admin)

        return factory

    def pass_time(self, seconds):
        self.anvil.rpc("evm_increaseTime", round(seconds))
        self.anvil.rpc("evm_mine")

    def reorganise(self, ledger, depth):  # noqa: ARG002 - the chain is known by name
        self.anvil.rpc("anvil_reorg", depth, [])
