"""Clients change where nobody serves: one place on the ledger decides for miners and verifiers."""

import shutil

import pytest
from support.clock import Clock
from support.federation import Federation, make_app
from support.mined import CLIENTS, OWNER, propose, submit

from fedledger.errors import AccountError, AuditError, ConfigError, LedgerUnavailable
from fedledger.ledger_plugins import open_store
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.base import Receipt, UnsignedTransaction
from fedledger.ledger_plugins.contracts import Membership, TrainingTask
from fedledger.ledger_plugins.contracts.abi import encode_call
from fedledger.ledger_plugins.local import open_local_ledger
from fedledger.strategies import audit_ledger
from fedledger.strategies.audit import verify_round
from fedledger.strategies.mining import Aggregator
from fedledger.strategies.rounds.evidence import documents
from fedledger.strategies.rounds.evidence.documents import Evidence
from fedledger.strategies.rounds.tasks import membership

JOINER = Account.from_key(b"\x30" * 32)
PATIENCE = 100


class Chain:
    """A chain whose owner mines, with a clock of its own."""

    def __init__(self, path, store, clock, now=1_700_000_000.0):
        self.clock, self.store, self.aggregate = clock, store, None
        self.clock.now = now
        self.ledger = open_local_ledger(f"local://{path}", clock=clock, chain_id=4242)
        self.tasks, self.decides = TrainingTask(self.ledger), Membership(self.ledger)

    def propose(self, rounds=3, **changes):
        options = {"membership": "owner", "patience": PATIENCE, "window": 0} | changes
        propose(self, rounds=rounds, **options)
        return self

    def submit(self, clients=CLIENTS):
        number = self.tasks.task(1).current_round + 1
        submit(self, clients, shift=number)

    def signed(self, account, function, *args, later=0):
        """Sign a call of Membership without sending it."""
        terms = self.ledger.terms("Membership", function)
        data = encode_call("Membership", function, *args)
        nonce = self.ledger.nonce(account.address) + later
        return account.sign(UnsignedTransaction(terms, nonce, data))

    def calls(self, aggregate):
        return aggregate(self.ledger, pytest.fail)

    def send(self, calls):
        done = self.ledger.transact_all(calls)
        assert all(isinstance(one, Receipt) for one in done), done
        return {one.block for one in done}

    def last(self):
        published = self.tasks.aggregates(1)[-1]
        return documents.load(Evidence, published.evidence, self.store)


@pytest.fixture
def chain(tmp_path):
    store = open_store(f"file://{tmp_path}/store")
    chain = Chain(tmp_path / "chain.db", store, Clock(0.0)).propose()
    yield chain
    chain.ledger.close()


def listed(evidence):
    [phase] = evidence.phases
    return {one.party for one in phase.asked}


def round_two(chain, aggregate):
    """End round 2, in which nobody submits, once its patience is over."""
    chain.clock.now += PATIENCE + 1
    chain.tasks.confirm_history(CLIENTS[0], task=1)
    chain.send(chain.calls(aggregate))
    return chain.last()


@pytest.mark.parametrize("before", [True, False])
def test_in_one_block_the_order_decides(chain, before):
    """An admission in the block of the publication counts if it comes first, and else later."""
    aggregate = Aggregator(chain.store, OWNER, chain.clock)
    chain.submit()
    chain.decides.join(JOINER, task=1)
    [publish] = chain.calls(aggregate)
    if before:
        admit = chain.signed(OWNER, "admit", 1, JOINER.address)
        moved = UnsignedTransaction(
            publish.unsigned.terms, publish.unsigned.nonce + 1, publish.unsigned.data
        )
        blocks = chain.send([admit, OWNER.sign(moved)])
    else:
        blocks = chain.send([publish, chain.signed(OWNER, "admit", 1, JOINER.address, later=1)])
    assert len(blocks) == 1, "they are in one block"
    found = round_two(chain, aggregate)
    assert (JOINER.address in listed(found)) == before
    verify_round(chain.ledger, chain.store, 1, 2)
    third = round_two(chain, aggregate)
    assert JOINER.address in listed(third)
    chain.send(chain.calls(aggregate))
    report = audit_ledger(chain.ledger, chain.store)
    assert report.passed, report.reason


