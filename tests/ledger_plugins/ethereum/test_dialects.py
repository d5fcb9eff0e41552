"""What nodes and providers say, each in its own words, means what it means."""

import pytest

from fedledger.ledger_plugins.ethereum.rpc.dialects import BATCH, revert_data
from fedledger.ledger_plugins.ethereum.rpc.node import NodeRefusal
from fedledger.ledger_plugins.ethereum.rpc.refusals import reason_of


def refusal(code, text, data=None, method="eth_sendRawTransactionSync"):
    error = {"code": code, "message": text} | ({} if data is None else {"data": data})
    return NodeRefusal(method, "a node", error)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (-32601, "the method eth_sendRawTransactionSync does not exist/is not available"),  # geth
        (
            -32700,
            "The method eth_sendRawTransactionSync does not exist/is not available",
        ),  # ganache
        (-32004, "Method eth_sendRawTransactionSync is not supported"),  # hardhat
        (-32601, "Method not found"),  # anvil, besu
        (-32604, "Method not enabled"),  # besu
        (-32601, "The method 'eth_sendRawTransactionSync' is not supported."),  # nethermind
        (
            -32600,
            "Unsupported method: eth_sendRawTransactionSync. See available methods at https://x",
        ),
        (-32000, "eth_sendRawTransactionSync is not available on this plan"),
        (-32601, ""),
        (None, "METHOD_NOT_FOUND"),
        (-32000, "rpc method is not whitelisted"),
        (-32000, "unknown RPC method"),
        (-32603, "eth_sendRawTransactionSync: notImplemented"),
        (403, "method is forbidden"),
        (-32602, "the method has been disabled by the operator: namespace eth is not allowed"),
    ],
)
def test_a_node_without_a_method_is_understood(code, text):
    """By code where it is sure, else by wording, with or without blanks."""
    assert refusal(code, text).unknown_method
    assert not refusal(code, text).later


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (-32000, "header not found"),
        (-32000, "transaction not found"),
        (-32602, "invalid argument 0: json: cannot unmarshal"),
        (-32000, "missing trie node"),
        (3, "execution reverted: method not found"),
    ],
)
def test_what_is_not_found_is_not_always_a_method(code, text):
    """Only what is said of the method is about the method."""
    assert not refusal(code, text, method="eth_call").unknown_method
    assert not refusal(code, text, method="eth_call").later


@pytest.mark.parametrize(
    ("reason", "code", "text"),
    [
        ("known", -32000, "already known"),  # geth
        ("known", -32010, "AlreadyKnown"),  # nethermind
        ("known", -32000, "ALREADY_EXISTS: already known"),  # erigon
        ("known", -32000, "Known transaction"),  # besu
        ("known", -32003, "transaction already imported"),  # anvil
        ("known", -32000, "Known transaction: 0x12"),  # hardhat
        ("known", -32010, "Transaction with the same hash was already imported."),
        ("known", -32000, "known transaction: 1234"),
        ("known", -32603, "tx already in mempool"),
        ("known", -32603, "transaction already in the local txpool"),
        ("nonce", -32000, "nonce too low: next nonce 5, tx nonce 4"),
        ("nonce", -32010, "OldNonce"),
        ("nonce", -32010, "NonceGap"),
        ("nonce", -32001, "Nonce too low"),  # besu, where the code means something else elsewhere
        ("nonce", -32000, "replacement transaction underpriced"),
        ("nonce", -32010, "ReplacementNotAllowed"),
        ("nonce", -32000, "could not replace existing tx"),
        ("funds", -32000, "insufficient funds for gas * price + value: address 0x"),
        ("funds", -32010, "InsufficientFunds, Account balance: 0"),
        ("funds", -32004, "Upfront cost exceeds account balance"),  # besu
        ("funds", -32003, "Insufficient funds for gas * price + value"),
        ("funds", -32000, "sender doesn't have enough funds to send tx"),
        ("funds", -32000, "Sender doesn't have enough funds to send tx. The max upfront cost is"),
        ("funds", -32000, "insufficient balance for transfer"),
        ("fee", -32000, "transaction underpriced: gas tip cap 0, minimum needed 25000000000"),
        ("fee", -32010, "FeeTooLow, EffectivePriorityFeePerGas too low"),
        ("fee", -32010, "FeeTooLowToCompete"),
        ("fee", -32009, "Gas price below configured minimum gas price"),
        ("fee", -32000, "max fee per gas less than block base fee"),
        ("fee", -32000, "tx fee (1.20 ether) exceeds the configured cap (1.00 ether)"),
        ("fee", -32000, "UNDERPRICED: tip too low"),
        ("gas", -32000, "intrinsic gas too low"),
        ("gas", -32003, "Intrinsic gas exceeds gas limit"),
        ("gas", -32010, "GasLimitExceeded"),
        ("signature", -32002, "Invalid signature"),
        ("signature", -32010, "invalid sender"),
        ("chain", -32000, "invalid chain id for signer: have 1 want 2"),
        ("type", -32000, "transaction type not supported"),
        (
            "type",
            -32000,
            "EIP-1559 style fee params received but they are not supported by the fork",
        ),
        ("type", -32000, "unsupported transaction type: 2"),
        ("node", -32000, "oversized data"),
        ("node", -32000, ""),
    ],
)
def test_why_a_call_is_not_taken_is_understood(reason, code, text):
    """One word each, whatever the client and the code that it gives."""
    assert reason_of(refusal(code, text, method="eth_sendRawTransaction")) == reason


