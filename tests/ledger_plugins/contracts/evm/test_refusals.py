"""What the contracts refuse: each refusal stated once, and the same on an EVM and by the twins.

Each row says who calls what and which error answers, all of them in one scene:

- Ann has 9 tokens besides her reward, and Bob may move 50 of them;
- task 1: round 1 is published (Ann is paid, Bob not yet, Eve was left out), round 2 Bob's update;
- task 2: finished;
- task 3: rounds 1 and 2 are published, the models of 0 and 1 are checkpoints, Ann, Bob and Eve are
  members, and Ann votes for 1;
- task 4: the newest model is a checkpoint, too; Ann is its member;
- task 5: its only other round was rolled back, and what Ann submitted to it is void; finished;
- task 6: its window is open.
"""

import pytest
from support.both_contracts import (
    ADMIN,
    ANN,
    BOB,
    CID,
    CID2,
    EVE,
    MANY,
    OWNER,
    TASKS,
    TOKEN,
    TOP,
    Both,
    contract_of,
    errors,
)
from support.evm import EvmBench

from fedledger.ledger_plugins.addresses import ZERO_ADDRESS
from fedledger.ledger_plugins.contracts import abi
from fedledger.ledger_plugins.contracts.stake_token.twin import (
    DEFAULT_ADMIN_ROLE,
    MINTER_ROLE,
    PROPOSER_ROLE,
)

WINDOW = 1000
LONG = "é" * 33  # 33 characters, 66 bytes
LACKS = "AccessControlUnauthorizedAccount"
NAME, NEXT = b"keys".ljust(32, b"\0"), b"keys2".ljust(32, b"\0")


def pair(name):
    return name, bytes(32)


def update(task, number, cid=CID, samples=0, accuracy=0):
    return "submitUpdate", task, number, cid, samples, accuracy, bytes(32), bytes(32)


def votes(task, number):
    return "submitVotes", task, number, bytes(32), (1,) * 33, bytes(32)


def reveal(task, number):
    return "revealSalt", task, number, bytes(32), bytes(32), bytes(32)


def publish(task, number, cid=CID, *, rule="r", clients=(), evidence=CID, commitments=()):
    return "publishAggregate", task, number, cid, rule, clients, evidence, commitments


def wrong(task, number):
    """Return a publication of which everything else is wrong as well."""
    return publish(
        task, number, b"", rule="", clients=MANY, evidence=b"\0", commitments=[pair(bytes(32))] * 17
    )


@pytest.fixture(scope="module")
def scene():
    both = Both(EvmBench())
    both.run((ADMIN, "mint", ANN, 9), (ANN, "approve", BOB, 50))
    for rounds in (2, 1, 4, 4, 2):
        both.run((OWNER, "propose", "m", CID, rounds, 0, 20, CID2))
    both.run(
        *((client, *update(1, 1)) for client in (ANN, BOB, EVE)),
        (OWNER, *publish(1, 1, CID2, clients=[ANN, BOB])),
        (ANN, "payRewards", 1, 1, [ANN]),
        (BOB, *update(1, 2)),
        (OWNER, *publish(2, 1)),
        (OWNER, "recordCheckpoint", 3, 0, 500_000),
        (OWNER, *publish(3, 1, CID2)),
        (OWNER, "recordCheckpoint", 3, 1, 900_000),
        (OWNER, *publish(3, 2, CID[:4])),
        (OWNER, "appointMembers", 3, [ANN, BOB, EVE]),
        (ANN, "voteRollback", 3, 3, 1),
        (OWNER, *publish(4, 1, CID2)),
        (OWNER, "recordCheckpoint", 4, 1, 0),
        (OWNER, "appointMembers", 4, [ANN]),
        (OWNER, "recordCheckpoint", 5, 0, 0),
        (OWNER, *publish(5, 1, CID2)),
        (OWNER, "appointMembers", 5, [ANN]),
        (ANN, *update(5, 2)),
        (OWNER, "rollback", 5, 2, 0),
        (OWNER, "propose", "m", CID, 2, WINDOW, 20, CID2),
    )
    yield both
    both.compare()


