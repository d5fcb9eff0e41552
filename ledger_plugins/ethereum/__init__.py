"""Ethereum: contracts on a node, reached over HTTP or a socket, or on a chain in this process."""

from typing import TYPE_CHECKING

from fedledger.lazy import lazily

if TYPE_CHECKING:
    from .deployment.deploying import Outcome, deploy
    from .deployment.document import Deployment
    from .ledger import EthereumLedger
    from .opening import open_ethereum_ledger

__all__ = ["Deployment", "EthereumLedger", "Outcome", "deploy", "open_ethereum_ledger"]

__getattr__ = lazily(
    __name__,
    {
        "Deployment": "deployment.document",
        "EthereumLedger": "ledger",
        "Outcome": "deployment.deploying",
        "deploy": "deployment.deploying",
        "open_ethereum_ledger": "opening",
    },
    extra="ethereum",
)
