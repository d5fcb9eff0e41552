"""What strangers put on a node's chain or into its pool costs its miner little, and once."""

import pytest
from support.cores import ADMIN, Bench, mine

from fedledger.errors import ContentNotFound
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.storage.cid import cid_of, cid_to_bytes

STRANGERS = [Account.from_key(bytes([key]) * 32) for key in range(40, 50)]
CONTENT = b"a model that comes later"
CID = cid_to_bytes(cid_of(CONTENT))
TASKS = 60


class Verifier:
    """Verifies the rounds of one task; the others lack a content until the store has it."""

    def __init__(self):
        self.calls = []

    def __call__(self, _ledger, store, task, _number):
        self.calls.append(task)
        if task > 1 and not store.has(cid_of(CONTENT)):
            raise ContentNotFound(cid_of(CONTENT))


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def test_rounds_that_cannot_be_verified_are_looked_at_once(bench):
    """Many wait in the pool: one look each, none until the content is there; others go on."""
    verifier = Verifier()
    core = bench.core("node", verifier)
    owners = [ADMIN, *(STRANGERS[number % 10] for number in range(TASKS))]
    for owner in owners:
        call = bench.call(owner, "TrainingTask", "propose", "x", CID, 2, 0, 0, CID)
        core.submit(call.raw)
    mine(core)
    publish = [
        bench.call(owner, "TrainingTask", "publishAggregate", task, 1, CID, "mean", [], CID, [])
        for task, owner in reversed(list(enumerate(owners, start=1)))
    ]
    for call in publish:
        core.submit(call.raw)
    second = bench.call(
        STRANGERS[0], "TrainingTask", "publishAggregate", 2, 2, CID, "m", [], CID, []
    )
    core.submit(second.raw)
    template = core.template(None)
    assert template.transactions == (publish[-1].raw,)
    assert verifier.calls.count(1) <= 2
    assert sorted(one for one in verifier.calls if one > 1) == list(range(2, TASKS + 2))
    verifier.calls.clear()
    for _ in range(3):
        assert core.template(None).transactions == (publish[-1].raw,)
    assert set(verifier.calls) == {1}
    mine(core)
    assert core.pending() == [one.hash for one in publish[:-1]] + [second.hash]
    core.store.put(CONTENT)
    mine(core)
    assert core.pending() == []
