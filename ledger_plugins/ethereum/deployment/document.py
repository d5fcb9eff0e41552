"""Where the contracts of a chain are: a file, written whole and durably before it matters."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from fedledger.effects import Disk
from fedledger.errors import CallError, ConfigError
from fedledger.formats import first_wrong, parse_json

from ...addresses import checksum_address
from ...base import OnLedger

__all__ = ["TOKEN", "Deployed", "Deployment", "UnderWay", "deployment_path"]

TOKEN = "StakeToken"  # noqa: S105 - a contract's name
"""The contract that a deployment is told by: it is there from the start and never replaced."""

_VERSION = 2


def _checksummed(text: str) -> str:
    try:
        return checksum_address(text)
    except CallError as error:
        raise ValueError(str(error)) from error


_Hash = Annotated[str, Field(pattern=r"^0x[0-9a-f]{64}$")]
_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Address = Annotated[str, AfterValidator(_checksummed)]
_Bytes = Annotated[str, Field(pattern=r"^0x([0-9a-f]{2})*$")]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Creation(_Record):
    """What is known of a contract before it is on the chain.

    Attributes:
        version: its version in the registry of contracts.
        abi: SHA-256 of that version's ABI, as `registry.abi_digest` has it.
        code: SHA-256 of its artifact's creation code.
        address: where it is; follows from the deployer and its nonce.
        deployer: who creates it.
        transaction: hash of the transaction that creates it.
        arguments: its constructor's arguments, ABI-encoded.
    """

    version: int = Field(ge=1)
    abi: _Digest
    code: _Digest
    address: _Address
    deployer: _Address
    transaction: _Hash
    arguments: _Bytes


class Deployed(_Creation):
    """A contract that is on the chain and has its roles.

    Attributes:
        block: index of the block that created it.
    """

    block: int = Field(ge=0)


class UnderWay(_Creation):
    """A contract whose creation was signed; noted before it is sent.

    Attributes:
        nonce: the deployer's nonce that it uses.
        raw: the signed creation: sent again, it is the same transaction.
    """

    nonce: int = Field(ge=0)
    raw: _Bytes


class Deployment(_Record):
    """The contracts of one chain.

    Attributes:
        version: version of this form.
        chain_id: EIP-155 id of the chain.
        genesis: hash of block 0: two development chains may have one id.
        admin: who may mint and appoint from the start, or None.
        contracts: by name; what is on the chain and has its roles.
        under_way: by name; what was signed together and is not known to be done.
    """

    version: Literal[2] = 2
    chain_id: int
    genesis: _Hash
    admin: _Address | None
    contracts: Mapping[str, Deployed]
    under_way: Mapping[str, UnderWay] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_a_token(self) -> Self:
        if TOKEN not in (self.contracts or self.under_way):
            raise ValueError(f"there is no {TOKEN} among its contracts")
        if twice := sorted(self.contracts.keys() & self.under_way.keys()):
            raise ValueError(f"{twice[0]} is there and under way at once")
        return self

    @property
    def addresses(self) -> dict[str, str]:
        """Contract name to address."""
        return {name: contract.address for name, contract in self.contracts.items()}

    @property
    def block(self) -> int:
        """The first block with a contract in it; nothing before it concerns us."""
        return min(contract.block for contract in self.contracts.values())

    @property
    def identity(self) -> str:
        """What tells this deployment from all others, and stays when it gains contracts."""
        token = self.contracts[TOKEN].address
        return sha256(f"{self.chain_id}{self.genesis}{token}".encode()).hexdigest()

    @property
    def on_ledger(self) -> dict[str, OnLedger]:
        """The contracts as every ledger says them."""
        return {
            name: OnLedger(name, one.version, one.address, bytes.fromhex(one.abi), one.block)
            for name, one in self.contracts.items()
        }

    def save(self, path: Path, disk: Disk) -> None:
        """Write the file whole or not at all, and durably.

        Raises:
            ConfigError: it cannot be written.
        """
        text = json.dumps(self.model_dump(mode="json"), indent=1) + "\n"
        try:
            disk.make_folder(path.parent)
            disk.write(path, text.encode())
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error.strerror}") from error

    @classmethod
    def load(cls, path: Path, disk: Disk) -> "Deployment":
        """Read a file.

        Raises:
            ConfigError: it cannot be read, is of another version, or is no such file.
        """
        try:
            content = disk.read_small(path)
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
        try:
            said = parse_json(content)
        except ValueError as error:
            raise ConfigError(f"{path} is no deployment: it is no JSON: {error}") from error
        return cls.of(said, str(path))

    @classmethod
    def of(cls, said: object, where: str) -> "Deployment":
        """Read what a file says.

        Args:
            said: JSON values.
            where: the file, for messages.

        Raises:
            ConfigError: it is of another version, or is no deployment.
        """
        _check_version(where, said)
        try:
            return cls.model_validate(said)
        except ValidationError as error:
            at, first = first_wrong(error)
            raise ConfigError(
                f"{where} is no deployment: {at or 'the file'}: {first['msg']}"
            ) from error


def deployment_path(chosen: Path | None, chain_id: int) -> Path:
    """Return the file with a chain's deployment: the one chosen, else deployments/chain-ID.json."""
    return (chosen or Path("deployments") / f"chain-{chain_id}.json").absolute()


def _check_version(where: str, said: object) -> None:
    version = said.get("version") if isinstance(said, dict) else None
    if version != _VERSION:
        raise ConfigError(
            f"{where} is a deployment of form {version!r}, and this version of fedledger reads "
            f"form {_VERSION}: use the version that wrote it, or name another file with "
            "--deployment and deploy there"
        )
