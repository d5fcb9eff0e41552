"""The compiled contracts and their twins are the same contracts, and do what they should.

The same calls go to py-evm and to the twins; their results and events are compared after each one,
and at the end of a test everything that can be looked at. What they refuse stands in
`test_refusals.py`; forge tests the contracts by themselves.
"""

import json
from importlib.resources import files

import pytest
from eth_abi.abi import encode
from eth_hash.auto import keccak
from support.both_contracts import (
    ADMIN,
    ANN,
    BOB,
    BONDS,
    CID,
    CID2,
    EVE,
    OWNER,
    TASKS,
    TOKEN,
    TOP,
    Both,
    compared,
    errors,
)

from fedledger.ledger_plugins.addresses import ZERO_ADDRESS
from fedledger.ledger_plugins.contracts import abi
from fedledger.ledger_plugins.contracts.stake_token.twin import (
    DEFAULT_ADMIN_ROLE,
    GOVERNOR_ROLE,
    MINTER_ROLE,
    PROPOSER_ROLE,
)

GAS = files("fedledger.ledger_plugins.contracts").joinpath("solidity/gas/TrainingTask.json")


def scene_of(evm):
    evm.restart()
    return Both(evm)


both = compared(scene_of)


def propose(*, rounds=2, window=0, reward=20):
    return OWNER, "propose", "digits", CID, rounds, window, reward, CID2


def submit(client, number=1, cid=CID2):
    return client, "submitUpdate", 1, number, cid, 100, 912_345, *[bytes(32)] * 2


def publish(number, clients=(), *, cid=CID2, by=OWNER, commitments=()):
    return by, "publishAggregate", 1, number, cid, "é" * 16, clients, CID, commitments


def names(events):
    return [name for _, name, _ in events]


# The token -------------------------------------------------------------------------------------


def test_the_token_names_itself(both):
    """The token says what it is and which roles it has, and starts with no supply."""
    said = [both.look(name) for name in ("name", "symbol", "decimals", "totalSupply")]
    assert said == ["fedledger stake", "STAKE", 0, 0]
    roles = [both.look(f"{name}_ROLE") for name in ("DEFAULT_ADMIN", "MINTER", "PROPOSER")]
    assert roles == [DEFAULT_ADMIN_ROLE, MINTER_ROLE, PROPOSER_ROLE]
    assert both.look("getRoleAdmin", MINTER_ROLE) == DEFAULT_ADMIN_ROLE == bytes(32)
    interfaces = [bytes.fromhex(one) for one in ("01ffc9a7", "7965db0b", "ffffffff")]
    assert [both.look("supportsInterface", one) for one in interfaces] == [True, True, False]


def test_tokens_move(both):
    """Minting and moving say so; allowances are spent, but never the highest one."""
    events = both.run(
        (ADMIN, "mint", ANN, 10),
        (ANN, "transfer", BOB, 4),
        (ANN, "transfer", ANN, 6),
        (ANN, "approve", BOB, 5),
        (BOB, "transferFrom", ANN, EVE, 3),
    )
    assert both.look("allowance", ANN, BOB) == 2
    assert [(name, list(said.values())) for _, name, said in events] == [
        ("Transfer", [ZERO_ADDRESS, ANN, 10]),
        ("Transfer", [ANN, BOB, 4]),
        ("Transfer", [ANN, ANN, 6]),
        ("Approval", [ANN, BOB, 5]),
        ("Transfer", [ANN, EVE, 3]),
    ]
    both.run((ANN, "approve", BOB, TOP), (BOB, "transferFrom", ANN, EVE, 3))
    assert both.look("allowance", ANN, BOB) == TOP
    assert both.send(ANN, TOKEN, "transfer", BOB, 0)[0] is True
    both.run((ADMIN, "mint", both.evm.addresses[TOKEN], 0))
    assert [both.look("balanceOf", who) for who in (ANN, BOB, EVE)] == [0, 4, 6]
    assert both.look("totalSupply") == 10


def test_the_tokens_roles_are_given_taken_and_given_up_once(both):
    """A role works until it is gone; doing either twice says nothing."""
    events = both.run(
        *[(ADMIN, "grantRole", MINTER_ROLE, EVE)] * 2,
        (EVE, "mint", EVE, 1),
        *[(ADMIN, "revokeRole", MINTER_ROLE, EVE)] * 2,
    )
    assert names(events) == ["RoleGranted", "Transfer", "RoleRevoked"]
    assert events[0][2] == events[2][2] == {"role": MINTER_ROLE, "account": EVE, "sender": ADMIN}
    lacks = errors(TOKEN, "AccessControlUnauthorizedAccount", EVE, MINTER_ROLE)
    assert both.send(EVE, TOKEN, "mint", EVE, 1) == lacks
    events = both.run(*[(ADMIN, "renounceRole", DEFAULT_ADMIN_ROLE, ADMIN)] * 2)
    assert names(events) == ["RoleRevoked"]
    lacks = errors(TOKEN, "AccessControlUnauthorizedAccount", ADMIN, DEFAULT_ADMIN_ROLE)
    assert both.send(ADMIN, TOKEN, "grantRole", MINTER_ROLE, EVE) == lacks


