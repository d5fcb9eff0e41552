"""All contracts at once: random calls of all of them, in any order, on an EVM and on the twins.

Every function of every contract is called with arguments drawn by their types. What that would
seldom reach, a contract's own machine does, which is a base of `SameEverything`.
"""

from typing import ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from support.both_contracts import (
    ADMIN,
    BEACON,
    BONDS,
    CID,
    CID2,
    MEMBERSHIP,
    REPORTS,
    TASKS,
    TOKEN,
    Both,
)
from support.evm import EvmBench
from support.examples import run_calls
from support.twins import TWINS

from fedledger.ledger_plugins.addresses import ZERO_ADDRESS
from fedledger.ledger_plugins.contracts import abi
from fedledger.ledger_plugins.contracts.beacon.facade import commitment_to
from fedledger.ledger_plugins.contracts.reports.kinds import KINDS, kind_name
from fedledger.ledger_plugins.contracts.stake_token.twin import LOCKER_ROLE

from .test_bonds import SameBonds
from .test_random import SameContracts
from .test_threshold_keys import SameKeys

DICE = st.randoms(use_true_random=True)
REPORTED = [*map(kind_name, KINDS), b"no kind".ljust(32, b"\0")]
CHANGING = [
    (contract, function)
    for contract in TWINS
    for function in abi.names(contract, "function")
    if not abi.is_view(contract, function)
]
TOPICS = [bytes([n]) * 32 for n in range(4)]
WINDOW = 30


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
        owner, stake = self.both.view(TASKS, "getRoles", task)[0], dice.choice([0, 2, 2])
        topic, members = dice.choice([*TOPICS, dice.randbytes(32)]), self.both.people[1:5]
        new = [who for who in members if not self.both.view(TASKS, "isMember", task, who)[0]]
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
        if dice.random() < 0.7:  # else it is void, and nobody is to blame
            self.both.send(owner, BEACON, "fix", draw, dice.randbytes(32), later=WINDOW + 1)
        for who in dice.sample(members, dice.choice([2, 3, 4])):
            self.both.send(who, BEACON, "reveal", draw, self.value(draw, who))
        self.both.send(self.both.bob, BEACON, "close", draw, later=2 * WINDOW + 2)
        for who in members:
            self.both.send(self.both.eve, BEACON, "settle", draw, who)

    def compare_beacon(self):
        """Compare what draws came to, and which topics are taken."""
        for draw in range(1, self.both.view(BEACON, "drawCount") + 2):
            self.both.view(BEACON, "valueOf", draw)
        for topic in TOPICS:
            self.both.view(BEACON, "drawOf", 1, topic)


