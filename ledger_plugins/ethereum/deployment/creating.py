"""Creating contracts: signed and noted first, then sent, then waited for."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from eth_abi.abi import encode
from eth_abi.exceptions import EncodingError
from eth_hash.auto import keccak

from fedledger.errors import ConfigError, LedgerUnavailable

from ...accounts import Account
from ...addresses import ZERO_ADDRESS, address_from_bytes, checksum_address
from ...base import CallTerms, UnsignedTransaction
from ...contracts.registry import abi_digest, artifact_of, contract_of
from ..rpc.codec import as_hex, as_int
from ..rpc.node import Node, NodeRefusal
from ..rpc.refusals import reason_of
from ..sending.developers import refuse_public_account
from ..sending.fees import fees_now
from ..sending.funding import fund
from ..sending.waiting import await_receipts
from ..url import Settings
from .checking import code_digest, creation_code
from .document import Deployed, UnderWay
from .roles import holders

__all__ = ["CreationFailed", "deployed", "send_creations", "sign_creations"]

_CREATION_GAS = (
    6_000_000  # EIP-170 caps code at 24 KiB of 200 gas each; the rest is the constructor
)


class CreationFailed(LedgerUnavailable):
    """A contract will never be where its signed creation would have put it."""


def sign_creations(
    node: Node,
    settings: Settings,
    account: Account,
    names: Sequence[str],
    *,
    there: Mapping[str, str],
    admin: str | None,
    proposers: Sequence[str],
) -> dict[str, UnderWay]:
    """Sign the creation of contracts, one transaction each; nothing is sent.

    Their constructors may name contracts that are there and each other: where a contract will be
    follows from the account and its nonce.

    Args:
        node: the node.
        settings: what the URL says.
        account: who creates them and pays.
        names: the contracts, in the order in which they are created.
        there: name to address of the contracts that are there.
        admin: the token's administrator, or None.
        proposers: who besides the admin may propose tasks; none given: everybody.

    Raises:
        AccountError: the account's key is public.
        ConfigError: a constructor has an argument that nobody knows.
        LedgerError: the account cannot pay, or there is no answer.
    """
    chain_id, nonce = node.results(
        [("eth_chainId", ()), ("eth_getTransactionCount", (account.address, "pending"))]
    )
    chain, first = as_int(chain_id), as_int(nonce)
    refuse_public_account(account.address, chain)
    places = {name: _address(account.address, first + at) for at, name in enumerate(names)}
    addresses = {**there, **places}
    known = {"admin": admin or ZERO_ADDRESS, **holders(addresses)}
    known["proposers"] = [
        *([checksum_address(one) for one in proposers] or [ZERO_ADDRESS]),
        *known["proposers"],
    ]
    arguments = {name: _arguments(name, addresses, known) for name in names}
    head, caps = fees_now(node, settings)
    gas = min(_CREATION_GAS, as_int(head["gasLimit"]))
    problem = fund(node, chain, {account.address: len(names) * gas * caps[0]}, settings.wait)
    if problem:
        raise LedgerUnavailable(problem[account.address])
    signed = {}
    for at, name in enumerate(names):
        data = creation_code(name) + arguments[name]
        terms = CallTerms(chain, "", gas, *caps)
        raw, hash_ = account.sign_creation(UnsignedTransaction(terms, first + at, data))
        signed[name] = UnderWay(
            version=contract_of(name)[1],
            abi=abi_digest(name).hex(),
            code=code_digest(name),
            address=places[name],
            deployer=account.address,
            transaction=hash_,
            arguments=as_hex(arguments[name]),
            nonce=first + at,
            raw=as_hex(raw),
        )
    return signed


def send_creations(
    node: Node, settings: Settings, under_way: Mapping[str, UnderWay], *, again: bool
) -> dict[str, int]:
    """Send signed creations, and wait for them.

    Args:
        node: the node.
        settings: what the URL says.
        under_way: the creations by name, of one account, in the order of their nonces.
        again: whether they may have been sent before.

    Returns:
        Name to index of the block.

    Raises:
        CreationFailed: one of them will never be executed, or failed in its block.
        LedgerUnavailable: no answer, or no block has them in time; they may still be executed.
    """
    deployer = next(iter(under_way.values())).deployer
    # Nonces first: what is put into a block after this question has a receipt at the next one.
    next_nonce = as_int(node.ask("eth_getTransactionCount", deployer, "latest"))
    hashes = [one.transaction for one in under_way.values()]
    receipts = node.results([("eth_getTransactionReceipt", (one,)) for one in hashes])
    for (name, one), receipt in zip(under_way.items(), receipts, strict=True):
        if receipt is None and one.nonce < next_nonce:
            raise CreationFailed(
                f"{name} cannot be created any more: another transaction of {deployer} used the "
                f"nonce {one.nonce}. Run `fedledger deploy` again, which creates it elsewhere"
            )
        if receipt is None:
            _send(node, name, one, again=again)
    found = await_receipts(node, hashes, settings.wait, confirmations=settings.confirmations)
    blocks = {}
    for name, one in under_way.items():
        receipt = found.get(one.transaction)
        if receipt is None:
            raise LedgerUnavailable(
                f"{name} is in no block with {settings.confirmations} confirmations after "
                f"{settings.wait:g} seconds: transaction {one.transaction}. Run `fedledger deploy` "
                "again, which goes on with it"
            )
        if not as_int(receipt["status"]):
            raise CreationFailed(
                f"{name} could not be created: transaction {one.transaction} failed with "
                f"{as_int(receipt['gasUsed'])} gas used"
            )
        blocks[name] = as_int(receipt["blockNumber"])
    return blocks


def deployed(under_way: Mapping[str, UnderWay], blocks: Mapping[str, int]) -> dict[str, Deployed]:
    """Return what is noted of contracts that are in these blocks."""
    return {
        name: Deployed(block=blocks[name], **one.model_dump(exclude={"nonce", "raw"}))
        for name, one in under_way.items()
    }


def _send(node: Node, name: str, one: UnderWay, *, again: bool) -> None:
    try:
        node.ask("eth_sendRawTransaction", one.raw)
    except NodeRefusal as error:
        if reason_of(error) == "known":
            return
        if node.ask("eth_getTransactionByHash", one.transaction) is not None:
            return  # it was sent twice, for the first answer was lost
        if again or error.repeated:  # fees rise and fall, and other nodes may have it
            raise LedgerUnavailable(
                f"{name} was signed earlier and is not taken now: {error}. Try again; to give it "
                f"up, send any other transaction of {one.deployer} with the nonce {one.nonce}"
            ) from error
        raise CreationFailed(f"{name} cannot be created: {error}") from error


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
    try:
        return encode(kinds, values)
    except EncodingError as error:
        raise ConfigError(f"{contract} cannot be created: its constructor: {error}") from error


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
