"""The chain's state machine: nonces, the contracts' twins, and the model info they give rise to.

It knows neither blocks' hashes nor disks. Whoever builds blocks, replays them or follows a fork
executes transactions here, and takes back with `undo` what should not have happened.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from fedledger.errors import CallError, FedledgerError, TransactionRefused

from ...addresses import ZERO_ADDRESS
from ...base import Event, SignedTransaction
from ...contracts.abi import decode_call, encode_call, is_view
from ...contracts.interface import find, names
from ...contracts.registry import versioned
from ...contracts.twin import Birth, Entry, Environment, ModelInfo, State
from .directory import ChainDirectory, InForce
from .genesis import Genesis
from .undo import UndoableState, UndoLog

__all__ = ["Executed", "Execution"]

_LIMITS = (MemoryError, RecursionError)
"""What this machine cannot do, and another one may: no contract's fault."""


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


class _Storages(dict[str, State]):
    """Each contract's storage by its name; one that was never written is empty."""

    def __init__(self, undo: UndoLog, known: Mapping[str, Mapping[Any, Any]]) -> None:
        self._undo = undo
        super().__init__(
            {name: UndoableState(undo, dict(content)) for name, content in known.items()}
        )

    def __missing__(self, name: str) -> State:
        self[name] = storage = UndoableState(self._undo)
        return storage


