"""What a node's answers have to look like, by method: everything else is an error of the node.

Whoever asks can rely on these forms: a quantity is "0x" and hexadecimal digits, a hash 32 bytes, a
block has its number, a receipt is the receipt of the transaction that was asked for. What only a
part of the nodes says is not here (`verifying` says what it lacks).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fedledger.errors import LedgerUnavailable
from fedledger.formats import shown

__all__ = ["check_answer"]

_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,64}")
_DATA = re.compile(r"0x(?:[0-9a-fA-F]{2})*")
_HASH = re.compile(r"0x[0-9a-fA-F]{64}")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")

_Check = Callable[[Any], bool]


def check_answer(method: str, params: Sequence[Any], answer: Any, where: str) -> Any:
    """Return an answer that has the form which its method's answers have.

    Raises:
        LedgerUnavailable: another form, or the answer to another question.
    """
    if answer is None and method == "eth_getBlockByNumber" and params[0] == "latest":
        raise LedgerUnavailable(f"{where} has no newest block")
    shape = _SHAPES.get(method)
    if shape is not None and not shape(answer):
        raise LedgerUnavailable(f"{where} answered {method} with {shown(answer)}")
    if method == "eth_getTransactionReceipt" and answer is not None:
        if answer.get("blockNumber") is None:
            return None  # it waits for its block: some nodes say so in this way
        if answer["transactionHash"].lower() != str(params[0]).lower():
            raise LedgerUnavailable(f"{where} sent the receipt of another transaction")
    return answer


def _like(pattern: re.Pattern[str]) -> _Check:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _maybe(check: _Check) -> _Check:
    return lambda value: value is None or check(value)


def _list(check: _Check) -> _Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _object(fields: Mapping[str, _Check], optional: Mapping[str, _Check] | None = None) -> _Check:
    """Return a check of an object: these fields, and those where they are there and not null."""

    def check(value: Any) -> bool:
        return (
            isinstance(value, dict)
            and all(name in value and each(value[name]) for name, each in fields.items())
            and all(_maybe(each)(value.get(name)) for name, each in (optional or {}).items())
        )

    return check


_quantity, _data, _hash, _address = map(_like, (_QUANTITY, _DATA, _HASH, _ADDRESS))

_log = _object(
    {
        "address": _address,
        "topics": _list(_hash),
        "data": _data,
        "blockNumber": _quantity,
        "blockHash": _hash,
        "transactionHash": _hash,
        "logIndex": _quantity,
    },
    {"blockTimestamp": _quantity, "transactionIndex": _quantity},
)
_pending = _object({"transactionHash": _hash, "blockNumber": lambda value: value is None})
_mined = _object(
    {
        "transactionHash": _hash,
        "transactionIndex": _quantity,
        "blockNumber": _quantity,
        "blockHash": _hash,
        "gasUsed": _quantity,
        "status": _quantity,
        "logs": _list(_log),
    }
)
_any_transaction = _object(
    {"nonce": _quantity, "value": _quantity, "input": _data},
    {"hash": _hash, "from": _address, "to": _address, "blockHash": _hash, "blockNumber": _quantity},
)
_numbers = ("chainId", "gas", "maxFeePerGas", "maxPriorityFeePerGas", "r", "s")
_of_type_2 = _object(dict.fromkeys(_numbers, _quantity), {"yParity": _quantity, "v": _quantity})


def _transaction(value: Any) -> bool:
    if not _any_transaction(value):
        return False
    if value.get("type") != "0x2":
        return True
    return _of_type_2(value) and ("yParity" in value or "v" in value)


_listed = _object({"hash": _hash, "from": _address}, {"to": _address})
_block = _object(
    {
        "number": _quantity,
        "hash": _hash,
        "parentHash": _hash,
        "timestamp": _quantity,
        "gasLimit": _quantity,
        "logsBloom": _data,
        "transactions": _list(lambda one: _hash(one) or _listed(one)),
    },
    {"baseFeePerGas": _quantity},
)


def _receipt(value: Any) -> bool:
    return value is None or _pending(value) or _mined(value)


_SHAPES: Mapping[str, _Check] = {
    "eth_accounts": _list(_address),
    "eth_blockNumber": _quantity,
    "eth_call": _data,
    "eth_chainId": _quantity,
    "eth_gasPrice": _quantity,
    "eth_getBalance": _quantity,
    "eth_getBlockByHash": _maybe(_block),
    "eth_getBlockByNumber": _maybe(_block),
    "eth_getBlockReceipts": _maybe(_list(_mined)),
    "eth_getCode": _data,
    "eth_getLogs": _list(_log),
    "eth_getTransactionByBlockHashAndIndex": _maybe(_transaction),
    "eth_getTransactionByHash": _maybe(_transaction),
    "eth_getTransactionCount": _quantity,
    "eth_getTransactionReceipt": _receipt,
    "eth_maxPriorityFeePerGas": _quantity,
    "eth_sendRawTransaction": _hash,
    "eth_sendRawTransactionSync": _mined,
    "eth_sendTransaction": _hash,
}
