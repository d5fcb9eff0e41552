"""A store from a package of its own: the suite, a federation on it, and what its lies come to."""

import os
import subprocess
import sys

import pytest
from support.federation import Federation, make_app
from support.third_party import EXAMPLES, installed, use

from fedledger.errors import StoreReadOnly
from fedledger.ledger_plugins import open_ledger, open_store
from fedledger.strategies import audit_ledger
from fedledger.strategies.rounds.evidence.checks import Outcome

NAME = "sqlite_store"


@pytest.fixture
def example(tmp_path, monkeypatch):
    """The example is installed in this process and in those it starts."""
    use(monkeypatch, tmp_path / "site", NAME)


@pytest.fixture
def federation(example, tmp_path):
    """A federation whose contents lie in one SQLite file."""
    federation = Federation(tmp_path)
    federation.store = open_store(f"sqlite://{tmp_path}/contents.db")
    yield federation
    federation.ledger.close()


def test_a_store_of_your_own_passes_the_conformance_suite(tmp_path):
    """The example, installed, keeps S1 to S14, in under 120 lines."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", EXAMPLES / NAME],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": installed(tmp_path / "site", NAME),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert len((EXAMPLES / NAME / f"{NAME}.py").read_text().splitlines()) < 120


def test_a_federation_on_it_is_audited(federation, tmp_path):
    """Two rounds; who audits opens it to read only, and changes nothing."""
    federation.run(federation.pofl(), make_app(), rounds=2)
    federation.ledger.close()
    before = (tmp_path / "contents.db").read_bytes()
    with (
        open_ledger(f"local://{tmp_path}/chain.db", read_only=True) as ledger,
        open_store(federation.store.url, read_only=True) as store,
    ):
        report = audit_ledger(ledger, store)
        assert report.passed, report.reason
        assert [verdict.aggregate for verdict in report.rounds] == ["proved", "proved"]
        with pytest.raises(StoreReadOnly):
            store.put(b"more")
    assert (tmp_path / "contents.db").read_bytes() == before


@pytest.mark.parametrize(
    ("sql", "outcome"),
    [
        ("UPDATE pieces SET data = substr(data, 1, 10)", Outcome.FAILED),
        ("UPDATE contents SET size = size + 1", Outcome.UNCHECKED),
        ("DELETE FROM contents", Outcome.UNCHECKED),
        ("DROP TABLE pieces", Outcome.UNCHECKED),
    ],
    ids=["truncates", "lies about sizes", "loses", "breaks"],
)
def test_an_audit_on_a_store_that_lies_never_passes(federation, sql, outcome):
    """Damaged content fails it; what cannot be read or believed could not be checked."""
    federation.run(federation.pofl(), make_app(), rounds=1)
    with federation.store._change() as database:
        database.execute(sql)
    assert audit_ledger(federation.ledger, federation.store).outcome is outcome