REFUSALS = [
    # The token
    (ANN, ("transfer", BOB, 30), ("ERC20InsufficientBalance", ANN, 29, 30)),
    (ANN, ("transfer", ZERO_ADDRESS, 99), ("ERC20InvalidReceiver", ZERO_ADDRESS)),
    (ANN, ("approve", ZERO_ADDRESS, 1), ("ERC20InvalidSpender", ZERO_ADDRESS)),
    (BOB, ("transferFrom", ZERO_ADDRESS, BOB, 0), ("ERC20InvalidApprover", ZERO_ADDRESS)),
    (EVE, ("transferFrom", ANN, EVE, 1), ("ERC20InsufficientAllowance", EVE, 0, 1)),
    (BOB, ("transferFrom", ANN, EVE, 30), ("ERC20InsufficientBalance", ANN, 29, 30)),
    (BOB, ("transferFrom", ANN, EVE, 51), ("ERC20InsufficientAllowance", BOB, 50, 51)),
    (BOB, ("transferFrom", ANN, ZERO_ADDRESS, 1), ("ERC20InvalidReceiver", ZERO_ADDRESS)),
    (ZERO_ADDRESS, ("transfer", BOB, 0), ("ERC20InvalidSender", ZERO_ADDRESS)),
    (ZERO_ADDRESS, ("approve", BOB, 1), ("ERC20InvalidApprover", ZERO_ADDRESS)),
    (ADMIN, ("mint", ZERO_ADDRESS, 1), ("ERC20InvalidReceiver", ZERO_ADDRESS)),
    (ADMIN, ("mint", BOB, TOP), ("Panic", 0x11)),
    (EVE, ("mint", ZERO_ADDRESS, 1), (LACKS, EVE, MINTER_ROLE)),
    (EVE, ("grantRole", MINTER_ROLE, EVE), (LACKS, EVE, DEFAULT_ADMIN_ROLE)),
    (EVE, ("revokeRole", MINTER_ROLE, ADMIN), (LACKS, EVE, DEFAULT_ADMIN_ROLE)),
    (EVE, ("renounceRole", MINTER_ROLE, ADMIN), ("AccessControlBadConfirmation",)),
    # A task's rounds; each function's errors in the order in which the interface lists them
    (ANN, ("propose", "", b"", 0, 0, 21, b""), ("InvalidModelId", "")),
    (ANN, ("propose", LONG, CID, 1, 0, 1, CID), ("InvalidModelId", LONG)),
    *(
        (ANN, ("propose", "m", bad, 0, 0, 21, CID), ("InvalidCid", bad))
        for bad in (b"", b"\x01\x55\x12", b"\x02\x55\x12\x20", b"\x01" * 65)
    ),
    (ANN, ("propose", "m", CID, 0, 0, 21, b"\x02" + CID), ("InvalidCid", b"\x02" + CID)),
    (ANN, ("propose", "m", CID, 0, 0, 21, CID), ("InvalidRounds", 0)),
    (ANN, ("propose", "m", CID, 1, 0, 21, CID), ("RewardTooHigh", 21, 20)),
    (ANN, ("propose", "m", CID, 1, 0, TOP, CID), ("RewardTooHigh", TOP, 20)),
    (ANN, update(9, 9, b"", accuracy=TOP >> 224), ("UnknownTask", 9)),
    (ANN, update(0, 1), ("UnknownTask", 0)),
    (ANN, update(2, 9, b""), ("TaskFinished", 2)),
    (ANN, update(1, 1, b""), ("WrongRound", 2, 1)),
    (ANN, update(1, 3), ("WrongRound", 2, 3)),
    (ANN, update(1, 2, b"", accuracy=1_000_001), ("InvalidCid", b"")),
    (ANN, update(1, 2, accuracy=1_000_001), ("InvalidAccuracy", 1_000_001)),
    (ANN, votes(9, 1), ("UnknownTask", 9)),
    (ANN, votes(2, 9), ("TaskFinished", 2)),
    (ANN, votes(1, 1), ("WrongRound", 2, 1)),
    (ANN, votes(1, 2), ("TooManyScores", 33, 32)),
    (ANN, reveal(9, 9), ("UnknownTask", 9)),
    (ANN, reveal(2, 9), ("TaskFinished", 2)),
    (ANN, reveal(1, 1), ("WrongRound", 2, 1)),
    (ANN, reveal(6, 2), ("WrongRound", 1, 2)),
    (ANN, wrong(9, 1), ("UnknownTask", 9)),
    (ANN, wrong(2, 9), ("NotAggregator", ANN)),
    (OWNER, wrong(2, 9), ("TaskFinished", 2)),
    (OWNER, wrong(1, 1), ("WrongRound", 2, 1)),
    (OWNER, wrong(6, 2), ("WrongRound", 1, 2)),
    (OWNER, wrong(1, 2), ("InvalidCid", b"")),
    (OWNER, publish(1, 2, rule="", evidence=b"\0"), ("InvalidCid", b"\0")),
    (OWNER, publish(1, 2, rule="", clients=MANY), ("InvalidRule", "")),
    (OWNER, publish(1, 2, rule="é" * 17, clients=MANY), ("InvalidRule", "é" * 17)),
    (
        OWNER,
        publish(1, 2, clients=MANY, commitments=[pair(bytes(32))] * 17),
        ("TooManyContributors", 257, 256),
    ),
    (OWNER, publish(1, 2, commitments=[pair(bytes(32))] * 17), ("TooManyCommitments", 17, 16)),
    *(
        (
            OWNER,
            publish(1, 2, clients=[EVE], commitments=[pair(name) for name in names]),
            ("CommitmentsNotAscending", names[-1]),
        )
        for names in ([bytes(32)], [NAME, NAME], [NAME, NEXT, NAME], [NAME, bytes(32)])
    ),
    (OWNER, publish(1, 2, clients=[BOB, EVE, BOB]), ("NotSubmitted", EVE)),
    (OWNER, publish(1, 2, clients=[BOB, BOB]), ("DuplicateContributor", BOB)),
    (OWNER, publish(1, 2, clients=[ANN], commitments=[pair(NAME)]), ("NotSubmitted", ANN)),
    (ANN, ("payRewards", 9, 1, MANY), ("UnknownTask", 9)),
    (ANN, ("payRewards", 1, 2, MANY), ("RoundNotPublished", 1, 2)),
    (ANN, ("payRewards", 1, 0, []), ("RoundNotPublished", 1, 0)),
    (ANN, ("payRewards", 1, 1, MANY), ("TooManyContributors", 257, 256)),
    (ANN, ("payRewards", 1, 1, [EVE]), ("NotContributor", EVE)),
    (ANN, ("payRewards", 1, 1, [BOB, OWNER]), ("NotContributor", OWNER)),
    (ANN, ("payRewards", 1, 1, [BOB, ANN]), ("AlreadyPaid", ANN)),
    (ANN, ("payRewards", 1, 1, [BOB, BOB]), ("AlreadyPaid", BOB)),
    (ANN, ("payRewards", 5, 2, [ANN]), ("NotContributor", ANN)),
    # A task's roles
    (EVE, ("appointAggregator", 9, ZERO_ADDRESS), ("UnknownTask", 9)),
    (EVE, ("appointAggregator", 3, ZERO_ADDRESS), ("NotOwner", EVE)),
    (OWNER, ("appointAggregator", 3, ZERO_ADDRESS), ("InvalidAggregator", ZERO_ADDRESS)),
    (EVE, ("appointMembers", 9, MANY), ("UnknownTask", 9)),
    (EVE, ("appointMembers", 3, MANY), ("NotOwner", EVE)),
    (OWNER, ("appointMembers", 3, MANY), ("TooManyMembers", 257, 256)),
    (OWNER, ("appointMembers", 3, [OWNER, ANN]), ("AlreadyMember", ANN)),
    (OWNER, ("appointMembers", 3, [OWNER, OWNER]), ("AlreadyMember", OWNER)),
    (EVE, ("revokeMembers", 9, MANY), ("UnknownTask", 9)),
    (EVE, ("revokeMembers", 3, MANY), ("NotOwner", EVE)),
    (OWNER, ("revokeMembers", 3, MANY), ("TooManyMembers", 257, 256)),
    (OWNER, ("revokeMembers", 3, [ANN, OWNER]), ("NotMember", OWNER)),
    (OWNER, ("revokeMembers", 3, [ANN, ANN]), ("NotMember", ANN)),
    # Its checkpoints and rollbacks
    (EVE, ("recordCheckpoint", 9, 9, 1_000_001), ("UnknownTask", 9)),
    (EVE, ("recordCheckpoint", 3, 9, 1_000_001), ("NotOwnerOrAggregator", EVE)),
    (OWNER, ("recordCheckpoint", 3, 1, 1_000_001), ("NotNewestRound", 2, 1)),
    (OWNER, ("recordCheckpoint", 3, 3, 0), ("NotNewestRound", 2, 3)),
    (OWNER, ("recordCheckpoint", 3, 2, 1_000_001), ("InvalidAccuracy", 1_000_001)),
    (OWNER, ("recordCheckpoint", 4, 1, 1), ("CheckpointExists", 4, 1)),
    (EVE, ("rollback", 9, 9, 9), ("UnknownTask", 9)),
    (EVE, ("rollback", 3, 9, 9), ("NotOwner", EVE)),
    (ANN, ("rollback", 3, 3, 1), ("NotOwner", ANN)),
    (OWNER, ("rollback", 5, 9, 9), ("TaskFinished", 5)),
    (OWNER, ("rollback", 3, 2, 9), ("WrongRound", 3, 2)),
    (OWNER, ("rollback", 3, 3, 2), ("UnknownCheckpoint", 3, 2)),
    (OWNER, ("rollback", 4, 2, 1), ("ModelUnchanged", 1)),
    (OWNER, ("voteRollback", 9, 9, 9), ("UnknownTask", 9)),
    (OWNER, ("voteRollback", 3, 9, 9), ("NotMember", OWNER)),
    (ANN, ("voteRollback", 5, 9, 9), ("TaskFinished", 5)),
    (ANN, ("voteRollback", 3, 4, 9), ("WrongRound", 3, 4)),
    (ANN, ("voteRollback", 3, 3, 2), ("UnknownCheckpoint", 3, 2)),
    (ANN, ("voteRollback", 4, 2, 1), ("ModelUnchanged", 1)),
    (ANN, ("voteRollback", 3, 3, 1), ("AlreadyVoted", ANN, 1)),
    # Views
    (EVE, ("getTask", 9), ("UnknownTask", 9)),
    (EVE, ("getSubmission", 9, 1, ANN), ("UnknownTask", 9)),
    (EVE, ("getProgress", 9), ("UnknownTask", 9)),
    (EVE, ("getRoles", 9), ("UnknownTask", 9)),
    (EVE, ("isMember", 9, ANN), ("UnknownTask", 9)),
    (EVE, ("getRollbackVotes", 9, 0), ("UnknownTask", 9)),
    (EVE, ("getCheckpoint", 9, 0), ("UnknownTask", 9)),
    (EVE, ("getCheckpoint", 3, 2), ("UnknownCheckpoint", 3, 2)),
]