class SameReports(RuleBasedStateMachine):
    """Random pledges, accusations, verdicts and what follows from them."""

    evm: EvmBench
    both: Both
    reports: set[bytes]

    def report(self, dice):
        """Return a report, mostly one that exists."""
        return dice.choice([*sorted(self.reports)] * 4 + [dice.randbytes(32)])

    @rule(dice=DICE)
    def pledge_some(self, dice):
        task = dice.randint(1, max(1, self.both.view(TASKS, "taskCount")))
        owner, where = self.both.view(TASKS, "getRoles", task)[0], self.evm.addresses[BONDS]
        terms = [dice.choice([0, 20]), dice.choice([0, 5, 21]), dice.choice([0, 20]), 100]
        self.both.send(owner, REPORTS, "setTerms", task, *terms)
        for who in dice.sample(self.both.people[:5], 3):
            self.both.send(ADMIN, TOKEN, "mint", who, 150)
            self.both.send(who, TOKEN, "transferAndCall", where, 150, b"")
            amount = dice.choice([30, 100, 1, 0, 1 << 127])
            self.both.send(who, REPORTS, "pledge", task, amount, dice.random() < 0.7)

    @rule(dice=DICE)
    def accuse_some(self, dice):
        task = dice.randint(1, max(1, self.both.view(TASKS, "taskCount")))
        about = self.both.view(TASKS, "getTask", task)
        for who in dice.sample(self.both.people[:5], 2):
            number = max(0, about[4] + dice.choice([0, 0, 1, 2]))
            call = (dice.choice(REPORTED), dice.choice(self.both.people[:5]), task, number)
            done = self.both.send(who, REPORTS, "accuse", *call, dice.choice([CID] * 4 + [b"x"]))
            if len(done) == 2:
                self.reports.add(done[0])

    @rule(dice=DICE)
    def judge(self, dice):
        report = self.report(dice)
        convicts = dice.random() < 0.8
        for who in dice.sample(self.both.people[:5], 4):
            self.both.send(who, REPORTS, "decide", report, convicts)
        self.both.send(dice.choice(self.both.people[:5]), REPORTS, "answer", report, CID)

    @rule(dice=DICE)
    def end_report(self, dice):
        report, who = self.report(dice), dice.choice(self.both.people[:5])
        self.both.send(who, REPORTS, "settle", report)
        self.both.send(who, REPORTS, "expire", report, later=dice.choice([1, 1, 101, 90_000]))
        for member in dice.sample(self.both.people[:5], 3):
            self.both.send(member, REPORTS, "claim", report)

    @rule(dice=DICE)
    def a_whole_report(self, dice):
        """Pledge, publish, accuse the aggregator, convict or acquit it, settle, and claim."""
        proposer, where = dice.choice(self.both.people[1:5]), self.evm.addresses[BONDS]
        done = self.both.send(proposer, TASKS, "propose", "m", CID, 2, 0, 0, CID)
        if len(done) == 3:
            return  # a ledger whose proposers are listed
        task, members = done[0], [who for who in self.both.people[:5] if who != proposer]
        self.both.send(proposer, TASKS, "appointMembers", task, members)
        for who in self.both.people[:5]:
            self.both.send(ADMIN, TOKEN, "mint", who, 150)
            self.both.send(who, TOKEN, "transferAndCall", where, 150, b"")
        amount = dice.choice([120, 120, 100, 12, 1])
        self.both.send(proposer, REPORTS, "pledge", task, amount, dice.random() < 0.5)
        self.both.send(proposer, TASKS, "publishAggregate", task, 1, CID2, "r", [], CID, [])
        kind, reporter = dice.choice([*REPORTED[:3], REPORTED[0]]), dice.choice(members)
        done = self.both.send(reporter, REPORTS, "accuse", kind, proposer, task, 1, CID)
        if len(done) == 3:
            return
        report = done[0]
        self.reports.add(report)
        guilty = dice.random() < 0.75
        for who in members:
            self.both.send(who, REPORTS, "decide", report, guilty)
        self.both.send(self.both.eve, REPORTS, "settle", report)
        for who in dice.sample(members, 3):
            self.both.send(who, REPORTS, "claim", report)
        self.both.send(proposer, REPORTS, "unpledge", task)

    @rule(dice=DICE)
    def be_late(self, dice):
        task = dice.randint(1, max(1, self.both.view(TASKS, "taskCount")))
        number = self.both.view(TASKS, "getTask", task)[4] + dice.choice([0, 0, 1])
        two = [dice.choice(self.both.people[:5]) for _ in range(2)]
        self.both.send(self.both.eve, REPORTS, "markLate", task, number, *two)
        for later in (1, dice.choice([1, 60])):
            self.both.send(self.both.bob, REPORTS, "markStalled", task, later=later)
        self.both.send(dice.choice(self.both.people[:5]), REPORTS, "unpledge", task)

    def compare_reports(self):
        """Compare reports with their votes, and the pledges."""
        for report in sorted(self.reports):
            self.both.view(REPORTS, "getReport", report)
            self.both.view(REPORTS, "getVotes", report)
        for task in range(1, self.both.view(TASKS, "taskCount") + 1):
            self.both.view(REPORTS, "getTerms", task)
            self.both.view(REPORTS, "haltedBy", task)
            for who in self.both.people[:5]:
                self.both.view(REPORTS, "getPledge", task, who)
                self.both.view(REPORTS, "excluded", task, who)


class SameMembership(RuleBasedStateMachine):
    """Random comings and goings of clients, decided by owners or by members' votes."""

    evm: EvmBench
    both: Both

    @rule(dice=DICE)
    def come_and_go(self, dice):
        task = dice.randint(1, max(1, self.both.view(TASKS, "taskCount")))
        owner, people = self.both.view(TASKS, "getRoles", task)[0], self.both.people[:5]
        who, other = dice.sample(people, 2)
        self.both.send(owner, MEMBERSHIP, "openMembership", task, dice.random() < 0.5)
        self.both.send(who, MEMBERSHIP, "join", task)
        self.both.send(other, MEMBERSHIP, "acceptPlace", task, who)
        function, *call = dice.choice(
            [("Admit", who), ("Remove", who), ("Replace", who, other), ("Admit", other)]
        )
        self.both.send(owner, MEMBERSHIP, function.lower(), task, *call)
        for member in dice.sample(people, 4):
            self.both.send(member, MEMBERSHIP, f"vote{function}", task, *call)
        if dice.random() < 0.3:
            self.both.send(who, MEMBERSHIP, "leaveTask", task)

    @rule(dice=DICE)
    def vote_by_members(self, dice):
        """For an aggregator, which a halted task needs, and for a checkpoint."""
        task = dice.randint(1, max(1, self.both.view(TASKS, "taskCount")))
        ended = self.both.view(TASKS, "getTask", task)[4]
        chosen, number = dice.choice(self.both.people[:5]), max(0, ended - dice.choice([0, 0, 1]))
        accuracy = dice.choice([1, 1, 1_000_001])
        for member in dice.sample(self.both.people[:5], 4):
            self.both.send(member, MEMBERSHIP, "elect", task, chosen)
            self.both.send(member, MEMBERSHIP, "voteCheckpoint", task, number, accuracy)

    def compare_membership(self):
        """Compare who decides in tasks, and what everybody was told."""
        for task in range(1, self.both.view(TASKS, "taskCount") + 1):
            self.both.view(MEMBERSHIP, "ruleOf", task)
            for who in self.both.people[:5]:
                self.both.view(MEMBERSHIP, "standingOf", task, who)
                self.both.view(MEMBERSHIP, "acceptedBy", task, who)


