"""The conformance suite on the ledger of this example: pytest test_memory_ledger.py."""

import secrets

import pytest

from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.testing import LedgerConformance


class TestMemory(LedgerConformance):
    window_seconds = 1

    @pytest.fixture
    def ledger_factory(self):
        url = f"memory://{secrets.token_hex(8)}"
        return lambda admin: open_ledger(url, admin=admin)
