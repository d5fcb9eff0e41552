"""Deploying: what is missing is created and gets its roles; nothing else is touched.

Killed at any moment, it goes on when it is run again. Creations are signed together and noted
before the first is sent: as long as they are noted, the same bytes are sent. A contract counts as
deployed when its roles are given too; whether they are is asked of the chain. When one of the
creations fails for good, all that were signed together are given up, for they name each other;
those of them that exist have no role and nobody's tokens.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedledger.effects import Disk, Effects, Entropy
from fedledger.errors import ConfigError

from ...accounts import Account
from ...addresses import checksum_address
from ...contracts.registry import BUILT_IN, CONTRACTS, unknown
from ...contracts.stake_token.facade import PROPOSER_ROLE, StakeToken
from ..ledger import EthereumLedger
from ..rpc.codec import as_int
from ..rpc.node import Node, connect
from ..sending.developers import DEVELOPMENT_CHAINS
from ..sending.outbox import Outbox
from ..url import Settings, parse_url
from .checking import OtherCode, check_code, check_deployment, check_gone
from .creating import CreationFailed, deployed, send_creations, sign_creations
from .document import Deployment, deployment_path
from .places import DeploymentFile, InProcess, Place
from .roles import check_grants, give, lacking, roles_of

__all__ = ["Deployer", "Outcome", "deploy", "place_of"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What deploying did.

    Attributes:
        path: the file that says where the contracts are; None on a chain in this process.
        deployment: what it says now.
        granted: the contracts that were created, each with the token's roles that it was given.
    """

    path: Path | None
    deployment: Deployment
    granted: Mapping[str, tuple[str, ...]]


def deploy(
    url: str,
    *,
    account: Account | None = None,
    admin: str | None = None,
    proposers: Sequence[str] = (),
    contracts: Sequence[str] = (),
    anew: bool = False,
    effects: Effects | None = None,
) -> Outcome:
    """Create the contracts that are missing on a chain, and note where they are.

    Args:
        url: the node, as `open_ledger` takes it; `?deployment=` chooses the file.
        account: who creates them and pays; on a development chain a new account by default. Once
            there is a token, it gives contracts their roles and has to be its administrator then.
        admin: who may mint and appoint; None: nobody, ever. Fixed when the token is created.
        proposers: who besides the admin may propose tasks; none given: everybody. The token's
            administrator changes that later, not this.
        contracts: names of contracts wanted besides those that every deployment has.
        anew: where the file is about a development chain that was started anew, empty, put it
            aside and begin again.
        effects: for waiting, for the file, and for a new account; this machine's by default.

    Raises:
        CallError: an unknown contract, or no address.
        ConfigError: no account, or not the one that may; another admin; the file does not fit the
            chain or the contracts known here, or cannot be written; somebody else is deploying
            there. Nothing changed.
        AccountError: the account's key is public.
        LedgerError: the node cannot be reached, or a contract could not be created.
    """
    settings = parse_url(url)
    wanted = _wanted(contracts)
    effects = effects or Effects.real()
    node = connect(settings, effects.clock)
    try:
        place = place_of(settings, node, effects.disk)
        with place.alone():
            return Deployer(url, settings, node, place, account, effects.entropy).bring(
                wanted,
                checksum_address(admin) if admin else None,
                [checksum_address(one) for one in proposers],
                anew=anew,
            )
    finally:
        node.close()


def place_of(settings: Settings, node: Node, disk: Disk) -> Place:
    """Return where the deployment on a node's chain is kept."""
    if settings.kind != "tester":
        chain = as_int(node.ask("eth_chainId"))
        return DeploymentFile(deployment_path(settings.deployment, chain), disk)
    from ..rpc.tester import local_node  # noqa: PLC0415 - py-evm is another package

    return InProcess(local_node(settings.address), settings.where)


