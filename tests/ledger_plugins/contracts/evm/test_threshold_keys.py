"""ThresholdKeys: the compiled contract and its twin are the same, and nobody acts for another."""

from hashlib import sha256

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from support.both_contracts import (
    ADMIN,
    ANN,
    BOB,
    EVE,
    KEYS,
    MANY,
    OWNER,
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
from fedledger.ledger_plugins.contracts.threshold_keys.twin import MAX_KEYS, MAX_TRAINERS

PUBLIC, OTHER = b"threshold keys of Ann, Bob and Eve", b"other keys"
DIGEST, DIGEST2 = (sha256(one).digest() for one in (PUBLIC, OTHER))
NONE = bytes(32)
THREE = [ANN, BOB, EVE]


def scene_of(evm):
    """Owner dealt two keys to Ann, Bob and Eve; Ann uses the first ones for task 1, in round 3."""
    evm.restart()
    both = Both(evm)
    both.run(
        (OWNER, "publishKeys", THREE, 2, PUBLIC),
        (OWNER, "publishKeys", THREE, 2, OTHER),
        (ANN, "acceptKeys", 1, 3, OWNER, DIGEST),
    )
    return both


both = compared(scene_of)


def test_keys_are_published_with_all_that_they_are(both):
    """The event has the trainers in their order and the bytes; views the numbers and the block."""
    order = [EVE, ADMIN, ANN, BOB]
    [(contract, name, said)] = both.run((BOB, "publishKeys", order, 3, b"keys"))
    digest = sha256(b"keys").digest()
    assert (contract, name) == (KEYS, "KeysPublished")
    assert list(said.values()) == [BOB, digest, tuple(order), 3, b"keys"]
    assert both.look("keysOf", BOB, digest) == (3, 4, both.evm.block)
    numbers = [both.look("trainerNumber", BOB, digest, who) for who in (*order, OWNER)]
    assert numbers == [1, 2, 3, 4, 0]
    assert both.look("keysOf", OWNER, digest) == (0, 0, 0)
    assert both.look("trainerNumber", OWNER, digest, EVE) == 0


def test_nobody_comes_before_a_dealer(both):
    """Eve copies a dealer's call before it is in a block: it has keys of its own, he has his."""
    call = ("publishKeys", THREE, 3, b"seen while it waited")
    digest = sha256(call[3]).digest()
    both.run_at_once((EVE, "publishKeys", [EVE, ADMIN], 2, call[3]), (OWNER, *call))
    assert both.look("keysOf", OWNER, digest)[:2] == (3, 3)
    assert both.look("keysOf", EVE, digest)[:2] == (2, 2)
    both.run((BOB, "acceptKeys", 1, 1, OWNER, digest))
    assert both.send(BOB, KEYS, "acceptKeys", 2, 1, EVE, digest) == errors(KEYS, "NotTrainer", BOB)
    assert both.look("acceptance", 1, BOB) == (OWNER, digest, 1)


def test_nobody_accepts_for_another(both):
    """What Eve accepts, for any task and from any dealer, leaves Bob free to accept his."""
    both.run((EVE, "publishKeys", [EVE, BOB], 2, PUBLIC))
    both.run((EVE, "acceptKeys", 1, TOP, EVE, DIGEST), (EVE, "acceptKeys", 2, 1, OWNER, DIGEST))
    [(_, name, said)] = both.run((BOB, "acceptKeys", 1, 3, OWNER, DIGEST))
    assert (name, list(said.values())) == ("KeysAccepted", [1, 3, BOB, OWNER, DIGEST])


def test_keys_are_accepted_again_in_a_later_round_of_the_same_task(both):
    """A set-up that had too few is repeated; the same round, and an earlier one, are not."""
    for number in (3, 2, 0):
        done = both.send(ANN, KEYS, "acceptKeys", 1, number, OWNER, DIGEST)
        assert done == errors(KEYS, "AlreadyAccepted", 3)
    [(_, name, said)] = both.run((ANN, "acceptKeys", 1, 5, OWNER, DIGEST))
    assert (name, said["round"]) == ("KeysAccepted", 5)
    assert both.look("acceptance", 1, ANN) == (OWNER, DIGEST, 5)
    done = both.send(ANN, KEYS, "acceptKeys", 1, 4, OWNER, DIGEST)
    assert done == errors(KEYS, "AlreadyAccepted", 5)


@pytest.mark.parametrize(("task", "number"), [(0, 0), (TOP, TOP), (0, TOP)])
def test_any_number_is_a_task(both, task, number):
    """Zero and the largest number are tasks like others: keys serve them once, and no other."""
    both.run((BOB, "acceptKeys", task, number, OWNER, DIGEST))
    assert both.look("acceptance", task, BOB) == (OWNER, DIGEST, number)
    for other in {0, 1, TOP} - {task}:
        done = both.send(BOB, KEYS, "acceptKeys", other, number, OWNER, DIGEST)
        assert done == errors(KEYS, "KeysServeAnotherTask", task)
    done = both.send(BOB, KEYS, "acceptKeys", task, number, OWNER, DIGEST)
    assert done == errors(KEYS, "AlreadyAccepted", number)


@pytest.mark.parametrize("size", [1, MAX_KEYS])
def test_the_largest_lists_and_keys_are_taken(both, size):
    """64 trainers, of whom 33 or all open, and 64 KiB; within the gas of a transaction."""
    for threshold in (33, 64):
        call = ("publishKeys", MANY[:MAX_TRAINERS], threshold, bytes([threshold]) * size)
        [(_, _, said)] = both.run((BOB, *call))
        assert len(said["keys"]) == size
        digest = said["digest"]
        assert both.look("keysOf", BOB, digest)[:2] == (threshold, 64)
        assert both.look("trainerNumber", BOB, digest, MANY[63]) == 64


def test_the_caps_can_be_asked(both):
    """The contract says its caps."""
    assert [both.look(name) for name in ("MAX_TRAINERS", "MAX_KEYS")] == [MAX_TRAINERS, MAX_KEYS]


# Refusals ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scene():
    both = scene_of(EvmBench())
    yield both
    both.compare()


HUGE = bytes(MAX_KEYS + 1)
REFUSALS = [
    *(
        (OWNER, ("publishKeys", some, 0, b""), ("TrainersOutOfRange", len(some)))
        for some in ([], [ZERO_ADDRESS], MANY[:65], MANY)
    ),
    (OWNER, ("publishKeys", [ANN, ZERO_ADDRESS], 0, b""), ("InvalidTrainer", ZERO_ADDRESS)),
    (OWNER, ("publishKeys", [ZERO_ADDRESS] * 2, 0, b""), ("InvalidTrainer", ZERO_ADDRESS)),
    (OWNER, ("publishKeys", [ANN, BOB, ANN], 0, b""), ("InvalidTrainer", ANN)),
    (OWNER, ("publishKeys", [*MANY[:63], MANY[0]], 33, PUBLIC), ("InvalidTrainer", MANY[0])),
    *(
        (OWNER, ("publishKeys", some, threshold, b""), ("InvalidThreshold", threshold, len(some)))
        for some, threshold in (
            (THREE, 0),
            (THREE, 1),
            (THREE, 4),
            (THREE, 65_535),
            ([ANN, BOB], 1),
            (MANY[:64], 32),
            (MANY[:64], 65),
        )
    ),
    (OWNER, ("publishKeys", THREE, 2, b""), ("InvalidKeysLength", 0)),
    (OWNER, ("publishKeys", THREE, 2, HUGE), ("InvalidKeysLength", MAX_KEYS + 1)),
    *(
        (OWNER, ("publishKeys", some, threshold, PUBLIC), ("KeysAlreadyPublished", OWNER, DIGEST))
        for some, threshold in ((THREE, 2), (THREE[::-1], 3), ([OWNER, ADMIN], 2))
    ),
    (ANN, ("acceptKeys", 1, 3, EVE, DIGEST), ("UnknownKeys", EVE, DIGEST)),
    (ANN, ("acceptKeys", 1, 3, OWNER, NONE), ("UnknownKeys", OWNER, NONE)),
    (ANN, ("acceptKeys", 1, 3, ZERO_ADDRESS, NONE), ("UnknownKeys", ZERO_ADDRESS, NONE)),
    (OWNER, ("acceptKeys", 1, 3, OWNER, DIGEST), ("NotTrainer", OWNER)),
    (ADMIN, ("acceptKeys", 1, 3, OWNER, DIGEST), ("NotTrainer", ADMIN)),
    (ANN, ("acceptKeys", 1, 9, OWNER, DIGEST2), ("OtherKeysAccepted", OWNER, DIGEST)),
    (ANN, ("acceptKeys", 2, 9, OWNER, DIGEST), ("KeysServeAnotherTask", 1)),
    (ANN, ("acceptKeys", 0, 3, OWNER, DIGEST), ("KeysServeAnotherTask", 1)),
    (ANN, ("acceptKeys", 1, 3, OWNER, DIGEST), ("AlreadyAccepted", 3)),
]


@pytest.mark.parametrize(
    ("sender", "call", "error"),
    REFUSALS,
    ids=[f"{number}-{error[0]!s}" for number, (_, _, error) in enumerate(REFUSALS)],
)
def test_refused(scene, sender, call, error):
    """Each error comes in its order, with its values, from both (L2)."""
    assert scene.ask(sender, *call) == errors(KEYS, *error)
    assert contract_of(call[0]) == KEYS


def test_every_error_is_provoked():
    """Each error of the contract is in a row; Solidity's own are raised by nothing in it."""
    rows = {error[0] for _, _, error in REFUSALS}
    assert set(abi.names(KEYS, "error")) - rows == {"Error", "Panic"}


# Random calls -----------------------------------------------------------------------------------

DICE = st.randoms(use_true_random=True)


class SameKeys(RuleBasedStateMachine):
    """Random dealers and trainers, sent to the EVM and the twin; many are refused, alike."""

    evm: EvmBench

    @initialize(dice=DICE)
    def start(self, dice):  # noqa: ARG002 - those that build on this throw it
        self.evm.restart()
        self.both = Both(self.evm)

    @invariant()
    def they_agree(self):
        if hasattr(self, "both"):
            self.both.compare_keys()

    @rule(dice=DICE)
    def deal_some(self, dice):
        people = self.both.people[:5]
        some = dice.sample(people, dice.choice([2, 3, 5, 1]))
        some += dice.choice([[]] * 6 + [some[:1], [ZERO_ADDRESS]])
        threshold = dice.choice([len(some) // 2 + 1] * 4 + [len(some), len(some) // 2, 65_535])
        keys = dice.choice([b"", b"a", b"b", b"c", dice.randbytes(300)])
        self.both.send(dice.choice(people), KEYS, "publishKeys", some, threshold, keys)

    @rule(dice=DICE)
    def accept_some(self, dice):
        known = sorted(self.both.keys) or [(self.both.eve, NONE)]
        for _ in range(4):
            dealer, digest = dice.choice(known * 6 + [(self.both.eve, dice.randbytes(32))])
            who, task = dice.choice(self.both.people[:5]), dice.choice([0, 1, 2, TOP])
            number = dice.choice([0, 1, 2, 3, TOP])
            self.both.send(who, KEYS, "acceptKeys", task, number, dealer, digest)


@pytest.mark.hypothesis
def test_random_calls(evm):
    """Whatever is called, both have the same keys, numbers and acceptances."""
    run_calls(SameKeys, evm=evm)
