"""Fixtures of this room's tests."""

import dataclasses
from types import SimpleNamespace

import pytest
from support.clock import Ahead
from support.federation import Federation
from support.node_thread import NodeThread

from fedledger.effects import Effects
from fedledger.ledger_plugins import open_ledger
from fedledger.strategies.rounds.answers import asking


@pytest.fixture
def network(tmp_path, monkeypatch):
    """A federation on a node of the embedded chain's network; time jumps where it is waited for."""
    monkeypatch.setattr(asking, "LAG", 1.0)
    clock = Ahead()
    effects = dataclasses.replace(Effects.real(), clock=clock)
    node = NodeThread(tmp_path / "node", effects=effects)
    federation = Federation(tmp_path)
    federation.ledger.close()
    federation.ledger = open_ledger(f"local+{node.url}")
    yield SimpleNamespace(federation=federation, url=f"local+{node.url}", effects=effects)
    federation.close()
    node.stop()
