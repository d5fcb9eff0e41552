"""Which contract has which role of the token: `Contract.holds`, the manifest of every ledger.

Contracts that are created together with the token get their roles from its constructor, which takes
the holders of "MINTER_ROLE" as `minters`, and so on. Contracts that come later are given theirs by
the token's administrator.
"""

from collections.abc import Mapping, Sequence

from fedledger.errors import ConfigError, LedgerUnavailable

from ...accounts import Account
from ...contracts.registry import artifact_of, contract_of
from ...contracts.stake_token.facade import DEFAULT_ADMIN_ROLE, StakeToken, role_id
from .document import TOKEN, Deployment

__all__ = ["check_grants", "give", "holders", "lacking", "roles_of"]


def roles_of(contract: str) -> tuple[str, ...]:
    """Return the names of the token's roles that a contract has on every ledger.

    Raises:
        CallError: unknown contract.
        ConfigError: it wants one that the token's constructor gives to nobody.
    """
    known, found = _lists(), contract_of(contract)[0]
    for role in found.holds:
        if role not in known:
            raise ConfigError(
                f"{contract} is to hold {role!r}, which is no role for contracts: those are "
                f"{', '.join(sorted(known))}"
            )
    return found.holds


def holders(addresses: Mapping[str, str]) -> dict[str, list[str]]:
    """Return what the token's constructor is told: argument to the contracts with that role.

    Args:
        addresses: contract name to address.
    """
    return {
        argument: [address for name, address in addresses.items() if role in roles_of(name)]
        for role, argument in _lists().items()
    }


def lacking(token: StakeToken, addresses: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the roles that contracts are to have and have not: name to names of roles.

    Args:
        token: the token.
        addresses: contract name to address.
    """
    return {
        name: [one for one in roles_of(name) if not token.has_role(role_id(one), address)]
        for name, address in addresses.items()
    }


def check_grants(
    token: StakeToken,
    wanted: Mapping[str, Sequence[str]],
    account: Account | None,
    deployment: Deployment,
    where: str,
) -> None:
    """Check that an account may give contracts these roles.

    Args:
        token: the token.
        wanted: contract name to names of roles.
        account: who would give them.
        deployment: where the token is.
        where: where the deployment is kept, for messages.

    Raises:
        ConfigError: it may not; says who may.
    """
    needs = [f"{name} has to hold {role}" for name, roles in wanted.items() for role in roles]
    if not needs or (account and token.has_role(DEFAULT_ADMIN_ROLE, account.address)):
        return
    if deployment.admin is None:
        raise ConfigError(
            f"{' and '.join(needs)}, but the token in {where} has no administrator and never will "
            "have: nobody can give a role there. Deploy to another file with --deployment, all "
            "contracts at once"
        )
    given = f"not {account.address}" if account else "give that account with --account"
    raise ConfigError(
        f"{' and '.join(needs)}: the token's administrator has to run this, {deployment.admin}, "
        f"{given}"
    )


def give(token: StakeToken, addresses: Mapping[str, str], account: Account | None) -> None:
    """Give contracts the roles that they lack, as `check_grants` found that `account` may.

    Raises:
        LedgerError: a role could not be given.
    """
    for name, roles in lacking(token, addresses).items():
        for role in roles:
            if account is None:
                raise LedgerUnavailable(f"{name} lost {role} while it was deployed: try again")
            token.grant_role(account, role_id(role), addresses[name])


def _lists() -> dict[str, str]:
    """Return the roles that the token's constructor gives, each with the argument's name."""
    return {
        parameter["name"].removesuffix("s").upper() + "_ROLE": parameter["name"]
        for entry in artifact_of(TOKEN)["abi"]
        if entry["type"] == "constructor"
        for parameter in entry["inputs"]
        if parameter["type"] == "address[]"
    }
