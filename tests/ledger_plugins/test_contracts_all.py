"""All contracts at once: random calls of all of them, in any order, on an EVM and on the twins.

Each contract's machine of random calls is a base of `SameEverything`; a contract more is a base
more.
"""

from typing import ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from support.both_contracts import ADMIN, BEACON, BONDS, TASKS, TOKEN, Both
from support.evm import EvmBench
from support.examples import run_calls
from support.twins import TWINS

from fedledger.ledger_plugins.contracts import abi
from fedledger.ledger_plugins.contracts.beacon.facade import commitment_to
from fedledger.ledger_plugins.contracts.stake_token.twin import LOCKER_ROLE

from .test_contracts_bonds import SameBonds
from .test_contracts_random import SameContracts

DICE = st.randoms(use_true_random=True)
TOPICS = [bytes([n]) * 32 for n in range(4)]
WINDOW = 30


@pytest.fixture(scope="module")
def evm():
    return EvmBench()


class SameBeacon(RuleBasedStateMachine):
    """Random draws: opened, committed to, fixed, revealed, closed and settled by anybody."""

    evm: EvmBench
    both: Both

    def draw(self, dice):
        """Return a draw, mostly one that exists."""
        count = self.both.view(BEACON, "drawCount")
        return dice.randint(1, count) if count and dice.random() < 0.9 else count + 1

    def value(self, draw, who):
        """Return what somebody commits itself to."""
        return bytes.fromhex(who[2:]) + draw.to_bytes(12, "big")

    def drawer(self, dice):
        """Return a task, and mostly its owner or aggregator."""
        task = dice.randint(1, max(1, self.both.view(TASKS, "taskCount")))
        owner, aggregator, _ = self.both.view(TASKS, "getRoles", task)
        return task, dice.choice([owner, aggregator, dice.choice(self.both.people[:5])])

    @rule(dice=DICE)
    def open_draw(self, dice):
        task, who = self.drawer(dice)
        terms = [dice.choice([0, 0, 3, 200]), dice.choice([1, 2, 0, 257]), 0]
        windows = [dice.choice([WINDOW, WINDOW, 1, 0]) for _ in range(3)]
        self.both.send(who, BEACON, "open", task, dice.choice(TOPICS), *terms, *windows)

    @rule(dice=DICE)
    def commit_some(self, dice):
        draw = self.draw(dice)
        for who in dice.sample(self.both.people[:5], 3):
            commitment = commitment_to(draw, who, self.value(draw, who))
            call = (draw, dice.choice([commitment] * 5 + [bytes(32)]))
            self.both.send(who, BEACON, "commit", *call, later=dice.choice([1, 1, WINDOW]))

    @rule(dice=DICE)
    def fix_one(self, dice):
        _, who = self.drawer(dice)
        call = (self.draw(dice), dice.randbytes(32))
        self.both.send(who, BEACON, "fix", *call, later=dice.choice([1, WINDOW, WINDOW + 1]))

    @rule(dice=DICE)
    def reveal_some(self, dice):
        draw = self.draw(dice)
        for who in dice.sample(self.both.people[:5], 3):
            value = dice.choice([self.value(draw, who)] * 5 + [bytes(32)])
            self.both.send(who, BEACON, "reveal", draw, value, later=dice.choice([1, 1, WINDOW]))
        self.both.send(self.both.eve, BEACON, "provide", draw, dice.randbytes(40))

    @rule(dice=DICE)
    def end_one(self, dice):
        draw, who = self.draw(dice), dice.choice(self.both.people[:5])
        self.both.send(who, BEACON, "close", draw, later=dice.choice([1, WINDOW, 3 * WINDOW]))
        for member in dice.sample(self.both.people[:5], 3):
            self.both.send(who, BEACON, "settle", draw, member)

    @rule(dice=DICE)
    def a_whole_draw(self, dice):
        """Appoint members with deposits, draw, and let one of them withhold its value."""
        task = dice.randint(1, max(1, self.both.view(TASKS, "taskCount")))
        owner, stake = self.both.view(TASKS, "getRoles", task)[0], dice.choice([0, 2])
        topic, members = dice.choice([*TOPICS, dice.randbytes(32)]), self.both.people[1:5]
        new = [who for who in members if self.both.view(TASKS, "isMember", task, who) is False]
        self.both.send(owner, TASKS, "appointMembers", task, new)
        for who in members:
            self.both.send(ADMIN, TOKEN, "mint", who, 5)
            where = self.evm.addresses[BONDS]
            self.both.send(who, TOKEN, "transferAndCall", where, 3, b"")
        quorum = dice.choice([1, 3, 4])
        windows = (WINDOW, WINDOW, WINDOW)
        self.both.send(owner, BEACON, "open", task, topic, stake, quorum, 0, *windows)
        draw = self.both.view(BEACON, "drawCount")
        for who in members:
            commitment = commitment_to(draw, who, self.value(draw, who))
            self.both.send(who, BEACON, "commit", draw, commitment)
        self.both.send(owner, BEACON, "fix", draw, dice.randbytes(32), later=WINDOW + 1)
        for who in dice.sample(members, dice.choice([2, 3, 4])):
            self.both.send(who, BEACON, "reveal", draw, self.value(draw, who))
        self.both.send(self.both.bob, BEACON, "close", draw, later=WINDOW + 1)
        for who in members:
            self.both.send(self.both.eve, BEACON, "settle", draw, who)

    def compare_beacon(self):
        """Compare what draws came to, and which topics are taken."""
        for draw in range(1, self.both.view(BEACON, "drawCount") + 2):
            self.both.view(BEACON, "valueOf", draw)
        for topic in TOPICS:
            self.both.view(BEACON, "drawOf", 1, topic)


class SameEverything(SameContracts, SameBonds, SameBeacon):
    """Random calls of all contracts by random people; many are refused."""

    seen: ClassVar[set[tuple[str, str, str]]]

    @initialize(dice=DICE)
    def start(self, dice):
        super().start(dice)
        self.lockers = [self.both.owner, self.both.eve]
        for one in self.lockers:
            self.both.send(ADMIN, TOKEN, "grantRole", LOCKER_ROLE, one)
        for who in self.both.people[:5]:
            self.both.send(ADMIN, TOKEN, "mint", who, 100)

    @invariant()
    def they_agree(self):
        """After each step: supply, balances and deposits; now and then all that can be seen."""
        self.steps += 1
        self.both.compare_token()
        self.both.compare_bonds()
        if self.steps % 6 == 0:
            self.both.compare()
            self.compare_beacon()

    def teardown(self):
        if hasattr(self, "both"):
            self.both.compare()
            self.compare_beacon()
            self.seen.update(self.both.seen)


@pytest.mark.hypothesis
def test_calls_of_all_contracts_are_the_same(evm):
    """Whatever anybody calls in whatever order, EVM and twins agree, and no token is lost."""
    seen: set[tuple[str, str, str]] = set()
    run_calls(SameEverything, evm=evm, seen=seen)
    changing = {
        (contract, "function", name)
        for contract in TWINS
        for name in abi.names(contract, "function")
        if not abi.is_view(contract, name)
    }
    called = changing & seen
    assert {contract for contract, _, _ in called} == set(TWINS), "a contract that nobody called"
