"""Flower's simulation engine and the in-process engine run the same strategy alike."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[3] / "shared"


@pytest.mark.parametrize("kind", ["pofl", pytest.param("anchored", marks=pytest.mark.soak)])
def test_the_same_seed_gives_the_same_model(tmp_path, kind):
    """Accounts, chain and node ids differ; rules, updates and models do not, to the last bit."""
    done = subprocess.run(
        [sys.executable, "-m", "support.both_engines", kind, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(SHARED)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    history = json.loads(done.stdout.splitlines()[-1])
    assert len(history["flower"]["rounds"]) == 3
    assert history["flower"] == history["inprocess"]
    assert history["flower"]["audit"] == "passed"