# Rounds ----------------------------------------------------------------------------------------


def test_a_task_from_proposal_to_payment(both):
    """Publishing marks contributors, fills the escrow and opens the next round; paying pays."""
    events = both.run(propose(), propose(reward=0), *(submit(who) for who in (ANN, BOB, EVE)))
    assert names(events) == ["TaskProposed"] * 2 + ["UpdateSubmitted"] * 3
    assert both.look("taskCount") == 2
    opened = both.evm.now - 4
    start = (OWNER, "digits", CID, 2, 0, 0, 20, CID2, CID, opened, False)
    assert both.look("getTask", 1) == start

    events = both.run(publish(1, [BOB, ANN]))
    tasks = both.evm.addresses[TASKS]
    assert [event[:2] for event in events] == [(TASKS, "AggregatePublished"), (TOKEN, "Transfer")]
    assert events[0][2]["contributors"] == (BOB, ANN)
    assert events[1][2] == {"from": ZERO_ADDRESS, "to": tasks, "value": 40}
    assert both.look("getTask", 1) == (*start[:4], 1, *start[5:8], CID2, both.evm.now, False)
    assert [both.look("getSubmission", 1, 1, who)[1] for who in (ANN, BOB, EVE)] == [2, 2, 1]

    events = both.run((EVE, "payRewards", 1, 1, [ANN]), (EVE, "payRewards", 1, 1, [BOB]))
    assert [event[:2] for event in events] == [(TASKS, "RewardPaid"), (TOKEN, "Transfer")] * 2
    assert events[0][2] == {"task": 1, "round": 1, "client": ANN, "amount": 20}
    assert [both.look("getSubmission", 1, 1, who)[1] for who in (ANN, BOB, EVE)] == [3, 3, 1]
    assert [both.look("balanceOf", who) for who in (ANN, BOB, EVE, tasks)] == [20, 20, 0, 0]
    both.run(publish(2), (EVE, "payRewards", 1, 2, []))
    assert both.look("getTask", 1)[10] is True


def test_the_last_submission_counts(both):
    """A client may submit again while the round is open; the commitment is to the last update."""
    both.run(propose(), submit(ANN, cid=CID), submit(ANN, cid=CID2))
    packed = encode(("bytes", "uint64", "uint32"), (CID2, 100, 912_345))
    assert both.look("getSubmission", 1, 1, ANN) == (keccak(packed)[:31], 1)
    assert both.look("getSubmission", 1, 1, BOB) == (bytes(31), 0)
    both.run(publish(1, [ANN]))
    assert both.look("getSubmission", 1, 1, ANN) == (keccak(packed)[:31], 2)


def test_nothing_moves_without_reward(both):
    """A round without contributors, or a task without reward, mints and transfers nothing."""
    events = both.run(
        propose(reward=0),
        submit(ANN),
        publish(1, [ANN]),
        (ANN, "payRewards", 1, 1, [ANN]),
        publish(2),
    )
    assert not {"Transfer"} & set(names(events))
    assert both.look("getSubmission", 1, 1, ANN)[1] == 3


def test_the_longest_values_are_taken(both):
    """Names, CIDs, scores, samples and accuracies may be as long or large as their limits say."""
    longest = CID + bytes(28)
    events = both.run(
        (OWNER, "propose", "é" * 32, longest, 1, 0, 20, CID[:4]),
        (OWNER, "propose", "m" * 64, CID[:4], TOP >> 224, TOP >> 192, 0, longest),
        (ANN, "submitUpdate", 1, 1, longest, TOP >> 192, 1_000_000, *[b"\xff" * 32] * 2),
        (BOB, "submitUpdate", 1, 1, CID[:4], 0, 0, *[bytes(32)] * 2),
        (BOB, "revealSalt", 1, 1, *[b"\xff" * 32] * 3),
        (EVE, "revealSalt", 1, 1, *[bytes(32)] * 3),
        (ANN, "submitVotes", 1, 1, b"\7" * 32, (-(1 << 63), 0, (1 << 63) - 1), bytes(32)),
        (ANN, "submitVotes", 1, 1, bytes(32), (1,) * 32, bytes(32)),
        (EVE, "submitVotes", 1, 1, bytes(32), (), bytes(32)),
        (OWNER, "publishAggregate", 1, 1, longest, "r" * 32, [BOB, ANN], CID[:4], []),
    )
    assert len(events) == 11
    assert events[6][2] == {
        "task": 1,
        "round": 1,
        "voter": ANN,
        "ballot": b"\7" * 32,
        "scores": (-(1 << 63), 0, (1 << 63) - 1),
        "seen": bytes(32),
    }
    limits = [
        both.look(f"MAX_{name}") for name in ("REWARD", "CONTRIBUTORS", "COMMITMENTS", "SCORES")
    ]
    assert limits == [20, 256, 16, 32]
    assert both.look("token") == both.evm.addresses[TOKEN]