def test_a_reorganisation_moves_an_admission_across_the_opening(chain, tmp_path):
    """The same miner derives the clients of the branch it is on; on the other they fail."""
    aggregate = Aggregator(chain.store, OWNER, chain.clock)
    chain.submit()
    chain.decides.join(JOINER, task=1)
    [publish] = chain.calls(aggregate)
    chain.ledger.close()
    other = tmp_path / "other.db"
    shutil.copy(tmp_path / "chain.db", other)
    made = []
    for path, later in ((tmp_path / "chain.db", 1), (other, 0)):
        branch = Chain(path, chain.store, chain.clock, chain.clock.now)
        admit = branch.signed(OWNER, "admit", 1, JOINER.address, later=later)
        again = UnsignedTransaction(
            publish.unsigned.terms, publish.unsigned.nonce + 1 - later, publish.unsigned.data
        )
        calls = [OWNER.sign(again), admit]
        branch.send(calls if later else calls[::-1])
        made.append(branch)
    first, second = made
    assert first.tasks.aggregates(1)[0].block == second.tasks.aggregates(1)[0].block
    one, two = (round_two(branch, aggregate) for branch in made)
    assert [JOINER.address in listed(each) for each in (one, two)] == [False, True]
    for branch in made:
        verify_round(branch.ledger, branch.store, 1, 2)
    wrong = first.tasks.aggregates(1)[-1]
    third, fourth = (branch.tasks.task(1).current_round for branch in made)
    assert (third, fourth) == (2, 2)
    chain.clock.now += PATIENCE + 1
    second.tasks.confirm_history(CLIENTS[0], task=1)
    evidence = documents.load(Evidence, wrong.evidence, chain.store)
    mine = evidence.model_copy(update={"round": 3})
    second.tasks.publish_aggregate(
        OWNER,
        task=1,
        round=3,
        cid=wrong.cid,
        rule=wrong.rule,
        contributors=wrong.contributors,
        evidence=documents.save(mine, chain.store),
    )
    with pytest.raises(AuditError, match=f"what became of {JOINER.address}"):
        verify_round(second.ledger, second.store, 1, 3)
    for branch in made:
        branch.ledger.close()


def test_who_is_no_client_yet_is_told_how_to_become_one(chain):
    """Nothing is stored or signed; after its admission, from the next round on, it counts."""
    aggregate = Aggregator(chain.store, OWNER, chain.clock)
    with pytest.raises(AccountError, match=r"`fedledger task join`; its owner .* can admit it"):
        chain.submit([JOINER])
    chain.decides.join(JOINER, task=1)
    chain.decides.admit(OWNER, task=1, account=JOINER.address)
    with pytest.raises(AccountError, match="none of the 5 clients"):
        chain.submit([JOINER])
    chain.submit()
    chain.send(chain.calls(aggregate))
    chain.submit([*CLIENTS, JOINER])
    chain.send(chain.calls(aggregate))
    assert JOINER.address in chain.last().contributors


def test_nobody_left_is_no_haste(chain):
    """Rounds without clients last as long as the patience, and keep the model."""
    aggregate = Aggregator(chain.store, OWNER, chain.clock)
    for client in CLIENTS:
        chain.decides.leave_task(client, task=1)
    chain.submit()
    chain.send(chain.calls(aggregate))
    chain.send(chain.calls(aggregate))  # the payments
    assert chain.calls(aggregate) == []
    found = round_two(chain, aggregate)
    assert found.kept == "0 updates arrived in time, 5 are needed"
    verify_round(chain.ledger, chain.store, 1, 2)


def test_the_clients_of_a_live_round_are_those_of_the_ledger_when_it_ends(tmp_path, monkeypatch):
    """After a reorganisation that moves an admission the open round is run again, and passes."""
    federation = Federation(tmp_path, size=8)
    seen: list[int] = []

    class Moved(membership.Changes):
        """Sees no change at first, as on a branch on which the admission came later."""

        def __init__(self, *args):
            super().__init__(*args)
            seen.append(len(self._changes))
            if 0 < sum(seen) <= 1:
                self._changes = []

    def measure(number, _arrays):
        if number == 1:
            decides = Membership(federation.ledger)
            decides.join(federation.keys.account(7), task=1)
            decides.admit(federation.server, task=1, account=federation.clients[7])
        return {}

    monkeypatch.setattr(type(federation.ledger), "settled_depth", 1)
    monkeypatch.setattr(membership, "Changes", Moved)
    strategy = federation.pofl(clients=federation.clients[:7], membership="owner", measure=measure)
    federation.run(strategy, make_app(), rounds=2)
    tasks = TrainingTask(federation.ledger)
    last = documents.load(Evidence, tasks.aggregates(1)[-1].evidence, federation.store)
    assert federation.clients[7] in {one.party for one in last.phase("update").accepted}
    monkeypatch.undo()
    report = audit_ledger(federation.ledger, federation.store)
    assert report.passed, report.reason
    assert seen.index(1) == 2, "round 2 began without the admission"
    federation.close()


def test_clients_that_never_rest_end_the_run_with_a_reason(federation, monkeypatch):
    """It is the ledger's fault, and said so."""
    strategy = federation.pofl(membership="owner")
    monkeypatch.setattr(type(strategy.task), "other_clients", lambda _self: True)
    with pytest.raises(LedgerUnavailable, match="round 1 changes with each"):
        federation.run(strategy, make_app(), rounds=1)


def test_a_rule_that_nobody_has_is_refused_before_anything_is_proposed(tmp_path):
    """By name, with those that there are."""
    store = open_store(f"file://{tmp_path}/store")
    chain = Chain(tmp_path / "chain.db", store, Clock(0.0))
    with pytest.raises(ConfigError, match="membership 'everybody'"):
        chain.propose(membership="everybody")
    assert chain.tasks.count() == 0
    chain.ledger.close()
