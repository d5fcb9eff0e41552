"""The compiled contracts and their twins are the same contracts.

The same calls go to py-evm and to the twins; after each one the results, events, errors with their
arguments, balances and views are compared.
"""

import json

import eth_abi
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from support.evm import EvmBench, TwinBench

from fedledger.errors import ContractError
from fedledger.ledger_plugins.addresses import ZERO_ADDRESS, address_from_bytes
from fedledger.ledger_plugins.contracts import abi, build
from fedledger.ledger_plugins.contracts.twins.stake_token import DEFAULT_ADMIN_ROLE, MINTER_ROLE

CID, CID2 = b"\x01\x55\x12\x20" + bytes(32), b"\x01\x55\x12\x20" + b"\x07" * 32
TOP = (1 << 256) - 1
TOKEN, TASKS = "StakeToken", "TrainingTask"


class Both:
    """The EVM and the twins, which have to agree on everything.

    Args:
        evm: a bench right after its deployment.
    """

    def __init__(self, evm):
        self.evm = evm
        self.twins = TwinBench(evm.people[0], evm.addresses)
        self.admin, self.owner, self.ann, self.bob, self.eve = evm.people[:5]
        self.people = [*evm.people[:5], *evm.addresses.values()]
        self.seen = set()
        self.pairs = set()

    def send(self, sender, contract, function, *args, later=1):
        """Send a call to both; return (result, events) or the ContractError, the same from both."""
        said, refused = self._said(
            lambda: self.evm.send(sender, contract, function, *args, later=later)
        )
        expected = self._said(
            lambda: self.twins.send(sender, contract, function, *args, now=self.evm.now)
        )
        assert (said, refused) == expected
        self.seen.add((contract, "function", function))
        if refused:
            self.seen.add((refused[0], "error", refused[1]))
            return refused
        self.seen |= {(source, "event", name) for source, name, _ in said[1]}
        if function == "approve":
            self.pairs.add((sender, args[0]))
        return said

    def step(self, sender, contract, function, *args):
        """Send a call, then compare everything that can be looked at."""
        self.send(sender, contract, function, *args)
        self.compare()

    def view(self, contract, function, *args):
        """Ask both for a view; return the answer or the error, the same from both."""
        answer = self._said(lambda: self.evm.view(contract, function, *args))
        assert answer == self._said(lambda: self.twins.view(contract, function, *args))
        self.seen.add((contract, "function", function))
        if answer[1]:
            self.seen.add((answer[1][0], "error", answer[1][1]))
        return answer[1] or answer[0]

    def compare(self):
        """Compare balances, supply, allowances, roles, tasks and submissions; conserve tokens."""
        balances = [self.view(TOKEN, "balanceOf", who) for who in self.people]
        assert sum(balances) == self.view(TOKEN, "totalSupply")
        for owner, spender in self.pairs:
            self.view(TOKEN, "allowance", owner, spender)
        for role in (MINTER_ROLE, DEFAULT_ADMIN_ROLE):
            for who in (self.admin, self.eve, self.evm.addresses[TASKS]):
                self.view(TOKEN, "hasRole", role, who)
        tasks = self.view(TASKS, "taskCount")
        for task in range(tasks + 2):
            about = self.view(TASKS, "getTask", task)
            for number in range(about[4] + 2) if 1 <= task <= tasks else (0,):
                for client in self.people[2:5]:
                    self.view(TASKS, "getSubmission", task, number, client)

    @staticmethod
    def _said(ask):
        try:
            return ask(), None
        except ContractError as error:
            return None, (error.contract, error.error, error.arguments)


@pytest.fixture(scope="module")
def evm():
    return EvmBench()


@pytest.fixture
def both(evm):
    evm.restart()
    return Both(evm)


def errors(contract, *expected):
    """Return what `send` returns for a refusal."""
    name, *values = expected
    inputs = abi.error_inputs(contract, name)
    return contract, name, dict(zip((one.name for one in inputs), values, strict=True))


