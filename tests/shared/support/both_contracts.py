"""The compiled contracts and their twins side by side, taking the same calls."""

import pytest

from fedledger.errors import ContractError
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.addresses import ZERO_ADDRESS, address_from_bytes
from fedledger.ledger_plugins.contracts import abi
from fedledger.ledger_plugins.contracts.stake_token.twin import (
    DEFAULT_ADMIN_ROLE,
    GOVERNOR_ROLE,
    LOCKER_ROLE,
    MINTER_ROLE,
    PROPOSER_ROLE,
)

from .evm import TwinBench
from .twins import TWINS

__all__ = [
    "ADMIN",
    "ANN",
    "BEACON",
    "BOB",
    "BONDS",
    "CID",
    "CID2",
    "EVE",
    "IDENTITIES",
    "KEYS",
    "MANY",
    "MEMBERSHIP",
    "OWNER",
    "REPORTS",
    "TASKS",
    "TOKEN",
    "TOP",
    "TURNS",
    "Both",
    "compared",
    "contract_of",
    "errors",
]

CID, CID2 = b"\x01\x55\x12\x20" + bytes(32), b"\x01\x55\x12\x20" + b"\x07" * 32
TOP = (1 << 256) - 1
TOKEN, TASKS = "StakeToken", "TrainingTask"
IDENTITIES, BONDS, BEACON, REPORTS = "Identities", "Bonds", "Beacon", "Reports"
MEMBERSHIP, KEYS, TURNS = "Membership", "ThresholdKeys", "Aggregators"
ADMIN, OWNER, ANN, BOB, EVE = (
    Account.from_key(bytes(31) + bytes([n])).address for n in range(1, 6)
)
"""Whom eth-tester gives ether."""

MANY = [address_from_bytes(n.to_bytes(20, "big")) for n in range(1, 258)]
"""One more than a call may list."""


def compared(scene_of):
    """Return a fixture: a scene on the module's bench, looked at from both sides after each test.

    Args:
        scene_of: restarts a bench and returns `Both`, some calls later.
    """

    @pytest.fixture
    def both(evm):
        both = scene_of(evm)
        yield both
        both.compare()

    return both


