"""Clients join, leave and replace lost keys between rounds; ledger, nodes and audit agree on it."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.evidence import all_evidence
from support.federation import Federation, make_app

from fedledger.errors import ConfigError, ContractError, TransactionRefused, UnknownNameError
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.base import Receipt, UnsignedTransaction
from fedledger.ledger_plugins.contracts import Membership, TrainingTask
from fedledger.ledger_plugins.contracts.abi import encode_call
from fedledger.ledger_plugins.contracts.membership.facade import (
    ClientAdmitted,
    ClientLeft,
    ClientRemoved,
    ClientReplaced,
)
from fedledger.strategies import audit_ledger
from fedledger.strategies.audit import verify_round
from fedledger.strategies.rounds.evidence import documents
from fedledger.strategies.rounds.evidence.checks import Outcome
from fedledger.strategies.rounds.evidence.documents import Specification
from fedledger.strategies.rounds.tasks import membership
from fedledger.strategies.rounds.tasks.membership import MAX_CLIENTS, changed_clients

SPARE, NEW_KEY = 7, 8
"""Partitions of nodes whose accounts are none of the seven clients that a task begins with."""


@pytest.fixture
def federation(tmp_path):
    """Nine nodes; the first seven are clients."""
    federation = Federation(tmp_path, size=9)
    yield federation
    federation.close()


def pofl(federation, rule="owner", **changes):
    options = {"clients": federation.clients[:7], "membership": rule}
    return federation.pofl(**options | changes)


def while_open(*changes):
    """Return a `measure` that makes the change of each round, by its number, before it ends."""
    made = dict(enumerate(changes, start=1))

    def measure(number, _arrays):
        made.pop(number, lambda: None)()
        return {}

    return measure


def became(evidence, phase="update"):
    """Return what became of each account."""
    found = evidence.phase(phase)
    return {one.party: one.reason for one in found.dropped if one.party} | {
        one.party: "counted" for one in found.accepted
    }


class Owner:
    """Who decides alone: the owner, with what the accounts themselves sign."""

    def __init__(self, federation):
        self.federation, self.decides = federation, Membership(federation.ledger)

    def key(self, partition):
        return self.federation.keys.account(partition)

    def joins(self, partition):
        self.decides.join(self.key(partition), task=1)
        self.decides.admit(self.federation.server, task=1, account=self.key(partition).address)

    def leaves(self, partition):
        self.decides.leave_task(self.key(partition), task=1)

    def replaces(self, old, new):
        account, by = self.key(old).address, self.key(new)
        self.decides.accept_place(by, task=1, account=account)
        self.decides.replace(self.federation.server, task=1, account=account, by=by.address)


# The rule ---------------------------------------------------------------------------------------

PEOPLE = [f"0x{number:040x}" for number in range(300)]
PLACE = {"transaction": "0x", "block": 1, "position": 0}


def admitted(account):
    return ClientAdmitted(**PLACE, task=1, account=account, votes=0)


def replaced(account, by):
    return ClientReplaced(**PLACE, task=1, account=account, by=by, votes=0)


def test_joiners_come_last_and_replacements_take_places():
    """Positions number clients, so that whoever stays keeps the order."""
    first = PEOPLE[:4]
    changes = [
        admitted(PEOPLE[9]),
        ClientLeft(**PLACE, task=1, account=PEOPLE[0]),
        replaced(PEOPLE[2], PEOPLE[8]),
        ClientRemoved(**PLACE, task=1, account=PEOPLE[3], votes=2),
        admitted(PEOPLE[0]),
    ]
    expected = (PEOPLE[1], PEOPLE[8], PEOPLE[9], PEOPLE[0])
    assert changed_clients(first, changes) == expected


def test_what_is_no_change_changes_nothing():
    """An admission of a client, and a departure or replacement of a stranger."""
    first = PEOPLE[:3]
    stranger = PEOPLE[5]
    for change in (
        admitted(PEOPLE[1]),
        ClientLeft(**PLACE, task=1, account=stranger),
        replaced(stranger, PEOPLE[6]),
    ):
        assert changed_clients(first, [change]) == tuple(first)


def test_a_place_handed_to_a_client_is_gone():
    """Nobody has two places, and who gave its own away has none."""
    assert changed_clients(PEOPLE[:3], [replaced(PEOPLE[0], PEOPLE[2])]) == tuple(PEOPLE[1:3])


def test_three_hundred_joiners_find_256_places():
    """Whoever is admitted while all are taken gets none, also when one is free later."""
    changes = [admitted(one) for one in PEOPLE]
    assert changed_clients(PEOPLE[:3], changes) == tuple(PEOPLE[:MAX_CLIENTS])
    changes.append(ClientLeft(**PLACE, task=1, account=PEOPLE[0]))
    assert changed_clients(PEOPLE[:3], changes) == tuple(PEOPLE[1:MAX_CLIENTS])
    changes.append(admitted(PEOPLE[299]))
    assert changed_clients(PEOPLE[:3], changes)[-1] == PEOPLE[299]


CHANGE = st.one_of(
    st.builds(admitted, st.sampled_from(PEOPLE[:6])),
    st.builds(replaced, st.sampled_from(PEOPLE[:6]), st.sampled_from(PEOPLE[:6])),
    st.builds(lambda one: ClientLeft(**PLACE, task=1, account=one), st.sampled_from(PEOPLE[:6])),
)


@given(st.lists(CHANGE, max_size=12))
def test_nobody_is_listed_twice_nor_after_it_went(changes):
    """Whatever happens: who left or was replaced last, and was not admitted again, is no client."""
    clients = changed_clients(PEOPLE[:4], changes)
    assert len(set(clients)) == len(clients)
    for account in PEOPLE[:6]:
        mine = [one for one in changes if account in (one.account, getattr(one, "by", None))]
        gone = mine and not isinstance(mine[-1], ClientAdmitted) and mine[-1].account == account
        assert not gone or account not in clients


# Live -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pofl", "anchored"])
def test_clients_change_between_rounds(federation, kind):
    """One leaves, one joins, one replaces a lost key: each from the next round on, and audited."""
    owner = Owner(federation)
    changes = while_open(
        lambda: owner.leaves(0), lambda: owner.joins(SPARE), lambda: owner.replaces(1, NEW_KEY)
    )
    first = federation.clients[:7]
    if kind == "pofl":
        strategy = pofl(federation, measure=changes)
    else:
        strategy = federation.anchored(clients=first, membership="owner", measure=changes)
    federation.run(strategy, make_app(), rounds=5)
    phase = "update" if kind == "pofl" else "weights"
    listed = [became(one, phase) for one in all_evidence(federation)]
    left = [one for one in first if one != first[0]]
    joined = [*left, federation.clients[SPARE]]
    new = [federation.clients[NEW_KEY], *joined[1:]]
    assert [list(one) for one in listed] == [first, left, joined, new, new]
    assert {what for one in listed for what in one.values()} == {"counted"}
    report = audit_ledger(federation.ledger, federation.store)
    assert report.passed, report.reason
    for number in range(1, 6):
        verify_round(federation.ledger, federation.store, 1, number)


def test_what_comes_while_a_round_is_open_is_for_the_next(federation):
    """After the publication of round 1 an admission misses round 2."""
    owner = Owner(federation)

    def evaluate(number, _arrays):
        if number == 1:
            owner.joins(SPARE)

    federation.run(pofl(federation), make_app(), rounds=3, evaluate_fn=evaluate)
    sizes = [len(became(one)) for one in all_evidence(federation)]
    assert sizes == [7, 7, 8]
    assert audit_ledger(federation.ledger, federation.store).passed


def test_members_decide_where_the_specification_says_so(federation):
    """More than half of them admit; an owner who tries it alone is refused."""
    decides = Membership(federation.ledger)
    voters = [federation.keys.account(one) for one in range(3)]

    def admits():
        tasks = TrainingTask(federation.ledger)
        tasks.appoint_members(federation.server, task=1, members=[one.address for one in voters])
        decides.join(federation.keys.account(SPARE), task=1)
        about = {"task": 1, "account": federation.clients[SPARE]}
        with pytest.raises(ContractError, match="MembersDecide"):
            decides.admit(federation.server, **about)
        with pytest.raises(ContractError, match="NotVoter"):
            decides.vote_admit(federation.keys.account(5), **about)
        for voter in voters[:2]:
            decides.vote_admit(voter, **about)

    strategy = pofl(federation, "members", measure=while_open(admits))
    federation.run(strategy, make_app(), rounds=2)
    assert [len(became(one)) for one in all_evidence(federation)] == [7, 8]
    assert audit_ledger(federation.ledger, federation.store).passed


def test_a_node_whose_account_was_replaced_is_bound_anew(federation):
    """The same device goes on with the new key, under the same node id."""
    owner = Owner(federation)

    honest = make_app()

    def app(message, context):
        config = message.content.config_records["config"]
        if context.node_config["partition-id"] == 1 and config.get("fedledger.round", 0) >= 2:
            context.node_config["partition-id"] = NEW_KEY
        return honest(message, context)

    federation.size = 8
    changes = while_open(lambda: owner.replaces(1, NEW_KEY))
    federation.run(pofl(federation, measure=changes), app, rounds=3)
    listed = [became(one) for one in all_evidence(federation)]
    new = federation.clients[NEW_KEY]
    assert [one.get(new) for one in listed] == [None, "counted", "counted"]
    assert [one.get(federation.clients[1]) for one in listed] == ["counted", None, None]
    assert audit_ledger(federation.ledger, federation.store).passed


def test_too_few_clients_keep_the_model(federation):
    """When all but two have left, or everybody, rounds end with a reason and without an error."""
    owner = Owner(federation)

    def leave(partitions):
        return lambda: [owner.leaves(one) for one in partitions]

    changes = while_open(leave(range(5)), leave([5, 6]))
    strategy = pofl(federation, measure=changes)
    federation.run(strategy, make_app(), rounds=4)
    assert strategy.inner.min_available_nodes == 1, "nobody waits for the nodes of who left"
    found = all_evidence(federation)
    assert [one.kept is None for one in found] == [True, False, False, False]
    assert found[1].kept == "2 updates arrived in time, 3 are needed"
    assert found[2].kept == "0 updates arrived in time, 3 are needed"
    assert audit_ledger(federation.ledger, federation.store).passed


def test_a_replaced_account_is_not_waited_for(federation):
    """Who failed to reveal and was replaced is forgotten; its successor's salt makes lots again."""
    owner = Owner(federation)

    def silent(reply, message, _context):
        if message.content.config_records["config"]["fedledger.phase"] == "salts":
            del reply.content["fedledger"]
        return reply

    changes = while_open(lambda: None, lambda: owner.replaces(3, NEW_KEY))
    strategy = pofl(federation, measure=changes)
    federation.run(strategy, make_app(after_signing={3: silent}), rounds=4)
    found = all_evidence(federation)
    assert [one.state["silent"] for one in found] == [
        *([federation.clients[3]],) * 2,
        *([],) * 2,
    ]
    assert [len(one.phase("salts").accepted) for one in found] == [6, 6, 7, 7]
    assert audit_ledger(federation.ledger, federation.store).passed


