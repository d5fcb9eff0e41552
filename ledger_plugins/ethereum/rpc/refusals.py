"""Why a node does not take a transaction, and why one in a block has failed."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fedledger.errors import ContractError, TransactionRefused

from ...base import CallTerms, SignedTransaction
from .codec import as_bytes, as_hex, as_int, error_of
from .dialects import TRANSACTION
from .node import Node, NodeRefusal

__all__ = ["reason_of", "refusal_of", "why_reverted"]

_GIVEN: Mapping[str, Callable[[CallTerms], str]] = {
    "gas": lambda terms: f"; its gas limit is {terms.gas}",
    "fee": lambda terms: (
        f"; its fee cap is {terms.max_fee_per_gas} wei, its tip {terms.max_priority_fee_per_gas}: "
        "min_tip_gwei and max_fee_gwei in the ledger's URL change them"
    ),
}


def reason_of(answer: NodeRefusal) -> str:
    """Return why a node does not take a transaction, in a word: "known" when it has it already."""
    return TRANSACTION.word(answer.code, answer.text) or "node"


def refusal_of(answer: NodeRefusal, transaction: SignedTransaction) -> TransactionRefused | None:
    """Return why a node does not take a transaction; None when it has it already."""
    reason, detail = reason_of(answer), answer.text or "the node gives no reason"
    if reason == "known":
        return None
    if reason in _GIVEN:
        detail += _GIVEN[reason](transaction.unsigned.terms)
    if reason == "type":
        reason = "node"
        detail += "; calls are signed as EIP-1559 transactions (type 2), which this chain lacks"
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
    output = trace.get("output") if isinstance(trace, dict) else None
    if isinstance(output, str) and output not in ("", "0x"):
        return error_of(contract, as_bytes(output), among)
    for answer in (after, before):
        if isinstance(answer, NodeRefusal) and answer.data:
            return error_of(contract, answer.data, among)
    message = f"reverted in block {where}, and the node does not say why"
    return ContractError(contract, "Error", {"message": message})
