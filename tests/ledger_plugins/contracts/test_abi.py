"""The ABI codec: what goes in comes out, and nothing else is accepted."""

import re

import eth_abi
import pytest
from eth_hash.auto import keccak
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples

from fedledger.errors import CallError
from fedledger.ledger_plugins.addresses import (
    ZERO_ADDRESS,
    address_from_bytes,
    checksum_address,
)
from fedledger.ledger_plugins.contracts import abi

CASES = [
    (contract, kind, name)
    for contract in abi.contract_names()
    for kind in ("function", "event", "error")
    for name in abi.names(contract, kind)
]
CALLS = [(contract, name) for contract, kind, name in CASES if kind == "function"]
ANN = address_from_bytes(b"\x01" * 20)
UPDATE = (1, 2, b"\x01\x55", 100, 900_000, b"\5" * 32, b"\7" * 32)


def values_of(kind):
    """Return a hypothesis strategy for the values of an ABI type."""
    if kind.endswith("[]"):
        return st.lists(values_of(kind[:-2]), max_size=4).map(tuple)
    if match := re.fullmatch(r"(.+)\[(\d+)\]", kind):
        size = int(match[2])
        return st.lists(values_of(match[1]), min_size=size, max_size=size).map(tuple)
    if kind.startswith("uint"):
        return st.integers(0, (1 << int(kind[4:])) - 1)
    if kind.startswith("int"):
        half = 1 << (int(kind[3:]) - 1)
        return st.integers(-half, half - 1)
    if re.fullmatch(r"bytes\d+", kind):
        size = int(kind[5:])
        return st.binary(min_size=size, max_size=size)
    return {
        "address": st.binary(min_size=20, max_size=20).map(address_from_bytes),
        "bool": st.booleans(),
        "bytes": st.binary(max_size=100),
        "string": st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
    }[kind]


def draw_all(data, parameters):
    return tuple(data.draw(values_of(one.kind)) for one in parameters)


@examples(300)
@given(call=st.sampled_from(CALLS), data=st.data())
def test_calls_and_results_come_back(call, data):
    """Every function's call and result survive the round trip, as eth_abi encodes them."""
    contract, function = call
    inputs = abi.function_inputs(contract, function)
    args = draw_all(data, inputs)
    encoded = abi.encode_call(contract, function, *args)
    assert abi.decode_call(contract, encoded) == (function, args)
    kinds = [one.kind for one in inputs]
    assert encoded[:4] == keccak(f"{function}({','.join(kinds)})".encode())[:4]
    assert encoded[4:] == eth_abi.encode(kinds, args)

    outputs = draw_all(data, abi.function_outputs(contract, function))
    result = outputs if len(outputs) > 1 else next(iter(outputs), None)
    raw = abi.encode_result(contract, function, result)
    assert abi.decode_result(contract, function, raw) == result


@examples(300)
@given(case=st.sampled_from([case for case in CASES if case[1] != "function"]), data=st.data())
def test_events_and_errors_come_back(case, data):
    """Every event's log and every error's data survive the round trip, in the ABI's order."""
    contract, kind, name = case
    inputs = abi.event_inputs if kind == "event" else abi.error_inputs
    parameters = inputs(contract, name)
    arguments = dict(zip((one.name for one in parameters), draw_all(data, parameters), strict=True))
    if kind == "error":
        raw = abi.encode_error(contract, name, arguments)
        found = abi.decode_error(contract, raw)
    else:
        topics, raw = abi.encode_event(contract, name, arguments)
        assert topics[0] == abi.event_topic(contract, name)
        assert {len(topic) for topic in topics} == {32}
        found = abi.decode_event(contract, topics, raw)
    assert found == (name, arguments)
    assert list(found[1]) == list(arguments)


@examples(300)
@given(data=st.data(), call=st.sampled_from(CALLS))
def test_any_other_bytes_are_refused(data, call):
    """Changed, cut or extended calls are refused, or they are another call's only encoding."""
    contract, function = call
    raw = bytearray(
        abi.encode_call(contract, function, *draw_all(data, abi.function_inputs(*call)))
    )
    change = data.draw(st.sampled_from(["flip", "cut", "extend"]))
    if change == "flip":
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    elif change == "cut":
        del raw[data.draw(st.integers(0, len(raw) - 1)) :]
    else:
        raw += data.draw(st.binary(min_size=1, max_size=40))
    try:
        name, args = abi.decode_call(contract, bytes(raw))
    except CallError:
        return
    assert change == "flip"
    assert abi.encode_call(contract, name, *args) == raw


