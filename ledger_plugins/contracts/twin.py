"""What a contract's local twin is: the contract's logic as a deterministic Python state machine.

The embedded chain executes twins; an EVM executes the Solidity source. Both speak one ABI. A twin's
public methods carry the ABI's function names and take its arguments in order, as the ABI decodes
them (addresses checksummed, integers as int, bytes as bytes, lists as tuples).
"""

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

from fedledger.errors import ContractError

__all__ = ["Environment", "Key", "State", "Twin"]

Key = tuple[Any, ...]
State = MutableMapping[Key, Any]
"""One contract's storage: tuples of str, int and bytes to str, int, bytes or tuples of them."""


@dataclass(frozen=True, slots=True)
class Environment:
    """Where one call runs.

    Attributes:
        timestamp: the block's time in whole seconds.
        block: the block's index.
        addresses: contract name to address.
        states: contract name to that contract's storage; the chain undoes it when a call fails.
        emit: takes contract name, event name and arguments.
        twins: contract name to class.
    """

    timestamp: int
    block: int
    addresses: Mapping[str, str]
    states: Mapping[str, State]
    emit: Callable[[str, str, dict[str, Any]], None]
    twins: Mapping[str, type["Twin"]]


class Twin:
    """Base of all twins; an instance lives for one call of one sender.

    Args:
        environment: where the call runs.
        sender: who calls: an account, or a contract in the same transaction.
        called: the contract that the transaction called (default: this one).
    """

    contract: ClassVar[str]

    def __init__(self, environment: Environment, sender: str, called: str | None = None) -> None:
        self.environment = environment
        self.sender = sender
        self.called = called or self.contract
        self.state = environment.states[self.contract]

    @classmethod
    def genesis(cls, admin: str | None, addresses: Mapping[str, str]) -> dict[Key, Any]:  # noqa: ARG003 - for those that override it
        """Return the storage this contract starts with.

        Args:
            admin: the ledger's administrator, or None.
            addresses: contract name to address.
        """
        return {}

    @property
    def address(self) -> str:
        """This contract's own address."""
        return self.environment.addresses[self.contract]

    @property
    def now(self) -> int:
        """The block's time in whole seconds."""
        return self.environment.timestamp

    def peer(self, contract: str) -> Any:
        """Return another contract's twin, called by this contract in the same transaction."""
        return self.environment.twins[contract](self.environment, self.address, self.called)

    def emit(self, event: str, **arguments: Any) -> None:
        """Say something: `arguments` by their names in the ABI, in its order."""
        self.environment.emit(self.contract, event, arguments)

    def revert(self, error: str, **arguments: Any) -> NoReturn:
        """Refuse the call with one of the ABI's errors; the chain undoes what it changed.

        An error is this contract's, whoever called it. But a Panic is every contract's: an EVM's
        revert data does not say whose it was, so the contract that the transaction called has it.
        """
        contract = self.called if error == "Panic" else self.contract
        raise ContractError(contract, error, arguments)
