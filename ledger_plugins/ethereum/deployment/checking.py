"""Whether a deployment fits a chain, and the contracts that are known here."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from fedledger.errors import ConfigError, LedgerUnavailable

from ...contracts.registry import CONTRACTS, abi_digest, artifact_of, contract_of
from ..rpc.codec import as_bytes, as_int
from ..rpc.node import Node, NodeRefusal, Request
from ..sending.developers import DEVELOPMENT_CHAINS
from .document import Deployment

__all__ = [
    "OtherCode",
    "check_code",
    "check_deployment",
    "check_gone",
    "code_digest",
    "creation_code",
]


class OtherCode(LedgerUnavailable):
    """The code at an address is not what the artifact creates there."""


def check_deployment(
    node: Node, deployment: Deployment, where: str, *, reader: bool = False
) -> None:
    """Compare a deployment with the chain, and with the contracts that are known here.

    What the code at an address has to be is asked of the artifact: its creation code, run with the
    recorded arguments, returns it, the immutable values filled in.

    Args:
        node: the node.
        deployment: what should be there.
        where: the file, for messages.
        reader: whether it is for somebody who only reads, and is not told to deploy.

    Raises:
        ConfigError: another chain, or other contracts than are known here.
        LedgerUnavailable: the chain lacks a contract, or there is no answer.
    """
    genesis = _check_chain(node, deployment, where)
    if genesis is not None and genesis["hash"] != deployment.genesis:
        raise ConfigError(
            f"{where} is about another chain {deployment.chain_id}: its first block is "
            f"{deployment.genesis}, at {node.where} it is {genesis['hash']}. "
            + _what_to_do(deployment, reader=reader)
        )
    onward = (
        "" if reader else ", or deploy the contracts of today to another file with --deployment"
    )
    for name, contract in {**deployment.contracts, **deployment.under_way}.items():
        if name not in CONTRACTS.names():
            raise ConfigError(
                f"{where}: contract {name} is not installed here: install the package that adds it"
            )
        for what, found, here in (
            ("has another ABI", contract.abi, abi_digest(name).hex()),
            ("was compiled from other sources", contract.code, code_digest(name)),
        ):
            if found != here:
                raise ConfigError(
                    f"{where}: {name}, version {contract.version}, {what} than version "
                    f"{contract_of(name)[0].newest} here (SHA-256 {found[:16]}… instead of "
                    f"{here[:16]}…): install the version that deployed it{onward}"
                )
    check_code(node, deployment, reader=reader)


def check_code(node: Node, deployment: Deployment, *, reader: bool = False) -> None:
    """Check that every contract's code is what its artifact creates.

    Raises:
        OtherCode: it is another one.
        LedgerUnavailable: a contract is missing, or there is no answer.
    """
    requests: list[Request] = []
    for name, contract in deployment.contracts.items():
        creation = "0x" + creation_code(name).hex() + contract.arguments.removeprefix("0x")
        requests.append(("eth_getCode", (contract.address, "latest")))
        call = {"from": contract.deployer, "data": creation}
        requests.append(("eth_call", (call, "latest")))
    results = node.ask_all(requests)
    for place, (name, contract) in enumerate(deployment.contracts.items()):
        found, wanted = results[2 * place : 2 * place + 2]
        for result in (found, wanted):
            if isinstance(result, NodeRefusal):
                raise result
        if not as_bytes(wanted):
            raise OtherCode(f"the artifact of {name} makes no code: nothing can be called there")
        if not as_bytes(found):
            raise LedgerUnavailable(
                f"no contract at {contract.address}, where {name} should be on chain "
                f"{deployment.chain_id} at {node.where} since transaction "
                f"{contract.transaction}. " + _what_to_do(deployment, reader=reader)
            )
        if as_bytes(found) != as_bytes(wanted):
            digests = (sha256(as_bytes(code)).hexdigest()[:16] for code in (found, wanted))
            raise OtherCode(
                "the code at {} is not that of {}: SHA-256 {}… instead of {}…".format(
                    contract.address, name, *digests
                )
            )


def check_gone(node: Node, deployment: Deployment, where: str) -> None:
    """Check that the chain which a deployment is about is no more, so that its file may go.

    Only a development chain ever is: its node was started anew, and nothing of the deployment is on
    it.

    Raises:
        ConfigError: another chain id, no development chain, or contracts that are still there.
    """
    genesis = _check_chain(node, deployment, where)
    stays = "the contracts it names stay: for others name another file with --deployment"
    if deployment.chain_id not in DEVELOPMENT_CHAINS:
        raise ConfigError(
            f"{where} is about chain {deployment.chain_id}, which is no development chain: {stays}"
        )
    if genesis is not None and genesis["hash"] != deployment.genesis:
        return
    known = (*deployment.contracts.values(), *deployment.under_way.values())
    codes = node.results([("eth_getCode", (one.address, "latest")) for one in known])
    if any(as_bytes(code) for code in codes):
        raise ConfigError(f"{where} fits the chain at {node.where}: {stays}")


def creation_code(contract: str) -> bytes:
    """Return what creates a contract, without its constructor's arguments.

    Raises:
        CallError: unknown contract.
        ConfigError: its artifact has no such code.
    """
    text = artifact_of(contract).get("bytecode")
    try:
        code = bytes.fromhex(text.removeprefix("0x")) if isinstance(text, str) else b""
    except ValueError as error:
        raise ConfigError(f"the artifact of {contract} has bytecode that is no hex") from error
    if not code:
        raise ConfigError(f"the artifact of {contract} has no bytecode: it cannot be created")
    return code


def code_digest(contract: str) -> str:
    """Return the SHA-256 of an artifact's creation code."""
    return sha256(creation_code(contract)).hexdigest()


def _check_chain(node: Node, deployment: Deployment, where: str) -> Mapping[str, Any] | None:
    """Check the chain's id; return its first block, where the node still has it."""
    chain_id, genesis = node.results(
        [("eth_chainId", ()), ("eth_getBlockByNumber", ("0x0", False))]
    )
    if as_int(chain_id) != deployment.chain_id:
        raise ConfigError(
            f"{where} is about chain {deployment.chain_id}, "
            f"but the node at {node.where} is on chain {as_int(chain_id)}"
        )
    found: Mapping[str, Any] | None = genesis
    return found


def _what_to_do(deployment: Deployment, *, reader: bool) -> str:
    """Return what to do where the chain has nothing of a deployment."""
    if reader:
        return "Ask a node that has the whole chain of the contracts"
    if deployment.chain_id in DEVELOPMENT_CHAINS:
        return (
            "A development node that was started anew has an empty chain: run `fedledger deploy "
            "--anew`"
        )
    return "Ask a node that has the whole chain, or name another file with --deployment"