def test_an_election_forgets_who_left(federation):
    """Whoever leaves takes its record as a voter along, and a joiner has none."""
    owner = Owner(federation)
    changes = while_open(lambda: (owner.leaves(0), owner.joins(SPARE)))
    strategy = pofl(federation, selection="election", rules=("median", "krum"), measure=changes)
    federation.run(strategy, make_app(), rounds=3)
    states = [one.state["pairs"] for one in all_evidence(federation)]
    gone, new, old = (federation.clients[one] for one in (0, SPARE, 1))
    assert [gone in one for one in states] == [True, False, False]
    assert [one.get(new, 0) < one[old] for one in states] == [True] * 3
    assert audit_ledger(federation.ledger, federation.store).passed


class _Killed(BaseException):
    """Stands for the process ending: nothing may catch it."""


@pytest.mark.parametrize("when", ["before opening", "in round 2"])
def test_a_killed_run_goes_on_with_the_clients_of_the_open_round(federation, monkeypatch, when):
    """They follow from the ledger, whatever the server had in memory; an opening is made up for."""
    owner = Owner(federation)

    def killed(*_):
        raise _Killed

    if when == "before opening":
        monkeypatch.setattr("fedledger.strategies.rounds.tasks.task.open_membership", killed)
        strategy = pofl(federation)
    else:
        strategy = pofl(federation, measure=while_open(lambda: owner.leaves(0), killed))
    with pytest.raises(_Killed):
        federation.run(strategy, make_app(), rounds=3)
    monkeypatch.undo()
    federation.reopen()
    owner = Owner(federation)
    first = [] if when == "in round 2" else [lambda: owner.leaves(0)]
    federation.run(pofl(federation, measure=while_open(*first)), make_app(), rounds=3)
    assert [len(became(one)) for one in all_evidence(federation)] == [7, 6, 6]
    assert audit_ledger(federation.ledger, federation.store).passed


