"""Fixtures of this room's tests."""

import pytest
from support import third_party
from support.federation import Federation


@pytest.fixture
def federation(tmp_path):
    """A federation of seven clients with a ledger and a store of its own."""
    federation = Federation(tmp_path)
    yield federation
    federation.close()


@pytest.fixture
def faucet(monkeypatch, tmp_path):
    """The example's contracts, from outside the package."""
    third_party.use(monkeypatch, tmp_path / "site", "faucet")
