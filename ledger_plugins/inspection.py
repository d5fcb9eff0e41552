"""What people want to see of a ledger, as plain values."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol, cast

from fedledger.errors import (
    CallError,
    ConfigError,
    InvalidCid,
    LedgerUnavailable,
    MalformedTransaction,
    UnknownBlock,
)

from .accounts import decode_transaction
from .addresses import ZERO_ADDRESS
from .base import Block, Event, Ledger, SignedTransaction
from .contracts import StakeToken, cid_text
from .contracts.abi import decode_call, function_inputs
from .storage.cid import cid_from_bytes

__all__ = ["all_balances", "newest_blocks", "one_block", "one_transaction"]

_HASH = re.compile(r"(0x)?([0-9a-fA-F]{64})")
_MODELS = ("TaskProposed", "AggregatePublished", "RolledBack")
_CIDS = frozenset({"cid", "modelCid", "spec", "evidence"})


class _Chain(Protocol):
    """An embedded chain: it has whole blocks (`local.chain.block.Block`)."""

    def full_block(self, index: int) -> Any: ...


def newest_blocks(ledger: Ledger, last: int) -> list[dict[str, Any]]:
    """Return header fields of the newest blocks, newest first: time in milliseconds."""
    head = ledger.head().block
    first = max(0, head + 1 - last)
    models = _models(ledger, first, head)
    found = [_header(ledger, one, models) for one in ledger.blocks(first, head)]
    return found[::-1]


def one_block(ledger: Ledger, index: int) -> dict[str, Any]:
    """Return a block: header, transactions with what they call, and what models it is about.

    Of an embedded chain there are the other fields of its header too, and its model info as it
    stands there. Elsewhere transactions of others may be in a block: they are counted.

    Raises:
        ConfigError: the ledger has no such block.
    """
    try:
        block = ledger.block(index)
    except UnknownBlock as error:
        raise ConfigError(str(error)) from error
    found = _header(ledger, block, _models(ledger, index, index))
    found["previous_hash"] = block.previous_hash.removeprefix("0x")
    chain = _chain(ledger)
    calls, others = [], 0
    for one in block.transactions if chain is None or index else ():
        try:
            calls.append(_transaction(ledger, ledger.transaction(one)))
        except (KeyError, LedgerUnavailable):
            others += 1
    if chain is not None:
        whole = chain.full_block(index)
        found["nonce"] = whole.header.nonce
        found["transactions_root"] = whole.header.transactions_root.hex()
    found["transactions"] = calls
    if chain is None:
        return found | {"other_transactions": others}
    return found | {"model_info": [_model_info(info) for info in whole.model_info]}


def one_transaction(ledger: Ledger, transaction: str) -> dict[str, Any]:
    """Return a call: who signed what, where it is, and what the contracts said.

    Raises:
        ConfigError: `transaction` is no hash.
        KeyError: the ledger has no call of a contract with this hash.
        LedgerError: the ledger cannot be read.
    """
    match = _HASH.fullmatch(transaction)
    if match is None:
        raise ConfigError(
            f"{transaction!r} is no transaction's hash: that is 64 hexadecimal digits, and may "
            "begin with 0x"
        )
    asked = f"0x{match[2].lower()}"
    try:
        signed = decode_transaction(ledger.transaction(asked).raw)
    except MalformedTransaction as error:
        raise LedgerUnavailable(f"{ledger.url} has {asked} as what is no call: {error}") from error
    if signed.hash != asked:
        raise LedgerUnavailable(f"{ledger.url} gave {signed.hash} when asked for {asked}")
    names = _names(ledger)
    to = signed.unsigned.terms.to
    found: dict[str, Any] = {
        "transaction": signed.hash,
        "sender": signed.sender,
        "contract": names.get(to),
        "address": to,
        **_decoded(ledger, names.get(to), signed.unsigned.data),
        "nonce": signed.unsigned.nonce,
    }
    try:
        receipt = ledger.receipt(asked)
    except KeyError:  # an Ethereum block may hold a call that failed
        return found | {"failed": True, "block": None, "events": []}
    return found | {
        "failed": False,
        "block": receipt.block,
        "block_hash": receipt.block_hash,
        "position": receipt.position,
        "events": [
            {"contract": one.contract, "event": one.name, "arguments": _plain(one.arguments)}
            for one in receipt.events
        ],
    }


def all_balances(ledger: Ledger) -> list[dict[str, Any]]:
    """Return what every account that ever had stake holds, richest first."""
    token = StakeToken(ledger)
    moves = token.transfers()
    holders = {one.sender for one in moves} | {one.recipient for one in moves}
    found = [
        {"address": holder, "balance": token.balance(holder)} for holder in holders - {ZERO_ADDRESS}
    ]
    return sorted(found, key=lambda one: (-one["balance"], one["address"]))


def _chain(ledger: Ledger) -> _Chain | None:
    """Return the embedded chain that a ledger is, or None."""
    return cast("_Chain", ledger) if callable(getattr(ledger, "full_block", None)) else None


def _names(ledger: Ledger) -> dict[str, str]:
    return {one.address: one.name for one in ledger.contracts().values()}


def _models(ledger: Ledger, first: int, last: int) -> Counter[int]:
    """Return how many models blocks are about: proposed, published, or gone back to."""
    if _chain(ledger) is not None:
        return Counter()
    events: list[Event] = ledger.events("TrainingTask", since=first, until=last)
    return Counter(one.block for one in events if one.name in _MODELS)


def _header(ledger: Ledger, block: Block, models: Counter[int]) -> dict[str, Any]:
    chain = _chain(ledger)
    found: dict[str, Any] = {
        "index": block.index,
        "hash": block.hash.removeprefix("0x"),
        "timestamp": 1000 * block.timestamp,
        "transactions": len(block.transactions),
        "models": models[block.index],
    }
    if chain is None:
        return found
    whole = chain.full_block(block.index)
    return found | {
        "timestamp": whole.header.timestamp,
        "transactions": len(whole.transactions) if block.index else 0,
        "models": len(whole.model_info),
    }


def _transaction(ledger: Ledger, signed: SignedTransaction) -> dict[str, Any]:
    called = signed.unsigned.terms.to
    contract = _names(ledger).get(called)
    function = _decoded(ledger, contract, signed.unsigned.data)["function"]
    return {
        "hash": signed.hash,
        "sender": signed.sender,
        "call": f"{contract or called}.{function or '?'}",
    }


def _decoded(ledger: Ledger, contract: str | None, data: bytes) -> dict[str, Any]:
    """Return a call's function and arguments; its bytes where it is of no contract of ours."""
    if contract is not None:
        try:
            function, values = decode_call(ledger.interface(contract), data)
        except CallError:
            pass
        else:
            inputs = function_inputs(ledger.interface(contract), function)
            named = dict(zip((one.name for one in inputs), values, strict=True))
            return {"function": function, "arguments": _plain(named)}
    return {"function": None, "arguments": {}, "data": f"0x{data.hex()}"}


def _plain(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _value(name, value) for name, value in arguments.items()}


def _value(name: str, value: Any) -> Any:
    if isinstance(value, bytes):
        return cid_text(value) if name in _CIDS else f"0x{value.hex()}"
    if isinstance(value, tuple | list):
        return [_value("", one) for one in value]
    return value


def _model_info(info: Any) -> dict[str, Any]:
    try:
        cid = cid_from_bytes(info.init_ipfs_hash)
    except InvalidCid:
        cid = "f" + info.init_ipfs_hash.hex()
    return {
        "model_id": info.model_id,
        "init_ipfs_hash": cid,
        "total_iter": info.total_iter,
        "current_iter": info.current_iter,
        "from_addr": info.from_addr,
        "accuracy": None if info.accuracy is None else info.accuracy / 1_000_000,
    }
