"""Random calls and random text: the compiled contracts and their twins do the same.

`test_evm.py` beside it goes through every function and every error.
"""

import eth_abi
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)
from support.both_contracts import CID, CID2, TASKS, TOKEN, TOP, Both
from support.evm import EvmBench
from support.examples import examples, run_calls

from fedledger.ledger_plugins.addresses import ZERO_ADDRESS
from fedledger.ledger_plugins.contracts import abi
from fedledger.ledger_plugins.contracts.stake_token.twin import (
    DEFAULT_ADMIN_ROLE,
    GOVERNOR_ROLE,
    MINTER_ROLE,
    PROPOSER_ROLE,
)

# UTF-8 -----------------------------------------------------------------------------------------

PIECES = st.one_of(
    st.binary(min_size=1, max_size=4),
    st.characters(exclude_categories=["Cs"]).map(str.encode),
    st.integers(0xD800, 0xDFFF).map(lambda point: chr(point).encode("utf-8", "surrogatepass")),
    st.sampled_from([b"\xc0\xaf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xf4\x90\x80\x80"]),
)


@pytest.mark.hypothesis
def test_text_is_what_python_takes_for_utf8(evm):
    """The contract takes a name exactly when Python decodes it: every event can be read."""
    evm.restart()
    selector = abi.encode_call(TASKS, "propose", "m", CID, 1, 0, 0, CID)[:4]
    kinds = ("bytes", "bytes", "uint32", "uint64", "uint256", "bytes")

    @examples(150)
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
NAMES = [bytes(32), b"\xff" * 32, *(bytes([n]).ljust(32, b"\0") for n in range(1, 20))]
DICE = st.randoms(use_true_random=True)  # evenly thrown: small numbers are not what finds faults


