"""Where the contracts of a chain are: a file, and its comparison with what is on the chain."""

import contextlib
import json
import os
import secrets
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fedledger.errors import ConfigError, LedgerUnavailable

from ...contracts.registry import artifact_of
from ..rpc.codec import as_bytes, as_int
from ..rpc.node import Node, NodeRefusal, Request

__all__ = [
    "Deployed",
    "Deployment",
    "check_code",
    "check_deployment",
    "code_digest",
    "deployment_path",
]

_Hash = Annotated[str, Field(pattern=r"^0x[0-9a-f]{64}$")]
_Address = Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{40}$")]
_Bytes = Annotated[str, Field(pattern=r"^0x([0-9a-f]{2})*$")]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Deployed(_Record):
    """One contract on a chain.

    Attributes:
        address: where it is.
        transaction: hash of the transaction that created it.
        arguments: its constructor's arguments, ABI-encoded.
        code: SHA-256 of the artifact's creation code.
        sources: SHA-256 of each source it was compiled from, as the artifact has them.
    """

    address: _Address
    transaction: _Hash
    arguments: _Bytes
    code: str
    sources: Mapping[str, str]


class Deployment(_Record):
    """The contracts of one chain.

    Attributes:
        version: version of this form.
        chain_id: EIP-155 id of the chain.
        genesis: hash of block 0: two development chains may have one id.
        block: the first block with a contract in it; nothing before it concerns us.
        deployer: who created the contracts.
        admin: who may mint and appoint, or None.
        contracts: by name.
    """

    version: int = 1
    chain_id: int
    genesis: _Hash
    block: int
    deployer: _Address
    admin: _Address | None
    contracts: Mapping[str, Deployed]

    @property
    def addresses(self) -> dict[str, str]:
        """Contract name to address."""
        return {name: contract.address for name, contract in self.contracts.items()}

    @property
    def identity(self) -> str:
        """What tells this deployment from all others."""
        places = "".join(sorted(self.addresses.values()))
        return sha256(f"{self.chain_id}{self.genesis}{places}".encode()).hexdigest()

    def save(self, path: Path) -> None:
        """Write the file whole or not at all, and durably.

        Raises:
            ConfigError: it cannot be written.
        """
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        text = json.dumps(self.model_dump(mode="json"), indent=1) + "\n"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with temporary.open("x", encoding="utf-8") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(path)
            finally:
                with contextlib.suppress(OSError):
                    temporary.unlink()
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error.strerror}") from error

    @classmethod
    def load(cls, path: Path) -> "Deployment":
        """Read a file.

        Raises:
            ConfigError: it cannot be read, or is no such file.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            raise ConfigError(f"{path} is no deployment: {where}: {first['msg']}") from error


def deployment_path(chosen: Path | None, chain_id: int) -> Path:
    """Return the file with a chain's deployment: the one chosen, else deployments/chain-ID.json."""
    return (chosen or Path("deployments") / f"chain-{chain_id}.json").absolute()


def check_deployment(node: Node, deployment: Deployment, where: str) -> None:
    """Compare a deployment with the chain.

    What the code at an address has to be is asked of the artifact: its creation code, run with the
    recorded arguments, returns it, the immutable values filled in.

    Args:
        node: the node.
        deployment: what should be there.
        where: the file, for messages.

    Raises:
        ConfigError: another chain, or other contracts than this version of the library has.
        LedgerUnavailable: the chain lacks a contract, or there is no answer.
    """
    chain_id, genesis = node.results(
        [("eth_chainId", ()), ("eth_getBlockByNumber", ("0x0", False))]
    )
    if as_int(chain_id) != deployment.chain_id:
        raise ConfigError(
            f"{where} is about chain {deployment.chain_id}, "
            f"but the node at {node.where} is on chain {as_int(chain_id)}"
        )
    if genesis is not None and genesis["hash"] != deployment.genesis:
        raise ConfigError(
            f"{where} is about another chain {deployment.chain_id}: its first block is "
            f"{deployment.genesis}, at {node.where} it is {genesis['hash']}. A development node "
            "that was started anew has an empty chain: run `fedledger deploy` again"
        )
    for name, contract in deployment.contracts.items():
        if code_digest(name) != contract.code:
            raise ConfigError(
                f"{where}: {name} was compiled from other sources than this version of fedledger "
                "has: use the version that deployed it, or deploy again"
            )
    check_code(node, deployment)


def check_code(node: Node, deployment: Deployment) -> None:
    """Check that every contract's code is what its artifact creates.

    Raises:
        LedgerUnavailable: a contract is missing or is another one.
    """
    requests: list[Request] = []
    for name, contract in deployment.contracts.items():
        creation = artifact_of(name)["bytecode"] + contract.arguments.removeprefix("0x")
        requests.append(("eth_getCode", (contract.address, "latest")))
        call = {"from": deployment.deployer, "data": creation}
        requests.append(("eth_call", (call, "latest")))
    results = node.ask_all(requests)
    for place, (name, contract) in enumerate(deployment.contracts.items()):
        found, wanted = results[2 * place : 2 * place + 2]
        for result in (found, wanted):
            if isinstance(result, NodeRefusal):
                raise result
        if not as_bytes(found):
            raise LedgerUnavailable(
                f"no contract at {contract.address}, where {name} should be on chain "
                f"{deployment.chain_id} at {node.where}: run `fedledger deploy`"
            )
        if as_bytes(found) != as_bytes(wanted):
            digests = (sha256(as_bytes(code)).hexdigest()[:16] for code in (found, wanted))
            raise LedgerUnavailable(
                "the code at {} is not that of {}: SHA-256 {}… instead of {}…".format(
                    contract.address, name, *digests
                )
            )


def code_digest(contract: str) -> str:
    """Return the SHA-256 of an artifact's creation code."""
    return sha256(as_bytes(artifact_of(contract)["bytecode"])).hexdigest()
