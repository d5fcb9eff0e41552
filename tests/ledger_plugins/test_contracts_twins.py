"""The twins by themselves: every error, every change of state, and the ABI they share."""

import ast
import copy
import inspect
import itertools

import pytest
from eth_abi.abi import encode
from eth_hash.auto import keccak
from support.twin_bench import ADDRESSES, ADMIN, ANN, BOB, CID, CID2, EVE, OWNER, Bench, refused

from fedledger.errors import ContractError
from fedledger.ledger_plugins.addresses import ZERO_ADDRESS, address_from_bytes
from fedledger.ledger_plugins.contracts import abi
from fedledger.ledger_plugins.contracts.twins import (
    TWINS,
    Twin,
    base,
)
from fedledger.ledger_plugins.contracts.twins.stake_token import (
    DEFAULT_ADMIN_ROLE,
    MINTER_ROLE,
    PROPOSER_ROLE,
)

TOP = (1 << 256) - 1
UNAUTHORIZED = "AccessControlUnauthorizedAccount"


@pytest.fixture
def bench():
    return Bench()


# StakeToken ---------------------------------------------------------------------------------


def token(bench, sender, function, *args):
    return bench.send(sender, "StakeToken", function, *args)


def balance(bench, address):
    return bench.view("StakeToken", "balanceOf", address)


def test_token_names_itself(bench):
    """The token says what it is, and starts with no supply."""
    said = [
        bench.view("StakeToken", name) for name in ("name", "symbol", "decimals", "totalSupply")
    ]
    assert said == ["fedledger stake", "STAKE", 0, 0]
    assert bench.view("StakeToken", "MINTER_ROLE") == MINTER_ROLE
    assert bench.view("StakeToken", "PROPOSER_ROLE") == PROPOSER_ROLE
    assert bench.view("StakeToken", "DEFAULT_ADMIN_ROLE") == bytes(32)


@pytest.mark.parametrize("admin", [ADMIN, None])
def test_genesis_gives_roles(admin):
    """The administrator, if any, has all roles, TrainingTask mints, and everybody proposes."""
    bench = Bench(admin)
    holders = {
        (role, who)
        for role in (MINTER_ROLE, DEFAULT_ADMIN_ROLE, PROPOSER_ROLE)
        for who in (ADMIN, OWNER, ZERO_ADDRESS, *ADDRESSES.values())
        if bench.view("StakeToken", "hasRole", role, who)
    }
    expected = {(MINTER_ROLE, ADDRESSES["TrainingTask"]), (PROPOSER_ROLE, ZERO_ADDRESS)}
    if admin:
        expected |= {(role, ADMIN) for role in (MINTER_ROLE, DEFAULT_ADMIN_ROLE, PROPOSER_ROLE)}
    assert holders == expected


def test_mint_and_transfer_move_tokens(bench):
    """Minting raises supply and balance, a transfer moves both ends, and both say so."""
    token(bench, ADMIN, "mint", ANN, 10)
    assert token(bench, ANN, "transfer", BOB, 4) is True
    assert token(bench, ANN, "transfer", ANN, 6) is True
    assert (balance(bench, ANN), balance(bench, BOB)) == (6, 4)
    assert bench.view("StakeToken", "totalSupply") == 10
    assert bench.events == [
        ("Transfer", {"from": ZERO_ADDRESS, "to": ANN, "value": 10}),
        ("Transfer", {"from": ANN, "to": BOB, "value": 4}),
        ("Transfer", {"from": ANN, "to": ANN, "value": 6}),
    ]