class SameContracts(RuleBasedStateMachine):
    """Random calls by random people, sent to the EVM and the twins; many are refused."""

    evm: EvmBench

    @initialize(dice=DICE)
    def start(self, dice):
        self.evm.restart()
        self.both = Both(self.evm)
        self.steps = 0
        self.anybody = [*self.both.people, ZERO_ADDRESS]
        for owner in (self.both.owner, self.both.ann):
            terms = (dice.choice([2, 9, 9]), dice.choice([0, 0, 30]), dice.choice([20, 7, 0]))
            self.both.send(owner, TASKS, "propose", "m", CID, *terms, CID)

    @invariant()
    def they_agree(self):
        """Look at everything now and then; each call's results and events are compared anyway."""
        self.steps += 1
        if self.steps % 4 == 0:
            self.both.compare()

    def teardown(self):
        self.both.compare()

    def task(self, dice):
        """Return a task, mostly one that exists, its aggregator and its open round."""
        if dice.random() < 0.1:
            return 0, self.both.owner, 1
        task = dice.randint(1, self.both.view(TASKS, "taskCount"))
        about = self.both.view(TASKS, "getTask", task)
        return task, self.both.view(TASKS, "getRoles", task)[1], about[4] + 1

    def owner(self, dice, task):
        """Return a task's owner, or in one case of five anybody."""
        owner = self.both.view(TASKS, "getRoles", task)[0] if task else self.both.owner
        return dice.choice([owner] * 4 + [dice.choice(self.both.people[:5])])

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
            call = (
                task,
                number,
                dice.choice(CIDS),
                dice.getrandbits(64),
                accuracy,
                dice.randbytes(32),
                dice.randbytes(32),
            )
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
        self.both.send(sender, TASKS, "submitVotes", task, number, ballot, scores, bytes(32))
        self.both.send(sender, TASKS, "confirmHistory", task, dice.randbytes(32))

    @rule(dice=DICE)
    def reveal(self, dice):
        """While updates are taken, and after it."""
        task, _, current = self.task(dice)
        number = current + dice.choice([0, 0, 0, 0, 1, -1])
        for later in (1, dice.choice([1, 29, 30, 31])):
            said = (dice.randbytes(32), dice.randbytes(32), bytes(32))
            sender = dice.choice(self.both.people[:5])
            self.both.send(sender, TASKS, "revealSalt", task, number, *said, later=later)

    @rule(dice=DICE)
    def change_roles(self, dice):
        """Appoint or revoke members, and in one case of four the aggregator."""
        task, _, _ = self.task(dice)
        people = dice.sample(self.both.people[:5], dice.randint(0, 4))
        members = [who for who in people if self.both.view(TASKS, "isMember", task, who)[0] is True]
        others = [who for who in people if who not in members]
        for function, group in (("appointMembers", others), ("revokeMembers", members[:1])):
            chosen = group + ([dice.choice(self.anybody)] if dice.random() < 0.2 else [])
            self.both.send(self.owner(dice, task), TASKS, function, task, chosen)
        if dice.random() < 0.25:
            somebody = dice.choice([*self.anybody[:5], ZERO_ADDRESS])
            self.both.send(self.owner(dice, task), TASKS, "appointAggregator", task, somebody)

    @rule(dice=DICE)
    def keep_model(self, dice):
        task, aggregator, current = self.task(dice)
        number = max(current - 1 + dice.choice([0, 0, 0, 1, -1]), 0)
        sender = dice.choice([aggregator, self.owner(dice, task)])
        accuracy = dice.choice([0, 900_000, 1_000_001])
        self.both.send(sender, TASKS, "recordCheckpoint", task, number, accuracy)

    @rule(dice=DICE)
    def go_back(self, dice):
        """Let several people vote for the same or for different checkpoints, or the owner act."""
        task, _, current = self.task(dice)
        number = current + dice.choice([0, 0, 0, 0, 1, -1])
        target = dice.randint(0, current)
        if dice.random() < 0.2:
            self.both.send(self.owner(dice, task), TASKS, "rollback", task, number, target)
        for member in dice.sample(self.both.people[:5], dice.randint(1, 4)):
            wanted = target if dice.random() < 0.8 else dice.randint(0, current)
            self.both.send(member, TASKS, "voteRollback", task, number, wanted)

    @rule(dice=DICE)
    def a_way_back(self, dice):
        """Keep the newest model, publish another one, and let most of the members vote."""
        task, aggregator, current = self.task(dice)
        self.both.send(aggregator, TASKS, "recordCheckpoint", task, current - 1, 1)
        cid = CID2 if self.both.view(TASKS, "getTask", task)[-3:-2] == (CID,) else CID
        self.both.send(aggregator, TASKS, "publishAggregate", task, current, cid, "r", [], CID, [])
        people = dice.sample(self.both.people[:5], 3)
        new = [who for who in people if self.both.view(TASKS, "isMember", task, who)[0] is False]
        self.both.send(self.owner(dice, task), TASKS, "appointMembers", task, new)
        for member in dice.sample(self.both.people[:5], 4):
            self.both.send(member, TASKS, "voteRollback", task, current + 1, current - 1)

    @rule(dice=DICE)
    def publish(self, dice):
        task, owner, current = self.task(dice)
        clients = self.and_others(dice, self.those(task, current, 1))
        number = current + dice.choice([0, 0, 0, 0, 1, -1])
        made = (dice.choice(CIDS), dice.choice(TEXTS), clients, CID)
        call = (task, number, *made, self.commitments(dice))
        sender = dice.choice([owner, owner, owner, dice.choice(self.both.people[:5])])
        later = dice.choice([1, 29, 30, 31, 31])
        self.both.send(sender, TASKS, "publishAggregate", *call, later=later)

    @staticmethod
    def commitments(dice):
        """Return none, or some that mostly ascend, or one too many."""
        names = sorted({dice.choice(NAMES) for _ in range(dice.choice([0, 0, 1, 2, 4]))})
        if dice.random() < 0.2:
            names = dice.choice([names[::-1], names * 2, [b"x" * 32] * 17])
        return [(name, dice.randbytes(32)) for name in names]

    @rule(dice=DICE)
    def a_whole_round(self, dice):
        task, owner, current = self.task(dice)
        clients = dice.sample(self.both.people[:5], dice.randint(1, 3))
        two = (dice.randbytes(32), bytes(32))
        for client in clients:
            self.both.send(client, TASKS, "submitUpdate", task, current, CID2, 1, 1, *two)
        call = (task, current, CID2, "krum", self.and_others(dice, clients), CID, [])
        self.both.send(owner, TASKS, "publishAggregate", *call, later=dice.choice([1, 31]))
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
        role = dice.choice([MINTER_ROLE, DEFAULT_ADMIN_ROLE, PROPOSER_ROLE, GOVERNOR_ROLE])
        holder = dice.choice([sender, self.both.eve, self.evm.addresses[TASKS], ZERO_ADDRESS])
        self.both.send(sender, TOKEN, function, role, holder)
        who = dice.choice([self.both.eve, self.both.admin])
        self.both.send(who, TASKS, "propose", "m", CID, 2, 0, dice.choice([0, 5]), CID)


@pytest.mark.hypothesis
def test_random_calls_are_the_same(evm):
    """Whatever anybody calls, the EVM and the twins do, say and refuse the same (L2, L4, L7)."""
    run_calls(SameContracts, evm=evm)
