"""What a party signs: calls of contracts, and typed statements that stay off the ledger.

Both are named and have named values, so whoever reads an answer sees the same thing whichever way
the signature travelled. A call is an EIP-1559 transaction. A statement is EIP-712 structured data
whose domain holds the chain, the TrainingTask contract, the task and the round: it can be used
nowhere else.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eth_abi import encode
from eth_hash.auto import keccak

from fedledger.errors import CallError
from fedledger.records import SEEN

from .contracts.abi import decode_call, encode_call, function_inputs
from .contracts.values import normalise

__all__ = ["Call", "Domain", "Statement", "plain_values"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{0,63}")
_DOMAIN = (
    b"EIP712Domain(string name,string version,uint256 chainId,"
    b"address verifyingContract,bytes32 salt)"
)
_LIBRARY, _VERSION = b"fedledger", b"1"
_DYNAMIC = ("string", "bytes")


@dataclass(frozen=True, slots=True)
class Domain:
    """Where a statement holds.

    Attributes:
        chain_id: EIP-155 id of the chain.
        contract: address of the TrainingTask contract.
        task: the task's number.
        round: the round, from 1.
    """

    chain_id: int
    contract: str
    task: int
    round: int

    def separator(self) -> bytes:
        """Return the 32 bytes that EIP-712 calls the domain separator.

        Its salt is the task in the upper 16 bytes and the round in the lower ones.

        Raises:
            CallError: a number is too large.
        """
        for number, bits in ((self.chain_id, 256), (self.task, 128), (self.round, 128)):
            if not 0 <= number < 1 << bits:
                raise CallError(f"{number} does not fit into {bits} bits")
        salt = self.task.to_bytes(16, "big") + self.round.to_bytes(16, "big")
        kinds = ("bytes32", "bytes32", "bytes32", "uint256", "address", "bytes32")
        values = (
            keccak(_DOMAIN),
            keccak(_LIBRARY),
            keccak(_VERSION),
            self.chain_id,
            self.contract,
            salt,
        )
        return keccak(encode(kinds, values))


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a contract.

    Attributes:
        contract: the contract's name.
        function: the function's name in its ABI.
        event: the event by which the ledger repeats the call; its arguments have the call's names.
        party: the event's argument that says who signed.
    """

    contract: str
    function: str
    event: str
    party: str

    @property
    def name(self) -> str:
        """The call's name: `TrainingTask.submitUpdate`."""
        return f"{self.contract}.{self.function}"

    @property
    def inputs(self) -> list[str]:
        """The names of the function's arguments, in order."""
        return [one.name for one in function_inputs(self.contract, self.function)]

    @property
    def pins(self) -> bool:
        """Whether its signer names a block of the ledger: by an argument `SEEN` of 32 bytes."""
        inputs = function_inputs(self.contract, self.function)
        return any((one.name, one.kind) == (SEEN, "bytes32") for one in inputs)

    def encode(self, values: Mapping[str, Any]) -> bytes:
        """Return the call's data.

        Args:
            values: an argument for each of the function's names.

        Raises:
            CallError: a name is missing or unknown, or a value does not fit.
        """
        _check_names(self.name, self.inputs, values)
        return encode_call(self.contract, self.function, *(values[name] for name in self.inputs))

    def decode(self, data: bytes) -> dict[str, Any]:
        """Return a call's arguments by name.

        Raises:
            CallError: the data calls another function, or nothing.
        """
        function, arguments = decode_call(self.contract, data)
        if function != self.function:
            raise CallError(f"the transaction calls {self.contract}.{function}, not {self.name}")
        return dict(zip(self.inputs, arguments, strict=True))


@dataclass(frozen=True, slots=True)
class Statement:
    """A typed statement (EIP-712).

    Attributes:
        name: the struct's name.
        fields: name and ABI type of each field: whole numbers, addresses, bools, bytes, strings.

    Raises:
        CallError: a name that EIP-712 does not know, or no fields.
    """

    name: str
    fields: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        names = [self.name, *(name for name, _ in self.fields)]
        if not self.fields or not all(_NAME.fullmatch(name) for name in names):
            raise CallError(f"statement {self.name!r}: letters and digits, and at least one field")

    @property
    def type(self) -> str:
        """The type as EIP-712 encodes it: `Commitment(bytes32 digest)`."""
        return f"{self.name}({','.join(f'{kind} {name}' for name, kind in self.fields)})"

    def digest(self, domain: Domain, values: Mapping[str, Any]) -> bytes:
        """Return the 32 bytes that are signed.

        Raises:
            CallError: a field is missing or unknown, or a value does not fit its type.
        """
        _check_names(self.name, [name for name, _ in self.fields], values)
        kinds, words = ["bytes32"], [keccak(self.type.encode())]
        for name, kind in self.fields:
            value = normalise(kind, values[name], f"{self.name}.{name}")
            if kind in _DYNAMIC:
                raw = value.encode() if isinstance(value, str) else value
                kind, value = "bytes32", keccak(raw)  # noqa: PLW2901 - as EIP-712 encodes it
            kinds.append(kind)
            words.append(value)
        return keccak(b"\x19\x01" + domain.separator() + keccak(encode(kinds, words)))


def plain_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a statement's values as JSON has them: bytes in hexadecimal."""
    return {
        name: value.hex() if isinstance(value, bytes) else value for name, value in values.items()
    }


def _check_names(what: str, names: list[str], values: Mapping[str, Any]) -> None:
    if set(names) != set(values):
        raise CallError(f"{what} has the values {sorted(names)}, not {sorted(values)}")