@examples(300)
@given(
    selector=st.sampled_from(CALLS),
    words=st.lists(
        st.one_of(st.sampled_from([0, 32, 64, 96, 1 << 255, (1 << 256) - 32]), st.integers(0, 300)),
        max_size=12,
    ),
)
def test_hostile_offsets_and_lengths_are_refused(selector, words):
    """Whatever offsets and lengths say, decoding raises CallError or returns a canonical call."""
    contract, function = selector
    args = b"".join(word.to_bytes(32, "big") for word in words)
    kinds = [one.kind for one in abi.function_inputs(contract, function)]
    head = keccak(f"{function}({','.join(kinds)})".encode())[:4]
    try:
        name, decoded = abi.decode_call(contract, head + args)
    except CallError:
        return
    assert abi.encode_call(contract, name, *decoded) == head + args


def test_non_canonical_encodings_are_refused():
    """The same arguments at another offset, with dirty padding, or followed by more."""
    canonical = abi.encode_call("TrainingTask", "submitUpdate", *UPDATE)
    moved = bytearray(canonical)
    moved[4 + 2 * 32 + 31] = 0xC0  # the bytes one word further on
    moved[4 + 5 * 32 : 4 + 5 * 32] = bytes(32)
    dirty = canonical[:-1] + b"\x01"
    for raw in (bytes(moved), dirty, canonical + bytes(32), canonical[:-32]):
        with pytest.raises(CallError):
            abi.decode_call("TrainingTask", raw)


@pytest.mark.parametrize("raw", [b"", b"\0\0\0", b"\0" * 4])
def test_unknown_selectors_are_refused(raw):
    """Data that calls nothing is named as such."""
    with pytest.raises(CallError, match="has no function"):
        abi.decode_call("StakeToken", raw)


def test_the_nearest_name_is_named():
    """An unknown contract, function, event or error names the nearest one (clause L10)."""
    with pytest.raises(CallError, match="did you mean 'TrainingTask'"):
        abi.encode_call("TrainingTasks", "propose")
    with pytest.raises(CallError, match="did you mean 'submitUpdate'"):
        abi.encode_call("TrainingTask", "submit_update")
    with pytest.raises(CallError, match="did you mean 'Transfer'"):
        abi.event_inputs("StakeToken", "Transfers")
    with pytest.raises(CallError, match="did you mean 'UnknownTask'"):
        abi.error_inputs("TrainingTask", "NoTask")


@pytest.mark.parametrize(
    ("position", "value", "message"),
    [
        (0, -1, "out of the range of uint256"),
        (0, 1 << 256, "out of the range of uint256"),
        (1, 1 << 32, "out of the range of uint32"),
        (1, True, "got bool"),
        (1, 1.0, "got float"),
        (1, "1", "got str"),
        (2, "01", "got str"),
        (2, [1, 2], "got list"),
        (3, None, "got NoneType"),
    ],
)
def test_wrong_arguments_are_refused(position, value, message):
    """A wrong type or range is refused before anything is sent, naming the argument (L10)."""
    args = list(UPDATE)
    args[position] = value
    name = abi.function_inputs("TrainingTask", "submitUpdate")[position].name
    with pytest.raises(CallError, match=f"submitUpdate: {name}: .*{message}"):
        abi.encode_call("TrainingTask", "submitUpdate", *args)


def test_wrong_counts_and_texts_are_refused():
    """Too few arguments, text without a UTF-8 form, wrong fixed bytes, a str as array."""
    with pytest.raises(CallError, match="7 values wanted, got 4"):
        abi.encode_call("TrainingTask", "submitUpdate", *UPDATE[:4])
    with pytest.raises(CallError, match="UTF-8"):
        abi.encode_call("TrainingTask", "propose", "\ud800", b"", 1, 0, 0, b"")
    with pytest.raises(CallError, match="bytes32 wanted, got 31 bytes"):
        abi.encode_call("StakeToken", "hasRole", bytes(31), ANN)
    with pytest.raises(CallError, match="got str"):
        abi.encode_call("TrainingTask", "payRewards", 1, 1, ANN)
    with pytest.raises(CallError, match=r"arguments \[.from., .to., .value.\] wanted"):
        abi.encode_event("StakeToken", "Transfer", {"to": ANN, "from": ANN, "value": 1})
    with pytest.raises(CallError, match="results wanted"):
        abi.encode_result("TrainingTask", "getSubmission", 1)