def token_calls(both):
    """Call every function of StakeToken, and provoke every error of it."""
    admin, ann, bob, eve = both.admin, both.ann, both.bob, both.eve
    for name in ("name", "symbol", "decimals", "MINTER_ROLE", "DEFAULT_ADMIN_ROLE"):
        both.view(TOKEN, name)
    for interface in ("01ffc9a7", "7965db0b", "ffffffff"):
        both.view(TOKEN, "supportsInterface", bytes.fromhex(interface))
    both.view(TOKEN, "getRoleAdmin", MINTER_ROLE)
    calls = [
        (admin, "mint", ann, 10),
        (ann, "transfer", bob, 4),
        (ann, "transfer", ann, 6),
        (ann, "transfer", bob, 7),
        (ann, "transfer", ZERO_ADDRESS, 99),
        (ann, "approve", bob, 5),
        (ann, "approve", ZERO_ADDRESS, 5),
        (bob, "transferFrom", ann, eve, 3),
        (bob, "transferFrom", ann, eve, 3),
        (bob, "transferFrom", ann, ZERO_ADDRESS, 1),
        (bob, "transferFrom", ZERO_ADDRESS, bob, 0),
        (ann, "approve", bob, TOP),
        (bob, "transferFrom", ann, eve, 3),
        (bob, "transferFrom", ann, eve, 3),
        (eve, "mint", ZERO_ADDRESS, 1),
        (admin, "mint", ZERO_ADDRESS, 1),
        (admin, "mint", bob, TOP - 9),
        (eve, "grantRole", MINTER_ROLE, eve),
        (eve, "revokeRole", MINTER_ROLE, admin),
        (eve, "renounceRole", MINTER_ROLE, admin),
        *[(admin, "grantRole", MINTER_ROLE, eve)] * 2,
        (eve, "mint", eve, 1),
        *[(admin, "revokeRole", MINTER_ROLE, eve)] * 2,
        (admin, "grantRole", MINTER_ROLE, eve),
        *[(eve, "renounceRole", MINTER_ROLE, eve)] * 2,
        (admin, "mint", both.evm.addresses[TOKEN], 0),
    ]
    for sender, function, *args in calls:
        both.step(sender, TOKEN, function, *args)


