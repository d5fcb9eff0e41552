"""Identities and Bonds: the compiled contracts and their twins are the same contracts.

`test_evm.py` and its neighbours do the same for the token and for tasks.
"""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)
from support.both_contracts import (
    ADMIN,
    ANN,
    BOB,
    BONDS,
    EVE,
    IDENTITIES,
    MANY,
    OWNER,
    TASKS,
    TOKEN,
    TOP,
    Both,
    compared,
    contract_of,
    errors,
)
from support.evm import EvmBench
from support.examples import run_calls

from fedledger.ledger_plugins.addresses import ZERO_ADDRESS
from fedledger.ledger_plugins.contracts import abi
from fedledger.ledger_plugins.contracts.stake_token.twin import LOCKER_ROLE

DAY = 86_400
TASK, OTHER = b"task 1".ljust(32, b"\0"), b"task 2".ljust(32, b"\0")
KEYS = (b"\1" * 32, b"\2" * 48, b"\3" * 96, b"\4" * 120, b"\5" * 104)
NONE = bytes(32)


def scene_of(evm):
    """Ann has 40 free and 50 that Eve locked for a task, 10 tokens besides; Owner locks as well."""
    evm.restart()
    both = Both(evm)
    both.run(
        (ADMIN, "grantRole", LOCKER_ROLE, EVE),
        (ADMIN, "grantRole", LOCKER_ROLE, OWNER),
        (ADMIN, "mint", ANN, 100),
        (ANN, "transferAndCall", evm.addresses[BONDS], 90, b""),
        (EVE, "lock", ANN, TASK, 50),
        (BOB, "setKeys", *KEYS),
        (BOB, "revokeKeys"),
    )
    return both


both = compared(scene_of)


@pytest.fixture(scope="module")
def scene():
    return scene_of(EvmBench())


def keys(**changed):
    """Return a call with other keys: by their names in the ABI."""
    names = ("hpke", "bls", "blsProof", "flower", "flowerProof")
    return "setKeys", *(dict(zip(names, KEYS, strict=True)) | changed).values()


def test_keys_are_set_replaced_and_revoked(both):
    """Each record counts one more version, all of it is said, and the digest is of the newest."""
    (_, first), (_, second) = (
        both.send(ANN, IDENTITIES, *call)
        for call in (keys(), keys(hpke=NONE, bls=b"", blsProof=b""))
    )
    assert [event["version"] for _, _, event in first + second] == [1, 2]
    assert list(first[0][2].values()) == [ANN, 1, *KEYS]
    assert second[0][2]["bls"] == b""
    assert both.view(IDENTITIES, "getKeys", ANN)[1] != NONE
    assert both.send(ANN, IDENTITIES, "revokeKeys")[1] == [
        (IDENTITIES, "KeysRevoked", {"account": ANN, "version": 3})
    ]
    assert both.view(IDENTITIES, "getKeys", ANN) == (3, NONE)
    both.run((ANN, *keys()))
    assert both.view(IDENTITIES, "getKeys", ANN)[0] == 4


@pytest.mark.parametrize(
    "some",
    [
        {"bls": b"", "blsProof": b"", "flower": b"", "flowerProof": b""},
        {"hpke": NONE, "bls": b"", "blsProof": b""},
        {"hpke": NONE, "flower": b"", "flowerProof": b""},
        {"flower": b"\4" * 40, "flowerProof": b"\5" * 160},
    ],
)
def test_each_key_is_optional(both, some):
    """One kind of key is a record."""
    both.run((ANN, *keys(**some)))


def test_a_deposit_is_one_call_or_two(both):
    """The token's transferAndCall deposits at once; an allowance and `deposit` do, too."""
    bonds = both.evm.addresses[BONDS]
    both.run((ANN, "transferAndCall", bonds, 4, b"x" * 40))
    both.run((ANN, "approve", bonds, 6), (ANN, "deposit", 6))
    assert both.look("free", ANN) == 50
    assert both.look("balanceOf", ANN) == 0


def test_a_deposit_is_locked_released_and_withdrawn(both):
    """What a contract locked comes back by it alone, and out of the contract a day later."""
    assert both.look("locked", ANN, EVE, TASK) == 50
    assert both.look("withdrawableFrom", ANN) == 0
    both.run((ANN, "withdraw", 10))
    both.run((EVE, "release", ANN, TASK, 20))
    released = both.evm.now
    assert both.look("withdrawableFrom", ANN) == released + DAY
    refused = both.send(ANN, BONDS, "withdraw", 50, later=DAY - 1)
    assert refused == errors(BONDS, "WithdrawTooEarly", released + DAY, released + DAY - 1)
    assert len(both.send(ANN, BONDS, "withdraw", 50)) == 2
    assert both.look("balanceOf", ANN) == 70
    assert both.look("free", ANN) == 0


