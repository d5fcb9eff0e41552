"""Why a node does not take a transaction, and why one in a block has failed."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from fedledger.errors import ContractError, TransactionRefused

from ...base import SignedTransaction
from .codec import as_bytes, as_hex, as_int, error_of
from .node import Node, NodeRefusal

__all__ = ["reason_of", "refusal_of", "why_reverted"]

# Nodes give no codes, only sentences; these are geth's, anvil's, besu's, nethermind's and py-evm's.
_REASONS = tuple(
    (reason, re.compile(pattern, re.IGNORECASE))
    for reason, pattern in (
        ("known", r"already (known|imported|exists|in mempool)|known transaction"),
        ("nonce", r"nonce|replacement|underpriced transaction in pool"),
        ("funds", r"insufficient (funds|balance)|enough (funds|balance)|lack of funds"),
        ("fee", r"base ?fee|underpriced|fee ?cap|max fee|gas price|fee too low"),
        ("gas", r"gas"),
        ("signature", r"signature|sender"),
        ("chain", r"chain ?id"),
    )
)


def reason_of(answer: NodeRefusal) -> str:
    """Return why a node does not take a transaction, in a word: "known" when it has it already."""
    return next((reason for reason, said in _REASONS if said.search(answer.text)), "node")


def refusal_of(answer: NodeRefusal, transaction: SignedTransaction) -> TransactionRefused | None:
    """Return why a node does not take a transaction; None when it has it already."""
    reason, detail = reason_of(answer), answer.text or "the node gives no reason"
    terms = transaction.unsigned.terms
    if reason == "known":
        return None
    if reason == "gas":
        detail += f"; its gas limit is {terms.gas}"
    if reason == "fee":
        detail += f"; its fee cap is {terms.max_fee_per_gas} wei"
    return TransactionRefused(reason, detail)


def why_reverted(
    node: Node,
    transaction: SignedTransaction,
    contract: str,
    receipt: Mapping[str, Any],
    among: Iterable[str],
) -> ContractError | TransactionRefused:
    """Return why a transaction failed in its block.

    The node is asked for a trace; where it keeps none, the call is repeated on the states after the
    block and before it. `among` names the contracts that the ledger has.
    """
    unsigned = transaction.unsigned
    where = as_int(receipt["blockNumber"])
    if as_int(receipt["gasUsed"]) >= unsigned.terms.gas:
        return TransactionRefused(
            "gas",
            f"{transaction.hash} ran out of gas in block {where}: its limit of "
            f"{unsigned.terms.gas} was too low. It changed nothing, but its nonce is used",
        )
    tracer = {"tracer": "callTracer", "tracerConfig": {"onlyTopCall": True}}
    call = {
        "from": transaction.sender,
        "to": unsigned.terms.to,
        "gas": hex(unsigned.terms.gas),
        "data": as_hex(unsigned.data),
    }
    trace, after, before = node.ask_all(
        [
            ("debug_traceTransaction", (transaction.hash, tracer)),
            ("eth_call", (call, hex(where))),
            ("eth_call", (call, hex(where - 1))),
        ]
    )
    if isinstance(trace, dict) and trace.get("output") is not None:
        return error_of(contract, as_bytes(trace["output"]), among)
    for answer in (after, before):
        if isinstance(answer, NodeRefusal) and answer.data is not None:
            return error_of(contract, answer.data, among)
    message = f"reverted in block {where}, and the node does not say why"
    return ContractError(contract, "Error", {"message": message})