@pytest.mark.parametrize("count", [0, 1, 16])
def test_commitments_are_said(both, count):
    """A publication says its commitments in order, whatever bytes their names are."""
    pairs = tuple((bytes([255 - count + n]) * 32, keccak(bytes([n]))) for n in range(count))
    _, (_, _, said), _ = both.run(propose(), publish(1, commitments=pairs), publish(2))
    assert said["commitments"] == pairs


def test_windows_close_in_the_same_second(both):
    """The window's last second is inside on both sides; the longest window never closes (L5).

    A publication and a reveal are taken from the next second on.
    """
    zeros = [bytes(32)] * 2
    both.run(*[propose(window=60)] * 5)
    opened = both.evm.now - 4

    def at(seconds, sender, function, task, number, *args):
        later = opened + task - 1 + seconds - both.evm.now  # each task opened a second later
        return both.send(sender, TASKS, function, task, number, *args, later=later)

    def open_(task, seconds):
        start = opened + task - 1
        return errors(TASKS, "WindowOpen", start + 60, start + seconds)

    made = (b"", "r", [ANN], CID, [])
    assert at(30, OWNER, "publishAggregate", 1, 1, *made) == open_(1, 30)
    assert at(30, BOB, "revealSalt", 2, 1, *zeros, bytes(32)) == open_(2, 30)
    assert len(at(60, ANN, "submitUpdate", 1, 1, CID, 1, 1, *zeros)[1]) == 1
    assert at(60, OWNER, "publishAggregate", 2, 1, *made) == open_(2, 60)
    assert at(60, BOB, "revealSalt", 3, 1, *zeros, bytes(32)) == open_(3, 60)
    assert len(at(60, ANN, "submitUpdate", 4, 1, CID, 1, 1, *zeros)[1]) == 1
    assert len(at(60, ANN, "submitUpdate", 5, 1, CID, 1, 1, *zeros)[1]) == 1
    assert len(at(62, BOB, "revealSalt", 4, 1, *zeros, bytes(32))[1]) == 1
    assert len(at(62, OWNER, "publishAggregate", 5, 1, CID, *made[1:])[1]) == 2
    late = both.send(BOB, TASKS, "submitUpdate", 1, 1, b"", 1, 1, *zeros)
    assert late == errors(TASKS, "WindowClosed", opened + 60, opened + 67)
    both.run((BOB, "submitVotes", 1, 1, bytes(32), (1,), bytes(32)))  # which have no window
    both.run(publish(1, [ANN]))
    _, events = both.send(BOB, TASKS, "submitUpdate", 1, 2, CID, 1, 1, *zeros, later=59)
    assert len(events) == 1
    both.run(propose(window=(1 << 64) - 1))
    _, events = both.send(BOB, TASKS, "submitUpdate", 6, 1, CID, 1, 1, *zeros, later=10**9)
    assert len(events) == 1
    early = both.send(BOB, TASKS, "revealSalt", 6, 1, *zeros, bytes(32))
    assert early[:2] == (TASKS, "WindowOpen")
    assert early[2]["deadline"] > 1 << 64


def test_a_rollback_need_not_wait_for_the_window(both):
    """The owner, or the members, end a round while its updates are taken."""
    both.run(
        propose(rounds=4, window=60),
        (OWNER, "recordCheckpoint", 1, 0, 0),
        (OWNER, "appointMembers", 1, [ANN]),
    )
    both.send(OWNER, TASKS, *publish(1)[1:], later=60)
    both.run((OWNER, "rollback", 1, 2, 0))
    both.send(OWNER, TASKS, *publish(3)[1:], later=61)
    both.run((ANN, "voteRollback", 1, 4, 0))
    assert both.look("getTask", 1)[10] is True