def test_a_slash_gives_to_others(both):
    """What is taken is free to those named; the contract's own address is the treasury."""
    treasury = both.evm.addresses[BONDS]
    _, [(_, name, said)] = both.send(
        EVE, BONDS, "slash", ANN, TASK, [BOB, treasury, BOB], [5, 30, 1]
    )
    assert (name, said["to"], said["amounts"]) == ("Slashed", (BOB, treasury, BOB), (5, 30, 1))
    free = [both.look("free", who) for who in (ANN, BOB, treasury)]
    assert free == [40, 6, 30]
    both.run((BOB, "withdraw", 6))


REFUSALS = [
    (ANN, keys(bls=b"\2" * 47, blsProof=b"", flower=b"x"), ("InvalidKeyLength", "bls", 47)),
    (ANN, keys(bls=b"", flower=b"x"), ("InvalidKeyLength", "bls", 0)),
    (ANN, keys(bls=b"\2" * 49), ("InvalidKeyLength", "bls", 49)),
    (ANN, keys(blsProof=b"", flower=b"x"), ("InvalidKeyLength", "blsProof", 0)),
    (ANN, keys(blsProof=b"\3" * 97), ("InvalidKeyLength", "blsProof", 97)),
    (ANN, keys(flower=b"\4" * 39), ("InvalidKeyLength", "flower", 39)),
    (ANN, keys(flower=b""), ("InvalidKeyLength", "flower", 0)),
    (ANN, keys(flower=b"\4" * 161, flowerProof=b""), ("InvalidKeyLength", "flower", 161)),
    (ANN, keys(flowerProof=b""), ("InvalidKeyLength", "flowerProof", 0)),
    (ANN, keys(flowerProof=b"\5" * 161), ("InvalidKeyLength", "flowerProof", 161)),
    (ANN, ("setKeys", NONE, b"", b"", b"", b""), ("NoKeys",)),
    (ANN, ("revokeKeys",), ("NothingToRevoke", ANN)),
    (BOB, ("revokeKeys",), ("NothingToRevoke", BOB)),
    (ANN, ("transferAndCall", ZERO_ADDRESS, 99, b""), ("ERC20InvalidReceiver", ZERO_ADDRESS)),
    (ANN, ("transferAndCall", BOB, 11, b""), ("ERC20InsufficientBalance", ANN, 10, 11)),
    (ANN, ("transferAndCall", BOB, 10, b""), ("NotReceiver", BOB)),
    (ANN, ("deposit", 0), ("ZeroAmount",)),
    (ANN, ("deposit", TOP), ("Panic", 0x11)),
    (ANN, ("withdraw", 0), ("ZeroAmount",)),
    (ANN, ("withdraw", 41), ("FreeTooSmall", ANN, 40, 41)),
    (BOB, ("withdraw", TOP), ("FreeTooSmall", BOB, 0, TOP)),
    (ANN, ("onTokenTransfer", ANN, 0, b""), ("NotToken", ANN)),
    (ANN, ("lock", ANN, TASK, 0), ("NotLocker", ANN)),
    (EVE, ("lock", ANN, TASK, 0), ("ZeroAmount",)),
    (EVE, ("lock", ANN, TASK, 41), ("FreeTooSmall", ANN, 40, 41)),
    (ANN, ("release", ANN, TASK, 0), ("NotLocker", ANN)),
    (EVE, ("release", ANN, TASK, 0), ("ZeroAmount",)),
    (EVE, ("release", ANN, TASK, 51), ("LockedTooSmall", ANN, TASK, 50, 51)),
    (EVE, ("release", ANN, OTHER, 1), ("LockedTooSmall", ANN, OTHER, 0, 1)),
    (OWNER, ("release", ANN, TASK, 1), ("LockedTooSmall", ANN, TASK, 0, 1)),
    (ANN, ("slash", ANN, TASK, MANY, []), ("NotLocker", ANN)),
    (EVE, ("slash", ANN, TASK, MANY, []), ("ListsUnequal", 257, 0)),
    (EVE, ("slash", ANN, TASK, MANY, [0] * 257), ("TooManyRecipients", 257, 256)),
    (EVE, ("slash", ANN, TASK, [BOB, EVE], [TOP, 1]), ("Panic", 0x11)),
    (EVE, ("slash", ANN, TASK, [], []), ("ZeroAmount",)),
    (EVE, ("slash", ANN, TASK, [BOB], [0]), ("ZeroAmount",)),
    (EVE, ("slash", ANN, TASK, [BOB, EVE], [50, 1]), ("LockedTooSmall", ANN, TASK, 50, 51)),
    (OWNER, ("slash", ANN, TASK, [OWNER], [1]), ("LockedTooSmall", ANN, TASK, 0, 1)),
]


@pytest.mark.parametrize(
    ("sender", "call", "error"),
    REFUSALS,
    ids=[f"{call[0]!s}-{error[0]!s}" for _, call, error in REFUSALS],
)
def test_refused(scene, sender, call, error):
    """Each error comes in its order, with its values, from both (L2)."""
    assert scene.ask(sender, *call) == errors(contract_of(call[0]), *error)


