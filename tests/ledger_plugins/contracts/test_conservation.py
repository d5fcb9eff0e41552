"""Tokens are conserved, whatever anybody calls (clause L7)."""

import copy

from eth_hash.auto import keccak
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from support.examples import examples
from support.twins import TWINS, Environment, genesis_states

from fedledger.errors import ContractError
from fedledger.ledger_plugins.addresses import ZERO_ADDRESS, address_from_bytes
from fedledger.ledger_plugins.contracts.stake_token.twin import DEFAULT_ADMIN_ROLE, MINTER_ROLE

ADDRESSES = {name: address_from_bytes(keccak(name.encode())[12:]) for name in TWINS}
ADMIN, OWNER, ANN, BOB, EVE = (address_from_bytes(bytes([n]) * 20) for n in range(1, 6))
CID = b"\x01\x55\x12\x20" + bytes(32)
TOP = (1 << 256) - 1

SENDERS = st.sampled_from([ADMIN, OWNER, ANN, BOB, EVE])
PEOPLE = st.sampled_from([ADMIN, OWNER, ANN, BOB, EVE, ZERO_ADDRESS, *ADDRESSES.values()])
AMOUNTS = st.one_of(st.integers(0, 60), st.integers(0, TOP), st.just(TOP))
ROLES = st.sampled_from([MINTER_ROLE, DEFAULT_ADMIN_ROLE])
ROUNDS = st.integers(0, 3)


