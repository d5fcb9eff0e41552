"""The config of FLChain's table V runs as it is, on digits that come with a package."""

import pytest

from fedledger.experiments import load_config, run_experiment
from fedledger.experiments.config import checks
from fedledger.experiments.datasets import DATASETS

ON_DIGITS = ["datasets=['digits']", "validation=137", "rounds=3", "training.steps=30"]


@pytest.fixture(autouse=True)
def everything_fetched(monkeypatch):
    monkeypatch.setattr(checks, "require_dataset", DATASETS.load)


@pytest.mark.soak
def test_encrypted_and_in_the_open_the_table_says_the_same(tmp_path):
    """Every round is proved, and the global models differ in two images of 360 at most."""
    config = load_config("flchain-table5", overrides=[*ON_DIGITS, "model.hidden=16"])
    result = run_experiment(config, out=tmp_path, progress=False)
    assert result.passed
    plain, encrypted = (result.results[cell.id] for cell in result.cells)
    assert encrypted.accuracy > 0.5
    assert encrypted.accuracy == pytest.approx(plain.accuracy, abs=2 / 360 + 1e-6)
    assert encrypted.trainers.alone == plain.trainers.alone
    table = (result.directory / "table.md").read_text(encoding="utf-8")
    assert "| accuracy, validation / test | FedAvg | encrypted | paper |" in table
    assert "of the paper's" in table
