"""Which contracts there are: a name, its versions, and what each version is made of.

A contract is one folder whose package names itself in a `Contract`. Third parties add theirs by the
entry-point group `fedledger.contracts`; the entry's name is the contract's. A version, once chains
have it, stays as it is: its blocks are replayed with its ABI and its twin. What changes is another
version beside it.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from importlib import import_module
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from fedledger.errors import CallError, ConfigError
from fedledger.registry import Registry

if TYPE_CHECKING:
    from .twin import Twin

__all__ = [
    "BUILT_IN",
    "CHAIN_ONLY",
    "CONTRACTS",
    "Contract",
    "Version",
    "abi_digest",
    "artifact_of",
    "contract_of",
    "twin_of",
    "versioned",
]

BUILT_IN = (
    "StakeToken",
    "TrainingTask",
    "Identities",
    "Bonds",
    "Beacon",
    "Reports",
    "Membership",
    "ThresholdKeys",
    "Aggregators",
)
"""The contracts that every new chain and deployment has."""

CHAIN_ONLY = ("ContractRegistry",)
"""Contracts that every new embedded chain has besides; they have no bytecode."""

CONTRACTS = Registry(
    "contract",
    {
        "Aggregators": "fedledger.ledger_plugins.contracts.aggregators:CONTRACT",
        "Beacon": "fedledger.ledger_plugins.contracts.beacon:CONTRACT",
        "Bonds": "fedledger.ledger_plugins.contracts.bonds:CONTRACT",
        "ContractRegistry": "fedledger.ledger_plugins.contracts.contract_registry:CONTRACT",
        "Identities": "fedledger.ledger_plugins.contracts.identities:CONTRACT",
        "Membership": "fedledger.ledger_plugins.contracts.membership:CONTRACT",
        "Reports": "fedledger.ledger_plugins.contracts.reports:CONTRACT",
        "StakeToken": "fedledger.ledger_plugins.contracts.stake_token:CONTRACT",
        "ThresholdKeys": "fedledger.ledger_plugins.contracts.threshold_keys:CONTRACT",
        "TrainingTask": "fedledger.ledger_plugins.contracts.training_task:CONTRACT",
    },
    group="fedledger.contracts",
    wanted=lambda _: True,  # `contract_of` says what is wrong with it
)
"""Contract name to `Contract`."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a contract.

    Attributes:
        artifact: package and file of the artifact: "my_package:artifact.json".
        twin: module and class of the twin: "my_package.twin:Counter".
    """

    artifact: str
    twin: str


@dataclass(frozen=True, slots=True)
class Contract:
    """A contract.

    Attributes:
        name: its name, the same as in the registry.
        versions: by number, from 1 on without gaps.
        holds: names of StakeToken's roles that it has on every ledger: "MINTER_ROLE".

    Raises:
        ConfigError: the versions have gaps, or there is none.
    """

    name: str
    versions: Mapping[int, Version]
    holds: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.versions or sorted(self.versions) != list(range(1, len(self.versions) + 1)):
            raise ConfigError(
                f"contract {self.name!r} has versions {sorted(self.versions)}: they are numbered "
                "1, 2, 3, … without gaps"
            )

    @property
    def newest(self) -> int:
        """The highest version."""
        return max(self.versions)


def versioned(name: str, version: int) -> str:
    """Return how one version of a contract is named where its ABI is asked for: "Counter@2"."""
    return f"{name}@{version}"


def contract_of(contract: str) -> tuple[Contract, int]:
    """Return a contract and the version meant: that of "Counter@2", or the newest of "Counter".

    Raises:
        CallError: unknown contract or version.
        ConfigError: the package that adds it is broken.
    """
    name, _, number = contract.partition("@")
    if name not in (known := CONTRACTS.names()):
        raise unknown("contract", name, known)
    found: Contract = CONTRACTS.load(name)
    if not isinstance(found, Contract) or found.name != name:
        raise ConfigError(f"contract {name!r}: its entry names {found!r}, no contract of this name")
    if not number:
        return found, found.newest
    if not number.isdigit() or int(number) not in found.versions:
        have = ", ".join(map(str, sorted(found.versions)))
        raise CallError(f"{name} has no version {number!r} here: there is {have}")
    return found, int(number)


def artifact_of(contract: str) -> dict[str, Any]:
    """Return an artifact, as `contracts.build` writes it.

    Raises:
        CallError: unknown contract or version.
        ConfigError: it cannot be read.
    """
    found, number = contract_of(contract)
    package, _, name = found.versions[number].artifact.partition(":")
    try:
        artifact: dict[str, Any] = json.loads(files(package).joinpath(name).read_text("utf-8"))
    except (OSError, ValueError, ImportError) as error:
        raise ConfigError(f"the artifact of {contract} cannot be read: {error}") from error
    return artifact


def twin_of(contract: str) -> "type[Twin]":
    """Return the twin of a contract's version.

    Raises:
        CallError: unknown contract or version.
        ConfigError: it cannot be loaded, or is no twin of this contract.
    """
    from .twin import Twin  # noqa: PLC0415 - twins import what imports this

    found, number = contract_of(contract)
    module, _, name = found.versions[number].twin.partition(":")
    try:
        twin = getattr(import_module(module), name)
    except (Exception, SystemExit) as error:  # what is imported from outside can do anything
        raise ConfigError(f"the twin of {contract} cannot be loaded: {error}") from error
    if not isinstance(twin, type) or not issubclass(twin, Twin) or twin.contract != found.name:
        raise ConfigError(f"the twin of {contract}, {module}:{name}, is no twin of {found.name}")
    return twin


@lru_cache(maxsize=64)
def abi_digest(contract: str) -> bytes:
    """Return the SHA-256 of what a contract's version says: its functions, events and errors.

    Names of types inside the compiler, and the order of the entries, do not count.
    """
    entries = [_bare(entry) for entry in artifact_of(contract)["abi"]]
    entries.sort(key=lambda entry: (entry["type"], entry.get("name", "")))
    plain = json.dumps(entries, sort_keys=True, separators=(",", ":"))
    return sha256(b"fedledger abi v1\n" + plain.encode()).digest()


def unknown(kind: str, name: object, known: Iterable[str]) -> CallError:
    """Return the error for a name that nobody knows; it names the nearest."""
    from difflib import get_close_matches  # noqa: PLC0415 - only for an error

    listed = sorted(known)
    matches = get_close_matches(str(name), listed, n=1, cutoff=0.4)
    hint = f"did you mean {matches[0]!r}? " if matches else ""
    return CallError(f"unknown {kind} {name!r}: {hint}known: {', '.join(listed)}")


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _bare(one) for key, one in value.items() if key != "internalType"}
    return [_bare(one) for one in value] if isinstance(value, list) else value
