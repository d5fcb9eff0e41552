"""The twins of the contracts that every ledger has, and the storages they start with."""

from fedledger.ledger_plugins.contracts.registry import BUILT_IN, contract_of, twin_of
from fedledger.ledger_plugins.contracts.twin import Birth, Environment

__all__ = ["TWINS", "Environment", "genesis_states", "holders_of"]

TWINS = {name: twin_of(name) for name in BUILT_IN}


def genesis_states(admin, addresses):
    """Return each contract's first storage, by its name; `addresses` by the same names."""
    birth = Birth(admin, addresses, holders_of(addresses))
    return {name: twin.genesis(birth) for name, twin in TWINS.items()}


def holders_of(addresses):
    """Return which contracts hold the token's roles: name of the role to their addresses."""
    holders = {}
    for name in BUILT_IN:
        for role in contract_of(name)[0].holds:
            holders.setdefault(role, []).append(addresses[name])
    return holders