class Both:
    """The EVM and the twins, which have to agree on everything.

    Args:
        evm: a bench right after its deployment.
    """

    def __init__(self, evm):
        self.evm = evm
        self.twins = TwinBench(evm.people[0], evm.addresses, evm.chain_id)
        assert evm.people[:5] == [ADMIN, OWNER, ANN, BOB, EVE]
        self.admin, self.owner, self.ann, self.bob, self.eve = evm.people[:5]
        self.people = [*evm.people[:5], *evm.addresses.values()]
        self.seen = set()
        self.pairs = set()
        self.locks = set()
        self.keys = set()
        self.served = set()
        self.sent = 0  # to Bonds, without a deposit

    def send(self, sender, contract, function, *args, later=1):
        """Send a call to both; return (result, events) or the ContractError, the same from both."""
        said, refused = self._said(
            lambda: self.evm.send(sender, contract, function, *args, later=later)
        )
        expected = self._said(
            lambda: self.twins.send(
                sender, contract, function, *args, now=self.evm.now, block=self.evm.block
            )
        )
        assert (said, refused) == expected
        self.seen.add((contract, "function", function))
        if refused:
            self.seen.add((refused[0], "error", refused[1]))
            return refused
        if function == "approve":
            self.pairs.add((sender, args[0]))
        if function in ("transfer", "transferFrom", "mint"):
            self.sent += args[-1] * (args[-2] == self.evm.addresses[BONDS])
        if function == "payRewards":
            self.sent += sum(
                event["value"] * (event["to"] == self.evm.addresses[BONDS])
                for _, name, event in said[1]
                if name == "Transfer"
            )
        self._note(said[1])
        return said

    def run(self, *calls):
        """Send calls (sender, function, arguments) that nobody refuses; return all their events."""
        events = []
        for sender, function, *args in calls:
            done = self.send(sender, contract_of(function), function, *args)
            assert len(done) == 2, done  # a refusal has three parts
            events += done[1]
        return events

    def run_at_once(self, *calls):
        """Send calls as `run` does, all in one block; return all their events."""
        named = [(who, contract_of(function), function, *args) for who, function, *args in calls]
        events = []
        for call, (result, said) in zip(named, self.evm.send_at_once(*named), strict=True):
            when = {"now": self.evm.now, "block": self.evm.block}
            assert self.twins.send(*call, **when) == (result, said)
            self._note(said)
            events += said
        return events

    def ask(self, sender, function, *args):
        """Return what a call would come to if anybody at all sent it now, the same from both."""
        call = (sender, contract_of(function), function, *args)
        said = self._said(lambda: self.evm.ask(*call))
        assert said == self._said(lambda: self.twins.ask(*call))
        return said[1] or said[0]

    def look(self, function, *args):
        """Return what a view of either contract says."""
        return self.view(contract_of(function), function, *args)

    def view(self, contract, function, *args):
        """Ask both for a view; return the answer or the error, the same from both."""
        answer = self._said(lambda: self.evm.view(contract, function, *args))
        assert answer == self._said(lambda: self.twins.view(contract, function, *args))
        self.seen.add((contract, "function", function))
        if answer[1]:
            self.seen.add((answer[1][0], "error", answer[1][1]))
        return answer[1] or answer[0]

    def compare(self):
        """Compare everything that can be looked at."""
        self.compare_token()
        self.compare_bonds()
        for who in self.people:
            self.view(IDENTITIES, "getKeys", who)
        for task in range(1, self.view(TASKS, "taskCount") + 1):
            self.compare_task(task)
        self.compare_keys()

    def compare_token(self):
        """Compare balances, supply, allowances and roles; conserve tokens."""
        balances = [self.view(TOKEN, "balanceOf", who) for who in self.people]
        assert sum(balances) == self.view(TOKEN, "totalSupply")
        for owner, spender in self.pairs:
            self.view(TOKEN, "allowance", owner, spender)
        for role in (
            MINTER_ROLE,
            DEFAULT_ADMIN_ROLE,
            PROPOSER_ROLE,
            LOCKER_ROLE,
            GOVERNOR_ROLE,
        ):
            for who in (self.admin, self.eve, self.evm.addresses[TASKS], ZERO_ADDRESS):
                self.view(TOKEN, "hasRole", role, who)

    def compare_bonds(self):
        """Compare deposits; what the contract holds is theirs, but for what was sent to it."""
        free = [self.view(BONDS, "free", who) for who in (*self.people, ZERO_ADDRESS)]
        locked = [self.view(BONDS, "locked", *lock) for lock in self.locks]
        for who in self.people:
            self.view(BONDS, "withdrawableFrom", who)
        held = self.view(TOKEN, "balanceOf", self.evm.addresses[BONDS])
        assert sum(free) + sum(locked) + self.sent == held

    def compare_task(self, task):
        """Compare a task with its roles, submissions, checkpoints and votes."""
        for number in range(self.view(TASKS, "getTask", task)[4] + 2):
            for client in self.people[2:5]:
                self.view(TASKS, "getSubmission", task, number, client)
            self.view(TASKS, "getCheckpoint", task, number)
            self.view(TASKS, "getRollbackVotes", task, number)
        whole = self.view(TASKS, "getTask", task)
        assert self.view(TASKS, "getProgress", task) == (*whole[3:6], whole[9])
        self.view(TASKS, "getRoles", task)
        self.compare_membership(task)
        for who in self.people[1:5]:
            self.view(TASKS, "isMember", task, who)
        self.compare_turns(task)

    def compare_membership(self, task):
        """Compare what accounts were told about taking part in a task."""
        self.view(MEMBERSHIP, "ruleOf", task)
        for who in self.people:
            self.view(MEMBERSHIP, "standingOf", task, who)
            self.view(MEMBERSHIP, "acceptedBy", task, who)

    def compare_turns(self, task):
        """Compare who publishes a task's rounds in turns."""
        if not self.view(TURNS, "turnTerms", task)[2]:
            return
        for name in ("nodesOf", "listedFor", "drawsTaken"):
            self.view(TURNS, name, task)
        ended = self.view(TASKS, "getProgress", task)[1]
        for number in range(max(1, ended - 1), ended + 3):
            self.view(TURNS, "turnsOf", task, number)
        for who in self.people[1:5]:
            self.view(TURNS, "nodeOf", task, who)
            self.view(TURNS, "missed", task, ended or 1, who)

    def compare_keys(self):
        """Compare the keys that dealers published, and which of them trainers accepted."""
        for dealer, digest in sorted(self.keys):
            self.view(KEYS, "keysOf", dealer, digest)
            for who in self.people:
                self.view(KEYS, "trainerNumber", dealer, digest, who)
        for task in self.served:
            for who in self.people[:5]:
                self.view(KEYS, "acceptance", task, who)

    def _note(self, events):
        self.seen |= {(source, "event", name) for source, name, _ in events}
        said = [event for source, _, event in events if source == KEYS]
        self.keys |= {(event["dealer"], event["digest"]) for event in said}
        self.served |= {event["task"] for event in said if "task" in event}
        self.locks |= {
            (event["account"], event["locker"], event["purpose"])
            for _, name, event in events
            if name == "Locked"
        }

    @staticmethod
    def _said(ask):
        try:
            return ask(), None
        except ContractError as error:
            return None, (error.contract, error.error, error.arguments)


def contract_of(function):
    """Return which contract has a function."""
    return next(name for name in TWINS if function in abi.names(name, "function"))


def errors(contract, *expected):
    """Return what `send` returns for a refusal."""
    name, *values = expected
    inputs = abi.error_inputs(contract, name)
    return contract, name, dict(zip((one.name for one in inputs), values, strict=True))
