"""A chain in this process: py-evm, as eth-tester sets it up, behind the requests of a node.

eth-tester's own request layer looks every transaction up by walking all blocks, has no revert data
and one block for each transaction; this one keeps an index and mines what is sent together in one
block. Chains live as long as the process, by name. Their base fee is 0, so accounts need no ether.
"""

from threading import Lock
from typing import Any

from eth.exceptions import Revert
from eth_tester.backends.pyevm.main import get_default_genesis_params, setup_tester_chain
from eth_utils.exceptions import ValidationError as InvalidTransaction

from fedledger.effects import Clock
from fedledger.errors import LedgerUnavailable

from ...addresses import address_from_bytes

__all__ = ["LocalNode", "has_contracts", "local_node"]

_CHAINS: dict[str, "LocalNode"] = {}
_CALL_GAS = 1 << 24
_INTRINSIC, _ZERO_BYTE, _BYTE = 21_000, 4, 16
_DYNAMIC_FEE = 2


def local_node(name: str, clock: Clock | None = None) -> "LocalNode":
    """Return this process's chain of a name; a new one the first time.

    Args:
        name: the chain's name.
        clock: tells a new chain the time; None: there is one already.

    Raises:
        LedgerUnavailable: there is none, and no clock for one.
    """
    if name not in _CHAINS:
        if clock is None:
            raise LedgerUnavailable(f"there is no chain {name!r} in this process")
        _CHAINS[name] = LocalNode(clock)
    return _CHAINS[name]


def has_contracts(name: str) -> bool:
    """Tell whether this process has a chain of a name with contracts on it; none is made."""
    return name in _CHAINS and _CHAINS[name].deployment is not None


