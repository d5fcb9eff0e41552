"""The contracts that are known here, or that a ledger has, with a sentence about each."""

import inspect
from collections.abc import Mapping
from typing import Any

from fedledger.errors import CallError, ConfigError

from ..base import OnLedger
from .registry import CONTRACTS, contract_of, twin_of, versioned

__all__ = ["contract_list"]


def contract_list(there: Mapping[str, OnLedger] | None = None) -> list[dict[str, Any]]:
    """Return of each contract its name, version, address and what it is for.

    Args:
        there: what a ledger has; None: all that is installed here, in its newest version, with
            None as its address.
    """
    if there is None:
        return [_entry(name, None, None) for name in CONTRACTS.names()]
    return [_entry(name, one.version, one.address) for name, one in sorted(there.items())]


def _entry(name: str, version: int | None, address: str | None) -> dict[str, Any]:
    """Return what is known about a contract; one broken package must not hide all others."""
    try:
        known = version if version is not None else contract_of(name)[0].newest
        twin = twin_of(versioned(name, known))
    except (CallError, ConfigError) as error:
        return _row(name, version, address, f"not available here: {error}")
    about = inspect.cleandoc(twin.__doc__ or "").partition("\n\n")[0]
    return _row(name, known, address, " ".join(about.split()))


def _row(name: str, version: int | None, address: str | None, about: str) -> dict[str, Any]:
    return {"name": name, "version": version, "address": address, "about": about}
