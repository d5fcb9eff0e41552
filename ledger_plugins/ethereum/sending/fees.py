"""What a call may cost: gas limits that follow from the ABI, and EIP-1559 fee caps."""

from collections.abc import Mapping, Sequence
from typing import Any

from fedledger.errors import CallError, LedgerUnavailable

from ...base import CallTerms
from ...contracts.abi import contract_names, function_inputs, is_view
from ..rpc.codec import as_int
from ..rpc.node import Node, NodeRefusal
from ..url import Settings

__all__ = ["call_terms", "check_contract", "fee_caps", "fees_now", "gas_limit"]

MOST_ENTRIES = 256
"""A list in a call has at most so many entries (clause L9)."""

# A new storage slot costs 22,100 gas. A call writes a few, each text or byte string up to four
# (CIDs have at most 64 bytes), each listed account up to two and says so; numbers are only logged,
# and so are long byte strings, whose calldata costs 40 gas a byte at most (EIP-7623).
_BASE, _TEXT, _ACCOUNT, _NUMBER, _BYTE = 300_000, 100_000, 60_000, 2_000, 64
_MOST = 1 << 24  # EIP-7825: no transaction may have more
_GWEI = 10**9


def check_contract(contract: str, function: str | None, addresses: Mapping[str, str]) -> None:
    """Check that a contract is deployed, and that a function of it is to be sent.

    Raises:
        CallError: it is not, or the function is unknown or a view.
    """
    if contract not in addresses:
        known = ", ".join(sorted(addresses))
        if contract not in contract_names():
            raise CallError(f"unknown contract {contract!r}: deployed are {known}")
        raise CallError(
            f"{contract} is not deployed here, deployed are {known}: `fedledger deploy --contract "
            f"{contract}` adds it, then open the ledger again"
        )
    if function is not None and is_view(contract, function):
        raise CallError(f"{contract}.{function} is a view: call it, nobody has to sign it")


def gas_limit(contract: str, function: str, args: Sequence[Any] | None = None) -> int:
    """Return a gas limit that a call of a function never needs.

    Unused gas is not paid for, but a sender has to have the ether for all of it.

    Args:
        contract: the contract's name.
        function: the function's name.
        args: the arguments; without them lists count as being as long as they may be.
    """
    total = _BASE
    for place, parameter in enumerate(function_inputs(contract, function)):
        if parameter.kind.endswith("[]"):
            entries = MOST_ENTRIES if args is None else min(len(args[place]), 2 * MOST_ENTRIES)
            total += entries * (_NUMBER if "int" in parameter.kind else _ACCOUNT)
        elif parameter.kind in ("bytes", "string"):
            total += _TEXT if args is None else max(_TEXT, _BYTE * len(args[place]))
    return min(total, _MOST)


def fee_caps(base_fee: int, tip: int, cap: int | None, where: str) -> tuple[int, int]:
    """Return the fee cap and the tip to sign, in wei for a unit of gas.

    Twice the base fee leaves room for five full blocks in a row; what is paid is the base fee of
    the block and the tip. Where nothing costs anything, both are 0.

    Raises:
        LedgerUnavailable: the base fee is above the cap.
    """
    if cap is not None and base_fee > cap:
        raise LedgerUnavailable(
            f"the base fee at {where} is {base_fee / _GWEI:g} gwei, above the cap of "
            f"{cap / _GWEI:g}: wait, or raise max_fee_gwei in the ledger's URL"
        )
    if base_fee == 0 and tip == 0:
        return 0, 0
    highest = 2 * base_fee + tip
    if cap is not None:
        highest = min(highest, cap)
    return highest, min(tip, highest - base_fee)


def call_terms(
    chain_id: int, to: str, gas: int, block: Mapping[str, Any], fees: tuple[int, int]
) -> CallTerms:
    """Return the terms of a call; its gas fits the block's."""
    return CallTerms(chain_id, to, min(gas, as_int(block["gasLimit"])), *fees)


def fees_now(node: Node, settings: Settings) -> tuple[Mapping[str, Any], tuple[int, int]]:
    """Return the newest block, and the fee cap and the tip to sign now.

    The tip is what the node suggests, else what its price of gas has above the base fee, and
    `settings.min_tip` at least. Where blocks have no base fee, the node's price is taken for it.

    Raises:
        LedgerUnavailable: the base fee is above the cap, or there is no answer.
    """
    block, suggested, price = node.ask_all(
        [
            ("eth_getBlockByNumber", ("latest", False)),
            ("eth_maxPriorityFeePerGas", ()),
            ("eth_gasPrice", ()),
        ]
    )
    if isinstance(block, NodeRefusal):
        raise block
    whole = 0 if isinstance(price, NodeRefusal) else as_int(price)
    said = block.get("baseFeePerGas")
    base = whole if said is None else as_int(said)
    tip = max(whole - base, 0) if isinstance(suggested, NodeRefusal) else as_int(suggested)
    return block, fee_caps(base, max(tip, settings.min_tip), settings.max_fee, node.where)
