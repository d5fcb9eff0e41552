"""Giving a ledger the contracts that it lacks, and touching nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass

from fedledger.errors import ConfigError

from .accounts import Account
from .addresses import ZERO_ADDRESS
from .base import Ledger
from .contracts.contract_registry.facade import ContractRegistry
from .contracts.registry import BUILT_IN, contract_of
from .contracts.stake_token.facade import StakeToken, role_id

__all__ = ["Grown", "grow"]


@dataclass(frozen=True, slots=True)
class Grown:
    """What became of one contract.

    Attributes:
        name: its name.
        version: the version that the ledger has now.
        address: where it is.
        created: whether something was added.
        granted: names of StakeToken's roles that it was given.
    """

    name: str
    version: int
    address: str
    created: bool
    granted: tuple[str, ...] = ()


def grow(ledger: Ledger, account: Account | None, contracts: Sequence[str] = ()) -> list[Grown]:
    """Add to an embedded chain what it lacks of the contracts that every ledger has, and of others.

    Args:
        ledger: the chain, or a node of its network.
        account: the chain's administrator.
        contracts: names of further contracts, which are installed here; of one that the chain has
            in an older version, the newer ones are added.

    Returns:
        What became of each contract. Run again, it finishes what was interrupted.

    Raises:
        ConfigError: the ledger has no registry of contracts, or the account is not its
            administrator.
        CallError: a contract that nobody registered here.
        LedgerError: the ledger cannot be reached, or refused.
    """
    if ContractRegistry.contract not in ledger.contracts():
        raise ConfigError(f"{ledger.url} has no registry of contracts: it cannot gain any")
    registry = ContractRegistry(ledger)
    wanted = {name: contract_of(name)[0] for name in (*BUILT_IN, *contracts)}
    missing = {
        name: range(registry.versions(name) + 1, found.newest + 1)
        for name, found in wanted.items()
        if name in contracts or not registry.versions(name)
    }
    roles = {name: _missing_roles(ledger, name, found.holds) for name, found in wanted.items()}
    if any(missing.values()) or any(roles.values()):
        _check_administrator(registry, account)
    done = []
    for name in wanted:
        for version in missing.get(name, range(0)):
            assert account is not None  # noqa: S101 - it was checked
            registry.add(account, name, version=version)
        for role in roles[name]:
            assert account is not None  # noqa: S101 - it was checked
            address = ledger.contracts()[name].address
            StakeToken(ledger).grant_role(account, role_id(role), address)
        now = ledger.contracts()[name]
        added = bool(missing.get(name))
        done.append(Grown(name, now.version, now.address, added, tuple(roles[name])))
    return done


def _missing_roles(ledger: Ledger, name: str, holds: Sequence[str]) -> list[str]:
    there = ledger.contracts().get(name)
    if there is None:
        return list(holds)
    token = StakeToken(ledger)
    return [role for role in holds if not token.has_role(role_id(role), there.address)]


def _check_administrator(registry: ContractRegistry, account: Account | None) -> None:
    administrator = registry.administrator()
    if administrator == ZERO_ADDRESS:
        raise ConfigError(
            f"{registry.ledger.url} was made without an administrator: nobody can add a contract "
            "to it or give one a role"
        )
    if account is None or account.address != administrator:
        who = "no account was given" if account is None else f"{account.address} is not"
        raise ConfigError(
            f"{registry.ledger.url} gains contracts from its administrator {administrator} alone, "
            f"and {who}: nothing was changed"
        )
