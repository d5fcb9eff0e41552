"""The compiled contracts and their twins are the same contracts.

The same calls go to py-evm and to the twins; after each one the results, events, errors with their
arguments, balances and views are compared.
"""

import json

import pytest
from support.both_contracts import CID, CID2, TASKS, TOKEN, TOP, Both, errors
from support.evm import EvmBench

from fedledger.errors import ContractError
from fedledger.ledger_plugins.addresses import ZERO_ADDRESS, address_from_bytes
from fedledger.ledger_plugins.contracts import abi, build
from fedledger.ledger_plugins.contracts.twins.stake_token import (
    MINTER_ROLE,
    PROPOSER_ROLE,
)


@pytest.fixture(scope="module")
def evm():
    return EvmBench()


@pytest.fixture
def both(evm):
    evm.restart()
    return Both(evm)


def token_calls(both):
    """Call every function of StakeToken, and provoke every error of it."""
    admin, ann, bob, eve = both.admin, both.ann, both.bob, both.eve
    for name in (
        "name",
        "symbol",
        "decimals",
        "MINTER_ROLE",
        "DEFAULT_ADMIN_ROLE",
        "PROPOSER_ROLE",
    ):
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


def role_calls(both):
    """Call every function of roles, checkpoints and rollbacks, and provoke every error of them.

    Task 3 has rounds 1 and 2 published, 3 rolled back by the owner, 4 by Ann and Bob.
    """
    owner, ann, bob, eve = both.owner, both.ann, both.bob, both.eve
    many = [address_from_bytes(n.to_bytes(20, "big")) for n in range(1, 258)]
    publish = ("publishAggregate", 3)
    calls = [
        (owner, "propose", "m", CID, 9, 0, 0, CID),
        (eve, "appointAggregator", 9, ZERO_ADDRESS),
        (eve, "appointAggregator", 3, ZERO_ADDRESS),
        (owner, "appointAggregator", 3, ZERO_ADDRESS),
        (owner, "appointAggregator", 3, eve),
        (owner, *publish, 9, b"", "", many, b""),
        (owner, "appointMiners", 9, many),
        (eve, "appointMiners", 3, many),
        (owner, "appointMiners", 3, many),
        (owner, "appointMiners", 3, [ann, ann]),
        (owner, "appointMiners", 3, [ann, bob, owner]),
        (owner, "appointMiners", 3, [eve, bob]),
        (owner, "appointMiners", 3, []),
        (owner, "appointMiners", 3, [ZERO_ADDRESS]),
        (owner, "revokeMiners", 9, many),
        (eve, "revokeMiners", 3, many),
        (owner, "revokeMiners", 3, many),
        (owner, "revokeMiners", 3, [ZERO_ADDRESS, ZERO_ADDRESS]),
        (owner, "revokeMiners", 3, [ann, eve]),
        (owner, "revokeMiners", 3, [ZERO_ADDRESS]),
        (ann, "recordCheckpoint", 9, 9, 1_000_001),
        (ann, "recordCheckpoint", 3, 9, 1_000_001),
        (eve, "recordCheckpoint", 3, 9, 1_000_001),
        (eve, "recordCheckpoint", 3, 0, 1_000_001),
        (eve, "recordCheckpoint", 3, 0, 1_000_000),
        (owner, "recordCheckpoint", 3, 0, 0),
        (owner, "rollback", 3, 1, 0),
        (ann, "voteRollback", 3, 1, 0),
        (eve, *publish, 1, CID2 + bytes(28), "r", [], CID),
        (owner, "recordCheckpoint", 3, 0, 0),
        (owner, "recordCheckpoint", 3, 1, 0),
        (eve, *publish, 2, CID[:4], "r", [], CID),
        (ann, "submitUpdate", 3, 3, CID, 1, 1),
        (eve, "rollback", 9, 9, 9),
        (eve, "rollback", 3, 9, 9),
        (owner, "rollback", 3, 9, 9),
        (owner, "rollback", 3, 3, 2),
        (owner, "rollback", 3, 3, 1),
        (ann, "payRewards", 3, 3, [ann]),
        (ann, "submitUpdate", 3, 3, CID, 1, 1),
        (ann, "submitUpdate", 3, 4, CID, 1, 1),
        (eve, "voteRollback", 9, 9, 9),
        (eve, "voteRollback", 3, 9, 9),
        (ann, "voteRollback", 3, 9, 9),
        (ann, "voteRollback", 3, 4, 9),
        (ann, "voteRollback", 3, 4, 1),
        (eve, "recordCheckpoint", 3, 3, 5),
        (eve, "voteRollback", 3, 4, 0),
        (ann, "voteRollback", 3, 4, 0),
        (ann, "voteRollback", 3, 4, 0),
        (owner, "revokeMiners", 3, [owner]),
        (bob, "voteRollback", 3, 4, 0),
        (ann, "voteRollback", 3, 4, 0),
        (eve, *publish, 5, CID2, "r", [], CID),
        (ann, "voteRollback", 3, 6, 0),
        (ann, "voteRollback", 3, 6, 1),
        (bob, "voteRollback", 3, 6, 1),
        *[(eve, *publish, number, CID2, "r", [], CID) for number in (7, 8, 9)],
        (ann, "voteRollback", 3, 10, 0),
        (owner, "rollback", 3, 10, 0),
        (owner, "recordCheckpoint", 3, 9, 0),
    ]
    for sender, function, *args in calls:
        both.step(sender, TASKS, function, *args)


def test_who_may_propose_is_the_same(both):
    """Where the zero address is no proposer, rewards need the role; tasks without any do not."""
    propose = ("propose", "m", CID, 1, 0)
    taken, _ = both.send(both.eve, TASKS, *propose, 1, CID)
    assert taken == 1
    both.send(both.admin, TOKEN, "revokeRole", PROPOSER_ROLE, ZERO_ADDRESS)
    refusal = both.send(both.eve, TASKS, *propose, 1, CID)
    assert refusal == errors(TASKS, "NotProposer", both.eve)
    assert both.send(both.eve, TASKS, *propose, 0, CID)[0] == 2
    assert both.send(both.admin, TASKS, *propose, 20, CID)[0] == 3
    both.send(both.admin, TOKEN, "grantRole", PROPOSER_ROLE, both.eve)
    assert both.send(both.eve, TASKS, *propose, 20, CID)[0] == 4
    both.compare()


def test_every_call_and_error_is_the_same(both):
    """Every function, event and error of both contracts, from both sides, step by step."""
    token_calls(both)
    task_calls(both)
    role_calls(both)
    both.compare()
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
        (TASKS, "error", "NotProposer"),  # test_who_may_propose_is_the_same
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
