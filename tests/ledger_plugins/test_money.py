"""Tokens from the faucet and deposits: once, by who may, whatever stopped them in between."""

import pytest
from support.deployments import in_process

from fedledger.errors import CallError, ConfigError, ContractError
from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.contracts import Bonds, StakeToken
from fedledger.ledger_plugins.contracts.stake_token.facade import MINTER_ROLE
from fedledger.ledger_plugins.money import deposit_all, deposits, give

ADMIN, EVE = Account.from_key(b"\1" * 32), Account.from_key(b"\2" * 32)
PEOPLE = [Account.from_key(bytes([n]) * 32) for n in range(3, 8)]
ADDRESSES = [one.address for one in PEOPLE]


@pytest.fixture(params=["local", "ethereum"])
def ledger(request, tmp_path):
    url = f"local://{tmp_path}/chain.db" if request.param == "local" else in_process()
    with open_ledger(url, admin=ADMIN.address) as opened:
        yield opened


def balances(ledger):
    return [StakeToken(ledger).balance(one) for one in ADDRESSES]


def test_nobody_is_given_tokens_twice(ledger):
    """Run again, with others besides or in another order, it mints only what is missing."""
    assert len(give(ledger, ADMIN, ADDRESSES[:3], 10)) == 3
    assert give(ledger, ADMIN, ADDRESSES[:3], 10) == []
    assert len(give(ledger, ADMIN, [*ADDRESSES[::-1], ADDRESSES[0].lower()], 10)) == 2
    assert balances(ledger) == [10] * 5
    StakeToken(ledger).transfer(PEOPLE[0], EVE.address, 10)
    assert give(ledger, ADMIN, ADDRESSES, 10) == [], "who spent them is given none again"
    [more] = give(ledger, ADMIN, ADDRESSES[:1], 12)
    assert more.event("Transfer").arguments["value"] == 2
    assert StakeToken(ledger).total_supply() == 52


def test_what_was_interrupted_is_finished(ledger):
    """After any number of mints or deposits, the rest is done, and nothing more."""
    for number in range(4):
        give(ledger, ADMIN, ADDRESSES[:number], 10)
    give(ledger, ADMIN, ADDRESSES, 10)
    deposit_all(ledger, PEOPLE[:2], 4)
    Bonds(ledger).deposit(PEOPLE[2], 1)
    receipts = deposit_all(ledger, PEOPLE, 4)
    assert len(receipts) == 3
    assert deposit_all(ledger, PEOPLE, 4) == []
    assert balances(ledger) == [6] * 5
    Bonds(ledger).withdraw(PEOPLE[0], 4)
    assert deposit_all(ledger, PEOPLE, 4) == [], "what was taken out is not paid in again"
    assert [Bonds(ledger).free(one) for one in ADDRESSES] == [0, 4, 4, 4, 4]


def test_only_who_holds_the_role_gives(ledger):
    """A stranger is refused before anything is sent, by name; so is who lost the role."""
    with pytest.raises(ConfigError, match=f"{EVE.address} may not mint on .* holds MINTER_ROLE"):
        give(ledger, EVE, ADDRESSES, 10)
    StakeToken(ledger).revoke_role(ADMIN, MINTER_ROLE, ADMIN.address)
    with pytest.raises(ConfigError, match="may not mint"):
        give(ledger, ADMIN, ADDRESSES, 10)
    assert ledger.nonce(EVE.address) == 0
    assert StakeToken(ledger).total_supply() == 0


def test_odd_amounts_and_addresses_are_refused(ledger):
    """No tokens, more than there can be, an address that is none: nothing is minted."""
    for amount in (0, -1, 1 << 256):
        with pytest.raises(ConfigError, match="cannot be given"):
            give(ledger, ADMIN, ADDRESSES, amount)
    with pytest.raises(CallError):
        give(ledger, ADMIN, ["0x12"], 1)
    with pytest.raises(ContractError, match="ERC20InsufficientBalance"):
        deposit_all(ledger, PEOPLE[:1], 1)
    assert StakeToken(ledger).total_supply() == 0


def test_deposits_are_listed(ledger):
    """Free and locked by account, with who locked it and what for; an address may have none."""
    give(ledger, ADMIN, [*ADDRESSES, EVE.address], 10)
    deposit_all(ledger, [*PEOPLE[:2], EVE], 5)
    role = ledger.call("StakeToken", "LOCKER_ROLE")
    StakeToken(ledger).grant_role(ADMIN, role, ADMIN.address)
    bonds, purpose = Bonds(ledger), b"p" * 32
    bonds.lock(ADMIN, ADDRESSES[0], purpose, 3)
    bonds.lock(ADMIN, ADDRESSES[1], purpose, 2)
    bonds.slash(ADMIN, ADDRESSES[1], purpose, to=[ADDRESSES[4]], amounts=[1])
    bonds.release(ADMIN, ADDRESSES[1], purpose, 1)
    found = {one["address"]: one for one in deposits(ledger)}
    assert {one: (about["free"], about["locked"]) for one, about in found.items()} == {
        ADDRESSES[0]: (2, 3),
        ADDRESSES[1]: (4, 0),
        ADDRESSES[4]: (1, 0),
        EVE.address: (5, 0),
    }
    assert found[ADDRESSES[0]]["locks"] == [
        {"by": ADMIN.address, "purpose": "0x" + "70" * 32, "amount": 3}
    ]
    assert (found[ADDRESSES[1]]["locks"], found[ADDRESSES[1]]["withdrawable_from"] > 0) == (
        [],
        True,
    )
    [none] = deposits(ledger, [ADDRESSES[2].lower()])
    assert none == {
        "address": ADDRESSES[2],
        "free": 0,
        "locked": 0,
        "withdrawable_from": 0,
        "locks": [],
    }
