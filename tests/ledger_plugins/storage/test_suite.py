"""The stores' conformance suite finds what is wrong with a store, and names the clause."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import broken_stores
from support.broken_stores import KINDS

from fedledger.ledger_plugins.testing import StoreConformance

SHARED = Path(broken_stores.__file__).parents[1]
DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture(scope="module")
def failed():
    """Run of each broken store its clause, of the others the suite; return which clauses fail."""
    wanted = " or ".join(
        f"(Test{name} and test_{kind.breaks}_)" if kind.breaks else f"Test{name}"
        for name, kind in KINDS.items()
    )
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-rf", "--tb=no", "-p", "no:cacheprovider"),
            *("-o", "python_files=*.py", "-k", wanted, "--pyargs", "support.broken_stores"),
        ],
        cwd=SHARED,
        env={**os.environ, "PYTHONPATH": str(SHARED), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=120,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "error" not in done.stdout.splitlines()[-1], done.stdout
    lines = re.findall(r"^FAILED .*::Test(\w+)::test_(s\d+)_", done.stdout, re.MULTILINE)
    return {name: {clause for one, clause in lines if one == name} for name in KINDS}


@pytest.mark.parametrize("name", KINDS)
def test_what_is_broken_is_found_by_its_clause(failed, name):
    """Each broken store fails the clause that it breaks; those that keep all fail none."""
    clause = KINDS[name].breaks
    assert (clause in failed[name]) if clause else not failed[name], failed[name]


def test_every_clause_is_numbered_once_and_tested():
    """What the page numbers, S1 to the last, is what the suite's tests cite, word for number."""
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    numbered = re.findall(r"^\| (S\d+) \|", page, re.MULTILINE)
    assert numbered == [f"S{number}" for number in range(1, len(numbered) + 1)]
    cited = set()
    for name in dir(StoreConformance):
        if match := re.match(r"test_s(\d+)_", name):
            test = getattr(StoreConformance, name)
            assert test.__doc__.startswith(f"S{match[1]}: "), name
            cited.add(f"S{match[1]}")
    assert cited == set(numbered)