@pytest.mark.parametrize(
    ("sender", "call", "error"),
    REFUSALS,
    ids=[f"{call[0]!s}-{error[0]!s}" for _, call, error in REFUSALS],
)
def test_refused(scene, sender, call, error):
    """Each error comes in its order, with its values, from both (L2)."""
    assert scene.ask(sender, *call) == errors(contract_of(call[0]), *error)


@pytest.mark.parametrize("call", [wrong(6, 1), publish(6, 1), reveal(6, 1)])
def test_a_window_is_not_cut_short(scene, call):
    """While updates are taken, nobody publishes or reveals, whatever else is wrong."""
    opened = scene.look("getTask", 6)[9]
    refused = scene.send(OWNER, TASKS, *call)
    assert refused == errors(TASKS, "WindowOpen", opened + WINDOW, scene.evm.now)


def test_every_error_is_provoked():
    """The rows have every error of both contracts that is not provoked elsewhere."""
    rows = {(contract_of(call[0]), error[0]) for _, call, error in REFUSALS}
    every = {
        (contract, name) for contract in (TOKEN, TASKS) for name in abi.names(contract, "error")
    }
    assert every - rows == {
        *((contract, "Error") for contract in (TOKEN, TASKS)),  # nobody raises it
        (TASKS, "Panic"),  # test_a_panic_is_of_the_contract_that_was_called
        (TOKEN, "NotReceiver"),  # test_tokens_reach_no_other_contract_by_a_call
        (TASKS, "NotProposer"),  # test_who_may_propose_is_the_same
        (TASKS, "WindowClosed"),  # test_windows_close_in_the_same_second
        (TASKS, "WindowOpen"),  # test_a_window_is_not_cut_short
    }


def test_who_may_propose_is_the_same():
    """Where the zero address is no proposer, rewards need the role; tasks without any do not."""
    both = Both(EvmBench())
    propose = ("propose", "m", CID, 1, 0)
    both.run((EVE, *propose, 1, CID), (ADMIN, "revokeRole", PROPOSER_ROLE, ZERO_ADDRESS))
    assert both.send(EVE, TASKS, *propose, 1, CID) == errors(TASKS, "NotProposer", EVE)
    both.run(
        (EVE, *propose, 0, CID),
        (ADMIN, *propose, 20, CID),
        (ADMIN, "grantRole", PROPOSER_ROLE, EVE),
        (EVE, *propose, 20, CID),
    )
    assert both.look("taskCount") == 4
    both.compare()
