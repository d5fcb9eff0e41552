"""Tokens for accounts that have earned none yet, and their deposits: what a run does first.

Both are judged by what the ledger says was done already, so an interrupted one is finished when it
is run again, and nothing is given or deposited twice.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from fedledger.errors import ConfigError

from .accounts import Account
from .addresses import ZERO_ADDRESS, checksum_address
from .base import Ledger, Receipt, SignedTransaction
from .contracts.bonds.facade import Bonds, Locked, Slashed
from .contracts.stake_token.facade import MINTER_ROLE, StakeToken, Transfer

__all__ = ["check_minter", "deposit_all", "deposits", "give"]

_MAX = (1 << 256) - 1


def give(ledger: Ledger, minter: Account, accounts: Sequence[str], amount: int) -> list[Receipt]:
    """Mint tokens until each account was given `amount` of them, rewards of rounds not counted.

    Args:
        ledger: where.
        minter: who signs; it has MINTER_ROLE.
        accounts: addresses; one that is there twice is given tokens once.
        amount: tokens for each.

    Returns:
        The receipts; none for an account that was given as much before, whoever gave it.

    Raises:
        CallError: an address that is none.
        ConfigError: `minter` may not mint, or no amount that there can be.
        LedgerError: the ledger cannot be reached, or refused.
    """
    if not 0 < amount <= _MAX:
        raise ConfigError(f"{amount} tokens cannot be given: 1 at least, and less than 2^256")
    wanted = list(dict.fromkeys(map(checksum_address, accounts)))
    check_minter(ledger, minter)
    given = dict.fromkeys(wanted, 0)
    minted = {"from": ZERO_ADDRESS, "to": wanted}
    for event in ledger.matching(StakeToken.contract, Transfer.event, minted):
        given[event.arguments["to"]] += event.arguments["value"]
    first = ledger.nonce(minter.address)
    calls: list[SignedTransaction] = []
    for account, had in given.items():
        if had < amount:
            unsigned = _prepared(ledger, minter, "mint", account, amount - had)
            calls.append(minter.sign(replace(unsigned, nonce=first + len(calls))))
    return _sent(ledger, calls)


def check_minter(ledger: Ledger, minter: Account) -> None:
    """Refuse an account that may not mint.

    Raises:
        ConfigError: it has no MINTER_ROLE on this ledger.
    """
    if not StakeToken(ledger).has_role(MINTER_ROLE, minter.address):
        raise ConfigError(
            f"{minter.address} may not mint on {ledger.url}: that is for who holds MINTER_ROLE, as "
            "the administrator does whom the ledger was made with (local://: admin=, nodes: "
            "--admin, Ethereum: fedledger deploy --admin)"
        )


def deposit_all(ledger: Ledger, accounts: Sequence[Account], amount: int) -> list[Receipt]:
    """Let each account deposit until it has deposited `amount` tokens, by one call of its own.

    What it took out again, or lost, counts as deposited: nothing is paid in behind its back.

    Args:
        ledger: where.
        accounts: who sign, each its own deposit.
        amount: tokens of each.

    Raises:
        ContractError: an account has not as many tokens.
        LedgerError: the ledger cannot be reached, or refused.
    """
    bonds = Bonds(ledger)
    here = ledger.contracts()[Bonds.contract].address
    done = dict.fromkeys((one.address for one in accounts), 0)
    for deposit in bonds.deposits(list(done)):
        done[deposit.account] += deposit.amount
    return _sent(
        ledger,
        [
            one.sign(
                _prepared(ledger, one, "transferAndCall", here, amount - done[one.address], b"")
            )
            for one in accounts
            if done[one.address] < amount
        ],
    )


def deposits(ledger: Ledger, accounts: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Return what accounts have deposited, as plain values, largest first.

    Args:
        ledger: where.
        accounts: addresses; default: all that ever had a deposit.

    Raises:
        CallError: an address that is none.
        LedgerError: the ledger cannot be read.
    """
    bonds = Bonds(ledger)
    locks: dict[str, set[tuple[str, bytes]]] = {}
    for move in bonds.moves():
        for holder in (move.account, *(move.to if isinstance(move, Slashed) else ())):
            locks.setdefault(holder, set())
        if isinstance(move, Locked):
            locks[move.account].add((move.locker, move.purpose))
    wanted = locks if accounts is None else dict.fromkeys(map(checksum_address, accounts))
    names = {one.address: one.name for one in ledger.contracts().values()}
    found = []
    for holder in wanted:
        there: list[dict[str, Any]] = [
            {
                "by": names.get(locker, locker),
                "purpose": f"0x{purpose.hex()}",
                "amount": bonds.locked(holder, locker, purpose),
            }
            for locker, purpose in sorted(locks.get(holder, ()))
        ]
        locked = [one for one in there if one["amount"]]
        found.append(
            {
                "address": holder,
                "free": bonds.free(holder),
                "locked": sum(one["amount"] for one in locked),
                "withdrawable_from": bonds.withdrawable_from(holder),
                "locks": locked,
            }
        )
    return sorted(found, key=lambda one: (-one["free"] - one["locked"], one["address"]))


def _prepared(ledger: Ledger, account: Account, function: str, *args: Any) -> Any:
    return ledger.prepare(account.address, StakeToken.contract, function, *args)


def _sent(ledger: Ledger, calls: Sequence[SignedTransaction]) -> list[Receipt]:
    """Send calls together; the first that was refused is raised."""
    receipts = []
    for result in ledger.transact_all(calls) if calls else ():
        if not isinstance(result, Receipt):
            raise result
        receipts.append(result)
    return receipts
