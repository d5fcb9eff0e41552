"""What a contract's local twin is: the contract's logic as a deterministic Python state machine.

The embedded chain executes twins; an EVM executes the Solidity source. Both speak one ABI. A twin's
public methods carry the ABI's function names and take its arguments in order, as the ABI decodes
them (addresses checksummed, integers as int, bytes as bytes, lists as tuples).
"""

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, NoReturn, Protocol

from fedledger.errors import ContractError

__all__ = ["Birth", "Directory", "Entry", "Environment", "Key", "ModelInfo", "State", "Twin"]

Key = tuple[Any, ...]
State = MutableMapping[Key, Any]
"""One contract's storage: tuples of str, int and bytes to str, int, bytes or tuples of them."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model that a call put on the chain: Bift's Table II; blocks list them.

    Attributes:
        model_id: identity of the federated learning task.
        init_ipfs_hash: binary CID of the model: the initial one of a proposal, and after a round
            the one that the round produced, from which the next round starts.
        total_iter: rounds the task needs.
        current_iter: rounds it has finished.
        from_addr: who put the model there: the proposer, or the aggregator.
        accuracy: parts per million: mean of the accuracies that the round's contributors claimed
            for it, weighted by their samples, rounded down. None where nobody claimed one (a
            proposal, a round without contributors).
    """

    model_id: str
    init_ipfs_hash: bytes
    total_iter: int
    current_iter: int
    from_addr: str
    accuracy: int | None


@dataclass(frozen=True, slots=True)
class Entry:
    """A version of a contract, as a chain records it.

    Attributes:
        name: the contract's name.
        version: from 1.
        abi: digest of its ABI, 32 bytes (`registry.abi_digest`).
        twin: digest of its twin, 32 bytes (`digest.twin_digest`).
        holds: names of StakeToken's roles that it was given in block 0, sorted.
        since: index of the first block that executes it.
    """

    name: str
    version: int
    abi: bytes
    twin: bytes
    holds: tuple[str, ...] = ()
    since: int = 0


class Directory(Protocol):
    """Which contracts a chain has; a contract reaches it through its environment."""

    @property
    def admin(self) -> str | None:
        """The chain's administrator, or None."""

    @property
    def entries(self) -> Sequence[Entry]:
        """Every version of every contract, in the order in which they came."""

    def add(self, entry: Entry) -> None:
        """Record one more version.

        Raises:
            ContractMissing: this installation does not have it, or has another one.
        """

    def address(self, contract: str) -> str:
        """Return the address of a contract by its name."""


@dataclass(frozen=True, slots=True)
class Birth:
    """What a contract's storage may start from.

    Attributes:
        admin: the ledger's administrator, or None.
        addresses: contract name to address.
        holders: name of a role of StakeToken to the addresses of the contracts that hold it.
    """

    admin: str | None
    addresses: Mapping[str, str]
    holders: Mapping[str, Sequence[str]] = field(default_factory=dict)


def _nobody_notes(_info: ModelInfo) -> None:
    """Take model info where no block is made of it."""


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
        note: takes the model info that the call adds to its block.
        directory: the chain's contracts; None where there is no chain.
        chain_id: EIP-155 id of the chain.
    """

    timestamp: int
    block: int
    addresses: Mapping[str, str]
    states: Mapping[str, State]
    emit: Callable[[str, str, dict[str, Any]], None]
    twins: Mapping[str, type["Twin"]]
    note: Callable[[ModelInfo], None] = _nobody_notes
    directory: Directory | None = None
    chain_id: int = 0


class Twin:
    """Base of all twins; an instance lives for one call of one sender.

    Args:
        environment: where the call runs.
        sender: who calls: an account, or a contract in the same transaction.
        called: the contract that the transaction called (default: this one).
    """

    contract: ClassVar[str]

    contributions: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Event that accepts accounts' work, to its argument that lists them. Leader rules count it."""

    rounds: ClassVar[Mapping[str, tuple[str, str]]] = MappingProxyType({})
    """Event that publishes a round, to its arguments task and round. Nodes verify these rounds."""

    def __init__(self, environment: Environment, sender: str, called: str | None = None) -> None:
        self.environment = environment
        self.sender = sender
        self.called = called or self.contract
        self.state = environment.states[self.contract]

    @classmethod
    def genesis(cls, birth: Birth) -> dict[Key, Any]:  # noqa: ARG003 - for those that override it
        """Return the storage this contract starts with, in block 0 or when it is added."""
        return {}

    @classmethod
    def upgrade(cls, state: State) -> None:
        """Change what the version before left in storage, once, before this version's first call.

        Args:
            state: the contract's storage.
        """

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
