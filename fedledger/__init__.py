"""Federated learning that leaves evidence.

The rooms of the library, each a subpackage:

- `fedledger.strategies`: Flower strategies and the robust aggregation rules under them.
- `fedledger.ledger_plugins`: ledgers, contracts, accounts and content-addressed stores.
- `fedledger.clients`: ClientApps and mods (training, signing).
- `fedledger.experiments`: data sets, models, attacks, the runner and its configs.
- `fedledger.crypto`: encryption, commitments and sharing.
"""

TYPE_CHECKING = False  # type checkers know this name, and need no import for it

__all__ = ["__version__"]

if TYPE_CHECKING:
    __version__: str


def __getattr__(name: str) -> str:
    # Looked up when it is asked for: a command hears Ctrl-C the sooner.
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - as said

        return version("fedledger")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