def task_calls(both):
    """Call every function of TrainingTask, and provoke every error of it."""
    owner, ann, bob, eve = both.owner, both.ann, both.bob, both.eve
    many = [address_from_bytes(n.to_bytes(20, "big")) for n in range(1, 258)]
    for name in ("MAX_REWARD", "MAX_CONTRIBUTORS", "MAX_SCORES", "token"):
        both.view(TASKS, name)
    calls = [
        (owner, "propose", "", b"", 0, 0, 21, b""),
        (owner, "propose", "é" * 33, CID, 1, 0, 1, CID),
        (owner, "propose", "m", b"\x01\x55\x12", 0, 0, 21, CID),
        (owner, "propose", "m", CID, 0, 0, 21, b"\x02" + CID),
        (owner, "propose", "m", CID, 0, 0, 21, CID),
        (owner, "propose", "m", CID, 1, 0, TOP, CID),
        (ann, "submitUpdate", 1, 1, CID, 1, 1),
        (owner, "propose", "é" * 32, CID, 2, 0, 20, CID2),
        (owner, "propose", "m" * 64, CID + bytes(28), 1, 60, 0, CID[:4]),
        (ann, "submitUpdate", 1, 1, CID, 1, 1),
        (ann, "submitUpdate", 1, 1, CID2, (1 << 64) - 1, 1_000_000),
        (bob, "submitUpdate", 1, 1, CID, 0, 0),
        (eve, "submitUpdate", 1, 1, CID, 0, 0),
        (ann, "submitUpdate", 1, 2, b"", 0, 1_000_001),
        (ann, "submitVotes", 1, 1, b"\7" * 32, (-(1 << 63), 0, (1 << 63) - 1)),
        (eve, "submitVotes", 1, 1, bytes(32), ()),
        (ann, "submitVotes", 1, 1, bytes(32), (1,) * 32),
        (ann, "submitVotes", 1, 1, bytes(32), (1,) * 33),
        (ann, "submitVotes", 1, 2, bytes(32), (1,) * 33),
        (ann, "submitVotes", 9, 1, bytes(32), (1,) * 33),
        (ann, "submitUpdate", 1, 1, b"", 0, 1_000_001),
        (ann, "submitUpdate", 1, 1, CID, 0, 1_000_001),
        (ann, "payRewards", 1, 1, many),
        (ann, "publishAggregate", 9, 9, b"", "", many, b""),
        (ann, "publishAggregate", 1, 9, b"", "", many, b""),
        (owner, "publishAggregate", 1, 9, b"", "", many, b""),
        (owner, "publishAggregate", 1, 1, b"", "", many, b"\0"),
        (owner, "publishAggregate", 1, 1, CID, "", many, b"\0"),
        (owner, "publishAggregate", 1, 1, CID, "", many, CID),
        (owner, "publishAggregate", 1, 1, CID, "é" * 17, many, CID),
        (owner, "publishAggregate", 1, 1, CID, "krum", many, CID),
        (owner, "publishAggregate", 1, 1, CID, "krum", [ann, owner], CID),
        (owner, "publishAggregate", 1, 1, CID, "krum", [ann, ann], CID),
        (owner, "publishAggregate", 1, 1, CID2, "é" * 16, [bob, ann], CID),
        (eve, "payRewards", 9, 0, many),
        (eve, "payRewards", 1, 0, many),
        (eve, "payRewards", 1, 2, many),
        (eve, "payRewards", 1, 1, many),
        (eve, "payRewards", 1, 1, [ann, eve]),
        (eve, "payRewards", 1, 1, [ann, ann]),
        (eve, "payRewards", 1, 1, [ann]),
        (eve, "payRewards", 1, 1, [bob, ann]),
        (eve, "payRewards", 1, 1, []),
        (eve, "payRewards", 1, 1, [bob]),
        (owner, "publishAggregate", 1, 2, CID, "mean", [], CID2),
        (ann, "submitUpdate", 1, 3, CID, 1, 1),
        (ann, "submitVotes", 1, 9, bytes(32), (1,) * 33),
        (owner, "publishAggregate", 1, 3, b"", "", many, b""),
        (ann, "submitUpdate", 2, 1, CID, 1, 1),
        (ann, "submitVotes", 2, 1, bytes(32), (1,)),
        (owner, "publishAggregate", 2, 1, CID + bytes(28), "r", [ann], CID[:4]),
        (ann, "payRewards", 2, 1, [ann]),
    ]
    for sender, function, *args in calls:
        both.step(sender, TASKS, function, *args)


def test_every_call_and_error_is_the_same(both):
    """Every function, event and error of both contracts, from both sides, step by step."""
    token_calls(both)
    task_calls(both)
    wanted = {
        (contract, kind, name)
        for contract in abi.contract_names()
        for kind in ("function", "event", "error")
        for name in abi.names(contract, kind)
    }
    elsewhere = {
        *((contract, "error", "Error") for contract in abi.contract_names()),  # nobody raises it
        (TOKEN, "event", "RoleAdminChanged"),  # no function changes a role's admin
        (TOKEN, "error", "ERC20InvalidSender"),  # test_the_zero_address_cannot_act
        (TASKS, "error", "Panic"),  # test_a_panic_is_of_the_contract_that_was_called
        (TASKS, "error", "WindowClosed"),  # test_windows_close_in_the_same_second
    }
    assert wanted - both.seen == elsewhere


