"""The scripts in docs/examples run as a reader would run them."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def run(name, folder):
    return subprocess.run(
        [sys.executable, EXAMPLES / name], cwd=folder, capture_output=True, text=True, check=False
    )


def test_anchored_fedavg(tmp_path):
    """An unmodified FedAvg leaves a ledger that the audit accepts, in at most 30 lines."""
    done = run("anchored_fedavg.py", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[1.9980469 1.9980469 1.9980469] audit passed: True"
    assert (tmp_path / "outputs/example/chain.db").exists()
    assert len((EXAMPLES / "anchored_fedavg.py").read_text().splitlines()) <= 30


def test_a_ledger_of_your_own_passes_the_conformance_suite(tmp_path):
    """The example's entry point, as an installer writes it, opens memory:// and keeps L1 to L15."""
    example = EXAMPLES / "memory_ledger"
    project = tomllib.loads((example / "pyproject.toml").read_text())["project"]
    ((scheme, target),) = project["entry-points"]["fedledger.ledgers"].items()
    installed = tmp_path / "memory_ledger-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: memory-ledger\nVersion: 1.0\n"
    )
    (installed / "entry_points.txt").write_text(f"[fedledger.ledgers]\n{scheme} = {target}\n")
    path = os.pathsep.join([str(tmp_path), str(example)])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", example],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert len((example / "memory_ledger.py").read_text().splitlines()) < 100


def test_the_readme_shows_the_example_as_it_is():
    """What the README prints is the file that the test above runs."""
    readme = (EXAMPLES.parents[1] / "README.md").read_text(encoding="utf-8")
    assert (EXAMPLES / "anchored_fedavg.py").read_text(encoding="utf-8") in readme
