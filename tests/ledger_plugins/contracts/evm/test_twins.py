"""The twins by themselves: how they start, what they keep, and the ABI they share.

That they do and refuse what the compiled contracts do is in `test_evm.py` and
`test_refusals.py`.
"""

import ast
import copy
import inspect
import itertools

import pytest
from eth_hash.auto import keccak
from support.both_contracts import ADMIN, ANN, BOB, CID, CID2, EVE, MANY, OWNER, TASKS, TOKEN
from support.evm import TwinBench
from support.twins import TWINS

from fedledger.errors import ContractError
from fedledger.ledger_plugins.addresses import ZERO_ADDRESS, address_from_bytes
from fedledger.ledger_plugins.contracts import abi
from fedledger.ledger_plugins.contracts import twin as base
from fedledger.ledger_plugins.contracts.stake_token.twin import (
    DEFAULT_ADMIN_ROLE,
    MINTER_ROLE,
    PROPOSER_ROLE,
)
from fedledger.ledger_plugins.contracts.twin import Twin

OPENED, LATER = 1_000, 1_061  # when task 1 opens, and when its window has closed
ADDRESSES = {name: address_from_bytes(keccak(name.encode())[12:]) for name in TWINS}


def task(bench, sender, function, *args, now=LATER):
    return bench.send(sender, TASKS, function, *args, now=now)


@pytest.fixture
def bench():
    """Task 1 has two rounds, with a window of a minute, and task 2 the longest window."""
    bench = TwinBench(ADMIN, ADDRESSES)
    for window in (60, (1 << 64) - 1):
        task(bench, OWNER, "propose", "digits", CID, 2, window, 20, CID2, now=OPENED)
    return bench


@pytest.mark.parametrize("admin", [ADMIN, None])
def test_genesis_gives_roles(admin):
    """The administrator, if any, has all roles, TrainingTask mints, and everybody proposes."""
    bench = TwinBench(admin, ADDRESSES)
    holders = {
        (role, who)
        for role in (MINTER_ROLE, DEFAULT_ADMIN_ROLE, PROPOSER_ROLE)
        for who in (ADMIN, OWNER, ZERO_ADDRESS, *ADDRESSES.values())
        if bench.view(TOKEN, "hasRole", role, who)
    }
    expected = {(MINTER_ROLE, ADDRESSES[TASKS]), (PROPOSER_ROLE, ZERO_ADDRESS)}
    if admin:
        expected |= {(role, ADMIN) for role in (MINTER_ROLE, DEFAULT_ADMIN_ROLE, PROPOSER_ROLE)}
    assert holders == expected


def test_votes_are_said_and_not_stored(bench):
    """Anyone votes, and again; each vote is an event and changes no state."""
    states = copy.deepcopy(bench.states)
    for scores in ((-(1 << 63), (1 << 63) - 1), (), (1,) * 32):
        _, events = task(bench, EVE, "submitVotes", 1, 1, bytes(32), scores, bytes(32))
        said = {"task": 1, "round": 1, "voter": EVE, "ballot": bytes(32), "scores": scores}
        said["seen"] = bytes(32)
        assert events == [(TASKS, "VotesSubmitted", said)]
    assert bench.states == states


def test_seals_and_salts_are_said_and_not_stored(bench):
    """Of two updates that differ in their seal alone, and of a reveal, no state remains."""
    other = copy.deepcopy(bench)
    for one, seal in ((bench, bytes(32)), (other, keccak(b"a salt"))):
        call = ("submitUpdate", 1, 1, CID, 1, 1, seal, bytes(32))
        _, [(_, _, said)] = task(one, ANN, *call, now=OPENED)
        assert said["seal"] == seal
    _, [(contract, name, said)] = task(bench, EVE, "revealSalt", 1, 1, b"\1" * 32, *[CID[4:]] * 2)
    assert (contract, name) == (TASKS, "SaltRevealed")
    assert list(said.values()) == [1, 1, EVE, b"\1" * 32, CID[4:], CID[4:]]
    assert bench.states == other.states


def test_commitments_are_said_and_not_stored(bench):
    """What a publication commits itself to is in its event and nowhere else."""
    other = copy.deepcopy(bench)
    pairs = tuple((bytes([n]) * 32, keccak(bytes([n]))) for n in range(1, 17))
    call = ("publishAggregate", 1, 1, CID2, "r", [], CID)
    _, [(_, _, said)] = task(bench, OWNER, *call, pairs)
    task(other, OWNER, *call, [])
    assert said["commitments"] == pairs
    assert bench.states == other.states


def test_a_huge_window_never_closes(bench):
    """The deadline of the longest window does not overflow."""
    last = (1 << 64) - 1
    task(bench, ANN, "submitUpdate", 2, 1, CID, 1, 1, bytes(32), bytes(32), now=last)
    with pytest.raises(ContractError) as caught:
        task(bench, ANN, "revealSalt", 2, 1, *[bytes(32)] * 3, now=last)
    assert caught.value.arguments == {"deadline": OPENED + last, "time": last}


def test_full_batches_fit(bench):
    """256 contributors are published and paid in one call each (clause L9)."""
    for client in MANY[:256]:
        call = ("submitUpdate", 1, 1, CID, 1, 1, bytes(32), bytes(32))
        task(bench, client, *call, now=OPENED)
    task(bench, OWNER, "publishAggregate", 1, 1, CID2, "krum", MANY[:256], CID, [])
    task(bench, ANN, "payRewards", 1, 1, MANY[:256])
    assert bench.view(TOKEN, "balanceOf", MANY[255]) == 20


def test_full_batches_of_members_fit(bench):
    """256 members come and go in one call each (clause L9), and there may be more in all."""
    for batch in (MANY[:256], [OWNER, ADMIN, BOB]):
        task(bench, OWNER, "appointMembers", 1, batch)
    assert bench.view(TASKS, "getRoles", 1) == (OWNER, OWNER, 259)
    task(bench, OWNER, "revokeMembers", 1, MANY[:256])
    assert bench.view(TASKS, "getRoles", 1) == (OWNER, OWNER, 3)


# The ABI ------------------------------------------------------------------------------------


# Errors that Solidity itself raises, and the event of a change that no function of ours makes.
NOT_OURS = {"Error", "Panic", "RoleAdminChanged"}
EVM_ALONE = {
    "RandomnessProvided",
    "BlockUnknown",
    "WrongHeader",
}  # what blocks of a chain with them do


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
        used = {name for one, name, _ in uses if one == kind} | NOT_OURS | EVM_ALONE
        assert used >= set(abi.names(contract, kind)), "an event or error of the ABI is never used"
    public = {name for name, _ in inspect.getmembers(twin, inspect.isfunction) if name[0] != "_"}
    assert public - {"peer", "emit", "revert"} == set(abi.names(contract, "function"))
    for function in abi.names(contract, "function"):
        arity = len(inspect.signature(getattr(twin, function)).parameters) - 1
        assert arity == len(abi.function_inputs(contract, function)), function