class Execution:
    """The state after a sequence of transactions.

    Args:
        genesis: the chain's parameters.

    Attributes:
        directory: the chain's contracts.

    Raises:
        ContractMissing: one of the chain's contracts is not installed here, or is another one.
    """

    def __init__(self, genesis: Genesis) -> None:
        self._chain_id = genesis.chain_id
        self._undo = UndoLog()
        self._nonces = UndoableState(self._undo)
        self.directory = ChainDirectory(UndoableState(self._undo), genesis.admin, genesis.contracts)
        birth, force = genesis.birth, self.directory.at(0)
        self._states = _Storages(
            self._undo, {name: twin.genesis(birth) for name, twin in force.twins.items()}
        )
        self._undo.forget()

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
            "directory": self.directory.dump(),
            "contracts": {name: dict(state) for name, state in self._states.items() if state},
        }

    def restore(self, dumped: Mapping[str, Any]) -> None:
        """Take the state that `dump` gave, in place of the present one.

        Raises:
            ContractMissing: one of its contracts is not installed here, or is another one.
        """
        self._nonces = UndoableState(self._undo, dumped["nonces"])
        self.directory.restore(UndoableState(self._undo, dumped["directory"]))
        self._states = _Storages(self._undo, dumped["contracts"])

    def enter(self, block: int) -> None:
        """Begin a block: contracts and versions that begin with it prepare their storage."""
        for entry in self.directory.begin_in(block):
            self._begin(entry)

    def execute(
        self, transaction: SignedTransaction, *, seconds: int, block: int, position: int
    ) -> Executed:
        """Execute a transaction whose signature is known to be right.

        When anything at all is raised, the state is what it was before.

        Args:
            transaction: as `accounts.decode_transaction` returns it.
            seconds: the block's time in whole seconds.
            block: the block's index; it was entered.
            position: the number of events that the block's earlier transactions made.

        Raises:
            TransactionRefused: chain, fees, contract, function or nonce are not right, the contract
                is faulty, or it adds one that cannot begin.
            ContractError: the contract refused.
            ContractMissing: it adds a contract that is not installed here, or is another one.
        """
        force = self.directory.at(block)
        contract = self._admit(transaction, force)
        function, arguments = _function(force.named[contract], transaction.unsigned.data)
        events: list[Event] = []
        models: list[ModelInfo] = []

        def emit(contract: str, name: str, arguments: dict[str, Any]) -> None:
            place = position + len(events)
            events.append(
                Event(contract, name, arguments, block, transaction.hash, place, seconds, "0x")
            )

        mark, known = self.mark(), len(self.directory)
        try:
            self._nonces[transaction.sender] = transaction.unsigned.nonce + 1
            environment = self._environment(force, seconds, block, emit, models.append)
            twin = force.twins[contract](environment, transaction.sender)
            getattr(twin, function)(*arguments)
            for entry in self.directory.entries[known:] if len(self.directory) > known else ():
                self._rehearse(entry, force)
        except BaseException as error:
            self.undo(mark)
            if _faulty(error):
                why = f"{contract}.{function} fails: {type(error).__name__}: {error}"
                raise TransactionRefused("contract", why) from error
            raise
        return Executed(transaction, tuple(events), tuple(models))

    def view(
        self, contract: str, function: str, args: tuple[Any, ...], *, seconds: int, block: int
    ) -> Any:
        """Return what a view says about the present state.

        Raises:
            CallError: unknown contract or function, one that is no view, or wrong arguments.
            ContractError: the view refused.
        """
        force = self.directory.at(block)
        force.check(contract)
        named = force.named[contract]
        if not is_view(named, function):
            raise CallError(f"{contract}.{function} is no view: send it as a transaction")
        _, arguments = decode_call(named, encode_call(named, function, *args))
        mark = self.mark()
        environment = self._environment(force, seconds, block, _nobody_listens, _nobody_notes)
        try:
            return getattr(force.twins[contract](environment, ZERO_ADDRESS), function)(*arguments)
        finally:
            self.undo(mark)

    def named(self, contract: str, block: int) -> str:
        """Return how the ABI of the version that executes a block is asked for.

        Raises:
            CallError: there is no such contract then.
        """
        force = self.directory.at(block)
        force.check(contract)
        return force.named[contract]

    def address_of(self, contract: str, function: str, block: int) -> str:
        """Return where to send a call of `function` that a block shall execute.

        Raises:
            CallError: unknown contract or function, or a view, which is never sent.
        """
        if is_view(self.named(contract, block), function):
            raise CallError(f"{contract}.{function} is a view: call it, nobody has to sign it")
        return self.directory.address(contract)

    def check_events(self, contract: str, event: str | None) -> None:
        """Check that the chain has a contract, and an event in one of its versions.

        Raises:
            CallError: it does not.
        """
        versions = [entry.version for entry in self.directory.entries if entry.name == contract]
        if not versions:
            self.directory.at(0).check(contract)
        if event is None:
            return
        for version in versions[:-1]:
            if event in names(versioned(contract, version), "event"):
                return
        find(versioned(contract, versions[-1]), "event", event)

    def _environment(
        self,
        force: InForce,
        seconds: int,
        block: int,
        emit: Callable[[str, str, dict[str, Any]], None],
        note: Callable[[ModelInfo], None],
    ) -> Environment:
        return Environment(
            timestamp=seconds,
            block=block,
            addresses=force.addresses,
            states=self._states,
            emit=emit,
            twins=force.twins,
            note=note,
            directory=self.directory,
            chain_id=self._chain_id,
        )

    def _begin(self, entry: Entry) -> None:
        force = self.directory.at(entry.since)
        twin, storage = force.twins[entry.name], self._states[entry.name]
        if entry.version == 1:
            born = twin.genesis(Birth(self.directory.admin, force.addresses))
            for key, value in born.items():
                storage[key] = value
        else:
            twin.upgrade(storage)

    def _rehearse(self, entry: Entry, force: InForce) -> None:
        """Let an added version begin, and take it back: what fails then would end the chain.

        A version whose predecessor has not begun finds no storage to be tried on.

        Raises:
            TransactionRefused: it fails.
        """
        before = versioned(entry.name, entry.version - 1)
        if entry.version > 1 and force.named.get(entry.name) != before:
            return
        mark = self.mark()
        try:
            self._begin(entry)
        except Exception as error:
            if isinstance(error, _LIMITS):
                raise
            why = f"{entry.name} version {entry.version} cannot begin: "
            why += f"{type(error).__name__}: {error}"
            raise TransactionRefused("contract", why) from error
        finally:
            self.undo(mark)

    def _admit(self, transaction: SignedTransaction, force: InForce) -> str:
        terms = transaction.unsigned.terms
        if terms.chain_id != self._chain_id:
            raise TransactionRefused(
                "chain", f"signed for chain {terms.chain_id}, this is {self._chain_id}"
            )
        if terms.gas or terms.max_fee_per_gas or terms.max_priority_fee_per_gas:
            raise TransactionRefused("value", "gas and fees are 0 on this ledger")
        contract = force.names.get(terms.to)
        if contract is None:
            raise TransactionRefused("contract", f"no contract at {terms.to}")
        expected = self.nonce(transaction.sender)
        if transaction.unsigned.nonce != expected:
            raise TransactionRefused(
                "nonce",
                f"{transaction.unsigned.nonce}, the next of {transaction.sender} is {expected}",
            )
        return contract


def _function(contract: str, data: bytes) -> tuple[str, tuple[Any, ...]]:
    try:
        function, arguments = decode_call(contract, data)
    except CallError as error:
        raise TransactionRefused("contract", str(error)) from error
    if is_view(contract, function):
        raise TransactionRefused("contract", f"{contract}.{function} is a view, nothing to do")
    return function, arguments


def _faulty(error: BaseException) -> bool:
    """Tell whether a twin raised what no contract may."""
    return isinstance(error, Exception) and not isinstance(error, (FedledgerError, *_LIMITS))


def _nobody_listens(_contract: str, _event: str, _arguments: dict[str, Any]) -> None:
    """Take a view's events; there are none."""


def _nobody_notes(_info: ModelInfo) -> None:
    """Take a view's model info; no block is made of it."""
