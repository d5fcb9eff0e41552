"""Opening a ledger of this backend by its URL."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedledger.effects import Disk, Effects
from fedledger.errors import ConfigError, LedgerUnavailable

from ..addresses import checksum_address
from .deployment.checking import check_deployment
from .deployment.deploying import Deployer, place_of
from .deployment.document import Deployment, deployment_path
from .ledger import EthereumLedger
from .rpc.codec import as_int
from .rpc.node import Node, connect
from .sending.outbox import Outbox, OutboxFile
from .url import Settings, parse_url

__all__ = ["open_ethereum_ledger"]

_log = logging.getLogger(__name__)


def open_ethereum_ledger(
    url: str,
    *,
    admin: str | None = None,
    read_only: bool = False,
    places: Mapping[str, Any] | None = None,
    effects: Effects | None = None,
) -> EthereumLedger:
    """Open the contracts on a chain.

    Args:
        url: "ethereum+http://127.0.0.1:8545", "ethereum+ipc:///path" or "ethereum+tester://name",
            with settings in its query: deployment, confirmations, timeout, wait, max_fee_gwei.
        admin: who may mint and appoint; fixed when the contracts are created. The tester's are
            created when its chain is first opened, all others by `fedledger deploy`.
        read_only: refuse transactions, create and write nothing (clause L15), and leave the calls
            under way to others.
        places: where the contracts are, as an earlier opening's `places` has it, instead of the
            deployment's file; to read only.
        effects: for waiting, and for the files beside the deployment; this machine's by default.

    Raises:
        ConfigError: the URL or a setting is wrong, no deployment is there, or it is about another
            chain, other contracts or another admin.
        LedgerUnavailable: the node cannot be reached, a contract is not where it should be, or
            deploying was not finished; to read only: no deployment is there.
        TransactionsLost: calls that an earlier process had acknowledged are gone for good.
    """
    if places is not None and not read_only:
        raise ConfigError("places are for who only reads: name the deployment's file in the URL")
    settings = parse_url(url)
    wanted = checksum_address(admin) if admin else None
    effects = effects or Effects.real()
    node = connect(settings, effects.clock, new=not read_only)
    try:
        if settings.kind == "tester":
            deployment, path = _tester(url, settings, node, wanted, effects), None
        elif places is not None:
            deployment, path = Deployment.of(places, "what was noted of the contracts"), None
            check_deployment(node, deployment, "what was noted of the contracts", reader=True)
        else:
            deployment, path = _deployed(node, settings, effects.disk, read_only=read_only)
        _check(deployment, wanted, settings, read_only=read_only)
        outbox = Outbox()
        if path is not None and not read_only:
            outbox = OutboxFile(path.with_suffix(".outbox"), deployment.identity, effects.disk)
        ledger = EthereumLedger(url, settings, node, deployment, outbox, read_only=read_only)
    except BaseException:
        node.close()
        raise
    _log.info("opened chain %d at %s", deployment.chain_id, settings.where)
    return ledger


def _deployed(
    node: Node, settings: Settings, disk: Disk, *, read_only: bool
) -> tuple[Deployment, Path]:
    path = deployment_path(settings.deployment, as_int(node.ask("eth_chainId")))
    if not disk.exists(path) and read_only:
        raise LedgerUnavailable(
            f"there is no {path}, which says where the contracts are: copy it from whoever "
            "deployed them, and name it with ?deployment=FILE in the ledger's URL; a run's folder "
            "has it as places/1.json"
        )
    if not disk.exists(path):
        raise ConfigError(
            f"there is no {path}, which says where the contracts are: run `fedledger deploy "
            f"--rpc {settings.where}`, or name the file with ?deployment=FILE in the ledger's URL"
        )
    deployment = Deployment.load(path, disk)
    check_deployment(node, deployment, str(path), reader=read_only)
    return deployment, path


def _check(
    deployment: Deployment, admin: str | None, settings: Settings, *, read_only: bool
) -> None:
    if not deployment.contracts:
        onward = "ask whoever deploys them" if read_only else "run `fedledger deploy` again"
        raise LedgerUnavailable(
            f"deploying the contracts at {settings.where} was not finished: {onward}, which goes on"
        )
    if admin is not None and admin != deployment.admin:
        raise ConfigError(
            f"admin {admin}: the contracts have {deployment.admin or 'none'} as theirs"
        )


def _tester(
    url: str, settings: Settings, node: Node, admin: str | None, effects: Effects
) -> Deployment:
    place = place_of(settings, node, effects.disk)
    deployment = place.load()
    if deployment is None:
        deployer = Deployer(url, settings, node, place, None, effects.entropy)
        deployment = deployer.bring(admin=admin).deployment
    return deployment
