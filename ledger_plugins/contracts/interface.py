"""What a contract's artifact says: its functions, events and errors by name and by hash.

A contract is named by its name, and then its newest version is meant, or as "Counter@2".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from eth_hash.auto import keccak

from fedledger.errors import CallError

from .registry import CONTRACTS, artifact_of, unknown

__all__ = [
    "Item",
    "Parameter",
    "contract_names",
    "find",
    "find_hash",
    "load_abi",
    "names",
]


class Parameter(NamedTuple):
    """One argument or result: its name ("" for an unnamed result), ABI type and place."""

    name: str
    kind: str
    indexed: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """A function, event or error; `where` names it in messages."""

    kind: str
    where: str
    name: str
    hash: bytes
    inputs: tuple[Parameter, ...]
    outputs: tuple[Parameter, ...] = ()
    view: bool = False

    @property
    def key(self) -> bytes:
        """What marks it in bytes: an event's topic, else 4 bytes of selector."""
        return self.hash if self.kind == "event" else self.hash[:4]


class _Interface(NamedTuple):
    items: dict[str, dict[str, Item]]
    by_key: dict[str, dict[bytes, Item]]


# What Solidity itself reverts with; no contract declares them.
_BUILT_IN = (
    {"type": "error", "name": "Error", "inputs": [{"name": "message", "type": "string"}]},
    {"type": "error", "name": "Panic", "inputs": [{"name": "code", "type": "uint256"}]},
)


def contract_names() -> tuple[str, ...]:
    """Return the names of all contracts that are known here, sorted."""
    return tuple(CONTRACTS.names())


def load_abi(contract: str) -> list[dict[str, Any]]:
    """Return a contract's ABI as solc's JSON has it; the caller may change the copy.

    Raises:
        CallError: unknown contract or version.
    """
    abi: list[dict[str, Any]] = artifact_of(contract)["abi"]
    return abi


def names(contract: str, kind: str) -> list[str]:
    """Return the sorted names of a contract's items of `kind`: "function", "event" or "error"."""
    return sorted(_interface(contract).items[kind])


def find(contract: str, kind: str, name: str) -> Item:
    """Return an item by name; CallError naming the nearest when it is unknown."""
    found = _interface(contract).items[kind]
    if name not in found:
        raise unknown(f"{kind} of {contract}", name, found)
    return found[name]


def find_hash(contract: str, kind: str, key: bytes) -> Item:
    """Return an item by its selector (4 bytes) or topic (32 bytes); CallError when unknown."""
    item = _interface(contract).by_key[kind].get(bytes(key))
    if item is None:
        raise CallError(f"{contract} has no {kind} 0x{bytes(key).hex()}")
    return item


@lru_cache(maxsize=64)
def _interface(contract: str) -> _Interface:
    items: dict[str, dict[str, Item]] = {"function": {}, "event": {}, "error": {}}
    for entry in (*load_abi(contract), *_BUILT_IN):
        kind, name = entry["type"], entry.get("name", "")
        if kind not in items:
            continue  # a constructor or fallback: nobody calls it by name
        inputs = _parameters(entry["inputs"])
        signature = f"{name}({','.join(one.kind for one in inputs)})"
        items[kind][name] = Item(
            kind=kind,
            where=f"{contract}.{name}",
            name=name,
            hash=keccak(signature.encode()),
            inputs=inputs,
            outputs=_parameters(entry.get("outputs", ())),
            view=entry.get("stateMutability") in ("view", "pure"),
        )
    by_key = {kind: {item.key: item for item in found.values()} for kind, found in items.items()}
    return _Interface(items, by_key)


def _parameters(entries: Sequence[Mapping[str, Any]]) -> tuple[Parameter, ...]:
    return tuple(
        Parameter(entry["name"], entry["type"], entry.get("indexed", False)) for entry in entries
    )
