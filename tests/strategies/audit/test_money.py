"""The audit of tokens: each is a reward, or from an administrator, or nobody explains it."""

from dataclasses import replace

import pytest
from support.anvil import Anvil
from support.deployments import BOTH
from support.federation import Federation, make_app

from fedledger.errors import AuditError
from fedledger.experiments.report.audit import audit_urls
from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.contracts import Bonds, StakeToken, TrainingTask
from fedledger.ledger_plugins.contracts.stake_token.facade import MINTER_ROLE
from fedledger.ledger_plugins.ethereum import deploy
from fedledger.ledger_plugins.ethereum.opening import open_ethereum_ledger
from fedledger.ledger_plugins.money import deposit_all, give
from fedledger.ledger_plugins.storage.cid import cid_of
from fedledger.strategies import audit_ledger
from fedledger.strategies.audit.money import audit_money
from fedledger.strategies.rounds.evidence.checks import Outcome

ADMIN, EVE = Account.from_key(b"\1" * 32), Account.from_key(b"\2" * 32)


def rich(folder):
    """Return a federation on a chain that has an administrator, with money and bonds."""
    open_ledger(f"local://{folder}/chain.db", admin=ADMIN.address, chain_id=4242).close()
    federation = Federation(folder)
    accounts = [federation.server, *(federation.keys.account(one) for one in range(7))]
    give(federation.ledger, ADMIN, [one.address for one in accounts], 100)
    deposit_all(federation.ledger, accounts, 50)
    return federation


def two_rounds(federation, **hooks):
    federation.run(federation.pofl(), make_app(), rounds=2, **hooks)


def audited(federation):
    return audit_ledger(federation.ledger, federation.store)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Two rounds of seven clients with 100 tokens each, half of them deposited."""
    federation = rich(tmp_path_factory.mktemp("money"))
    two_rounds(federation)
    yield federation
    federation.close()


def test_every_token_is_explained(whole):
    """800 from the faucet before the task, the rest rewards; 400 deposited; nobody's: none."""
    report = audited(whole)
    assert report.passed, report.reason
    money = report.money
    due = sum(20 * len(one.contributors) for one in TrainingTask(whole.ledger).aggregates(1))
    assert (money.minted, money.rewards, money.unaudited) == (800 + due, due, 0)
    everybody = (whole.server.address, *whole.clients)
    assert {mint.to: mint.amount for mint in money.mints} == dict.fromkeys(everybody, 100)
    assert {(mint.by, mint.during, mint.explained) for mint in money.mints} == {
        (ADMIN.address, (), True)
    }
    for mint in money.mints:
        signed = whole.ledger.transaction(mint.transaction)
        assert signed.sender == ADMIN.address
    assert (money.free, money.locked, money.stray, money.compared) == (400, 0, 0, True)


def test_the_summary_has_one_line(whole):
    """What was minted, why, by whom and for how many, and what is deposited."""
    place = whole.path
    whole.ledger.close()
    audit = audit_urls(f"local://{place}/chain.db", f"file://{place}/store")
    whole.reopen()
    from fedledger.experiments.report.lines import summary_lines  # noqa: PLC0415 - torch

    [line] = [one for one in summary_lines(audit.summary) if one.startswith("stake: ")]
    rewards = audit.ledgers[0].money.rewards
    assert line == (
        f"stake: {800 + rewards} minted: {rewards} as rewards of rounds, 800 outside of tasks by "
        f"{ADMIN.address} for 8 accounts; 400 deposited, 0 of them locked"
    )
    said = audit.to_json()
    assert said["summary"]["stake"]["given"] == 800
    assert len(said["ledgers"][0]["money"]["mints"]) == 8


def test_a_mint_while_a_task_is_open_is_shown_apart(tmp_path):
    """The administrator's is explained and named with its task; one after the end is not of it."""
    federation = rich(tmp_path)
    token = StakeToken(federation.ledger)

    def evaluate(number, _arrays):
        if number == 1:
            token.mint(ADMIN, EVE.address, 7)

    two_rounds(federation, evaluate_fn=evaluate)
    token.mint(ADMIN, EVE.address, 9)
    report = audited(federation)
    assert report.passed, report.reason
    mints = {mint.amount: mint.during for mint in report.money.mints if mint.to == EVE.address}
    assert mints == {7: (1,), 9: ()}
    federation.ledger.close()
    urls = f"local://{tmp_path}/chain.db", f"file://{tmp_path}/store"
    from fedledger.experiments.report.lines import summary_lines  # noqa: PLC0415 - torch

    said = "\n".join(summary_lines(audit_urls(*urls).summary))
    assert f"7 WHILE task 1 was open by {ADMIN.address} for 1 accounts" in said


def test_a_minter_that_is_neither_contract_nor_administrator_is_reported(tmp_path):
    """Who was only given MINTER_ROLE mints what nobody explains: the audit fails and names it."""
    federation = rich(tmp_path)
    two_rounds(federation)
    token = StakeToken(federation.ledger)
    token.grant_role(ADMIN, MINTER_ROLE, EVE.address)
    assert audited(federation).passed, "the role alone mints nothing"
    receipt = token.mint(EVE, EVE.address, 5)
    report = audited(federation)
    assert report.outcome is Outcome.FAILED
    assert report.reason == (
        f"stake: transaction {receipt.transaction} minted 5 tokens for {EVE.address} by "
        f"{EVE.address}, which is neither the token's administrator nor a contract that mints"
    )
    assert all(verdict.passed for verdict in report.rounds)
    federation.close()