def test_a_panic_is_of_the_contract_that_was_called(both):
    """When minting the rewards fails, a Panic is TrainingTask's; a named error stays the token's.

    The EVM hands the token's revert data through, and a Panic in it has no owner.
    """
    both.run(propose(), submit(ANN), (ADMIN, "mint", BOB, TOP - 19))
    call = publish(1, [ANN])[1:]
    assert both.send(OWNER, TASKS, *call) == errors(TASKS, "Panic", 0x11)
    assert both.send(ADMIN, TOKEN, "mint", BOB, 20) == errors(TOKEN, "Panic", 0x11)
    tasks = both.evm.addresses[TASKS]
    both.run((ADMIN, "revokeRole", MINTER_ROLE, tasks))
    expected = errors(TOKEN, "AccessControlUnauthorizedAccount", tasks, MINTER_ROLE)
    assert both.send(OWNER, TASKS, *call) == expected
    both.run(publish(1))


# Roles, checkpoints and rollbacks -----------------------------------------------------------------


@pytest.fixture
def started(both):
    """Rounds 1 and 2 are published, 0 and 1 are checkpoints, Ann, Bob and Eve are members."""
    both.run(
        propose(rounds=5),
        (OWNER, "recordCheckpoint", 1, 0, 500_000),
        publish(1, cid=CID2),
        (OWNER, "recordCheckpoint", 1, 1, 900_000),
        publish(2, cid=CID[:4]),
        (OWNER, "appointMembers", 1, [ANN, BOB, EVE]),
    )
    return both


def model(both):
    return both.look("getTask", 1)[8]


def wishes(both):
    return [both.look("getRollbackVotes", 1, target) for target in (0, 1)]


def test_roles_are_given_and_taken(started):
    """The aggregator publishes, not the owner; members count; an empty list is taken."""
    owner, voted = OWNER, (ANN, "voteRollback", 1, 3, 1)
    events = started.run(
        (owner, "appointAggregator", 1, EVE),
        publish(3, by=EVE, cid=CID + bytes(28)),
        (EVE, "recordCheckpoint", 1, 3, 1_000_000),
        (owner, "appointMembers", 1, [ZERO_ADDRESS]),
        (owner, "appointMembers", 1, []),
        (owner, "revokeMembers", 1, [ZERO_ADDRESS, BOB]),
        (owner, "revokeMembers", 1, []),
    )
    assert names(events) == [
        *("AggregatorAppointed", "AggregatePublished", "CheckpointRecorded"),
        *["MembersAppointed"] * 2,
        *["MembersRevoked"] * 2,
    ]
    assert started.send(owner, TASKS, *publish(4)[1:]) == errors(TASKS, "NotAggregator", owner)
    assert started.send(ANN, TASKS, *voted[1:]) == errors(TASKS, "WrongRound", 4, 3)
    assert started.look("getRoles", 1) == (owner, EVE, 2)
    assert [started.look("isMember", 1, who)[0] for who in (ANN, BOB)] == [True, False]
    assert started.look("getCheckpoint", 1, 3) == (CID + bytes(28), 1_000_000)


def test_who_governs_replaces_aggregators_and_records_checkpoints(started):
    """With GOVERNOR_ROLE both calls are taken, and no other of the owner's; without it none is."""
    appoint, keep = ("appointAggregator", 1, BOB), ("recordCheckpoint", 1, 2, 900_000)
    for call, error in ((appoint, "NotOwner"), (keep, "NotOwnerOrAggregator")):
        assert started.send(EVE, TASKS, *call) == errors(TASKS, error, EVE)
    events = started.run((ADMIN, "grantRole", GOVERNOR_ROLE, EVE), (EVE, *appoint), (EVE, *keep))
    assert names(events) == ["RoleGranted", "AggregatorAppointed", "CheckpointRecorded"]
    assert events[2][2]["by"] == EVE
    assert started.look("getRoles", 1)[:2] == (OWNER, BOB)
    for function, *args in (
        ("appointMembers", [EVE]),
        ("revokeMembers", [ANN]),
        ("rollback", 3, 1),
    ):
        assert started.send(EVE, TASKS, function, 1, *args) == errors(TASKS, "NotOwner", EVE)


def test_members_have_the_time_since_which_they_are(started):
    """It is the block time of the appointment; who comes back begins anew."""
    since = started.look("isMember", 1, ANN)[1]
    started.run((OWNER, "revokeMembers", 1, [ANN]))
    assert started.look("isMember", 1, ANN) == (False, 0)
    started.run((OWNER, "appointMembers", 1, [ANN]))
    assert started.look("isMember", 1, ANN) == (True, started.evm.now)
    assert since < started.evm.now


