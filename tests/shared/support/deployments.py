"""Ethereum deployments for tests: chains, something to lose on them, and contracts from outside."""

import json
import secrets

from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.contracts import StakeToken, TrainingTask
from fedledger.ledger_plugins.contracts.registry import CONTRACTS
from fedledger.ledger_plugins.contracts.stake_token.facade import MINTER_ROLE, PROPOSER_ROLE
from fedledger.ledger_plugins.storage.cid import cid_of

__all__ = ["BOTH", "constructor", "head", "in_process", "install", "state", "used"]

BOTH = ("Faucet", "Guestbook")
"""The contracts of docs/examples/faucet; the first one holds a role."""

_CID = cid_of(b"a model")
_PEOPLE = [Account.create() for _ in range(3)]


def in_process():
    """Return the URL of a new chain in this process."""
    return f"ethereum+tester://{secrets.token_hex(8)}"


def used(url, admin):
    """Mint, transfer and propose, so that there is something to lose."""
    with open_ledger(url) as ledger:
        token = StakeToken(ledger)
        for amount, one in enumerate(_PEOPLE, start=5):
            token.mint(admin, one.address, amount)
        token.transfer(_PEOPLE[0], _PEOPLE[1].address, 2)
        TrainingTask(ledger).propose(admin, model_id="m", model_cid=_CID, rounds=2, spec=_CID)


def state(url, admin):
    """Return what must not change: contracts, balances, roles, events."""
    with open_ledger(url) as ledger:
        token, there = StakeToken(ledger), ledger.contracts()
        first = ("StakeToken", "TrainingTask")
        accounts = [admin, *_PEOPLE]
        holders = [*(one.address for one in accounts), there["TrainingTask"].address]
        return {
            "contracts": [there[name] for name in first],
            "balances": [token.balance(one) for one in holders],
            "supply": token.total_supply(),
            "roles": [
                token.has_role(role, one)
                for role in (MINTER_ROLE, PROPOSER_ROLE)
                for one in holders
            ],
            "transfers": token.transfers(),
            "tasks": ledger.events("TrainingTask"),
        }


def head(url):
    """Return the newest block."""
    with open_ledger(url) as ledger:
        return ledger.head()


def install(monkeypatch, folder, name, *, abi=(), bytecode="0x00", **options):
    """Make a contract known, as a package from outside would."""
    package = f"odd_{secrets.token_hex(4)}"
    (folder / package).mkdir()
    artifact = {"abi": list(abi)} | ({} if bytecode is None else {"bytecode": bytecode})
    (folder / package / "odd.json").write_text(json.dumps(artifact))
    (folder / package / "__init__.py").write_text(
        "from fedledger.ledger_plugins.contracts.registry import Contract, Version\n"
        f"CONTRACT = Contract({name!r}, {{1: Version('{package}:odd.json', 'x:Y')}}, **{options})\n"
    )
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setitem(CONTRACTS._entries, name, f"{package}:CONTRACT")


def constructor(**kinds):
    inputs = [{"name": name, "type": kind} for name, kind in kinds.items()]
    return [{"type": "constructor", "inputs": inputs, "stateMutability": "nonpayable"}]