def test_an_administrator_that_gave_up_its_role_is_still_one(tmp_path):
    """What it minted before it renounced stays explained; what it cannot do, it does not."""
    federation = rich(tmp_path)
    two_rounds(federation)
    token = StakeToken(federation.ledger)
    token.revoke_role(ADMIN, bytes(32), ADMIN.address)
    report = audited(federation)
    assert report.passed, report.reason
    federation.close()


def test_tokens_in_odd_places_are_found(tmp_path):
    """Minted for TrainingTask they are no reward; sent to Bonds without a deposit, nobody's."""
    federation = rich(tmp_path)
    two_rounds(federation)
    ledger = federation.ledger
    places = {name: one.address for name, one in ledger.contracts().items()}
    token, before = StakeToken(ledger), audited(federation).money
    token.mint(ADMIN, places["TrainingTask"], 20)
    token.mint(ADMIN, places["Bonds"], 3)
    token.transfer(federation.server, places["Bonds"], 4)
    Bonds(ledger).withdraw(federation.server, 10)
    report = audited(federation)
    assert report.passed, report.reason
    after = report.money
    assert after.rewards == before.rewards
    assert (after.free, after.stray) == (before.free - 10, 7)
    assert sum(mint.amount for mint in after.mints) == 800 + 23
    ledger.close()
    federation.store.close()


class Lying:
    """A ledger that leaves out or changes what it says; all else is the true one's."""

    def __init__(self, ledger, *, event=None, view=None):
        self._ledger, self._event, self._view = ledger, event, view

    def __getattr__(self, name):
        return getattr(self._ledger, name)

    def events(self, contract, event=None, **blocks):
        found = self._ledger.events(contract, event, **blocks)
        return [one for one in found if self._event is None or not self._event(one)]

    def matching(self, contract, event, equal, **blocks):
        found = self._ledger.matching(contract, event, equal, **blocks)
        return [one for one in found if self._event is None or not self._event(one)]

    def call(self, contract, function, *args):
        found = self._ledger.call(contract, function, *args)
        return found + 1 if function == self._view else found


def named(name, number=0):
    """Return what tells the event of a name that comes as number `number`; it forgets nothing."""
    places: list[tuple[int, int]] = []

    def is_it(event):
        if event.name != name:
            return False
        if event.place not in places:
            places.append(event.place)
        return places.index(event.place) == number

    return is_it


LIES = [
    ({"event": named("Transfer")}, "which had fewer"),
    ({"event": named("Transfer", 16)}, "owes"),
    ({"event": named("RewardPaid")}, "left TrainingTask"),
    ({"event": named("Deposited")}, "deposit of"),
    ({"event": named("Transfer", 12)}, "never came to Bonds"),
    ({"view": "totalSupply"}, "the total supply"),
    ({"view": "balanceOf"}, "balance of"),
    ({"view": "free"}, "deposit of"),
]


@pytest.mark.parametrize(("lie", "says"), LIES, ids=[says for _, says in LIES])
def test_a_ledger_that_does_not_add_up_fails(whole, lie, says):
    """A mint, a reward, a payment, a deposit left out; a supply, a balance, a deposit changed."""
    with pytest.raises(AuditError, match=says):
        audit_money(Lying(whole.ledger, **lie), [1])


def test_a_ledger_that_never_stands_still_is_not_compared(whole):
    """Balances are of another moment than the moves: that is said, and nothing fails by it."""

    class Fast(Lying):
        heads = 0

        def head(self):
            self.heads += 1
            return replace(self._ledger.head(), block=self.heads)

    money = audit_money(Fast(whole.ledger, view="balanceOf"), [1])
    assert not money.compared
    assert audit_money(whole.ledger, [1]) == replace(money, compared=True)


def test_rewards_of_tasks_that_nobody_looked_at_are_counted_apart(whole):
    """Their amounts follow from published rounds; whether they were earned is not known."""
    money = audit_money(whole.ledger, [])
    assert money.unaudited == money.rewards > 0
    assert audit_money(whole.ledger, [1], [1]).unaudited < money.rewards
    assert all(mint.during == () for mint in money.mints)


def test_contracts_that_mint_are_explained_where_they_are_listed(tmp_path, faucet, monkeypatch):
    """On anvil: a listed contract's mint is its own; a ledger that does not list it explains none.

    A reader whose deployment lacks the contract sees a transaction that calls nothing of ours.
    """
    monkeypatch.chdir(tmp_path)
    with Anvil(tmp_path) as node:
        url = f"ethereum+{node.url}"
        deploy(url, admin=ADMIN.address, contracts=BOTH)
        with open_ledger(url) as ledger:
            give(ledger, ADMIN, [EVE.address], 10)
            TrainingTask(ledger).propose(
                EVE, model_id="m", model_cid=cid_of(b"m"), rounds=1, spec=cid_of(b"s")
            )
            call = EVE.sign(ledger.prepare(EVE.address, "Faucet", "draw"))
            receipt = ledger.transact(call)
            drawn = StakeToken(ledger).balance(EVE.address) - 10
            places = ledger.places or {}
            money = audit_money(ledger, [1])
        assert drawn > 0
        assert [(mint.by, mint.amount, mint.during) for mint in money.mints] == [
            (ADMIN.address, 10, ()),
            ("Faucet", drawn, (1,)),
        ]
        assert money.problem is None
        where = places["contracts"].pop("Faucet")["address"]
        with open_ethereum_ledger(url, read_only=True, places=places) as blind:
            money = audit_money(blind, [1])
        assert money.problem == (
            f"stake: transaction {receipt.transaction} minted {drawn} tokens for {EVE.address} by "
            f"{where}, which is neither the token's administrator nor a contract that mints"
        )
