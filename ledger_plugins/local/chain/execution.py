"""The chain's state machine: nonces, the contracts' twins, and the model info they give rise to.

It knows neither blocks' hashes nor disks. Whoever builds blocks, replays them or follows a fork
executes transactions here, and takes back with `undo` what should not have happened.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from fedledger.errors import CallError, LedgerUnavailable, TransactionRefused

from ...addresses import ZERO_ADDRESS
from ...base import Event, SignedTransaction
from ...contracts.abi import decode_call, encode_call, is_view
from ...contracts.twin import Environment, State
from ...contracts.twins import TWINS
from .block import ModelInfo
from .genesis import Genesis
from .model_info import ModelWatch
from .undo import UndoableState, UndoLog

__all__ = ["Executed", "Execution"]


@dataclass(frozen=True, slots=True)
class Executed:
    """What a transaction did.

    Attributes:
        transaction: the transaction.
        events: what the contracts said.
        model_info: what it adds to the block's model info.
    """

    transaction: SignedTransaction
    events: tuple[Event, ...]
    model_info: tuple[ModelInfo, ...]

    def sealed(self, block_hash: str) -> Self:
        """Return the same with events that name the block, once it has a hash."""
        events = tuple(replace(event, block_hash=block_hash) for event in self.events)
        return replace(self, events=events)


class Execution:
    """The state after a sequence of transactions.

    Args:
        genesis: the chain's parameters.

    Raises:
        LedgerUnavailable: the chain has a contract that this version does not know.
    """

    def __init__(self, genesis: Genesis) -> None:
        if unknown := set(genesis.contracts) - set(TWINS):
            raise LedgerUnavailable(
                f"the chain has contracts {sorted(unknown)} that this version does not know"
            )
        self._chain_id = genesis.chain_id
        self.addresses: Mapping[str, str] = genesis.addresses
        self._contracts = {address: name for name, address in self.addresses.items()}
        self._twins = {name: TWINS[name] for name in genesis.contracts}
        self._undo = UndoLog()
        self._nonces = UndoableState(self._undo)
        self._states: dict[str, State] = {
            name: UndoableState(self._undo, twin.genesis(genesis.admin, self.addresses))
            for name, twin in self._twins.items()
        }
        self._models = ModelWatch(UndoableState(self._undo))

    def nonce(self, address: str) -> int:
        """Return the number of transactions `address` (checksummed) has made."""
        count: int = self._nonces.get(address, 0)
        return count

    def mark(self) -> int:
        """Return a place that `undo` can go back to, until `keep` makes it final."""
        return self._undo.mark()

    def undo(self, mark: int) -> None:
        """Put the state back to what it was at `mark`."""
        self._undo.undo(mark)

    def keep(self, mark: int | None = None) -> None:
        """Make everything before `mark` final (default: everything so far)."""
        self._undo.forget(mark)

    def dump(self) -> dict[str, Any]:
        """Return the whole state as plain dictionaries, for `restore`."""
        return {
            "nonces": dict(self._nonces),
            "contracts": {name: dict(state) for name, state in self._states.items()},
            "models": dict(self._models.state),
        }

    def restore(self, dumped: Mapping[str, Any]) -> None:
        """Take the state that `dump` gave, in place of the present one."""
        self._nonces = UndoableState(self._undo, dumped["nonces"])
        self._states = {
            name: UndoableState(self._undo, dumped["contracts"][name]) for name in self._twins
        }
        self._models = ModelWatch(UndoableState(self._undo, dumped["models"]))

    def execute(
        self, transaction: SignedTransaction, *, seconds: int, block: int, position: int
    ) -> Executed:
        """Execute a transaction whose signature is known to be right.

        When anything at all is raised, the state is what it was before.

        Args:
            transaction: as `accounts.decode_transaction` returns it.
            seconds: the block's time in whole seconds.
            block: the block's index.
            position: the number of events that the block's earlier transactions made.

        Raises:
            TransactionRefused: chain, fees, contract, function or nonce are not right.
            ContractError: the contract refused.
        """
        contract = self._admit(transaction)
        function, arguments = self._function(contract, transaction.unsigned.data)
        events: list[Event] = []

        def emit(contract: str, name: str, arguments: dict[str, Any]) -> None:
            place = position + len(events)
            events.append(
                Event(contract, name, arguments, block, transaction.hash, place, seconds, "0x")
            )

        mark = self.mark()
        try:
            self._nonces[transaction.sender] = transaction.unsigned.nonce + 1
            environment = Environment(
                seconds, block, self.addresses, self._states, emit, self._twins
            )
            twin = self._twins[contract](environment, transaction.sender)
            getattr(twin, function)(*arguments)
            model_info = self._models.watch(events, transaction.sender)
        except BaseException:
            self.undo(mark)
            raise
        return Executed(transaction, tuple(events), model_info)

    def view(
        self, contract: str, function: str, args: tuple[Any, ...], *, seconds: int, block: int
    ) -> Any:
        """Return what a view says about the present state.

        Raises:
            CallError: unknown contract or function, one that is no view, or wrong arguments.
            ContractError: the view refused.
        """
        self.check_contract(contract)
        if not is_view(contract, function):
            raise CallError(f"{contract}.{function} is no view: send it as a transaction")
        _, arguments = decode_call(contract, encode_call(contract, function, *args))
        mark = self.mark()
        environment = Environment(
            seconds, block, self.addresses, self._states, _nobody_listens, self._twins
        )
        try:
            return getattr(self._twins[contract](environment, ZERO_ADDRESS), function)(*arguments)
        finally:
            self.undo(mark)

    def address_of(self, contract: str, function: str) -> str:
        """Return where to send a call of `function`.

        Raises:
            CallError: unknown contract or function, or a view, which is never sent.
        """
        self.check_contract(contract)
        if is_view(contract, function):
            raise CallError(f"{contract}.{function} is a view: call it, nobody has to sign it")
        return self.addresses[contract]

    def check_contract(self, contract: str) -> None:
        """Check that the chain has this contract.

        Raises:
            CallError: it does not.
        """
        if contract not in self._twins:
            raise CallError(
                f"unknown contract {contract!r}: this chain has {', '.join(sorted(self._twins))}"
            )

    def _admit(self, transaction: SignedTransaction) -> str:
        terms = transaction.unsigned.terms
        if terms.chain_id != self._chain_id:
            raise TransactionRefused(
                "chain", f"signed for chain {terms.chain_id}, this is {self._chain_id}"
            )
        if terms.gas or terms.max_fee_per_gas or terms.max_priority_fee_per_gas:
            raise TransactionRefused("value", "gas and fees are 0 on this ledger")
        contract = self._contracts.get(terms.to)
        if contract is None:
            raise TransactionRefused("contract", f"no contract at {terms.to}")
        expected = self.nonce(transaction.sender)
        if transaction.unsigned.nonce != expected:
            raise TransactionRefused(
                "nonce",
                f"{transaction.unsigned.nonce}, the next of {transaction.sender} is {expected}",
            )
        return contract

    def _function(self, contract: str, data: bytes) -> tuple[str, tuple[Any, ...]]:
        try:
            function, arguments = decode_call(contract, data)
        except CallError as error:
            raise TransactionRefused("contract", str(error)) from error
        if is_view(contract, function):
            raise TransactionRefused("contract", f"{contract}.{function} is a view, nothing to do")
        return function, arguments


def _nobody_listens(_contract: str, _event: str, _arguments: dict[str, Any]) -> None:
    """Take a view's events; there are none."""