def test_allowance_is_spent_unless_it_is_infinite(bench):
    """Spending lowers the allowance, but never the highest one; only approve says Approval."""
    token(bench, ADMIN, "mint", ANN, 10)
    assert token(bench, ANN, "approve", BOB, 5) is True
    assert token(bench, BOB, "transferFrom", ANN, EVE, 3) is True
    assert bench.view("StakeToken", "allowance", ANN, BOB) == 2
    token(bench, ANN, "approve", BOB, TOP)
    token(bench, BOB, "transferFrom", ANN, EVE, 3)
    assert bench.view("StakeToken", "allowance", ANN, BOB) == TOP
    assert (balance(bench, ANN), balance(bench, EVE)) == (4, 6)
    approvals = [arguments for name, arguments in bench.events if name == "Approval"]
    assert approvals == [
        {"owner": ANN, "spender": BOB, "value": 5},
        {"owner": ANN, "spender": BOB, "value": TOP},
    ]


def test_roles_are_given_and_taken_once(bench):
    """A role given works until it is taken; giving or taking it twice says nothing."""
    for _ in range(2):
        token(bench, ADMIN, "grantRole", MINTER_ROLE, EVE)
    token(bench, EVE, "mint", EVE, 1)
    for _ in range(2):
        token(bench, ADMIN, "revokeRole", MINTER_ROLE, EVE)
    said = {"role": MINTER_ROLE, "account": EVE, "sender": ADMIN}
    assert bench.events[0] == ("RoleGranted", said)
    assert bench.events[2:] == [("RoleRevoked", said)]
    refused(bench, EVE, "StakeToken", ("mint", EVE, 1), (UNAUTHORIZED, EVE, MINTER_ROLE))


def test_a_role_can_be_given_up(bench):
    """Whoever holds a role may give it up; giving up what one does not have says nothing."""
    for _ in range(2):
        token(bench, ADMIN, "renounceRole", DEFAULT_ADMIN_ROLE, ADMIN)
    said = {"role": DEFAULT_ADMIN_ROLE, "account": ADMIN, "sender": ADMIN}
    assert bench.events == [("RoleRevoked", said)]
    call = ("grantRole", MINTER_ROLE, EVE)
    refused(bench, ADMIN, "StakeToken", call, (UNAUTHORIZED, ADMIN, DEFAULT_ADMIN_ROLE))


def test_token_states_its_interfaces(bench):
    """The token has the interfaces of ERC-165 and of roles, and one role gives all others."""
    for known in ("01ffc9a7", "7965db0b"):
        assert bench.view("StakeToken", "supportsInterface", bytes.fromhex(known))
    assert not bench.view("StakeToken", "supportsInterface", b"\xff" * 4)
    assert bench.view("StakeToken", "getRoleAdmin", MINTER_ROLE) == DEFAULT_ADMIN_ROLE


@pytest.mark.parametrize(
    ("sender", "call", "error"),
    [
        (ANN, ("transfer", BOB, 10), ("ERC20InsufficientBalance", ANN, 9, 10)),
        (ANN, ("transfer", ZERO_ADDRESS, 99), ("ERC20InvalidReceiver", ZERO_ADDRESS)),
        (ZERO_ADDRESS, ("transfer", BOB, 0), ("ERC20InvalidSender", ZERO_ADDRESS)),
        (ANN, ("approve", ZERO_ADDRESS, 1), ("ERC20InvalidSpender", ZERO_ADDRESS)),
        (ZERO_ADDRESS, ("approve", BOB, 1), ("ERC20InvalidApprover", ZERO_ADDRESS)),
        (BOB, ("transferFrom", ZERO_ADDRESS, BOB, 0), ("ERC20InvalidApprover", ZERO_ADDRESS)),
        (EVE, ("transferFrom", ANN, EVE, 1), ("ERC20InsufficientAllowance", EVE, 0, 1)),
        (BOB, ("transferFrom", ANN, EVE, 10), ("ERC20InsufficientBalance", ANN, 9, 10)),
        (BOB, ("transferFrom", ANN, ZERO_ADDRESS, 1), ("ERC20InvalidReceiver", ZERO_ADDRESS)),
        (ADMIN, ("mint", ZERO_ADDRESS, 1), ("ERC20InvalidReceiver", ZERO_ADDRESS)),
        (ADMIN, ("mint", BOB, TOP - 8), ("Panic", 0x11)),
        (EVE, ("mint", ZERO_ADDRESS, 1), (UNAUTHORIZED, EVE, MINTER_ROLE)),
        (EVE, ("grantRole", MINTER_ROLE, EVE), (UNAUTHORIZED, EVE, DEFAULT_ADMIN_ROLE)),
        (EVE, ("revokeRole", MINTER_ROLE, ADMIN), (UNAUTHORIZED, EVE, DEFAULT_ADMIN_ROLE)),
        (EVE, ("renounceRole", MINTER_ROLE, ADMIN), ("AccessControlBadConfirmation",)),
    ],
)
def test_token_refuses(bench, sender, call, error):
    """Each error of StakeToken comes with its values, and the call changes nothing (L2)."""
    token(bench, ADMIN, "mint", ANN, 9)
    token(bench, ANN, "approve", BOB, 50)
    refused(bench, sender, "StakeToken", call, error)


