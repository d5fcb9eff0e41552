"""What parties sign: calls by name, and EIP-712 statements that hold in one place only."""

import dataclasses

import pytest
from eth_account import Account as EthAccount
from eth_account.messages import encode_typed_data
from hypothesis import given
from hypothesis import strategies as st

from fedledger.errors import AccountError, CallError
from fedledger.ledger_plugins.accounts import Account, recover_digest
from fedledger.ledger_plugins.contracts.training_task.calls import SUBMIT_UPDATE
from fedledger.ledger_plugins.signing import Call, Domain, Statement

KEY = bytes(range(1, 33))
PLACE = Domain(31337, "0x" + "1a" * 20, 7, 3)
MIXED = Statement(
    "Mixed",
    (
        ("digest", "bytes32"),
        ("amount", "uint256"),
        ("change", "int64"),
        ("who", "address"),
        ("yes", "bool"),
        ("text", "string"),
        ("raw", "bytes"),
    ),
)


@given(
    st.binary(min_size=32, max_size=32),
    st.integers(0, 2**256 - 1),
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.text(st.characters(codec="utf-8")),
    st.binary(max_size=100),
)
def test_statements_are_signed_as_eip_712_says(  # noqa: PLR0917 - a value a field
    digest, amount, change, yes, text, raw
):
    """An independent implementation comes to the same digest and the same signature."""
    values = {
        "digest": digest,
        "amount": amount,
        "change": change,
        "who": Account.from_key(KEY).address,
        "yes": yes,
        "text": text,
        "raw": raw,
    }
    full = {
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"},
                {"name": "salt", "type": "bytes32"},
            ],
            "Mixed": [{"name": name, "type": kind} for name, kind in MIXED.fields],
        },
        "primaryType": "Mixed",
        "domain": {
            "name": "fedledger",
            "version": "1",
            "chainId": PLACE.chain_id,
            "verifyingContract": PLACE.contract,
            "salt": PLACE.task.to_bytes(16, "big") + PLACE.round.to_bytes(16, "big"),
        },
        "message": values,
    }
    theirs = EthAccount.sign_message(encode_typed_data(full_message=full), KEY)
    ours = Account.from_key(KEY).sign_digest(MIXED.digest(PLACE, values))
    assert ours == bytes(theirs.signature)


@pytest.mark.parametrize(
    "change", [{"chain_id": 1}, {"contract": "0x" + "2b" * 20}, {"task": 8}, {"round": 4}]
)
def test_a_statement_holds_in_one_place(change):
    """Of another chain, contract, task or round, the signature is somebody else's."""
    statement = Statement("Ack", (("digest", "bytes32"),))
    account, values = Account.from_key(KEY), {"digest": bytes(32)}
    signature = account.sign_digest(statement.digest(PLACE, values))
    assert recover_digest(statement.digest(PLACE, values), signature) == account.address
    elsewhere = statement.digest(dataclasses.replace(PLACE, **change), values)
    assert recover_digest(elsewhere, signature) != account.address


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({}, "has the values"),
        ({"digest": bytes(32), "more": 1}, "has the values"),
        ({"digest": bytes(31)}, "Ack.digest"),
        ({"digest": 5}, "Ack.digest"),
    ],
)
def test_values_that_do_not_fit_are_named(values, match):
    """A statement with a field more, less, or of another type is not signed."""
    statement = Statement("Ack", (("digest", "bytes32"),))
    with pytest.raises(CallError, match=match):
        statement.digest(PLACE, values)


@pytest.mark.parametrize(
    ("name", "fields"), [("", (("a", "bool"),)), ("A(", (("a", "bool"),)), ("A", ())]
)
def test_a_statement_that_eip_712_does_not_know(name, fields):
    """A name that could forge a type, or no fields, is refused when the statement is made."""
    with pytest.raises(CallError, match="letters and digits"):
        Statement(name, fields)


def test_a_call_goes_there_and_back_by_name():
    """What is encoded by name is decoded by name; another function's data is refused."""
    values = {
        "task": 1,
        "round": 2,
        "cid": b"\1\2\3\4",
        "samples": 5,
        "accuracy": 6,
        "seal": b"\7" * 32,
        "seen": bytes(32),
    }
    data = SUBMIT_UPDATE.encode(values)
    assert SUBMIT_UPDATE.decode(data) == values
    with pytest.raises(CallError, match="submitUpdate, not"):
        Call("TrainingTask", "submitVotes", "VotesSubmitted", "voter").decode(data)
    with pytest.raises(CallError, match="has the values"):
        SUBMIT_UPDATE.encode({"task": 1})


@pytest.mark.parametrize("digest", [b"", bytes(31), "0" * 32])
def test_a_digest_is_32_bytes(digest):
    """Nothing else is signed as one."""
    with pytest.raises(AccountError, match="32 bytes"):
        Account.from_key(KEY).sign_digest(digest)


@pytest.mark.parametrize(
    "change", [{"chain_id": 2**256}, {"task": 2**128}, {"round": 2**128}, {"round": -1}]
)
def test_a_place_that_does_not_exist_is_refused(change):
    """What a server asks a client to sign for may be any number."""
    with pytest.raises(CallError, match="does not fit into"):
        dataclasses.replace(PLACE, **change).separator()