@pytest.mark.parametrize(
    ("seconds", "code", "text", "data"),
    [
        (0, 429, "Your app has exceeded its compute units per second capacity.", None),  # Alchemy
        (
            30,
            -32005,
            "project ID request rate exceeded",
            {"rate": {"backoff_seconds": 30}},
        ),  # Infura
        (0, -32005, "daily request count exceeded, request rate limited", None),
        (0, -32007, "50/second request limit reached", None),  # QuickNode
        (10, -32090, "Too many requests, reason: call rate limit exhausted, retry in 10s", None),
        (0, -32016, "over rate limit", None),
        (0, -32005, "limit exceeded", None),
        (2, -32097, "rate limit", {"try_again_in": "2s"}),
        (0, -32011, "no backends available for method", None),
        (0, -32000, "server is busy, try again later", None),
        (0.5, -32000, "Too Many Requests. Retry in 500 ms", None),
    ],
)
def test_who_has_no_time_is_asked_later(seconds, code, text, data):
    """Rate limits and busy servers, with the pause that they ask for."""
    found = refusal(code, text, data, method="eth_getBalance")
    assert found.later
    assert found.seconds == seconds


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (-32005, "query returned more than 10000 results"),
        (-32005, "Requested range exceeds maximum RPC range limit"),
        (-32602, "block range is too wide"),
    ],
)
def test_too_many_logs_are_no_reason_to_wait(code, text):
    """A range of logs is halved at once."""
    assert not refusal(code, text, method="eth_getLogs").later


def test_batches_that_are_too_large_are_understood():
    """However it is said."""
    for text in ("batch too large", "Too many requests in batch", "Batch size exceeds 10"):
        assert BATCH.word(-32600, text) == "batch"


@pytest.mark.parametrize(
    "data",
    [
        "0x08c379a0",
        "Reverted 0x08C379A0",  # nethermind
        {"data": "0x08c379a0", "message": "reverted"},
        {"message": "reverted", "data": {"txHash": "0x12", "data": "0x08c379a0"}},  # hardhat
        {"result": "0x08c379a0", "hash": "0x" + "12" * 32, "reason": None},  # ganache
        {"0x" + "12" * 32: {"error": "revert", "return": "0x08c379a0"}, "name": "Error"},
        {"originalError": {"data": "0x08c379a0"}},
    ],
)
def test_revert_data_is_found_wherever_it_is(data):
    """In any of the forms that nodes give it."""
    assert revert_data(data).hex() == "08c379a0"


@pytest.mark.parametrize(
    "data", [None, 5, [], {}, "0x1", "0xzz", "plain", {"data": None}, [["0x12"]]]
)
def test_what_is_no_revert_data_is_none(data):
    """And nothing else is taken for it."""
    assert revert_data(data) is None


def test_a_pause_of_a_thousand_digits_is_none():
    """No number of a node's is too long to be looked at."""
    data = {"backoff_seconds": int("9" * 1000), "rate": {"backoff_seconds": "-1"}}
    assert refusal(-32005, "limit", data).seconds == 0


def test_what_a_node_says_cannot_steer_a_terminal():
    """Control characters and lone surrogates become blanks, and length is bounded."""
    found = refusal(-32000, "\x1b[2Jgone\r\n\udcff" + "x" * 10_000)
    assert found.text.startswith(" [2Jgone")
    assert found.text.isprintable()
    assert len(str(found)) < 600
