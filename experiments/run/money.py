"""What accounts of a run have before its first task: tokens from the faucet, and their bonds."""

import os
from collections.abc import Sequence

from fedledger.errors import ConfigError

from ...clients import SimulationKeys
from ...clients.identity import PASSWORD_VARIABLE
from ...ledger_plugins import Ledger, open_ledger
from ...ledger_plugins.accounts import Account, load_account
from ...ledger_plugins.money import deposit_all, give
from ..config.experiment import makes_ledgers
from ..config.settings import Terms

__all__ = ["fund_accounts", "minter_of", "open_with"]

_MINTER = "minter"


def minter_of(faucet: int, minter: str, keys: SimulationKeys) -> Account | None:
    """Return the account that a run's tokens are from; None where nobody is given any.

    Args:
        faucet: tokens for each account.
        minter: name or file of a keystore, whose password is in FEDLEDGER_ACCOUNT_PASSWORD; "": an
            account of the run's own.
        keys: the run's accounts.

    Raises:
        AccountError: the keystore cannot be opened.
        ConfigError: its password is not there.
    """
    if not faucet:
        return None
    if not minter:
        return keys.account(_MINTER)
    password = os.environ.get(PASSWORD_VARIABLE)
    if password is None:
        raise ConfigError(f"minter {minter!r} has to sign: set {PASSWORD_VARIABLE}")
    return load_account(minter, password)


def open_with(url: str, minter: Account | None) -> Ledger:
    """Open a ledger; one that is made by that has the minter as its administrator."""
    if minter is not None and makes_ledgers(url):
        return open_ledger(url, admin=minter.address)
    return open_ledger(url)


def fund_accounts(
    ledger: Ledger, minter: Account | None, accounts: Sequence[Account], terms: Terms
) -> None:
    """Give accounts their tokens and let them deposit their bonds; what was done is not repeated.

    Raises:
        ConfigError: nobody mints, or who should may not.
        LedgerError: the ledger cannot be reached, or refused.
    """
    if not terms.faucet:
        return
    if minter is None:
        raise ConfigError(f"faucet = {terms.faucet}: no account is there that mints")
    give(ledger, minter, [one.address for one in accounts], terms.faucet)
    if terms.bond:
        deposit_all(ledger, accounts, terms.bond)