# TrainingTask -------------------------------------------------------------------------------


def task(bench, sender, function, *args):
    return bench.send(sender, "TrainingTask", function, *args)


def propose(bench, *, rounds=2, window=0, reward=20):
    return task(bench, OWNER, "propose", "digits", CID, rounds, window, reward, CID2)


def submit(bench, client, number=1, cid=CID2):
    task(bench, client, "submitUpdate", 1, number, cid, 100, 912_345)


def publish(bench, contributors, number=1):
    task(bench, OWNER, "publishAggregate", 1, number, CID2, "krum", contributors, CID)


def status(bench, client, number=1):
    return bench.view("TrainingTask", "getSubmission", 1, number, client)[1]


def test_propose_opens_a_task(bench):
    """Tasks count from 1; the view and the event repeat what was proposed."""
    assert [propose(bench), propose(bench, reward=0)] == [1, 2]
    assert bench.view("TrainingTask", "taskCount") == 2
    assert bench.view("TrainingTask", "getTask", 1) == (
        (OWNER, "digits", CID, 2, 0, 0, 20, CID2, CID, 1_000, False)
    )
    name, said = bench.events[0]
    assert (name, said["task"], said["owner"], said["modelCid"]) == ("TaskProposed", 1, OWNER, CID)


def test_contract_states_its_limits(bench):
    """The limits and the token can be read."""
    assert bench.view("TrainingTask", "MAX_REWARD") == 20
    assert bench.view("TrainingTask", "MAX_CONTRIBUTORS") == 256
    assert bench.view("TrainingTask", "MAX_SCORES") == 32
    assert bench.view("TrainingTask", "token") == ADDRESSES["StakeToken"]


def test_the_last_submission_counts(bench):
    """A client may submit again while the round is open; the commitment is to the last update."""
    propose(bench)
    submit(bench, ANN, cid=CID)
    submit(bench, ANN, cid=CID2)
    packed = encode(("bytes", "uint64", "uint32"), (CID2, 100, 912_345))
    view = bench.view("TrainingTask", "getSubmission", 1, 1, ANN)
    assert view == (keccak(packed)[:31], 1)
    assert bench.view("TrainingTask", "getSubmission", 1, 1, BOB) == (bytes(31), 0)
    assert [arguments["cid"] for _, arguments in bench.events[1:]] == [CID, CID2]


def test_window_is_judged_by_block_time(bench):
    """An update is taken in the window's last second, not in the next one; 0 never closes (L5)."""
    propose(bench, window=60)
    bench.now = 1_060
    submit(bench, ANN)
    bench.now = 1_061
    call = ("submitUpdate", 1, 1, CID, 1, 1)
    refused(bench, BOB, "TrainingTask", call, ("WindowClosed", 1_060, 1_061))
    publish(bench, [ANN])
    submit(bench, BOB, 2)


