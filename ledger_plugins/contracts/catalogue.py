"""The contracts that are known here, or that a ledger has, with a sentence about each."""

import inspect
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from fedledger.errors import CallError, ConfigError

from ..base import OnLedger
from .registry import CONTRACTS, abi_digest, contract_of, twin_of, versioned

__all__ = ["contract_list"]


def contract_list(there: Mapping[str, OnLedger] | None = None) -> list[dict[str, Any]]:
    """Return what is known of each contract, by name.

    Args:
        there: what a ledger has; None: all that is installed here, in its newest version, of which
            there is no address and no first block.

    Returns:
        Of each its `name`, `version`, `address`, the block `since` which it is there, the digest of
        its `abi` in hexadecimal, and a sentence `about` it.
    """
    if there is not None:
        return [
            {**asdict(one), "abi": one.abi.hex(), "about": _about(name, one.version)}
            for name, one in sorted(there.items())
        ]
    return [_installed(name) for name in CONTRACTS.names()]


def _installed(name: str) -> dict[str, Any]:
    """Return what is known of one; a broken package must not hide all others."""
    entry: dict[str, Any] = dict.fromkeys(("name", "version", "address", "since", "abi", "about"))
    try:
        newest = contract_of(name)[0].newest
        abi = abi_digest(name).hex()
    except (CallError, ConfigError) as error:
        return {**entry, "name": name, "about": f"not available: {error}"}
    return {**entry, "name": name, "version": newest, "abi": abi, "about": _about(name, newest)}


def _about(name: str, version: int) -> str:
    try:
        twin = twin_of(versioned(name, version))
    except (CallError, ConfigError) as error:
        return f"not available here: {error}"
    return " ".join(inspect.cleandoc(twin.__doc__ or "").partition("\n\n")[0].split())