class Conservation(RuleBasedStateMachine):
    """Random calls by random senders, many of them wrong, and what the escrow owes."""

    tasks = Bundle("tasks")

    @initialize(target=tasks, rounds=st.integers(1, 3))
    def start(self, rounds):
        self.states = genesis_states(ADMIN, ADDRESSES)
        self.owed, self.published = {}, {}
        return self.attempt(OWNER, "TrainingTask", "propose", "m", CID, rounds, 0, 20, CID)[1]

    def attempt(self, sender, contract, function, *args):
        """Return whether a call succeeded, and its result; undo what a failed one changed."""
        before = copy.deepcopy(self.states)
        environment = Environment(1_000, 1, ADDRESSES, self.states, lambda *_: None, TWINS)
        try:
            return True, getattr(TWINS[contract](environment, sender), function)(*args)
        except ContractError:
            self.states = before
            return False, None

    @rule(sender=SENDERS, to=PEOPLE, amount=AMOUNTS)
    def mint(self, sender, to, amount):
        self.attempt(sender, "StakeToken", "mint", to, amount)

    @rule(sender=SENDERS, to=PEOPLE, amount=AMOUNTS)
    def transfer(self, sender, to, amount):
        self.attempt(sender, "StakeToken", "transfer", to, amount)

    @rule(sender=SENDERS, amount=st.integers(0, 9))
    def transfer_to_self(self, sender, amount):
        self.attempt(sender, "StakeToken", "transfer", sender, amount)

    @rule(sender=SENDERS, to=PEOPLE, amount=AMOUNTS)
    def approve(self, sender, to, amount):
        self.attempt(sender, "StakeToken", "approve", to, amount)

    @rule(sender=SENDERS, source=PEOPLE, to=PEOPLE, amount=AMOUNTS)
    def transfer_from(self, sender, source, to, amount):
        self.attempt(sender, "StakeToken", "transferFrom", source, to, amount)

    @rule(
        sender=SENDERS, role=ROLES, to=PEOPLE, function=st.sampled_from(["grantRole", "revokeRole"])
    )
    def change_role(self, sender, role, to, function):
        self.attempt(sender, "StakeToken", function, role, to)

    @rule(target=tasks, rounds=ROUNDS, reward=st.integers(0, 21))
    def propose(self, rounds, reward):
        call = ("propose", "m", CID, rounds, 0, reward, CID)
        return self.attempt(OWNER, "TrainingTask", *call)[1] or 99

    @rule(task=tasks, number=ROUNDS, clients=st.lists(SENDERS, max_size=5))
    def submit(self, task, number, clients):
        zero = bytes(32)
        for client in clients:
            update = ("submitUpdate", task, number, CID, 1, 1, zero, zero)
            self.attempt(client, "TrainingTask", *update)
            self.attempt(client, "TrainingTask", "revealSalt", task, number, zero, zero, zero)

    @rule(
        task=tasks,
        number=ROUNDS,
        sender=st.sampled_from([OWNER, OWNER, EVE]),
        clients=st.lists(SENDERS, max_size=4),
        cid=st.sampled_from([CID, CID[:4]]),
    )
    def publish(self, task, number, sender, clients, cid=CID):
        call = ("publishAggregate", task, number, cid, "mean", clients, CID, [])
        if self.attempt(sender, "TrainingTask", *call)[0]:
            reward = self.attempt(EVE, "TrainingTask", "getTask", task)[1][6]
            assert (task, number) not in self.published
            if clients:
                self.published[task, number] = clients
            self.owed |= {(task, number, client): reward for client in clients}

    @rule(task=tasks, clients=st.lists(SENDERS, min_size=1, max_size=5, unique=True))
    def whole_round(self, task, clients):
        """Submit to the open round and publish it, so that rewards come to be owed."""
        found, about = self.attempt(EVE, "TrainingTask", "getTask", task)
        if found:
            self.submit(task, about[4] + 1, clients)
            self.publish(task, about[4] + 1, OWNER, clients)

    @rule(task=tasks, members=st.lists(SENDERS, max_size=3), revoked=st.lists(SENDERS, max_size=1))
    def appoint(self, task, members, revoked):
        self.attempt(OWNER, "TrainingTask", "appointMembers", task, members)
        self.attempt(OWNER, "TrainingTask", "revokeMembers", task, revoked)

    @rule(task=tasks, to_round=ROUNDS, sender=SENDERS)
    def keep_and_go_back(self, task, to_round, sender):
        """Rounds end without a reward; what is owed for earlier ones stays owed."""
        found, about = self.attempt(EVE, "TrainingTask", "getTask", task)
        if found:
            self.attempt(OWNER, "TrainingTask", "recordCheckpoint", task, about[4], 1)
            for function in ("voteRollback", "rollback"):
                self.attempt(sender, "TrainingTask", function, task, about[4] + 1, to_round)

    @precondition(lambda self: self.published)
    @rule(data=st.data(), sender=SENDERS)
    def pay_published(self, data, sender):
        """Pay contributors of a published round, perhaps twice in one call or once more."""
        task, number = data.draw(st.sampled_from(sorted(self.published)))
        clients = st.sampled_from(sorted(self.published[task, number]))
        self.pay(task, number, sender, data.draw(st.lists(clients, min_size=1, max_size=3)))

    @rule(task=tasks, number=ROUNDS, sender=SENDERS, clients=st.lists(SENDERS, max_size=3))
    def pay(self, task, number, sender, clients):
        if self.attempt(sender, "TrainingTask", "payRewards", task, number, clients)[0]:
            for client in clients:
                del self.owed[task, number, client]  # KeyError: paid what was not owed

    @invariant()
    def supply_is_the_sum_of_balances(self):
        """Minted = held + locked, no balance below 0, no supply above 256 bits."""
        state = self.states["StakeToken"]
        balances = [amount for key, amount in state.items() if key[0] == "balance"]
        assert sum(balances) == state.get(("supply",), 0) <= TOP
        assert min(balances, default=0) >= 0

    @invariant()
    def escrow_covers_what_is_owed(self):
        """The task contract always holds the rewards that were not paid yet."""
        held = self.states["StakeToken"].get(("balance", ADDRESSES["TrainingTask"]), 0)
        assert held >= sum(self.owed.values())

    @invariant()
    def nobody_is_owed_what_was_not_earned(self):
        """Every contribution is owed, or it is paid: its status says which."""
        for (task, number), clients in self.published.items():
            for client in clients:
                status = self.attempt(EVE, "TrainingTask", "getSubmission", task, number, client)[
                    1
                ][1]
                assert status == (2 if (task, number, client) in self.owed else 3)


TestConservation = Conservation.TestCase
TestConservation.settings = settings(examples(40), stateful_step_count=40)