def test_votes_are_said_and_not_stored(bench):
    """Anyone votes, again and after the window; each vote is an event and changes no state."""
    propose(bench, window=60)
    bench.now = 1_061
    states, ballot = copy.deepcopy(bench.states), b"\7" * 32
    votes = [(-(1 << 63), (1 << 63) - 1), (), (1,) * 32]
    for scores in votes:
        task(bench, EVE, "submitVotes", 1, 1, ballot, scores)
    said = {"task": 1, "round": 1, "miner": EVE, "ballot": ballot}
    assert bench.events[1:] == [("VotesSubmitted", said | {"scores": one}) for one in votes]
    assert bench.states == states


def test_a_huge_window_never_closes(bench):
    """The deadline of the longest window does not overflow."""
    propose(bench, window=(1 << 64) - 1)
    bench.now = (1 << 64) - 1
    submit(bench, ANN)


def test_a_task_from_proposal_to_payment(bench):
    """Publishing marks contributors, mints into escrow and opens the next round; paying pays."""
    propose(bench)
    for client in (ANN, BOB, EVE):
        submit(bench, client)
    bench.now = 1_010
    publish(bench, [BOB, ANN])
    assert [status(bench, client) for client in (ANN, BOB, EVE)] == [2, 2, 1]
    assert balance(bench, ADDRESSES["TrainingTask"]) == 40
    assert bench.view("TrainingTask", "getTask", 1)[4:] == (1, 0, 20, CID2, CID2, 1_010, False)
    said = {"from": ZERO_ADDRESS, "to": ADDRESSES["TrainingTask"], "value": 40}
    assert [name for name, _ in bench.events[4:]] == ["AggregatePublished", "Transfer"]
    assert bench.events[5] == ("Transfer", said)
    assert bench.events[4][1]["contributors"] == (BOB, ANN)

    del bench.events[:]
    task(bench, EVE, "payRewards", 1, 1, [ANN])
    task(bench, EVE, "payRewards", 1, 1, [BOB])
    assert [name for name, _ in bench.events] == ["RewardPaid", "Transfer"] * 2
    assert bench.events[0][1] == {"task": 1, "round": 1, "client": ANN, "amount": 20}
    assert [status(bench, client) for client in (ANN, BOB, EVE)] == [3, 3, 1]
    assert [balance(bench, who) for who in (ANN, BOB, EVE)] == [20, 20, 0]
    assert balance(bench, ADDRESSES["TrainingTask"]) == 0

    publish(bench, [], 2)
    assert bench.view("TrainingTask", "getTask", 1)[10] is True


def test_nothing_moves_without_reward(bench):
    """A round without contributors, or a task without reward, mints and transfers nothing."""
    propose(bench, reward=0)
    submit(bench, ANN)
    publish(bench, [ANN])
    task(bench, ANN, "payRewards", 1, 1, [ANN])
    publish(bench, [], 2)
    assert not [name for name, _ in bench.events if name == "Transfer"]
    assert status(bench, ANN) == 3


LONG = "é" * 33  # 33 characters, 66 bytes
MANY = [address_from_bytes(n.to_bytes(20, "big")) for n in range(1, 258)]
BAD_CIDS = [b"", b"\x01\x55\x12", b"\x02\x55\x12\x20", b"\x01" * 65]


