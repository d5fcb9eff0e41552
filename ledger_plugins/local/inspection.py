"""What people want to see of a chain, as plain values."""

from typing import Any, Protocol, cast

from fedledger.errors import CallError, ConfigError, InvalidCid, UnknownBlock

from ..addresses import ZERO_ADDRESS
from ..base import Head, Ledger
from ..contracts import StakeToken
from ..contracts.abi import decode_call
from ..storage.cid import cid_from_bytes
from ..transactions import decode_transaction
from .chain.block import Block, ModelInfo

__all__ = ["all_balances", "newest_blocks", "one_block"]


class _Blocks(Protocol):
    def head(self) -> Head: ...

    def full_block(self, index: int) -> Block: ...


def newest_blocks(ledger: Ledger, last: int) -> list[dict[str, Any]]:
    """Return header fields of the newest blocks, newest first.

    Raises:
        ConfigError: the ledger is no embedded chain.
    """
    chain = _chain(ledger)
    head = chain.head().block
    return [_header(chain.full_block(index)) for index in range(head, max(-1, head - last), -1)]


def one_block(ledger: Ledger, index: int) -> dict[str, Any]:
    """Return a block: header, transactions with what they call, model info.

    Raises:
        ConfigError: the ledger is no embedded chain, or has no such block.
    """
    chain = _chain(ledger)
    try:
        block = chain.full_block(index)
    except UnknownBlock as error:
        raise ConfigError(str(error)) from error
    names = {one.address: one.name for one in ledger.contracts().values()}
    called = [] if index == 0 else [_transaction(raw, names) for raw in block.transactions]
    return _header(block) | {
        "previous_hash": block.header.previous_hash.hex(),
        "nonce": block.header.nonce,
        "transactions_root": block.header.transactions_root.hex(),
        "transactions": called,
        "model_info": [_model_info(info) for info in block.model_info],
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


def _chain(ledger: Ledger) -> _Blocks:
    if not callable(getattr(ledger, "full_block", None)):
        raise ConfigError(f"{ledger.url} is no embedded chain: local://… or local+http://… wanted")
    return cast("_Blocks", ledger)


def _header(block: Block) -> dict[str, Any]:
    header = block.header
    return {
        "index": header.index,
        "hash": header.hash.hex(),
        "timestamp": header.timestamp,
        "transactions": len(block.transactions) if header.index else 0,
        "models": len(block.model_info),
    }


def _transaction(raw: bytes, names: dict[str, str]) -> dict[str, Any]:
    transaction = decode_transaction(raw)
    called = transaction.unsigned.terms.to
    contract = names.get(called, called)
    try:
        function, _ = decode_call(contract, transaction.unsigned.data)
    except CallError:
        function = "?"
    return {
        "hash": transaction.hash,
        "sender": transaction.sender,
        "call": f"{contract}.{function}",
    }


def _model_info(info: ModelInfo) -> dict[str, Any]:
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
