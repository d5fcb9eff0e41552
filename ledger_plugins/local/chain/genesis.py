"""The parameters a chain is born with, kept as the only entry of block 0's transactions."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from fedledger.errors import ConfigError, LedgerUnavailable, MalformedBlock

from ...addresses import address_from_bytes
from ...contracts.registry import BUILT_IN, CHAIN_ONLY
from ...contracts.twin import Birth, Entry
from .block import Block, seal
from .codec import Reader, frame, framed, text_of, uint
from .directory import contract_address, installed

__all__ = ["DEFAULT_DIFFICULTY", "Genesis"]

DEFAULT_DIFFICULTY = 2**250
"""64 hashes a block on average: the paper wants work so small that it costs clients nothing."""

_DOMAIN = b"fedledger genesis v3"
_EARLIER = (b"fedledger genesis v1", b"fedledger genesis v2")
_HARDEST, _EASIEST = 2**232, 2**256
_MAX_CHAIN_ID = 2**63 - 1
_MAX_CONTRACTS = 64
_MAX_ROLES = 16
_ROOT = bytes(32)


@dataclass(frozen=True, slots=True)
class Genesis:
    """A chain's parameters; nothing of them ever changes.

    Attributes:
        chain_id: EIP-155 id that every transaction signs, 1 to 2⁶³ less 1.
        difficulty: the bound of equation (5), 2²³² to 2²⁵⁶; a block takes 2²⁵⁶ / difficulty
            hashes on average.
        admin: who may mint, appoint and add contracts, or None.
        contracts: the chain's first contracts, sorted by name: version, digests, roles.

    Raises:
        ConfigError: a parameter out of its range.
    """

    chain_id: int
    difficulty: int
    admin: str | None
    contracts: tuple[Entry, ...]

    def __post_init__(self) -> None:
        if not 1 <= self.chain_id <= _MAX_CHAIN_ID:
            raise ConfigError(f"chain_id {self.chain_id}: it has to be 1 to {_MAX_CHAIN_ID}")
        if not _HARDEST <= self.difficulty <= _EASIEST:
            raise ConfigError(
                f"difficulty {self.difficulty}: it is the bound of equation (5), "
                "from 2**232 (2**24 hashes a block) to 2**256 (one hash)"
            )
        names = [entry.name for entry in self.contracts]
        if names != sorted(set(names)):
            raise ConfigError(f"contracts {names}: they have to be sorted, each once")

    @classmethod
    def new(
        cls,
        chain_id: int,
        difficulty: int,
        admin: str | None,
        contracts: Iterable[str] = (*BUILT_IN, *CHAIN_ONLY),
    ) -> Self:
        """Return the parameters of a new chain with contracts as they are installed here.

        Raises:
            ConfigError: a parameter out of its range, or a contract that cannot be loaded.
            CallError: an unknown contract.
        """
        entries = tuple(installed(name, given=True) for name in sorted(set(contracts)))
        return cls(chain_id, difficulty, admin, entries)

    @property
    def birth(self) -> Birth:
        """What the contracts' storages start from."""
        holders: dict[str, list[str]] = {}
        for entry in self.contracts:
            for role in entry.holds:
                holders.setdefault(role, []).append(contract_address(entry.name))
        addresses = {entry.name: contract_address(entry.name) for entry in self.contracts}
        return Birth(self.admin, addresses, holders)

    def block(self, timestamp: int) -> Block:
        """Return block 0 of a chain born at `timestamp` (milliseconds)."""
        return seal(
            index=0,
            previous_hash=_ROOT,
            timestamp=timestamp,
            transactions=(self.encode(),),
            model_info=(),
            difficulty=self.difficulty,
        )

    @classmethod
    def of(cls, block: Block) -> Self:
        """Return the parameters that block 0 holds.

        Raises:
            MalformedBlock: with the field.
            LedgerUnavailable: an earlier version made it.
        """
        header = block.header
        if header.index != 0:
            raise MalformedBlock("index", f"{header.index} in the first block")
        if header.previous_hash != _ROOT:
            raise MalformedBlock("previous_hash", "not zeros in the first block")
        if header.model_flag:
            raise MalformedBlock("model_flag", "set in the first block")
        if len(block.transactions) != 1:
            raise MalformedBlock("transactions", "the first block holds the parameters alone")
        return cls.decode(block.transactions[0])

    def encode(self) -> bytes:
        """Return the parameters' only encoding."""
        return b"".join(
            (
                frame(_DOMAIN),
                uint(self.chain_id, 8),
                uint(self.difficulty - 1, 32),
                frame(bytes.fromhex(self.admin[2:]) if self.admin else b""),
                uint(len(self.contracts), 4),
                *map(_encoded, self.contracts),
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read parameters.

        Raises:
            MalformedBlock: with the field.
            LedgerUnavailable: an earlier version made it.
        """
        reader = Reader(data)
        domain = reader.framed("genesis", at_most=64)
        if domain in _EARLIER:
            raise LedgerUnavailable(
                "this chain was made by an earlier version of fedledger, whose contracts were "
                "others: audit it with that version, or start a new chain in another place"
            )
        if domain != _DOMAIN:
            raise MalformedBlock("genesis", f"unknown version, {_DOMAIN.decode()!r} expected")
        chain_id = reader.uint("chain_id", 8)
        difficulty = reader.uint("difficulty", 32) + 1
        admin = reader.framed("admin", at_most=20)
        if len(admin) not in (0, 20):
            raise MalformedBlock("admin", f"{len(admin)} bytes are no address")
        count = reader.uint("contracts", 4)
        if count > _MAX_CONTRACTS:
            raise MalformedBlock("contracts", f"{count}, allowed are {_MAX_CONTRACTS}")
        contracts = tuple(_decoded(reader) for _ in range(count))
        reader.end()
        try:
            return cls(
                chain_id, difficulty, address_from_bytes(admin) if admin else None, contracts
            )
        except ConfigError as error:
            raise MalformedBlock("genesis", str(error)) from error


def _encoded(entry: Entry) -> bytes:
    return b"".join(
        (
            frame(entry.name.encode()),
            uint(entry.version, 4),
            entry.abi,
            entry.twin,
            uint(len(entry.holds), 4),
            framed(*(role.encode() for role in entry.holds)),
        )
    )


def _decoded(reader: Reader) -> Entry:
    name = text_of("contracts", reader.framed("contracts", at_least=1, at_most=64))
    version = reader.uint("contracts", 4)
    abi, twin = reader.take("contracts", 32), reader.take("contracts", 32)
    count = reader.uint("contracts", 4)
    if count > _MAX_ROLES:
        raise MalformedBlock("contracts", f"{count} roles of {name}, allowed are {_MAX_ROLES}")
    roles = (reader.framed("contracts", at_least=1, at_most=64) for _ in range(count))
    holds = tuple(text_of("contracts", role) for role in roles)
    if list(holds) != sorted(set(holds)):
        raise MalformedBlock("contracts", f"roles of {name} have to be sorted, each once")
    return Entry(name, version, abi, twin, holds)