def test_strangers_that_come_and_go_cost_nobody_time(federation):
    """Nobody reads of 300 accounts that ask, leave and hand each other places, nor counts them."""
    federation.run(pofl(federation), make_app(), rounds=1)
    ledger, decides = federation.ledger, Membership(federation.ledger)
    strangers = [Account.from_key(number.to_bytes(32, "big")) for number in range(1000, 1300)]
    calls = []
    for number, one in enumerate(strangers):
        other = strangers[number - 1].address
        for nonce, (function, *args) in enumerate(
            [("join",), ("leaveTask",), ("acceptPlace", other), ("join",), ("acceptPlace", other)]
        ):
            terms = ledger.terms("Membership", function)
            data = encode_call("Membership", function, 1, *args)
            calls.append(one.sign(UnsignedTransaction(terms, nonce, data)))
    assert all(isinstance(one, Receipt) for one in ledger.transact_all(calls))
    old, new = strangers[:2]
    decides.replace(old, task=1, account=old.address, by=new.address)
    assert decides.changes(1, federation.clients[:7]) == []
    found = membership.clients_now(ledger, federation.store, 1)
    assert [one["account"] for one in found["clients"]] == federation.clients[:7]
    assert len(found["asking"]) == MAX_CLIENTS
    assert audit_ledger(ledger, federation.store).passed


