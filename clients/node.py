"""The SuperNode that a client runs on: its key, where a task asks for answers tied to it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flwr.app import Context

from fedledger.effects import Disk
from fedledger.errors import AccountError, ConfigError
from fedledger.records import SigningRequest

from ..ledger_plugins.contracts.identities.keys import FlowerKey
from ..ledger_plugins.contracts.identities.nodes import (
    fingerprint,
    load_node_key,
    node_proof,
    public_of,
)
from ..ledger_plugins.signing import Domain

__all__ = ["check_node", "node_key_of", "proof_of"]


def node_key_of(context: Context, disk: Disk) -> FlowerKey | None:
    """Return the key of the SuperNode, from the file that the node config names, or None.

    The app cannot see the key that the SuperNode authenticates with: `node-key="PATH"` has to name
    the same file as its option `--auth-supernode-private-key`.

    Raises:
        AccountError: the file holds no such key.
    """
    path = context.node_config.get("node-key")
    return None if path is None else load_node_key(Path(str(path)).expanduser(), disk)


def check_node(request: SigningRequest, account: str, key: FlowerKey | None) -> None:
    """Make sure that this node's key is the one that counts for its account, where that is asked.

    Raises:
        ConfigError: the node config names no key.
        AccountError: the account published none in time, or another one.
    """
    if not request.node_keys:
        return
    told = request.node_keys[list(request.clients).index(account)]
    if key is None:
        raise ConfigError(
            f"task {request.task} takes answers of bound nodes alone: set node-key=PATH in the "
            "node config, to the file that the SuperNode authenticates with"
        )
    if not told:
        raise AccountError(
            f"account {account} had published no SuperNode's key when round {request.round} of "
            f"task {request.task} opened: `fedledger account bind` publishes it for later rounds"
        )
    own = fingerprint(public_of(key))
    if told != own:
        raise AccountError(
            f"this node's key (SHA-256 {own.hex()}) is not the one that account {account} had "
            f"published when round {request.round} opened ({told.hex()}): this device cannot speak "
            "for it"
        )


def proof_of(
    request: SigningRequest, account: str, key: FlowerKey, signed: Mapping[str, Mapping[str, Any]]
) -> bytes:
    """Return what ties an answer to the node."""
    domain = Domain(request.chain_id, request.contract, request.task, request.round)
    return node_proof(key, domain, request.phase, account, signed)