@pytest.mark.parametrize(
    ("sender", "call", "error"),
    [
        (ANN, ("propose", "", b"", 0, 0, 21, b""), ("InvalidModelId", "")),
        (ANN, ("propose", LONG, CID, 1, 0, 1, CID), ("InvalidModelId", LONG)),
        *((ANN, ("propose", "m", bad, 0, 0, 21, CID), ("InvalidCid", bad)) for bad in BAD_CIDS),
        (ANN, ("propose", "m", CID, 0, 0, 21, b"\0"), ("InvalidCid", b"\0")),
        (ANN, ("propose", "m", CID, 0, 0, 21, CID), ("InvalidRounds", 0)),
        (ANN, ("propose", "m", CID, 1, 0, 21, CID), ("RewardTooHigh", 21, 20)),
        (ANN, ("submitUpdate", 9, 9, b"", 0, TOP >> 224), ("UnknownTask", 9)),
        (ANN, ("submitUpdate", 0, 1, CID, 0, 0), ("UnknownTask", 0)),
        (ANN, ("submitUpdate", 2, 9, b"", 0, 0), ("TaskFinished", 2)),
        (ANN, ("submitUpdate", 1, 1, b"", 0, 0), ("WrongRound", 2, 1)),
        (ANN, ("submitUpdate", 1, 3, CID, 0, 0), ("WrongRound", 2, 3)),
        (ANN, ("submitUpdate", 1, 2, b"", 0, 1_000_001), ("InvalidCid", b"")),
        (ANN, ("submitVotes", 9, 1, bytes(32), (1,) * 33), ("UnknownTask", 9)),
        (ANN, ("submitVotes", 2, 9, bytes(32), (1,) * 33), ("TaskFinished", 2)),
        (ANN, ("submitVotes", 1, 1, bytes(32), (1,) * 33), ("WrongRound", 2, 1)),
        (ANN, ("submitVotes", 1, 2, bytes(32), (1,) * 33), ("TooManyScores", 33, 32)),
        (ANN, ("submitUpdate", 1, 2, CID, 0, 1_000_001), ("InvalidAccuracy", 1_000_001)),
        (ANN, ("publishAggregate", 9, 1, CID, "r", [], CID), ("UnknownTask", 9)),
        (ANN, ("publishAggregate", 2, 9, b"", "", [], b""), ("NotAggregator", ANN)),
        (OWNER, ("publishAggregate", 2, 9, b"", "", [], b""), ("TaskFinished", 2)),
        (OWNER, ("publishAggregate", 1, 1, b"", "", [], b""), ("WrongRound", 2, 1)),
        (OWNER, ("publishAggregate", 1, 2, b"", "", [], b"\0"), ("InvalidCid", b"")),
        (OWNER, ("publishAggregate", 1, 2, CID, "", [], b"\0"), ("InvalidCid", b"\0")),
        (OWNER, ("publishAggregate", 1, 2, CID, "", MANY, CID), ("InvalidRule", "")),
        (OWNER, ("publishAggregate", 1, 2, CID, "r" * 33, [], CID), ("InvalidRule", "r" * 33)),
        (OWNER, ("publishAggregate", 1, 2, CID, "r", MANY, CID), ("TooManyContributors", 257, 256)),
        (OWNER, ("publishAggregate", 1, 2, CID, "r", [BOB, EVE, BOB], CID), ("NotSubmitted", EVE)),
        (
            OWNER,
            ("publishAggregate", 1, 2, CID, "r", [BOB, BOB], CID),
            ("DuplicateContributor", BOB),
        ),
        (OWNER, ("publishAggregate", 1, 2, CID, "r", [ANN], CID), ("NotSubmitted", ANN)),
        (ANN, ("payRewards", 9, 1, MANY), ("UnknownTask", 9)),
        (ANN, ("payRewards", 1, 2, MANY), ("RoundNotPublished", 1, 2)),
        (ANN, ("payRewards", 1, 0, []), ("RoundNotPublished", 1, 0)),
        (ANN, ("payRewards", 1, 1, MANY), ("TooManyContributors", 257, 256)),
        (ANN, ("payRewards", 1, 1, [EVE]), ("NotContributor", EVE)),
        (ANN, ("payRewards", 1, 1, [BOB, OWNER]), ("NotContributor", OWNER)),
        (ANN, ("payRewards", 1, 1, [BOB, ANN]), ("AlreadyPaid", ANN)),
        (ANN, ("payRewards", 1, 1, [BOB, BOB]), ("AlreadyPaid", BOB)),
    ],
)
def test_task_refuses(bench, sender, call, error):
    """Each error of TrainingTask comes in its order, with its values, changing nothing (L2)."""
    propose(bench)  # task 1: round 1 published (Ann is paid, Bob not, Eve left out), round 2 open
    for client in (ANN, BOB, EVE):
        submit(bench, client)
    publish(bench, [ANN, BOB])
    task(bench, ANN, "payRewards", 1, 1, [ANN])
    submit(bench, BOB, 2)
    propose(bench, rounds=1)  # task 2: finished
    task(bench, OWNER, "publishAggregate", 2, 1, CID, "r", [], CID)
    refused(bench, sender, "TrainingTask", call, error)


