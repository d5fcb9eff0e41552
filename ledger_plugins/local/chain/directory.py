"""Which contracts a chain has, and which version of each executes a block.

Block 0 names the first ones; a call of the administrator adds more. What a chain names has to be
installed here with the same ABI and the same twin: anything else would lead the same blocks to
another state, so it is refused by name.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from eth_hash.auto import keccak

from fedledger.errors import CallError, ContractMissing

from ...addresses import address_from_bytes
from ...base import OnLedger
from ...contracts.digest import twin_digest
from ...contracts.registry import CONTRACTS, abi_digest, contract_of, twin_of, versioned
from ...contracts.twin import Entry, Twin
from .undo import UndoableState

__all__ = ["ChainDirectory", "InForce", "contract_address", "installed"]

_ENTRIES = ("entries",)
_ALWAYS = 1 << 64


@lru_cache(maxsize=1024)
def contract_address(contract: str) -> str:
    """Return where a contract lives on every embedded chain: its name, hashed."""
    return address_from_bytes(keccak(b"fedledger contract " + contract.encode())[12:])


def installed(name: str, version: int | None = None, *, given: bool = False) -> Entry:
    """Return a version of a contract as this installation has it.

    Args:
        name: the contract's name.
        version: default: the newest.
        given: whether the contract's roles are given with it, as in block 0.

    Raises:
        CallError: nobody registered this contract or version.
        ConfigError: what was registered is broken.
    """
    found, number = contract_of(name if version is None else versioned(name, version))
    named = versioned(name, number)
    holds = tuple(sorted(found.holds)) if given else ()
    return Entry(name, number, abi_digest(named), twin_digest(twin_of(named)), holds)


@dataclass(frozen=True, slots=True)
class InForce:
    """The contracts that execute a block.

    Attributes:
        twins: name to twin.
        named: name to how its ABI is asked for: "Counter@2".
        addresses: name to address.
        names: address to name.
        since: index of the first block with exactly these.
        until: index of the first block with others; above every index while none is known.
    """

    twins: Mapping[str, type[Twin]]
    named: Mapping[str, str]
    addresses: Mapping[str, str]
    names: Mapping[str, str]
    since: int
    until: int

    def check(self, contract: str) -> None:
        """Check that there is such a contract.

        Raises:
            CallError: there is not.
        """
        if contract not in self.twins:
            have = ", ".join(sorted(self.twins))
            adds = f"; `fedledger deploy --contract {contract}` adds it"
            raise CallError(
                f"unknown contract {contract!r}: this chain has {have}"
                f"{adds if contract in CONTRACTS.names() else ''}"
            )


class ChainDirectory:
    """The contracts of one chain.

    Args:
        state: where it is kept; undone together with the call that added something.
        admin: the chain's administrator, or None.
        entries: the contracts of block 0.

    Raises:
        ContractMissing: one of them is not installed here, or is another one.
    """

    def __init__(self, state: UndoableState, admin: str | None, entries: Iterable[Entry]) -> None:
        self.admin = admin
        self._state = state
        self._cached: tuple[object, InForce] | None = None
        first = tuple(entries)
        for entry in first:
            _check(entry)
        state[_ENTRIES] = tuple(map(_plain, first))

    def __len__(self) -> int:
        return len(self._state[_ENTRIES])

    @property
    def entries(self) -> Sequence[Entry]:
        """Every version of every contract, in the order in which they came."""
        return [Entry(*plain) for plain in self._state[_ENTRIES]]

    def add(self, entry: Entry) -> None:
        """Record one more version.

        Raises:
            ContractMissing: it is not installed here, or is another one.
        """
        _check(entry)
        self._state[_ENTRIES] += (_plain(entry),)

    def restore(self, state: UndoableState) -> None:
        """Take the entries of a snapshot, in place of the present ones.

        Raises:
            ContractMissing: one of them is not installed here, or is another one.
        """
        self._state = state
        for entry in self.entries:
            _check(entry)

    def dump(self) -> dict[object, object]:
        """Return what `restore` takes."""
        return dict(self._state)

    def address(self, contract: str) -> str:
        """Return the address of a contract by its name."""
        return contract_address(contract)

    def contracts(self, block: int) -> dict[str, OnLedger]:
        """Return the contracts that execute a block, by name."""
        return {
            name: OnLedger(name, one.version, contract_address(name), one.abi, one.since)
            for name, one in _newest(self.entries, block).items()
        }

    def begin_in(self, block: int) -> list[Entry]:
        """Return the versions that execute a block and none before it."""
        force = self.at(block)
        if force.since != block or block == 0:
            return []
        return [entry for entry in self.entries if entry.since == block]

    def at(self, block: int) -> InForce:
        """Return the contracts that execute a block."""
        plain = self._state[_ENTRIES]
        if self._cached is not None:
            known, force = self._cached
            if known is plain and force.since <= block < force.until:
                return force
        force = _in_force(self.entries, block)
        self._cached = (plain, force)
        return force


def _newest(entries: Sequence[Entry], block: int) -> dict[str, Entry]:
    """Return the version of each contract that executes a block, sorted by name."""
    newest = {entry.name: entry for entry in entries if entry.since <= block}
    return dict(sorted(newest.items()))


def _in_force(entries: Sequence[Entry], block: int) -> InForce:
    newest = _newest(entries, block)
    named = {name: versioned(name, entry.version) for name, entry in newest.items()}
    addresses = {name: contract_address(name) for name in named}
    return InForce(
        twins=MappingProxyType({name: twin_of(one) for name, one in named.items()}),
        named=MappingProxyType(named),
        addresses=MappingProxyType(addresses),
        names=MappingProxyType({address: name for name, address in addresses.items()}),
        since=max((entry.since for entry in newest.values()), default=0),
        until=min((entry.since for entry in entries if entry.since > block), default=_ALWAYS),
    )


def _plain(entry: Entry) -> tuple[object, ...]:
    return (entry.name, entry.version, entry.abi, entry.twin, entry.holds, entry.since)


def _check(entry: Entry) -> None:
    named = f"{entry.name} version {entry.version}"
    try:
        here = installed(entry.name, entry.version)
    except (Exception, SystemExit) as error:  # a package from outside can do anything
        raise ContractMissing(
            entry.name,
            entry.version,
            f"the chain has the contract {named}, which this installation does not know "
            f"({error}): install the package that adds it, in the chain's version",
        ) from error
    for what, theirs, ours in (("ABI", entry.abi, here.abi), ("twin", entry.twin, here.twin)):
        if theirs != ours:
            raise ContractMissing(
                entry.name,
                entry.version,
                f"the chain was made with another {what} of {named}: its digest is "
                f"{theirs.hex()}, here it is {ours.hex()}; use the version of the package that "
                "the chain was made with",
            )