# Who cheats -------------------------------------------------------------------------------------


@dataclass
class _Deaf:
    """What an aggregator goes by that hears of no change, or of one of its own."""

    honest: type
    more: tuple[object, ...] = ()

    def __call__(self, *args):
        made = self.honest(*args)
        made._changes = list(self.more)
        return made


@pytest.mark.parametrize(
    ("ignored", "said"),
    [("admission", "does not say what became of"), ("departure", "is no party of the task")],
)
def test_an_aggregator_that_ignores_a_change_fails_the_audit(
    federation, monkeypatch, ignored, said
):
    """Whoever was admitted has to be accounted for, and who left is a stranger."""
    owner = Owner(federation)
    change = (lambda: owner.joins(SPARE)) if ignored == "admission" else (lambda: owner.leaves(0))
    monkeypatch.setattr(membership, "Changes", _Deaf(membership.Changes))
    federation.run(pofl(federation, measure=while_open(change)), make_app(), rounds=2)
    monkeypatch.undo()
    report = audit_ledger(federation.ledger, federation.store)
    assert report.outcome is Outcome.FAILED
    assert report.reason.startswith("task 1")
    assert said in report.reason or "counted but is none of the clients" in report.reason


def test_an_aggregator_that_uses_a_stranger_fails_the_audit(federation, monkeypatch):
    """A friend that nobody admitted counts nowhere but with that aggregator."""
    friend = federation.clients[SPARE]
    monkeypatch.setattr(membership, "Changes", _Deaf(membership.Changes, more=(admitted(friend),)))
    federation.run(pofl(federation), make_app(), rounds=2)
    monkeypatch.undo()
    report = audit_ledger(federation.ledger, federation.store)
    assert report.outcome is Outcome.FAILED
    assert f"{friend} counted but is none of the clients" in report.reason