class LocalNode:
    """A node's requests, answered by a chain in memory; threads may share it.

    Args:
        clock: says when blocks are made.

    Attributes:
        deployment: what was deployed on it, kept here because no file outlives the chain.
    """

    def __init__(self, clock: Clock) -> None:
        genesis = get_default_genesis_params({"timestamp": int(clock.wall()) - 1})
        keys, chain = setup_tester_chain(genesis_params={**genesis, "base_fee_per_gas": 0})
        self._clock = clock
        self._chain: Any = chain
        self._keys = {key.public_key.to_canonical_address(): key for key in keys}
        self._places: dict[bytes, tuple[int, int]] = {}
        self._ahead = 0
        self._guard = Lock()
        self._block: _Block | None = None
        self.deployment: Any = None

    def make_request(self, method: str, params: Any) -> dict[str, Any]:
        """Answer one request; what was sent is in a block when this returns."""
        with self._guard:
            response = self._answer(method, params)
            self._mine()
        return response

    def make_batch_request(self, requests: list[tuple[str, Any]], /) -> list[dict[str, Any]]:
        """Answer requests in their order; what was sent is in one block, or more if it must be."""
        with self._guard:
            responses = [self._answer(method, params) for method, params in requests]
            self._mine()
        return responses

    def reorganise(self, depth: int) -> None:
        """Replace the newest blocks by empty ones."""
        header = self._chain.get_canonical_block_header_by_number(self._newest() - depth)
        for number in range(header.block_number + 1, self._newest() + 1):
            for transaction in self._chain.get_canonical_block_by_number(number).transactions:
                self._places.pop(transaction.hash, None)
        database = self._chain.chaindb
        database._set_as_canonical_chain_head(database.db, header, bytes(32))  # noqa: SLF001 - as eth-tester does
        for _ in range(depth):
            self._block = self._begin()
            self._mine(empty=True)

    def _answer(self, method: str, params: Any) -> dict[str, Any]:
        answer = getattr(self, "_" + method, None)
        if answer is None:
            return _error(-32601, f"method {method} not found")
        try:
            return {"jsonrpc": "2.0", "id": 0, "result": answer(*params)}
        except _CallFailed as error:
            return _error(3, f"execution reverted: {error}", error.data)
        except InvalidTransaction as error:
            return _error(-32000, str(error))

    # Requests ------------------------------------------------------------------------------

    def _web3_clientVersion(self) -> str:  # noqa: N802 - the request's name
        return "py-evm in this process"

    def _eth_chainId(self) -> str:  # noqa: N802
        return hex(self._chain.chain_id)

    def _eth_accounts(self) -> list[str]:
        return [address_from_bytes(address) for address in self._keys]

    def _eth_maxPriorityFeePerGas(self) -> str:  # noqa: N802
        return "0x0"

    def _eth_getBlockByNumber(self, number: str, full: bool) -> Any:  # noqa: N802, FBT001
        wanted = self._number(number)
        if wanted > self._newest():
            return None
        block = self._chain.get_canonical_block_by_number(wanted)
        header = block.header
        return {
            "number": hex(header.block_number),
            "hash": _hex(header.hash),
            "parentHash": _hex(header.parent_hash),
            "sha3Uncles": _hex(header.uncles_hash),
            "miner": _hex(header.coinbase),
            "stateRoot": _hex(header.state_root),
            "transactionsRoot": _hex(header.transaction_root),
            "receiptsRoot": _hex(header.receipt_root),
            "logsBloom": _hex(header.bloom.to_bytes(256, "big")),
            "difficulty": hex(header.difficulty),
            "gasLimit": hex(header.gas_limit),
            "gasUsed": hex(header.gas_used),
            "timestamp": hex(header.timestamp),
            "extraData": _hex(header.extra_data),
            "mixHash": _hex(header.mix_hash),
            "nonce": _hex(header.nonce),
            "baseFeePerGas": hex(header.base_fee_per_gas),
            "withdrawalsRoot": _hex(header.withdrawals_root),
            "blobGasUsed": hex(header.blob_gas_used),
            "excessBlobGas": hex(header.excess_blob_gas),
            "parentBeaconBlockRoot": _hex(header.parent_beacon_block_root),
            "requestsHash": _hex(header.requests_hash),
            "transactions": [
                {
                    "hash": _hex(one.hash),
                    "from": _hex(one.sender),
                    "to": _hex(one.to) if one.to else None,
                }
                if full
                else _hex(one.hash)
                for one in block.transactions
            ],
        }

    def _eth_getBlockByHash(self, block_hash: str, full: bool) -> Any:  # noqa: N802, FBT001
        for number in range(self._newest(), -1, -1):
            header = self._chain.get_canonical_block_header_by_number(number)
            if _hex(header.hash) == block_hash:
                return self._eth_getBlockByNumber(hex(number), full)
        return None

    def _eth_getCode(self, address: str, number: str) -> str:  # noqa: N802
        return _hex(self._state(number).get_code(_bytes(address)))

    def _eth_getBalance(self, address: str, number: str) -> str:  # noqa: N802
        return hex(self._state(number).get_balance(_bytes(address)))

    def _eth_getTransactionCount(self, address: str, number: str) -> str:  # noqa: N802
        return hex(self._state(number).get_nonce(_bytes(address)))

    def _eth_call(self, call: dict[str, str], number: str) -> str:
        data, sender = _bytes(call.get("data", "0x")), _bytes(call.get("from", "0x" + "00" * 20))
        gas = int(call["gas"], 16) if "gas" in call else _CALL_GAS
        gas -= _INTRINSIC + sum(_BYTE if byte else _ZERO_BYTE for byte in data)
        if gas < 0:
            raise InvalidTransaction("intrinsic gas too low: out of gas")
        vm = self._vm(number)
        to = _bytes(call.get("to", "0x"))
        done = vm.execute_bytecode(
            origin=sender,
            gas_price=0,
            gas=gas,
            to=to or bytes(20),
            sender=sender,
            value=0,
            data=data if to else b"",
            code=vm.state.get_code(to) if to else data,
        )
        if done.is_error:
            reverted = isinstance(done.error, Revert)
            if not reverted:
                raise InvalidTransaction(f"out of gas or invalid: {done.error}")
            raise _CallFailed(done.output)
        return _hex(done.output)

    def _eth_sendRawTransaction(self, raw: str) -> str:  # noqa: N802
        builder = self._chain.get_transaction_builder()
        return self._apply(builder.decode(_bytes(raw)))

    def _eth_sendTransaction(self, sent: dict[str, str]) -> str:  # noqa: N802
        sender = _bytes(sent["from"])
        if sender not in self._keys:
            raise InvalidTransaction("no key of this account")
        builder = self._chain.get_transaction_builder()
        unsigned = builder.new_unsigned_dynamic_fee_transaction(
            chain_id=self._chain.chain_id,
            nonce=(self._block.vm if self._block else self._vm("pending")).state.get_nonce(sender),
            max_priority_fee_per_gas=0,
            max_fee_per_gas=10**9,
            gas=_INTRINSIC,
            to=_bytes(sent["to"]),
            value=int(sent["value"], 16),
            data=b"",
            access_list=(),
        )
        return self._apply(unsigned.as_signed_transaction(self._keys[sender]))

    def _eth_getTransactionReceipt(self, transaction: str) -> Any:  # noqa: N802
        place = self._places.get(_bytes(transaction))
        if place is None:
            return None
        block = self._chain.get_canonical_block_by_number(place[0])
        return self._receipts(block)[place[1]]

    def _eth_getTransactionByHash(self, transaction: str) -> Any:  # noqa: N802
        place = self._places.get(_bytes(transaction))
        if place is None:
            return None
        block = self._chain.get_canonical_block_by_number(place[0])
        found = block.transactions[place[1]]
        if found.type_id != _DYNAMIC_FEE:
            return {"type": hex(found.type_id or 0)}
        return {
            "type": "0x2",
            "blockNumber": hex(place[0]),
            "chainId": hex(found.chain_id),
            "nonce": hex(found.nonce),
            "maxPriorityFeePerGas": hex(found.max_priority_fee_per_gas),
            "maxFeePerGas": hex(found.max_fee_per_gas),
            "gas": hex(found.gas),
            "to": _hex(found.to),
            "value": hex(found.value),
            "input": _hex(found.data),
            "accessList": list(found.access_list),
            "yParity": hex(found.y_parity),
            "r": hex(found.r),
            "s": hex(found.s),
        }

    def _eth_getLogs(self, wanted: dict[str, Any]) -> list[Any]:  # noqa: N802
        addresses = {_bytes(address) for address in wanted["address"]}
        topics = wanted.get("topics", [])
        first, last = self._number(wanted["fromBlock"]), self._number(wanted["toBlock"])
        logs = []
        for number in range(first, min(last, self._newest()) + 1):
            header = self._chain.get_canonical_block_header_by_number(number)
            if not header.bloom:
                continue
            block = self._chain.get_canonical_block_by_number(number)
            logs += [
                log
                for receipt in self._receipts(block)
                for log in receipt["logs"]
                if _bytes(log["address"]) in addresses
                and all(mark is None or mark == log["topics"][0] for mark in topics[:1])
            ]
        return logs

    def _evm_increaseTime(self, seconds: int) -> str:  # noqa: N802
        ahead = self._chain.get_canonical_head().timestamp - int(self._clock.wall())
        self._ahead = max(self._ahead, ahead) + seconds
        return hex(self._ahead)

    # Inside --------------------------------------------------------------------------------

    def _newest(self) -> int:
        return int(self._chain.get_canonical_head().block_number)

    def _number(self, number: str) -> int:
        return self._newest() if number in ("latest", "pending") else int(number, 16)

    def _vm(self, number: str) -> Any:
        if number == "pending":
            return self._begin().vm
        return self._chain.get_vm(
            self._chain.get_canonical_block_header_by_number(self._number(number))
        )

    def _state(self, number: str) -> Any:
        return self._vm(number).state

    def _begin(self) -> "_Block":
        """Begin a block; its time is later than its parent's."""
        parent = self._chain.get_canonical_head()
        now = max(parent.timestamp + 1, int(self._clock.wall()) + self._ahead)
        header = self._chain.create_header_from_parent(parent).copy(timestamp=now)
        return _Block(self._chain.get_vm(header), header)

    def _apply(self, transaction: Any) -> str:
        if self._block and self._block.used + transaction.gas > self._block.header.gas_limit:
            self._mine()
        if self._block is None:
            self._block = self._begin()
        self._block.add(transaction)
        number = self._block.header.block_number
        self._places[transaction.hash] = (number, len(self._block.transactions) - 1)
        return _hex(transaction.hash)

    def _mine(self, *, empty: bool = False) -> None:
        if self._block is not None and (self._block.transactions or empty):
            self._chain.persist_block(self._block.mine())
        self._block = None

    def _receipts(self, block: Any) -> list[dict[str, Any]]:
        receipts, position, used = [], 0, 0
        for index, (transaction, receipt) in enumerate(
            zip(block.transactions, block.get_receipts(self._chain.chaindb), strict=True)
        ):
            where = {
                "blockNumber": hex(block.number),
                "blockHash": _hex(block.hash),
                "transactionHash": _hex(transaction.hash),
                "transactionIndex": hex(index),
            }
            logs = []
            for log in receipt.logs:
                logs.append(
                    {
                        **where,
                        "address": _hex(log.address),
                        "topics": [_hex(topic.to_bytes(32, "big")) for topic in log.topics],
                        "data": _hex(log.data),
                        "logIndex": hex(position),
                    }
                )
                position += 1
            receipts.append(
                {
                    **where,
                    "type": hex(transaction.type_id or 0),
                    "status": "0x1" if receipt.state_root == b"\x01" else "0x0",
                    "cumulativeGasUsed": hex(receipt.gas_used),
                    "logsBloom": _hex(receipt.bloom.to_bytes(256, "big")),
                    "gasUsed": hex(receipt.gas_used - used),
                    "logs": logs,
                }
            )
            used = receipt.gas_used
        return receipts


class _Block:
    """A block under way: py-evm's own way makes all tries anew after every transaction."""

    def __init__(self, vm: Any, header: Any) -> None:
        self.vm = vm
        self.header = header
        self.transactions: list[Any] = []
        self._receipts: list[Any] = []

    @property
    def used(self) -> int:
        return int(self.header.gas_used)

    def add(self, transaction: Any) -> None:
        """Execute a transaction; ValidationError when no block can hold it, and nothing changed."""
        receipt, _ = self.vm.apply_transaction(self.header, transaction)
        self.header = self.vm.add_receipt_to_header(self.header, receipt)
        self.transactions.append(transaction)
        self._receipts.append(receipt)

    def mine(self) -> Any:
        filled = self.vm.set_block_transactions_and_withdrawals(
            self.vm.get_block(), self.header, self.transactions, self._receipts
        )
        return self.vm.mine_block(filled).block


class _CallFailed(Exception):
    """A call reverted, with its revert data."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        super().__init__(_hex(data))


def _error(code: int, message: str, data: bytes | None = None) -> dict[str, Any]:
    error: dict[str, Any] = {"code": code, "message": message}
    if data is not None:
        error["data"] = _hex(data)
    return {"jsonrpc": "2.0", "id": 0, "error": error}


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
