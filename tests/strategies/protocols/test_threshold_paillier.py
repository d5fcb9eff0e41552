"""Encrypted rounds under Flower's messages, and what their audit says."""

import numpy as np
import pytest
from support.encrypted import EncryptedFederation
from support.federation import arrays_of, make_app

from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.strategies import audit_ledger


@pytest.fixture
def encrypted(tmp_path):
    federation = EncryptedFederation(tmp_path)
    yield federation
    federation.close()


def test_rounds_are_opened_by_trainers_and_proved_by_the_audit(encrypted):
    """Two rounds end with a model that the audit recomputes from ledger and store alone."""
    result = encrypted.run(encrypted.encrypted(), make_app(), rounds=2)
    report = audit_ledger(encrypted.ledger, encrypted.store)
    assert report.passed, report.reason
    assert [one.aggregate for one in report.rounds] == ["proved", "proved"]
    aggregates = TrainingTask(encrypted.ledger).aggregates(1)
    assert [one.rule for one in aggregates] == ["masked mean", "masked mean"]
    for partition in range(encrypted.size):
        assert not list(encrypted.keyring(partition).folder.glob("*.key")), "the task has ended"
        assert not list(encrypted.keyring(partition).folder.glob("*.keys"))
    moved = arrays_of(result.arrays)["layer.bias"]
    assert np.all(moved > 0.3)