def test_windows_close_in_the_same_second(both):
    """The window's last second is inside on both sides; the longest window never closes (L5)."""
    both.send(both.owner, TASKS, "propose", "m", CID, 2, 60, 20, CID)
    opened = both.evm.now
    both.send(both.ann, TASKS, "submitUpdate", 1, 1, CID, 1, 1, later=60)
    assert both.evm.now == opened + 60
    late = both.send(both.bob, TASKS, "submitUpdate", 1, 1, b"", 1, 1)
    assert late == errors(TASKS, "WindowClosed", opened + 60, opened + 61)
    _, events = both.send(both.bob, TASKS, "submitVotes", 1, 1, bytes(32), (1,))
    assert len(events) == 1  # votes have no window
    both.send(both.owner, TASKS, "publishAggregate", 1, 1, CID, "r", [both.ann], CID)
    _, events = both.send(both.bob, TASKS, "submitUpdate", 1, 2, CID, 1, 1, later=59)
    assert len(events) == 1
    both.send(both.owner, TASKS, "propose", "m", CID, 2, (1 << 64) - 1, 20, CID)
    _, events = both.send(both.bob, TASKS, "submitUpdate", 2, 1, CID, 1, 1, later=10**9)
    assert len(events) == 1


def test_a_panic_is_of_the_contract_that_was_called(both):
    """When minting the rewards fails, a Panic is TrainingTask's; a named error stays the token's.

    The EVM hands the token's revert data through, and a Panic in it has no owner.
    """
    both.send(both.owner, TASKS, "propose", "m", CID, 2, 0, 20, CID)
    both.send(both.ann, TASKS, "submitUpdate", 1, 1, CID, 1, 1)
    both.send(both.admin, TOKEN, "mint", both.bob, TOP - 19)
    publish = ("publishAggregate", 1, 1, CID, "r", [both.ann], CID)
    assert both.send(both.owner, TASKS, *publish) == errors(TASKS, "Panic", 0x11)
    assert both.send(both.admin, TOKEN, "mint", both.bob, 20) == errors(TOKEN, "Panic", 0x11)
    tasks = both.evm.addresses[TASKS]
    both.send(both.admin, TOKEN, "revokeRole", MINTER_ROLE, tasks)
    expected = errors(TOKEN, "AccessControlUnauthorizedAccount", tasks, MINTER_ROLE)
    assert both.send(both.owner, TASKS, *publish) == expected
    both.send(both.owner, TASKS, "publishAggregate", 1, 1, CID, "r", [], CID)


def test_the_tokens_events_follow_the_tasks(both):
    """AggregatePublished comes before the mint; each RewardPaid right before its Transfer."""
    both.send(both.owner, TASKS, "propose", "m", CID, 1, 0, 7, CID)
    for client in (both.ann, both.bob):
        both.send(client, TASKS, "submitUpdate", 1, 1, CID, 1, 1)
    clients = [both.bob, both.ann]
    _, events = both.send(both.owner, TASKS, "publishAggregate", 1, 1, CID, "r", clients, CID)
    assert [event[:2] for event in events] == [(TASKS, "AggregatePublished"), (TOKEN, "Transfer")]
    assert events[1][2]["value"] == 14
    _, events = both.send(both.eve, TASKS, "payRewards", 1, 1, clients)
    assert [event[:2] for event in events] == [(TASKS, "RewardPaid"), (TOKEN, "Transfer")] * 2
    assert [event[2]["to"] for event in events[1::2]] == clients


def test_the_zero_address_cannot_act(both):
    """Nobody can sign for the zero address; both sides would refuse it the same way."""
    for function, error in (
        ("transfer", "ERC20InvalidSender"),
        ("approve", "ERC20InvalidApprover"),
    ):
        for bench in (both.evm, both.twins):
            with pytest.raises(ContractError) as caught:
                bench.ask(ZERO_ADDRESS, TOKEN, function, both.bob, 0)
            said = (caught.value.contract, caught.value.error, caught.value.arguments)
            assert said == errors(TOKEN, error, ZERO_ADDRESS)


def test_gas_is_what_forge_measures(both):
    """A transaction on py-evm uses the gas that the committed table says, to the last unit."""
    table = json.loads((build._SOLIDITY / "gas" / "TrainingTask.json").read_text())
    cid = bytes.fromhex("01551220" + "ffeeddccbbaa99887766554433221100" * 2)
    both.evm.send(both.owner, TASKS, "propose", "digits", CID, 3, 600, 20, cid)
    both.evm.send(both.ann, TASKS, "submitUpdate", 1, 1, cid, 100, 912_345)
    assert both.evm.gas == int(table["submitUpdate"])


