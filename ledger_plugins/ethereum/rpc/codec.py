"""A node's JSON to the interface's value objects."""

from collections.abc import Iterable, Mapping
from typing import Any

from fedledger.errors import CallError, ContractError, LedgerUnavailable, MalformedTransaction

from ...addresses import address_from_bytes
from ...base import (
    Block,
    CallTerms,
    Event,
    Head,
    Receipt,
    SignedTransaction,
    UnsignedTransaction,
)
from ...contracts.abi import decode_error, decode_event
from ...transactions import decode_transaction, encode_signed

__all__ = [
    "as_bytes",
    "as_hex",
    "as_int",
    "block_of",
    "error_of",
    "event_of",
    "head_of",
    "receipt_of",
    "transaction_of",
]


def as_int(value: Any) -> int:
    """Return a JSON-RPC quantity.

    Raises:
        LedgerUnavailable: the node sent something else.
    """
    try:
        return int(value, 16)
    except (TypeError, ValueError) as error:
        raise LedgerUnavailable(f"the node sent {value!r:.80} where a number belongs") from error


def as_bytes(value: Any) -> bytes:
    """Return JSON-RPC data.

    Raises:
        LedgerUnavailable: the node sent something else.
    """
    try:
        return bytes.fromhex(value.removeprefix("0x"))
    except (AttributeError, TypeError, ValueError) as error:
        raise LedgerUnavailable(f"the node sent {value!r:.80} where bytes belong") from error


def as_hex(data: bytes) -> str:
    """Return bytes as JSON-RPC data."""
    return "0x" + data.hex()


def head_of(block: Mapping[str, Any]) -> Head:
    """Return a block's place and time."""
    return Head(
        as_int(block["number"]), as_hex(as_bytes(block["hash"])), as_int(block["timestamp"])
    )


def block_of(block: Mapping[str, Any]) -> Block:
    """Return a block whose transactions are given by their hashes."""
    return Block(
        index=as_int(block["number"]),
        hash=as_hex(as_bytes(block["hash"])),
        previous_hash=as_hex(as_bytes(block["parentHash"])),
        timestamp=as_int(block["timestamp"]),
        transactions=tuple(as_hex(as_bytes(one)) for one in block["transactions"]),
    )


def event_of(
    log: Mapping[str, Any], names: Mapping[str, str], times: Mapping[str, int]
) -> Event | None:
    """Return the event that a log holds, or None when it is no contract's of ours.

    Args:
        log: the log.
        names: address to contract name.
        times: block hash to the block's time in seconds.

    Raises:
        LedgerUnavailable: a log of our contract that its ABI does not have.
    """
    contract = names.get(address_from_bytes(as_bytes(log["address"])))
    if contract is None:
        return None
    topics = [as_bytes(topic) for topic in log["topics"]]
    try:
        name, arguments = decode_event(contract, topics, as_bytes(log["data"]))
    except CallError as error:
        raise LedgerUnavailable(f"a log that is no event of {contract}: {error}") from error
    block_hash = as_hex(as_bytes(log["blockHash"]))
    return Event(
        contract,
        name,
        arguments,
        block=as_int(log["blockNumber"]),
        transaction=as_hex(as_bytes(log["transactionHash"])),
        position=as_int(log["logIndex"]),
        time=times[block_hash],
        block_hash=block_hash,
    )


def receipt_of(
    receipt: Mapping[str, Any], names: Mapping[str, str], times: Mapping[str, int]
) -> Receipt:
    """Return the receipt of a transaction that was executed; arguments as of `event_of`."""
    events = (event_of(log, names, times) for log in receipt["logs"])
    return Receipt(
        transaction=as_hex(as_bytes(receipt["transactionHash"])),
        block=as_int(receipt["blockNumber"]),
        block_hash=as_hex(as_bytes(receipt["blockHash"])),
        position=as_int(receipt["transactionIndex"]),
        events=tuple(event for event in events if event is not None),
    )


def transaction_of(found: Mapping[str, Any]) -> SignedTransaction:
    """Return the signed transaction that a node hands out in pieces.

    Raises:
        MalformedTransaction: it is no call in the form of this library.
    """
    if found.get("type") != "0x2" or found.get("accessList") or not found.get("to"):
        raise MalformedTransaction("envelope", "not a call of type 2 without an access list")
    if as_int(found["value"]):
        raise MalformedTransaction("value", "a call carries no value")
    terms = CallTerms(
        chain_id=as_int(found["chainId"]),
        to=address_from_bytes(as_bytes(found["to"])),
        gas=as_int(found["gas"]),
        max_fee_per_gas=as_int(found["maxFeePerGas"]),
        max_priority_fee_per_gas=as_int(found["maxPriorityFeePerGas"]),
    )
    unsigned = UnsignedTransaction(terms, as_int(found["nonce"]), as_bytes(found["input"]))
    parity = as_int(found["v"] if found.get("yParity") is None else found["yParity"])
    return decode_transaction(
        encode_signed(unsigned, r=as_int(found["r"]), s=as_int(found["s"]), parity=parity)
    )


def error_of(called: str, data: bytes, among: Iterable[str]) -> ContractError:
    """Return the error in a call's revert data: of the contract called, else of another one.

    Error and Panic are the called contract's, and so is an error that several contracts have.

    Args:
        called: the contract called.
        data: the revert data.
        among: names of the contracts that the ledger has.
    """
    for contract in sorted(among, key=lambda name: (name != called, name)):
        try:
            return ContractError(contract, *decode_error(contract, data))
        except CallError:
            continue
    return ContractError(called, "Error", {"message": f"reverted with {as_hex(data)}"})
