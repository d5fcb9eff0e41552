"""Creating the contracts on a chain."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eth_abi.abi import encode
from eth_hash.auto import keccak

from fedledger.errors import ConfigError, LedgerError, LedgerUnavailable

from ...accounts import Account
from ...addresses import ZERO_ADDRESS, address_from_bytes, checksum_address
from ...base import CallTerms, UnsignedTransaction
from ...contracts.abi import contract_names
from ...contracts.registry import artifact_of
from ..rpc.codec import as_bytes, as_hex, as_int
from ..rpc.node import Node, connect
from ..sending.developers import DEVELOPMENT_CHAINS, refuse_public_account
from ..sending.fees import fee_caps
from ..sending.funding import fund
from ..sending.waiting import await_receipts
from ..url import Settings, parse_url
from .document import Deployed, Deployment, check_deployment, code_digest, deployment_path

__all__ = ["create_contracts", "deploy", "tip_of"]

_log = logging.getLogger(__name__)
_CREATION_GAS = (
    6_000_000  # EIP-170 caps code at 24 KiB of 200 gas each; the rest is the constructor
)
_MINTERS = ("TrainingTask",)  # as in the twins' genesis


def deploy(
    url: str,
    *,
    account: Account | None = None,
    admin: str | None = None,
    proposers: Sequence[str] = (),
    anew: bool = False,
) -> tuple[Path, Deployment, bool]:
    """Create the contracts and write where they are; once for each chain.

    Args:
        url: the node, as `open_ledger` takes it; `?deployment=` chooses the file.
        account: who creates them and pays; on a development chain a new account by default.
        admin: who may mint and appoint; None: nobody, ever.
        proposers: who besides the admin may propose tasks; none given: everybody.
        anew: create new contracts even when those of the file are all right.

    Returns:
        The file, what it says, and whether something was created.

    Raises:
        ConfigError: no account, another admin, or a file that cannot be written.
        AccountError: the account's key is public.
        LedgerError: the node cannot be reached, or a contract could not be created.
    """
    settings = parse_url(url)
    wanted = checksum_address(admin) if admin else None
    node = connect(settings)
    try:
        chain_id = as_int(node.ask("eth_chainId"))
        path = deployment_path(settings.deployment, chain_id)
        if path.exists() and not anew:
            try:
                found = Deployment.load(path)
                check_deployment(node, found, str(path))
            except (ConfigError, LedgerError) as error:
                _log.info("%s does not fit the chain: %s", path, error)
            else:
                if wanted is not None and found.admin != wanted:
                    raise ConfigError(
                        f"the contracts in {path} have the admin {found.admin or 'nobody'}: "
                        "deploy anew, or to another file"
                    )
                return path, found, False
        if account is None and chain_id not in DEVELOPMENT_CHAINS:
            raise ConfigError(
                f"chain {chain_id} is no development chain: an account has to pay for the "
                "contracts, give one with --account"
            )
        deployment = create_contracts(
            node, settings, account or Account.create(), wanted, proposers
        )
    finally:
        node.close()
    deployment.save(path)
    return path, deployment, True


def create_contracts(
    node: Node,
    settings: Settings,
    account: Account,
    admin: str | None,
    proposers: Sequence[str] = (),
) -> Deployment:
    """Create every contract, one transaction each, and return where they are.

    Raises:
        AccountError: the account's key is public.
        LedgerError: the account cannot pay, or a contract could not be created.
    """
    chain_id, genesis, head, nonce = node.results(
        [
            ("eth_chainId", ()),
            ("eth_getBlockByNumber", ("0x0", False)),
            ("eth_getBlockByNumber", ("latest", False)),
            ("eth_getTransactionCount", (account.address, "pending")),
        ]
    )
    chain, first = as_int(chain_id), as_int(nonce)
    refuse_public_account(account.address, chain)
    caps = fee_caps(as_int(head["baseFeePerGas"]), tip_of(node), settings.max_fee, node.where)
    gas = min(_CREATION_GAS, as_int(head["gasLimit"]))
    names = contract_names()
    problem = fund(node, chain, {account.address: len(names) * gas * caps[0]}, settings.wait)
    if problem:
        raise LedgerUnavailable(problem[account.address])
    addresses = {name: _address(account.address, first + at) for at, name in enumerate(names)}
    known = {
        "admin": admin or ZERO_ADDRESS,
        "minters": [addresses[minter] for minter in _MINTERS],
        "proposers": [checksum_address(one) for one in proposers] or [ZERO_ADDRESS],
    }
    signed, created = [], {}
    for at, name in enumerate(names):
        arguments = _arguments(name, addresses, known)
        code = as_bytes(artifact_of(name)["bytecode"]) + arguments
        terms = CallTerms(chain, "", gas, *caps)
        raw, hash_ = account.sign_creation(UnsignedTransaction(terms, first + at, code))
        signed.append(raw)
        created[name] = Deployed(
            address=addresses[name],
            transaction=hash_,
            arguments=as_hex(arguments),
            code=code_digest(name),
            sources=artifact_of(name)["sources"],
        )
    blocks = _create(node, settings, signed, created)
    return Deployment(
        chain_id=chain,
        genesis=genesis["hash"],
        block=min(blocks),
        deployer=account.address,
        admin=admin,
        contracts=created,
    )


def tip_of(node: Node) -> int:
    """Return the tip that the node suggests, in wei for a unit of gas; none where it costs nothing.

    A node without the request takes none.
    """
    (answer,) = node.ask_all([("eth_maxPriorityFeePerGas", ())])
    return as_int(answer) if isinstance(answer, str) else 0


def _create(
    node: Node, settings: Settings, signed: Sequence[bytes], created: Mapping[str, Deployed]
) -> list[int]:
    for raw in signed:
        node.ask("eth_sendRawTransaction", as_hex(raw))
    hashes = [contract.transaction for contract in created.values()]
    receipts = await_receipts(node, hashes, settings.wait, confirmations=settings.confirmations)
    for name, contract in created.items():
        receipt = receipts.get(contract.transaction)
        if receipt is None:
            raise LedgerUnavailable(
                f"{name} is in no block with {settings.confirmations} confirmations after "
                f"{settings.wait:g} seconds: transaction {contract.transaction}"
            )
        if not as_int(receipt["status"]):
            raise LedgerUnavailable(
                f"{name} could not be created: transaction {contract.transaction} failed with "
                f"{as_int(receipt['gasUsed'])} gas used"
            )
    return [as_int(receipt["blockNumber"]) for receipt in receipts.values()]


def _arguments(contract: str, addresses: Mapping[str, str], known: Mapping[str, Any]) -> bytes:
    """Return a constructor's arguments: other contracts' addresses by type, the rest by name.

    Raises:
        ConfigError: one that nobody knows.
    """
    kinds: list[str] = []
    values: list[Any] = []
    for entry in artifact_of(contract)["abi"]:
        for parameter in entry["inputs"] if entry["type"] == "constructor" else ():
            kinds.append(parameter["type"])
            values.append(_argument(contract, parameter, addresses, known))
    return encode(kinds, values)


def _argument(
    contract: str,
    parameter: Mapping[str, Any],
    addresses: Mapping[str, str],
    known: Mapping[str, Any],
) -> Any:
    kind = str(parameter.get("internalType", "")).removeprefix("contract ")
    if kind.removeprefix("I") in addresses:
        return addresses[kind.removeprefix("I")]
    if parameter["name"] in known:
        return known[parameter["name"]]
    raise ConfigError(
        f"{contract} cannot be created: nobody knows its argument {json.dumps(parameter)}"
    )


def _address(deployer: str, nonce: int) -> str:
    """Return the address of the contract that an account creates with a nonce."""
    number = nonce.to_bytes((nonce.bit_length() + 7) // 8, "big")
    encoded = number if len(number) == 1 and nonce < 0x80 else bytes([0x80 + len(number)]) + number
    payload = b"\x94" + bytes.fromhex(deployer[2:]) + encoded
    return address_from_bytes(keccak(bytes([0xC0 + len(payload)]) + payload)[12:])