def test_tokens_reach_no_other_contract_by_a_call(both):
    """Neither tasks nor the token itself take tokens by transferAndCall."""
    for name in (TASKS, TOKEN, IDENTITIES):
        where = both.evm.addresses[name]
        refused = both.send(ANN, TOKEN, "transferAndCall", where, 1, b"")
        assert refused == errors(TOKEN, "NotReceiver", where)
    assert both.look("balanceOf", ANN) == 10


def test_a_receivers_refusal_is_its_own(both):
    """Where the token was called and Bonds refused, the error is Bonds'."""
    where = both.evm.addresses[BONDS]
    assert both.send(ANN, TOKEN, "transferAndCall", where, 0, b"") == errors(BONDS, "ZeroAmount")
    refused = both.send(ANN, BONDS, "deposit", 5)
    assert refused == errors(TOKEN, "ERC20InsufficientAllowance", where, 0, 5)


def test_every_error_of_both_is_provoked():
    """The rows have every error of both contracts that is not provoked in a test above."""
    rows = {(contract_of(call[0]), error[0]) for _, call, error in REFUSALS}
    every = {
        (contract, name)
        for contract in (IDENTITIES, BONDS)
        for name in abi.names(contract, "error")
    }
    assert every - rows == {
        *((contract, "Error") for contract in (IDENTITIES, BONDS)),  # nobody raises it
        (IDENTITIES, "Panic"),  # nothing in it can overflow
        (BONDS, "WithdrawTooEarly"),
    }


# Random calls ----------------------------------------------------------------------------------

AMOUNTS = [0, 1, 2, 3, 7, 20, 90, TOP]
DICE = st.randoms(use_true_random=True)


class SameBonds(RuleBasedStateMachine):
    """Random deposits, locks and slashes, sent to the EVM and the twins; many are refused."""

    evm: EvmBench

    @initialize()
    def start(self):
        self.evm.restart()
        self.both = Both(self.evm)
        self.lockers = [self.both.owner, self.both.eve]
        self.anybody = self.both.people
        self.both.run(
            *((ADMIN, "grantRole", LOCKER_ROLE, one) for one in self.lockers),
            *((ADMIN, "mint", who, 100) for who in self.both.people[:5]),
        )

    @invariant()
    def they_agree(self):
        """What is held is what is free and what is locked, and both say the same."""
        self.both.compare_bonds()

    @rule(dice=DICE)
    def deposit(self, dice):
        who, amount = dice.choice(self.anybody[:5]), dice.choice(AMOUNTS)
        where = self.evm.addresses[dice.choice([BONDS] * 8 + [TASKS])]
        self.both.send(who, TOKEN, "transferAndCall", where, amount, dice.randbytes(3))
        self.both.send(who, TOKEN, "approve", where, amount)
        self.both.send(who, BONDS, "deposit", dice.choice([amount, amount, 1]))
        self.both.send(who, TOKEN, "transfer", where, dice.choice([0, 0, 1]))

    @rule(dice=DICE)
    def lock(self, dice):
        for locker in dice.sample([*self.lockers, self.both.ann], 2):
            call = (dice.choice(self.anybody), dice.choice([TASK, OTHER]), dice.choice(AMOUNTS))
            self.both.send(locker, BONDS, "lock", *call)

    @rule(dice=DICE)
    def end(self, dice):
        """Release or slash, mostly what is there."""
        theirs = (lock for lock in self.both.locks if lock[1] in self.both.people[:5])
        locks = sorted(theirs) or [(self.both.ann, self.both.eve, TASK)]
        who, locker, purpose = dice.choice(locks)
        has = self.both.view(BONDS, "locked", who, locker, purpose)
        amount = dice.choice([has, has // 2, has + 1, *AMOUNTS])
        sender = dice.choice([locker] * 4 + [self.both.bob])
        self.both.send(sender, BONDS, "release", who, purpose, amount)
        some = [dice.choice(self.anybody) for _ in range(dice.randint(0, 3))]
        amounts = [dice.choice([0, 1, 2, amount]) for _ in some]
        self.both.send(sender, BONDS, "slash", who, purpose, some, amounts)

    @rule(dice=DICE)
    def withdraw(self, dice):
        who = dice.choice(self.anybody[:5])
        amount = dice.choice([self.both.view(BONDS, "free", who), *AMOUNTS])
        self.both.send(who, BONDS, "withdraw", amount, later=dice.choice([1, DAY - 1, DAY, DAY]))

    @rule(dice=DICE)
    def publish_keys(self, dice):
        lengths = ([48, 48, 0, 47], [96, 96, 0, 97], [120, 44, 0, 39], [104, 64, 0, 161])
        call = [dice.choice([NONE, dice.randbytes(32)])]
        call += [dice.randbytes(dice.choice(one)) for one in lengths]
        who = dice.choice(self.anybody[:5])
        self.both.send(who, IDENTITIES, "setKeys", *call)
        if dice.random() < 0.3:
            self.both.send(who, IDENTITIES, "revokeKeys")


@pytest.mark.hypothesis
def test_random_calls_are_the_same(evm):
    """Whatever anybody calls, the EVM and the twins do and say the same; nothing is lost."""
    run_calls(SameBonds, evm=evm)
