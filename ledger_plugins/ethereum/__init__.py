"""Ethereum: contracts on a node, reached over HTTP or a socket, or on a chain in this process."""

from .deployment.creating import deploy
from .deployment.document import Deployment
from .ledger import EthereumLedger
from .opening import open_ethereum_ledger

__all__ = ["Deployment", "EthereumLedger", "deploy", "open_ethereum_ledger"]
