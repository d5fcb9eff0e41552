"""Ledgers and stores, opened by URL; accounts; contracts as typed façades."""

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from fedledger.errors import ConfigError
from fedledger.registry import Registry

from .accounts import Account
from .base import (
    Block,
    CallTerms,
    Event,
    Head,
    Inclusion,
    Ledger,
    Receipt,
    SignedTransaction,
    UnsignedTransaction,
)
from .following import Cursor, Followed
from .storage.base import Store

__all__ = [
    "LEDGERS",
    "STORES",
    "Block",
    "CallTerms",
    "Cursor",
    "Event",
    "Followed",
    "Head",
    "Inclusion",
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
        "local": "fedledger.ledger_plugins.local:open_local",
        "local+http": "fedledger.ledger_plugins.local.node.http.remote:open_node_ledger",
    },
    group="fedledger.ledgers",
    extras={"ethereum": "ethereum", "local": "server"},
)
"""URL scheme to the function that opens such a ledger."""

STORES = Registry(
    "store",
    {
        "car": "fedledger.ledger_plugins.storage.car:open_car_store",
        "file": "fedledger.ledger_plugins.storage.local:open_file_store",
        "ipfs": "fedledger.ledger_plugins.storage.ipfs:open_ipfs_store",
        "ipfs+gateway": "fedledger.ledger_plugins.storage.gateway:open_gateway_store",
        "ipfs+gateway+http": "fedledger.ledger_plugins.storage.gateway:open_gateway_store",
        "store": "fedledger.ledger_plugins.storage.served:open_served_store",
    },
    group="fedledger.stores",
    extras={"ipfs": "ipfs"},
)
"""URL scheme to the function that opens such a store."""


def open_ledger(
    url: str,
    *,
    read_only: bool = False,
    hints: Mapping[str, Any] = MappingProxyType({}),
    **options: Any,
) -> Ledger:
    """Open the ledger at `url`.

    Args:
        url: for example "local:///var/lib/chain.db". Of a scheme "a+b" that is not registered as
            a whole, the part before the plus chooses the backend, the rest is the backend's.
        read_only: look at a ledger that is there; nothing is created, written or sent, and
            transactions are refused (clause L15).
        hints: settings for a backend that has them; others go without.
        **options: the backend's own settings.

    Raises:
        UnknownNameError: nobody registered the scheme.
        ConfigError: not a URL, a package is missing, or the backend cannot open to read only.
        LedgerUnavailable: it cannot be opened; opened to read only: there is none.
    """
    ledger: Ledger = _open(LEDGERS, url, options, read_only=read_only, spare=hints)
    return ledger


def open_store(
    url: str,
    *,
    read_only: bool = False,
    account: Account | Callable[[], Account] | None = None,
    **options: Any,
) -> Store:
    """Open the content store at `url`.

    Args:
        url: for example "file:///var/lib/store"; schemes as in `open_ledger`.
        read_only: look at a store that is there; nothing is created, and what would change it is
            refused (clause S12).
        account: who signs changes, or what opens the account, for a store that asks for signatures
            (store+http://); others need none.
        **options: the backend's own settings.

    Raises:
        UnknownNameError: nobody registered the scheme.
        ConfigError: not a URL, a package is missing, or the backend cannot open to read only.
        StoreError: it cannot be opened; opened to read only: there is none.
    """
    signs = {} if account is None else {"account": account}
    store: Store = _open(STORES, url, options, read_only=read_only, spare=signs)
    return store


def _open(
    registry: Registry,
    url: str,
    options: dict[str, Any],
    *,
    read_only: bool,
    spare: Mapping[str, Any] = MappingProxyType({}),
) -> Any:
    """Open by the URL's scheme; of the spare options the opener gets those that it names."""
    name = _backend(url, registry)
    opener = registry.load(name)
    options |= {"read_only": True} if read_only else {}
    taken = inspect.signature(opener).parameters
    any_name = any(one.kind is one.VAR_KEYWORD for one in taken.values())
    for option in options:
        if option not in taken and not any_name:
            cannot = "cannot open to read only: " if option == "read_only" else ""
            raise ConfigError(
                f"the {registry.kind} plugin {name!r} ({opener.__module__}.{opener.__qualname__}): "
                f"{cannot}its opener takes no {option}"
            )
    return opener(url, **options, **{key: spare[key] for key in spare.keys() & taken.keys()})


def _backend(url: str, registry: Registry) -> str:
    scheme, separator, _ = url.partition("://")
    if not separator:
        raise ConfigError(f"{url!r} is no URL: scheme://place wanted")
    return scheme if scheme in registry.names() else scheme.partition("+")[0]
