"""Events are found by their arguments, the same on a chain in this process and in memory."""

import pytest
from support.deployments import in_process

from fedledger.errors import CallError
from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.base import Ledger
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.ledger_plugins.ethereum import deploy
from fedledger.ledger_plugins.storage.cid import cid_of

CID = cid_of(b"a model")
PEOPLE = [Account.create() for _ in range(4)]


@pytest.fixture(params=["local", "ethereum"])
def ledger(request, tmp_path):
    url = f"local://{tmp_path}/chain.db" if request.param == "local" else in_process()
    if request.param == "ethereum":
        deploy(url, admin=PEOPLE[0].address)
    with open_ledger(url) as opened:
        yield opened


def test_what_matches_is_what_a_look_at_everything_finds(ledger, monkeypatch):
    """By indexed arguments and others, one value or several, and in a range of blocks."""
    tasks = TrainingTask(ledger)
    for task in (1, 2):
        tasks.propose(
            PEOPLE[task], model_id="m", model_cid=CID, rounds=2, spec=CID, window=0, reward=0
        )
        for number, one in enumerate(PEOPLE):
            tasks.submit_update(one, task=task, round=1, cid=CID, samples=number, accuracy=0.5)
    middle = ledger.head().block - 3
    first, second = PEOPLE[0].address, PEOPLE[1].address
    asked = [
        ({}, {}),
        ({"task": 1}, {}),
        ({"task": 2, "round": 1, "client": [first, second]}, {}),
        ({"client": first}, {"since": middle}),
        ({"client": [second]}, {"until": middle}),
        ({"client": []}, {}),
        ({"samples": 2}, {}),
        ({"task": 1, "samples": [0, 3]}, {}),
        ({"task": 1, "no such": 1}, {}),
        ({"round": 2}, {}),
    ]
    for equal, within in asked:
        found = ledger.matching("TrainingTask", "UpdateSubmitted", equal, **within)
        plain = Ledger.matching(ledger, "TrainingTask", "UpdateSubmitted", equal, **within)
        assert found == plain, equal
    assert (
        len(ledger.matching("TrainingTask", "UpdateSubmitted", {"task": 2, "client": first})) == 1
    )
    for contract, event in (("TrainingTask", "Nothing"), ("Nothing", "UpdateSubmitted")):
        with pytest.raises(CallError):
            ledger.matching(contract, event, {})