def test_a_contract_opened_by_another_rule_changes_nothing(federation):
    """An owner cannot give itself what the specification gave the members."""
    owner = Owner(federation)
    honest = membership.open_membership
    strategy = pofl(federation, "members", measure=while_open(lambda: owner.joins(SPARE)))

    def by_itself(ledger, account, task, _rule):
        honest(ledger, account, task, "owner")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fedledger.strategies.rounds.tasks.task.open_membership", by_itself)
        federation.run(strategy, make_app(), rounds=2)
    assert [len(became(one)) for one in all_evidence(federation)] == [7, 7]
    assert audit_ledger(federation.ledger, federation.store).passed


def test_a_task_without_a_rule_stays_as_it_was(federation):
    """Its specification has the text of old, and its clients cannot be opened to change later."""
    federation.run(pofl(federation, None), make_app(), rounds=1)
    task = TrainingTask(federation.ledger).task(1)
    assert b"membership" not in federation.store.get(task.spec)
    assert documents.load(Specification, task.spec, federation.store).membership is None
    with pytest.raises(ContractError, match="FirstRoundEnded"):
        Membership(federation.ledger).open_membership(federation.server, task=1, by_members=False)


def test_a_rule_that_nobody_knows(federation):
    """It is refused where it is set, by name."""
    with pytest.raises(UnknownNameError, match=r"membership 'owners'.*'owner'"):
        pofl(federation, "owners")


def test_changes_signed_for_another_task_are_of_that_one(federation):
    """A change of task 2 moves nobody in task 1."""
    owner = Owner(federation)

    def elsewhere():
        other = Account.from_key(b"\x09" * 32)
        tasks = TrainingTask(federation.ledger)
        about = tasks.task(1)
        tasks.propose(
            other, model_id="m", model_cid=about.model_cid, rounds=1, spec=about.spec, reward=0
        )
        decides = owner.decides
        decides.open_membership(other, task=2, by_members=False)
        decides.remove(other, task=2, account=federation.clients[0])
        decides.join(owner.key(SPARE), task=2)
        decides.admit(other, task=2, account=federation.clients[SPARE])

    federation.run(pofl(federation, measure=while_open(elsewhere)), make_app(), rounds=2)
    assert [len(became(one)) for one in all_evidence(federation)] == [7, 7]
    assert audit_ledger(federation.ledger, federation.store, [1]).passed


def test_changes_signed_for_another_chain_are_refused(federation):
    """As every call is: nothing of it reaches the contract."""
    federation.run(pofl(federation), make_app(), rounds=1)
    ledger, one = federation.ledger, federation.keys.account(0)
    terms = replace(ledger.terms("Membership", "leaveTask"), chain_id=ledger.chain_id + 1)
    data = encode_call("Membership", "leaveTask", 1)
    call = one.sign(UnsignedTransaction(terms, ledger.nonce(one.address), data))
    with pytest.raises(TransactionRefused, match="chain"):
        ledger.transact(call)
    assert Membership(ledger).changes(1, federation.clients) == []


def test_a_chain_without_the_contract_is_told_of(federation, monkeypatch):
    """Said with the command that adds it, before anything is proposed."""
    ledger = federation.ledger
    without = {name: one for name, one in ledger.contracts().items() if name != "Membership"}
    monkeypatch.setattr(type(ledger), "contracts", lambda _self: without)
    with pytest.raises(ConfigError, match="deploy --contract Membership"):
        federation.run(pofl(federation), make_app(), rounds=1)
    assert TrainingTask(ledger).count() == 0