def test_rounds_end_by_a_rollback_until_the_task_is_finished(started):
    """A rollback ends the open round and counts as one; after the last one nothing changes."""
    _, (_, name, said), _ = started.run(
        submit(ANN, 3), (OWNER, "rollback", 1, 3, 1), submit(ANN, 4)
    )
    assert name == "RolledBack"
    assert list(said.values()) == [1, 3, 1, CID2, 900_000, 0]
    assert started.look("getTask", 1)[8:] == (CID2, started.evm.now - 1, False)
    started.run((OWNER, "rollback", 1, 4, 0), (OWNER, "rollback", 1, 5, 1))
    assert started.look("getTask", 1)[8:] == (CID2, started.evm.now, True)
    started.run((OWNER, "recordCheckpoint", 1, 5, 1))  # the final model may still be measured


def test_members_roll_back(started):
    """Votes are counted over the members of now, in the open round, one for each of them."""
    started.run(*((ANN, "voteRollback", 1, 3, target) for target in (0, 1, 0)))
    assert wishes(started) == [1, 0]
    started.run(
        (OWNER, "revokeMembers", 1, [ANN]),
        (OWNER, "appointMembers", 1, [ANN]),
        (BOB, "voteRollback", 1, 3, 0),
    )
    assert model(started) == CID[:4]  # Ann's vote is gone although she is back
    started.run(publish(3, cid=CID2), (ANN, "voteRollback", 1, 4, 0))
    assert model(started) == CID2  # Bob's vote was for round 3
    started.run((OWNER, "appointMembers", 1, [OWNER]), (BOB, "voteRollback", 1, 4, 0))
    assert (model(started), wishes(started)) == (CID2, [2, 0])  # two of four
    events = started.run((EVE, "voteRollback", 1, 4, 0))
    assert names(events) == ["RollbackVoted", "RolledBack"]
    assert list(events[0][2].values()) == [1, 4, EVE, 0, 3, 4]
    assert (model(started), wishes(started)) == (CID, [0, 0])


def test_every_function_and_event_is_the_same(started):
    """No function and no event of a contract that an EVM has is left out on either side."""
    started.run(
        *(submit(ANN, 3), (ANN, "submitVotes", 1, 3, bytes(32), (1,), bytes(32))),
        *((OWNER, "appointAggregator", 1, ANN), publish(3, [ANN], by=ANN, cid=CID[:4])),
        (EVE, "revealSalt", 1, 4, *[bytes(32)] * 3),
        *((ANN, "confirmHistory", 1, b"\1" * 32), (EVE, "payRewards", 1, 3, [ANN])),
        (OWNER, "revokeMembers", 1, [EVE]),
        *((who, "voteRollback", 1, 4, 1) for who in (ANN, BOB)),
        (OWNER, "rollback", 1, 5, 0),
        *((ADMIN, "mint", ANN, 9), (ANN, "transfer", EVE, 1), (ANN, "approve", BOB, 5)),
        *((BOB, "transferFrom", ANN, EVE, 3), (ADMIN, "grantRole", MINTER_ROLE, EVE)),
        (ANN, "transferAndCall", started.evm.addresses[BONDS], 1, b""),
        *((ADMIN, "revokeRole", MINTER_ROLE, EVE), (ADMIN, "renounceRole", MINTER_ROLE, ADMIN)),
    )
    started.compare()
    started.look("getRoleAdmin", MINTER_ROLE)
    started.look("supportsInterface", bytes(4))
    for contract in (TOKEN, TASKS):
        for name in abi.names(contract, "function"):
            if abi.is_view(contract, name) and not abi.function_inputs(contract, name):
                started.look(name)
    wanted = {
        (contract, kind, name)
        for contract in (TOKEN, TASKS)
        for kind in ("function", "event")
        for name in abi.names(contract, kind)
    }
    unseen = {(TOKEN, "event", "RoleAdminChanged")}  # no function changes a role's admin
    assert wanted - started.seen == unseen


def test_gas_is_what_forge_measures(both):
    """A transaction on py-evm uses the gas that the committed table says, to the last unit."""
    table = json.loads(GAS.read_text("utf-8"))
    cid = bytes.fromhex("01551220" + "ffeeddccbbaa99887766554433221100" * 2)
    both.run(
        (OWNER, "propose", "digits", CID, 3, 600, 20, cid),
        (ANN, "submitUpdate", 1, 1, cid, 100, 912_345, *[b"\1" * 32] * 2),
    )
    assert both.evm.gas == int(table["submitUpdate"])