def drawn(dice, kind, people, words):
    """Return an argument of an ABI type, mostly one such as calls before have used.

    Args:
        dice: throws.
        kind: the type.
        people: addresses.
        words: values of 32 bytes that mean something.
    """
    if kind.endswith("]"):
        item, _, length = kind[:-1].rpartition("[")
        count = int(length or dice.randrange(4))
        return [drawn(dice, item, people, words) for _ in range(count)]
    bits = int(kind.lstrip("uint") or 0) if "int" in kind else 0
    return dice.choice(
        {
            "address": [*people, ZERO_ADDRESS],
            "bool": [True, False],
            "string": ["m", "krum", ""],
            "bytes": [CID, CID2, b"", dice.randbytes(65)],
            "bytes32": [*words, dice.randbytes(32)],
            f"uint{bits}": [0, 1, 1, 1, 2, 3, 30, (1 << bits) - 1],
            f"int{bits}": [0, 1, -1, -(1 << max(bits - 1, 0))],
        }[kind]
    )


class SameEverything(SameContracts, SameBonds, SameBeacon, SameReports, SameMembership, SameKeys):
    """Random calls of all contracts by random people; many are refused."""

    seen: ClassVar[set[tuple[str, str, str]]]

    @initialize(dice=DICE)
    def start(self, dice):
        super().start(dice)
        send = self.both.send

        def by_people(sender, *call, **later):
            """Send; what a contract became the owner of or may do, somebody tries in its place."""
            there = sender in self.both.people[:5]
            return send(sender if there else self.both.eve, *call, **later)

        vars(self.both)["send"] = by_people
        self.reports = set()
        self.lockers = [self.both.owner, self.both.eve]
        for one in self.lockers:
            self.both.send(ADMIN, TOKEN, "grantRole", LOCKER_ROLE, one)
        for who in self.both.people[:5]:
            self.both.send(ADMIN, TOKEN, "mint", who, 100)

    @rule(dice=DICE)
    def call_anything(self, dice):
        """Call some functions of any contracts; each is as likely as any other."""
        for contract, function in dice.sample(CHANGING, 8):
            words = [bytes(32), LOCKER_ROLE, *TOPICS, *REPORTED, *sorted(self.reports)]
            arguments = [
                drawn(dice, one.kind, self.both.people, words)
                for one in abi.function_inputs(contract, function)
            ]
            if (contract, function) == (BEACON, "open"):
                arguments[4] = 0  # an embedded chain has no randomness to look ahead to
            sender = dice.choice(self.both.people[:5])
            self.both.send(sender, contract, function, *arguments, later=dice.choice([1, 1, 40]))

    @invariant()
    def they_agree(self):
        """After each step: supply, balances and deposits; now and then all that can be seen."""
        self.steps += 1
        self.both.compare_token()
        self.both.compare_bonds()
        if self.steps % 6 == 0:
            self.compare()

    def compare(self):
        self.both.compare()
        self.compare_beacon()
        self.compare_reports()
        self.compare_membership()

    def teardown(self):
        if hasattr(self, "both"):
            self.compare()
            self.seen.update(self.both.seen)


@pytest.mark.hypothesis
def test_calls_of_all_contracts_are_the_same(evm):
    """Whatever anybody calls in whatever order, EVM and twins agree, and no token is lost."""
    seen: set[tuple[str, str, str]] = set()
    run_calls(SameEverything, 7, evm=evm, seen=seen)
    called = {contract for contract, kind, _ in seen if kind == "function"}
    assert called == set(TWINS), "a contract that nobody called"
