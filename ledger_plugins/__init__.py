"""Ledgers and stores, opened by URL; accounts; contracts as typed façades."""

from typing import Any

from fedledger.errors import ConfigError
from fedledger.registry import Registry

from .base import (
    CallTerms,
    Event,
    Head,
    Ledger,
    Receipt,
    SignedTransaction,
    UnsignedTransaction,
)
from .storage.base import Store

__all__ = [
    "LEDGERS",
    "STORES",
    "CallTerms",
    "Event",
    "Head",
    "Ledger",
    "Receipt",
    "SignedTransaction",
    "Store",
    "UnsignedTransaction",
    "open_ledger",
    "open_store",
]

LEDGERS = Registry(
    "ledger",
    {
        "ethereum": "fedledger.ledger_plugins.ethereum:open_ethereum_ledger",
        "local": "fedledger.ledger_plugins.local:open_local_ledger",
        "local+http": "fedledger.ledger_plugins.local.node.remote:open_node_ledger",
    },
    group="fedledger.ledgers",
    extras={"ethereum": "ethereum", "local+http": "node"},
)
"""URL scheme to the function that opens such a ledger."""

STORES = Registry(
    "store",
    {"file": "fedledger.ledger_plugins.storage.local:open_file_store"},
    group="fedledger.stores",
)
"""URL scheme to the function that opens such a store."""


def open_ledger(url: str, **options: Any) -> Ledger:
    """Open the ledger at `url`.

    Args:
        url: for example "local:///var/lib/chain.db". Of a scheme "a+b" that is not registered as
            a whole, the part before the plus chooses the backend, the rest is the backend's.
        **options: the backend's own settings.

    Raises:
        UnknownNameError: nobody registered the scheme.
        ConfigError: not a URL, or a package is missing.
        LedgerUnavailable: it cannot be opened.
    """
    ledger: Ledger = LEDGERS.load(_backend(url, LEDGERS))(url, **options)
    return ledger


def open_store(url: str, **options: Any) -> Store:
    """Open the content store at `url`.

    Args:
        url: for example "file:///var/lib/store"; schemes as in `open_ledger`.
        **options: the backend's own settings.

    Raises:
        UnknownNameError: nobody registered the scheme.
        ConfigError: not a URL, or a package is missing.
        StoreError: it cannot be opened.
    """
    store: Store = STORES.load(_backend(url, STORES))(url, **options)
    return store


def _backend(url: str, registry: Registry) -> str:
    scheme, separator, _ = url.partition("://")
    if not separator:
        raise ConfigError(f"{url!r} is no URL: scheme://place wanted")
    return scheme if scheme in registry.names() else scheme.partition("+")[0]