@pytest.mark.parametrize("view", [("getTask", 1), ("getSubmission", 1, 1, ANN)])
def test_views_know_unknown_tasks(bench, view):
    """A view of a task that nobody proposed refuses."""
    with pytest.raises(ContractError, match="UnknownTask"):
        bench.view("TrainingTask", *view)


def test_errors_of_the_token_come_through(bench):
    """What the token refuses stops publishAggregate: its own error, or the caller's Panic."""
    propose(bench)
    submit(bench, ANN)
    token(bench, ADMIN, "mint", BOB, TOP - 19)
    with pytest.raises(ContractError) as caught:
        publish(bench, [ANN])
    assert (caught.value.contract, caught.value.error) == ("TrainingTask", "Panic")
    with pytest.raises(ContractError) as caught:
        token(bench, ADMIN, "mint", BOB, 20)
    assert (caught.value.contract, caught.value.error) == ("StakeToken", "Panic")
    token(bench, ADMIN, "revokeRole", MINTER_ROLE, ADDRESSES["TrainingTask"])
    with pytest.raises(ContractError) as caught:
        publish(bench, [ANN])
    assert (caught.value.contract, caught.value.error) == ("StakeToken", UNAUTHORIZED)
    assert caught.value.arguments["account"] == ADDRESSES["TrainingTask"]


def test_full_batches_fit(bench):
    """256 contributors are published and paid in one call each (clause L9)."""
    propose(bench)
    for client in MANY[:256]:
        submit(bench, client)
    publish(bench, MANY[:256])
    task(bench, ANN, "payRewards", 1, 1, MANY[:256])
    assert balance(bench, MANY[255]) == 20


# The ABI ------------------------------------------------------------------------------------


# Errors that Solidity itself raises, and the event of a change that no function of ours makes.
NOT_OURS = {"Error", "Panic", "RoleAdminChanged"}


def _uses(twin):
    """Find the (kind, name, argument names) of every emit and revert in a twin's sources."""
    parts = {inspect.getmodule(part) for part in twin.__mro__ if issubclass(part, Twin)}
    nodes = [ast.walk(ast.parse(inspect.getsource(part))) for part in parts if part != base]
    for node in itertools.chain(*nodes):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        kind = {"emit": "event", "revert": "error"}.get(node.func.attr)
        if kind is None:
            continue
        arguments = []
        for keyword in node.keywords:
            if keyword.arg is None:
                assert isinstance(keyword.value, ast.Dict)
                arguments += [ast.literal_eval(key) for key in keyword.value.keys if key]
            else:
                arguments.append(keyword.arg)
        yield kind, ast.literal_eval(node.args[0]), arguments


@pytest.mark.parametrize("contract", sorted(TWINS))
def test_twin_uses_the_whole_abi(contract):
    """Twin and ABI have the same functions, events and errors, with the same arguments in order."""
    twin = TWINS[contract]
    uses = list(_uses(twin))
    inputs = {"event": abi.event_inputs, "error": abi.error_inputs}
    for kind, name, arguments in uses:
        wanted = [parameter.name for parameter in inputs[kind](contract, name)]
        assert arguments == wanted, f"{contract}.{name}"
    for kind in ("event", "error"):
        used = {name for one, name, _ in uses if one == kind} | NOT_OURS
        assert used >= set(abi.names(contract, kind)), "an event or error of the ABI is never used"
    public = {name for name, _ in inspect.getmembers(twin, inspect.isfunction) if name[0] != "_"}
    assert public - {"peer", "emit", "revert"} == set(abi.names(contract, "function"))
    for function in abi.names(contract, "function"):
        arity = len(inspect.signature(getattr(twin, function)).parameters) - 1
        assert arity == len(abi.function_inputs(contract, function)), function