# UTF-8 -----------------------------------------------------------------------------------------

PIECES = st.one_of(
    st.binary(min_size=1, max_size=4),
    st.characters(exclude_categories=["Cs"]).map(str.encode),
    st.integers(0xD800, 0xDFFF).map(lambda point: chr(point).encode("utf-8", "surrogatepass")),
    st.sampled_from([b"\xc0\xaf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xf4\x90\x80\x80"]),
)


def test_text_is_what_python_takes_for_utf8(evm):
    """The contract takes a name exactly when Python decodes it: every event can be read."""
    evm.restart()
    selector = abi.encode_call(TASKS, "propose", "m", CID, 1, 0, 0, CID)[:4]
    kinds = ("bytes", "bytes", "uint32", "uint64", "uint256", "bytes")

    @settings(deadline=None, max_examples=150)
    @given(st.lists(PIECES, max_size=20).map(b"".join))
    def check(name):
        data = selector + eth_abi.encode(kinds, (name, CID, 1, 0, 0, CID))
        taken, _ = evm.ask_raw(evm.people[1], TASKS, data)
        try:
            text = name.decode()
        except UnicodeDecodeError:
            text = ""
        assert taken == (0 < len(text.encode()) <= 64)

    check()


# Random calls ----------------------------------------------------------------------------------

AMOUNTS = [0, 1, 1, 2, 3, 5, 40, TOP - 200, TOP]
TEXTS = ["krum"] * 5 + ["é" * 16, "é" * 17, "", "m" * 65]
CIDS = [CID] * 5 + [CID2, CID + bytes(28), CID[:4], CID[:3], CID2[1:], CID + bytes(29)]
DICE = st.randoms(use_true_random=True)  # evenly thrown: small numbers are not what finds faults


