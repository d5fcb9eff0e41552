"""The conformance suite (clauses L1 to L17) on a ledger that a node serves over HTTP."""

from pathlib import Path

import pytest
from support.node_thread import NodeThread

from fedledger.errors import ConfigError, LedgerUnavailable
from fedledger.ledger_plugins import Ledger, open_ledger
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.local.node.chain import core
from fedledger.ledger_plugins.testing import (
    LedgerConformance,
)


class TestNode(LedgerConformance):
    """A client of one mining node sees a ledger that keeps the clauses."""

    def nowhere(self, ledger):  # noqa: ARG002 - no node has this port
        return "local+http://127.0.0.1:1"

    @pytest.fixture
    def ledger_factory(self, tmp_path: Path, admin: Account, monkeypatch: pytest.MonkeyPatch):
        # The head rests between calls: no empty blocks are put on top of the last one.
        monkeypatch.setattr(core, "BURIED", 0)
        node = NodeThread(tmp_path / "node", admin=admin.address, rate=100_000)

        def factory(admin: str) -> Ledger:
            return open_ledger(f"local+{node.url}", admin=admin, patience=600)

        try:
            yield factory
        finally:
            node.stop()


def test_another_chain_is_refused(tmp_path):
    """A client that expects another admin or chain id, or finds nobody, gets a clear error."""
    node = NodeThread(tmp_path / "node", admin=Account.create().address)
    try:
        with pytest.raises(ConfigError, match="admin"):
            open_ledger(f"local+{node.url}", admin=Account.create().address)
        with pytest.raises(ConfigError, match="chain_id"):
            open_ledger(f"local+{node.url}", chain_id=5)
        with pytest.raises(ConfigError, match="HOST:PORT"):
            open_ledger("local+http://nowhere")
    finally:
        node.stop()
    with pytest.raises(LedgerUnavailable, match="no node answers"):
        open_ledger(f"local+{node.url}")
