"""What `show` says of transactions that are not ours, or failed, on a chain that others use too."""

import importlib
import json
from types import SimpleNamespace
from typing import cast

import pytest
from eth_hash.auto import keccak
from support.anvil import Anvil
from typer.testing import CliRunner

from fedledger.errors import FedledgerError
from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.addresses import checksum_address
from fedledger.ledger_plugins.contracts import StakeToken, TrainingTask
from fedledger.ledger_plugins.ethereum import deploy
from fedledger.ledger_plugins.storage.cid import cid_of

app = importlib.import_module("fedledger.cli.app").app  # `fedledger.cli.app` names both
ADMIN, EVE = Account.from_key(b"\1" * 32), Account.from_key(b"\2" * 32)
STRANGER = checksum_address("0x" + "77" * 20)
EMITS = "0x7fddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef5f5fa100"
"""A constructor that says `Transfer` with no arguments, as another token would."""


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """Anvil with our contracts and a task; a stranger's transactions among ours."""
    home = tmp_path_factory.mktemp("show")
    with Anvil(home) as node:
        url = f"ethereum+{node.url}?deployment={home}/deployment.json"
        deploy(url, admin=ADMIN.address)
        with open_ledger(url) as ledger:
            ours = StakeToken(ledger).mint(ADMIN, EVE.address, 3)
            TrainingTask(ledger).propose(
                EVE, model_id="m", model_cid=cid_of(b"m"), rounds=1, spec=cid_of(b"s")
            )
            token = ledger.contracts()["StakeToken"].address
        [rich, *_] = cast("list[str]", node.rpc("eth_accounts"))

        def send(**fields):
            return node.rpc("eth_sendTransaction", {"from": rich, "gas": "0x30000", **fields})

        def run(*arguments):
            done = CliRunner().invoke(app, [*map(str, arguments), "--ledger", url])
            if isinstance(done.exception, FedledgerError):
                return SimpleNamespace(code=2, out=done.stdout, error=str(done.exception))
            assert isinstance(done.exception, SystemExit | None), done.exception
            return SimpleNamespace(code=done.exit_code, out=done.stdout, error=done.stderr)

        yield SimpleNamespace(send=send, run=run, ours=ours, token=token, node=node, url=url)


def shown(chain, *arguments):
    done = chain.run("show", *arguments, "--format", "json")
    assert done.code == 0, done.error
    return json.loads(done.out)


def test_payments_and_creations_are_no_calls(chain):
    """Ether that moved, a contract that a stranger created: exit status 1, one sentence."""
    created = chain.send(data=EMITS)
    [log] = chain.node.rpc("eth_getTransactionReceipt", created)["logs"]
    assert log["topics"] == ["0x" + keccak(b"Transfer(address,address,uint256)").hex()]
    for hash_ in (chain.send(to=STRANGER, value="0x1"), created):
        done = chain.run("show", "tx", hash_)
        assert (done.code, done.out) == (1, "")
        assert f"no call of a contract with the hash {hash_}" in done.error


def test_a_call_of_a_strangers_contract_is_shown_as_bytes(chain):
    """No contract of ours: its address and data, no function, no events."""
    about = shown(chain, "tx", chain.send(to=STRANGER, data="0x12345678"))
    assert (about["contract"], about["function"], about["address"]) == (
        None,
        None,
        STRANGER,
    )
    assert (about["data"], about["events"], about["failed"]) == ("0x12345678", [], False)


def test_a_call_that_failed_changed_nothing(chain):
    """A mint by who may not, sent all the same: it is in a block, failed, without events."""
    data = "0x40c10f19" + "00" * 12 + "77" * 20 + f"{5:064x}"
    about = shown(chain, "tx", chain.send(to=chain.token, data=data))
    assert (about["contract"], about["function"], about["failed"]) == ("StakeToken", "mint", True)
    assert about["arguments"] == {"to": STRANGER, "amount": 5}
    assert (about["events"], about["block"]) == ([], None)
    text = chain.run("show", "tx", about["transaction"]).out
    assert "failed: True" in text


def test_bytes_that_are_no_function_of_ours_are_shown_as_such(chain):
    """A call of our contract that no ABI decodes: no function, and no guess."""
    about = shown(chain, "tx", chain.send(to=chain.token, data="0xdeadbeef"))
    assert (about["contract"], about["function"], about["data"]) == (
        "StakeToken",
        None,
        "0xdeadbeef",
    )
    assert about["failed"]


def test_blocks_count_what_is_not_ours(chain):
    """A stranger's payment is in a block of the chain, and is no transaction of ours."""
    chain.send(to=STRANGER, value="0x1")
    newest = shown(chain, "chain", "--last", "1")[0]
    block = shown(chain, "block", newest["index"])
    assert (block["transactions"], block["other_transactions"], block["models"]) == ([], 1, 0)
    ours = shown(chain, "block", chain.ours.block)
    assert [one["call"] for one in ours["transactions"]] == ["StakeToken.mint"]
    assert chain.run("show", "block", 10**9).code == 2
    [row] = shown(chain, "balances")
    assert row == {"address": EVE.address, "balance": 3}, "another token's events are not ours"


def test_a_reader_needs_no_store_for_a_task(chain):
    """Without a store, and with a task whose specification is nowhere: that alone is not known."""
    about = shown(chain, "task", 1)
    assert (about["owner"], about["ended"], about["open_round"]) == (EVE.address, 0, 1)
    assert about["history"] == about["checkpoints"] == about["members"] == []
    assert "members: none" in chain.run("show", "task", 1).out
