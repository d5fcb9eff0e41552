"""The parameters a chain is born with, kept as the only entry of block 0's transactions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from eth_hash.auto import keccak

from fedledger.errors import ConfigError, LedgerUnavailable, MalformedBlock

from ...addresses import address_from_bytes
from .block import Block, seal
from .codec import Reader, frame, framed, text_of, uint

__all__ = ["DEFAULT_DIFFICULTY", "Genesis", "contract_address"]

DEFAULT_DIFFICULTY = 2**250
"""64 hashes a block on average: the paper wants work so small that it costs clients nothing."""

_DOMAIN = b"fedledger genesis v2"
_EARLIER = (b"fedledger genesis v1",)
_HARDEST, _EASIEST = 2**232, 2**256
_MAX_CHAIN_ID = 2**63 - 1
_MAX_CONTRACTS = 64
_ROOT = bytes(32)


def contract_address(contract: str) -> str:
    """Return where a contract lives on every embedded chain: its name, hashed."""
    return address_from_bytes(keccak(b"fedledger contract " + contract.encode())[12:])


@dataclass(frozen=True, slots=True)
class Genesis:
    """A chain's parameters; nothing of them ever changes.

    Attributes:
        chain_id: EIP-155 id that every transaction signs, 1 to 2⁶³ less 1.
        difficulty: the bound of equation (5), 2²³² to 2²⁵⁶; a block takes 2²⁵⁶ / difficulty
            hashes on average.
        admin: who may mint and appoint, or None.
        contracts: names of the chain's contracts, sorted.

    Raises:
        ConfigError: a parameter out of its range.
    """

    chain_id: int
    difficulty: int
    admin: str | None
    contracts: tuple[str, ...]

    def __post_init__(self) -> None:
        if not 1 <= self.chain_id <= _MAX_CHAIN_ID:
            raise ConfigError(f"chain_id {self.chain_id}: it has to be 1 to {_MAX_CHAIN_ID}")
        if not _HARDEST <= self.difficulty <= _EASIEST:
            raise ConfigError(
                f"difficulty {self.difficulty}: it is the bound of equation (5), "
                "from 2**232 (2**24 hashes a block) to 2**256 (one hash)"
            )
        if list(self.contracts) != sorted(set(self.contracts)):
            raise ConfigError(f"contracts {self.contracts}: they have to be sorted, each once")

    @property
    def addresses(self) -> Mapping[str, str]:
        """Contract name to address."""
        return {name: contract_address(name) for name in self.contracts}

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
                framed(*(name.encode() for name in self.contracts)),
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
        contracts = tuple(
            text_of("contracts", reader.framed("contracts", at_least=1, at_most=64))
            for _ in range(count)
        )
        reader.end()
        try:
            return cls(
                chain_id, difficulty, address_from_bytes(admin) if admin else None, contracts
            )
        except ConfigError as error:
            raise MalformedBlock("genesis", str(error)) from error
