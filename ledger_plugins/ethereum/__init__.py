"""Ethereum: contracts on a node, reached over HTTP or a socket, or on a chain in this process."""

from .deployment.deploying import Outcome, deploy
from .deployment.document import Deployment
from .ledger import EthereumLedger
from .opening import open_ethereum_ledger

__all__ = ["Deployment", "EthereumLedger", "Outcome", "deploy", "open_ethereum_ledger"]