@dataclass(frozen=True, slots=True)
class Deployer:
    """One deployment, and who pays for what it gains.

    Attributes:
        url: the node's URL.
        settings: what it says.
        node: the node.
        place: where the deployment is kept.
        account: who signs, or None: on a development chain a new account.
        entropy: draws its key.
    """

    url: str
    settings: Settings
    node: Node
    place: Place
    account: Account | None
    entropy: Entropy

    def bring(
        self,
        wanted: Sequence[str] = BUILT_IN,
        admin: str | None = None,
        proposers: Sequence[str] = (),
        *,
        anew: bool = False,
    ) -> Outcome:
        """Finish what is under way, then create what is missing of `wanted`; as `deploy`."""
        found, granted = self.place.load(), dict[str, tuple[str, ...]]()
        gone = found is not None and anew
        if found is not None and anew:
            check_gone(self.node, found, self.place.where)
            found = None
        if found is not None:
            check_deployment(self.node, found, self.place.where)
            self._compare(found, admin, proposers)
            if found.under_way:
                found = self._finish(found, granted, again=True)
        missing = [name for name in wanted if found is None or name not in found.contracts]
        if found is None or missing:
            begun = self._begin(found, missing, admin, proposers)
            if gone:
                self.place.put_aside()
            self.place.save(begun)
            found = self._finish(begun, granted, again=False)
        return Outcome(self.place.path, found, granted)

    def _compare(self, found: Deployment, admin: str | None, proposers: Sequence[str]) -> None:
        """Check that what is asked for is what was fixed when the token was created."""
        where = self.place.where
        if admin is not None and found.admin != admin:
            raise ConfigError(
                f"the contracts in {where} have the admin {found.admin or 'nobody'}: deploy those "
                "of another admin to another file with --deployment"
            )
        if not found.contracts:
            return
        for one in proposers:
            if not self._token(found).has_role(PROPOSER_ROLE, one):
                raise ConfigError(
                    f"{one} may not propose tasks with the token in {where}: only its "
                    f"administrator changes that, {found.admin or 'and it has none'}"
                )

    def _begin(
        self,
        found: Deployment | None,
        missing: Sequence[str],
        admin: str | None,
        proposers: Sequence[str],
    ) -> Deployment:
        """Return the deployment with the creation of contracts signed; none is sent."""
        chain_id, genesis = self.node.results(
            [("eth_chainId", ()), ("eth_getBlockByNumber", ("0x0", False))]
        )
        chain = as_int(chain_id)
        if self.account is None and chain not in DEVELOPMENT_CHAINS:
            raise ConfigError(
                f"chain {chain} is no development chain: an account has to pay for the "
                "contracts, give one with --account"
            )
        if found is not None:
            self._check_grants(found, {name: roles_of(name) for name in missing})
        signed = sign_creations(
            self.node,
            self.settings,
            self.account or Account.create(self.entropy),
            missing,
            there=found.addresses if found else {},
            admin=found.admin if found else admin,
            proposers=proposers,
        )
        if found is not None:
            return found.model_copy(update={"under_way": signed})
        return Deployment(
            chain_id=chain, genesis=genesis["hash"], admin=admin, contracts={}, under_way=signed
        )

    def _finish(
        self, begun: Deployment, granted: dict[str, tuple[str, ...]], *, again: bool
    ) -> Deployment:
        """Create what is under way, give the roles that no constructor gave, and note it."""
        grows, places = bool(begun.contracts), {n: o.address for n, o in begun.under_way.items()}
        if grows and again:
            self._check_grants(begun, lacking(self._token(begun), places))
        try:
            blocks = send_creations(self.node, self.settings, begun.under_way, again=again)
            new = deployed(begun.under_way, blocks)
            whole = {"contracts": {**begun.contracts, **new}, "under_way": {}}
            done = begun.model_copy(update=whole)
            check_code(self.node, done)
        except (CreationFailed, OtherCode):
            self.place.save(begun.model_copy(update={"under_way": {}}) if grows else None)
            raise
        if grows:
            give(self._token(begun), places, self.account)
        self.place.save(done)
        granted.update({name: roles_of(name) for name in new})
        return done

    def _check_grants(self, found: Deployment, wanted: Mapping[str, Sequence[str]]) -> None:
        check_grants(self._token(found), wanted, self.account, found, self.place.where)

    def _token(self, found: Deployment) -> StakeToken:
        return StakeToken(EthereumLedger(self.url, self.settings, self.node, found, Outbox()))


def _wanted(contracts: Sequence[str]) -> list[str]:
    """Return every contract once, those that every deployment has first.

    Raises:
        CallError: one that is not installed.
        ConfigError: one that is to hold what is no role.
    """
    known = CONTRACTS.names()
    for name in contracts:
        if name not in known:
            raise unknown("contract", name, known)
        roles_of(name)
    return list(dict.fromkeys([*BUILT_IN, *contracts]))
