"""docs/examples/faucet: the artifacts are the sources', and the twins do what the EVM does."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from support.deployments import BOTH, in_process
from support.solidity import compiled

from fedledger.errors import ContractError
from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.contracts import abi
from fedledger.ledger_plugins.contracts.registry import BUILT_IN, twin_of
from fedledger.ledger_plugins.contracts.twin import Environment
from fedledger.ledger_plugins.ethereum import deploy

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "faucet" / "faucet"
NOTE = bytes(range(32))


@pytest.mark.parametrize("name", BOTH)
def test_the_artifacts_are_what_the_sources_compile_to(name):
    """Who reads the Solidity of the example reads what is deployed."""
    artifact = json.loads((EXAMPLE / f"{name}.json").read_text())
    assert compiled(EXAMPLE / f"{name}.sol") == artifact


def test_the_twins_do_what_the_contracts_do(faucet):
    """The same calls, events, refusals and views on the EVM and in the twins."""
    one, other = Account.create(), Account.create()
    url = in_process()
    deploy(url, contracts=BOTH)
    with open_ledger(url) as ledger:
        addresses = {name: at.address for name, at in ledger.contracts().items()}
        events: list[tuple[Any, ...]] = []
        twins = {name: twin_of(name) for name in (*BUILT_IN, *BOTH)}
        states = {name: {} for name in twins}
        states["StakeToken"] = {
            ("role", ledger.call("StakeToken", "MINTER_ROLE"), addresses["Faucet"]): 1
        }

        def emit(*event):
            events.append(event)

        world = Environment(0, 1, addresses, states, emit, twins)
        for account, contract, function, args in (
            (one, "Faucet", "draw", ()),
            (one, "Faucet", "draw", ()),
            (other, "Faucet", "draw", ()),
            (one, "Guestbook", "write", (NOTE,)),
            (one, "Guestbook", "write", (NOTE[::-1],)),
        ):
            events.clear()
            call = account.sign(ledger.prepare(account.address, contract, function, *args))
            [result] = ledger.transact_all([call])
            method = getattr(twins[contract](world, account.address), function)
            if isinstance(result, ContractError):
                with pytest.raises(ContractError, match=re.escape(str(result))):
                    method(*args)
                continue
            method(*args)
            said = [(event.contract, event.name, event.arguments) for event in result.events]
            assert events == said
        for contract, function, asked in (
            ("Faucet", "served", (one.address,)),
            ("Faucet", "served", (addresses["Faucet"],)),
            ("Guestbook", "noteOf", (one.address,)),
            ("Guestbook", "noteOf", (other.address,)),
            ("StakeToken", "balanceOf", (one.address,)),
        ):
            result = getattr(twins[contract](world, one.address), function)(*asked)
            assert result == ledger.call(contract, function, *asked)
            assert abi.encode_result(contract, function, result)