class SameContracts(RuleBasedStateMachine):
    """Random calls by random people, sent to the EVM and the twins; many are refused."""

    evm: EvmBench

    @initialize(dice=DICE)
    def start(self, dice):
        self.evm.restart()
        self.both = Both(self.evm)
        self.anybody = [*self.both.people, ZERO_ADDRESS]
        for owner in (self.both.owner, self.both.ann):
            terms = (dice.choice([1, 2, 9]), dice.choice([0, 0, 30]), dice.choice([20, 7, 0]))
            self.both.send(owner, TASKS, "propose", "m", CID, *terms, CID)

    @invariant()
    def they_agree(self):
        self.both.compare()

    def task(self, dice):
        """Return a task, mostly one that exists, its owner and its open round."""
        if dice.random() < 0.1:
            return 0, self.both.owner, 1
        task = dice.randint(1, self.both.view(TASKS, "taskCount"))
        about = self.both.view(TASKS, "getTask", task)
        return task, about[0], about[4] + 1

    def those(self, task, number, status):
        """Return the people whose submission to a round has this status."""
        if task == 0:
            return []
        answers = {
            who: self.both.view(TASKS, "getSubmission", task, number, who)
            for who in self.both.people[:5]
        }
        return [who for who, answer in answers.items() if answer[1] == status]

    def and_others(self, dice, clients):
        """Return most of `clients`, in any order, and in one case of four somebody else."""
        chosen = dice.sample(clients, min(len(clients), dice.randint(1, 4)))
        return chosen + ([dice.choice(self.anybody)] if dice.random() < 0.25 else [])

    @rule(dice=DICE)
    def propose(self, dice):
        terms = (dice.randrange(3), dice.choice([0, 30]), dice.choice([20, 7, 0, 21]))
        call = (dice.choice(TEXTS), dice.choice(CIDS), *terms, dice.choice(CIDS))
        self.both.send(dice.choice(self.both.people[:5]), TASKS, "propose", *call)

    @rule(dice=DICE)
    def submit(self, dice):
        task, _, current = self.task(dice)
        for sender in dice.choices(self.both.people[:5], k=3):
            number = current + dice.choice([0, 0, 0, 0, 1, -1])
            accuracy = dice.choice([0, 900_000, 1_000_000, 1_000_001])
            call = (task, number, dice.choice(CIDS), dice.getrandbits(64), accuracy)
            later = dice.choice([1, 1, 15, 29, 30])
            self.both.send(sender, TASKS, "submitUpdate", *call, later=later)

    @rule(dice=DICE)
    def vote(self, dice):
        task, _, current = self.task(dice)
        number = current + dice.choice([0, 0, 0, 0, 1, -1])
        ballot = dice.choice([bytes(32), b"\7" * 32])
        size = dice.choice([0, 1, 7, 32, 33])
        scores = [dice.choice([0, -1, dice.getrandbits(64) - (1 << 63)]) for _ in range(size)]
        sender = dice.choice(self.both.people[:5])
        self.both.send(sender, TASKS, "submitVotes", task, number, ballot, scores)

    @rule(dice=DICE)
    def publish(self, dice):
        task, owner, current = self.task(dice)
        clients = self.and_others(dice, self.those(task, current, 1))
        number = current + dice.choice([0, 0, 0, 0, 1, -1])
        call = (task, number, dice.choice(CIDS), dice.choice(TEXTS), clients, CID)
        sender = dice.choice([owner, owner, owner, dice.choice(self.both.people[:5])])
        self.both.send(sender, TASKS, "publishAggregate", *call)

    @rule(dice=DICE)
    def a_whole_round(self, dice):
        task, owner, current = self.task(dice)
        clients = dice.sample(self.both.people[:5], dice.randint(1, 3))
        for client in clients:
            self.both.send(client, TASKS, "submitUpdate", task, current, CID2, 1, 1)
        call = (task, current, CID2, "krum", self.and_others(dice, clients), CID)
        self.both.send(owner, TASKS, "publishAggregate", *call)
        self.pay(task, current, dice)

    @rule(dice=DICE)
    def pay_earlier(self, dice):
        task, _, current = self.task(dice)
        self.pay(task, max(current - dice.randrange(3), 0), dice)

    def pay(self, task, number, dice):
        """Pay some, and then some who are perhaps paid already, or never contributed."""
        contributed = self.those(task, number, 2) + self.those(task, number, 3)
        for clients in (dice.sample(contributed, len(contributed) // 2), contributed):
            call = (task, number, self.and_others(dice, clients))
            self.both.send(dice.choice(self.both.people[:5]), TASKS, "payRewards", *call)

    @rule(dice=DICE)
    def move(self, dice):
        """Mint something, allow something, and move some of it, or more."""
        sender, owner = dice.choice([self.both.admin, self.both.eve]), dice.choice(self.anybody[:5])
        self.both.send(sender, TOKEN, "mint", dice.choice(self.anybody), dice.choice(AMOUNTS))
        spender = dice.choice([*self.anybody[:5], ZERO_ADDRESS])
        self.both.send(owner, TOKEN, "approve", spender, dice.choice(AMOUNTS))
        for _ in range(2):
            call = (dice.choice([owner] * 8 + self.anybody), dice.choice(self.anybody))
            sender = self.both.bob if spender == ZERO_ADDRESS else spender
            self.both.send(sender, TOKEN, "transferFrom", *call, dice.choice(AMOUNTS))
        self.both.send(owner, TOKEN, "transfer", dice.choice(self.anybody), dice.choice(AMOUNTS))

    @rule(dice=DICE)
    def appoint(self, dice):
        sender = dice.choice([self.both.admin, self.both.admin, self.both.eve])
        function = dice.choice(["grantRole", "grantRole", "revokeRole", "renounceRole"])
        role = dice.choice([MINTER_ROLE, DEFAULT_ADMIN_ROLE])
        holder = dice.choice([sender, self.both.eve, self.evm.addresses[TASKS]])
        self.both.send(sender, TOKEN, function, role, holder)


def test_random_calls_are_the_same(evm):
    """Whatever anybody calls, the EVM and the twins do, say and refuse the same (L2, L4, L7)."""
    machine = type("Machine", (SameContracts,), {"evm": evm})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=15,
            stateful_step_count=12,
            deadline=None,
            phases=[Phase.reuse, Phase.generate],  # shrinking would take minutes
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
