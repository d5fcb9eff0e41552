"""Trainers that sign what is wrong are found, named, and proved wrong by ledger and store alone."""

import pytest
from support.encrypted import EncryptedFederation
from support.federation import make_app
from support.wrong_trainers import WrongTrainers, wide_model

from fedledger.strategies import audit_ledger


@pytest.fixture
def encrypted(tmp_path):
    federation = EncryptedFederation(tmp_path)
    yield federation
    federation.close()


def test_every_wrong_is_proved_by_whoever_has_ledger_and_store(encrypted):
    """A bad proof, a copied update, bad shares and a bad opening: rounds go on, and name them."""
    a, b, c, d, e = encrypted.clients
    wrong = WrongTrainers(
        trial={1: e}, proof={1: a}, share={1: b, 2: d}, opened={1: c}, copied={2: None}
    )
    with pytest.MonkeyPatch.context() as patch:
        wrong.use(patch)
        encrypted.run(
            encrypted.encrypted(lifts=1, quiet=60.0), make_app(), rounds=2, model=wide_model()
        )
    url = encrypted.ledger.url
    encrypted.ledger.close()
    report = audit_ledger(url, f"file://{encrypted.path}/store")
    encrypted.reopen()
    assert report.passed, report.reason
    assert [one.rule for one in report.rounds] == ["masked mean"] * 2
    found = [[(f.phase, f.party, f.reason) for f in one.faults] for one in report.rounds]
    assert found == [
        [
            ("keys", e, "share"),
            ("masked", a, "proof"),
            ("shares", b, "share"),
            ("opened", c, "opened"),
        ],
        [("masked", wrong.copied[2], "proof"), ("shares", d, "share")],
    ]
    left = [one.record.contributors for one in report.rounds]
    others = tuple(one for one in encrypted.clients if one != wrong.copied[2])
    assert left == [(b, c, d, e), others]