def test_values_have_one_form():
    """Lists, bytes-like objects and lower-case addresses become what decoding returns."""
    encoded = abi.encode_call("TrainingTask", "payRewards", 1, 1, [ANN.lower()])
    assert abi.decode_call("TrainingTask", encoded) == ("payRewards", (1, 1, (ANN,)))
    plain = abi.encode_call("TrainingTask", "submitUpdate", *UPDATE)
    changed = (*UPDATE[:2], bytearray(UPDATE[2]), *UPDATE[3:])
    assert abi.encode_call("TrainingTask", "submitUpdate", *changed) == plain


def test_logs_must_be_whole():
    """A log with a topic too few, dirty padding, or no topic is refused."""
    arguments = {"task": 1, "round": 1, "client": ANN, "amount": 20}
    topics, data = abi.encode_event("TrainingTask", "RewardPaid", arguments)
    dirty = (*topics[:3], b"\x01" + topics[3][1:])
    for wrong in ((), topics[:3], dirty):
        with pytest.raises(CallError):
            abi.decode_event("TrainingTask", wrong, data)


def test_views_are_marked():
    """What changes something is no view."""
    assert abi.is_view("TrainingTask", "getTask")
    changing = {name for contract, name in CALLS if not abi.is_view(contract, name)}
    assert changing == {
        *("propose", "submitUpdate", "submitVotes", "publishAggregate", "payRewards"),
        *("confirmHistory", "revealSalt", "add"),
        *("appointAggregator", "appointMembers", "revokeMembers"),
        *("recordCheckpoint", "rollback", "voteRollback"),
        *("transfer", "approve", "transferFrom", "mint"),
        *("grantRole", "revokeRole", "renounceRole", "transferAndCall"),
        *("setKeys", "revokeKeys", "publishKeys", "acceptKeys"),
        *("deposit", "onTokenTransfer", "withdraw", "lock", "release", "slash"),
        *("openMembership", "join", "admit", "voteAdmit", "leaveTask", "remove", "voteRemove"),
        *("acceptPlace", "replace", "voteReplace", "elect", "voteCheckpoint"),
        *("open", "commit", "fix", "reveal", "provide", "close", "settle"),
        *("setTerms", "pledge", "unpledge", "markLate", "markStalled"),
        *("accuse", "proveEquivocation", "answer", "decide", "expire", "claim"),
        *("setTurns", "joinTurns", "leaveTurns", "listNodes", "drawTurns", "publishTurn"),
        *("restartTurns", "markMissed"),
    }


def test_solidity_panics_are_known():
    """What Solidity itself reverts with decodes for every contract."""
    raw = bytes.fromhex("4e487b71") + (0x11).to_bytes(32, "big")
    assert abi.decode_error("StakeToken", raw) == ("Panic", {"code": 0x11})


@pytest.mark.parametrize(
    "address",
    [
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
        ZERO_ADDRESS,
    ],
)
def test_checksums_are_eip_55(address):
    """EIP-55's own examples; lower case is accepted, a wrong letter is not."""
    assert checksum_address(address) == checksum_address(address.lower()) == address
    if address != ZERO_ADDRESS:
        for wrong in (address.swapcase().replace("0X", "0x"), "0x" + address[2:].upper()):
            with pytest.raises(CallError, match="wrong checksum"):
                checksum_address(wrong)


@pytest.mark.parametrize(
    "wrong",
    ["", "0x", "0x" + "1" * 39, "0x" + "g" * 40, "1" * 42, b"\0" * 20, None, "0x" + "\u0661" * 40],
)
def test_other_things_are_no_addresses(wrong):
    """Whatever is not 0x and 40 hexadecimal digits is refused."""
    with pytest.raises(CallError):
        checksum_address(wrong)


def test_the_abi_is_copied():
    """Changing what load_abi returned changes nothing for others."""
    abi.load_abi("StakeToken").clear()
    assert abi.load_abi("StakeToken")
