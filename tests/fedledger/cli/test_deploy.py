"""`fedledger deploy` against a real node."""

import json
import os
import re

import pytest
from support.anvil import Anvil
from support.third_party import installed, use
from typer.testing import CliRunner

from fedledger.cli.app import app
from fedledger.errors import ConfigError
from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.accounts import Account, create_account, load_account
from fedledger.ledger_plugins.addresses import ZERO_ADDRESS
from fedledger.ledger_plugins.contracts import StakeToken
from fedledger.ledger_plugins.contracts.registry import BUILT_IN, CHAIN_ONLY, contract_of

from .test_cli import PASSWORD, fedledger

FRIEND = "0x" + "11" * 20


def test_deploy_puts_the_contracts_on_a_chain_once(tmp_path):
    """The first time contracts are created, the second time they are found; both say where."""
    file = tmp_path / "chain.json"
    with Anvil(tmp_path) as node:
        arguments = ("deploy", "--rpc", node.url, "--deployment", file, "--format", "json")
        first, second = fedledger(*arguments), fedledger(*arguments)
        assert first.returncode == 0, first.stderr
        said, again = json.loads(first.stdout), json.loads(second.stdout)
        assert (said["chain_id"], said["deployment"]) == (31337, str(file))
        assert list(said["contracts"]) == list(BUILT_IN)
        for name, new in said["contracts"].items():
            old, noted = again["contracts"][name], json.loads(file.read_text())["contracts"][name]
            assert (new.pop("created"), old.pop("created")) == (True, False)
            assert new.pop("granted") == list(contract_of(name)[0].holds)
            assert old.pop("granted") == []
            assert new == old
            assert {**new, "since": noted["block"]} == new
            assert {**noted, **{key: new[key] for key in ("address", "version", "abi")}} == noted
        with open_ledger(f"ethereum+{node.url}?deployment={file}") as ledger:
            assert (
                ledger.terms("TrainingTask", "propose").to
                == (said["contracts"]["TrainingTask"]["address"])
            )


def test_contracts_are_listed_with_their_addresses(tmp_path):
    """What is installed, what a ledger has, and what each of them takes."""
    installed_here = json.loads(fedledger("list", "contracts", "--format", "json").stdout)
    assert {(one["name"], one["version"], one["address"]) for one in installed_here} == {
        (name, 1, None) for name in (*BUILT_IN, *CHAIN_ONLY)
    }
    with open_ledger(f"local://{tmp_path}/chain.db") as ledger:
        places = {name: one.address for name, one in ledger.contracts().items()}
    asked = ("list", "contracts", "--ledger", f"local://{tmp_path}/chain.db")
    there = json.loads(fedledger(*asked, "--format", "json").stdout)
    assert {one["name"]: one["address"] for one in there} == places
    said = fedledger(*asked).stdout
    assert all(address in said for address in places.values())
    abi = json.loads(fedledger("list", "contracts", "--abi", "Bonds").stdout)
    assert "withdraw" in {entry.get("name") for entry in abi}
    for wrong, says in (
        (("contracts", "--abi", "Bond"), "did you mean 'Bonds'"),
        (("contracts", "--abi", "Bonds", *asked[2:]), "--abi or --ledger"),
        (("rules", "--abi", "Bonds"), "are for `fedledger list contracts`"),
        (("contracts", "--ledger", f"local://{tmp_path}/no.db"), "no.db"),
    ):
        done = fedledger("list", *wrong)
        assert (done.returncode, done.stdout) == (2, "")
        assert says in done.stderr
    assert not (tmp_path / "no.db").exists()


def test_deploy_pays_with_an_account_of_the_keystore(tmp_path):
    """On another chain the account has to be given, and it has to have ether."""
    account = create_account("payer", "a password", tmp_path)
    home = {"FEDLEDGER_HOME": str(tmp_path), PASSWORD: "a password"}
    with Anvil(tmp_path, "--chain-id", "4242") as node:
        arguments = ("deploy", "--rpc", node.url, "--deployment", tmp_path / "chain.json")
        nobody = fedledger(*arguments)
        assert (nobody.returncode, nobody.stdout) == (2, "")
        assert "--account" in nobody.stderr
        poor = fedledger(*arguments, "--account", "payer", **home)
        assert poor.returncode == 2
        assert f"{account.address} has 0 wei on chain 4242" in poor.stderr
        node.rpc("anvil_setBalance", account.address, hex(10**18))
        roles = ("--admin", account.address, "--proposer", FRIEND)
        rich = fedledger(*arguments, "--account", "payer", *roles, **home)
        assert rich.returncode == 0, rich.stderr
        assert re.search(
            r"\nTrainingTask  0x\w{40}  version 1: created, MINTER_ROLE\n", rich.stdout
        )
        written = json.loads((tmp_path / "chain.json").read_text())
        deployers = {one["deployer"] for one in written["contracts"].values()}
        assert deployers == {written["admin"]} == {account.address}
        with open_ledger(f"ethereum+{node.url}?deployment={tmp_path}/chain.json") as ledger:
            role = ledger.call("StakeToken", "PROPOSER_ROLE")
            may = [
                ledger.call("StakeToken", "hasRole", role, who)
                for who in (account.address, FRIEND, ZERO_ADDRESS)
            ]
        assert may == [True, True, False]


def test_a_node_that_is_not_there_is_one_line(tmp_path):
    """Exit status 2 and one line that names the node."""
    done = fedledger("deploy", "--rpc", "http://127.0.0.1:9", "--deployment", tmp_path / "x.json")
    assert done.returncode == 2
    assert "http://127.0.0.1:9 cannot be reached" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_deploy_adds_contracts_of_an_installed_package(tmp_path):
    """Each contract is said with what was done, its address and version, and its new roles."""
    account = create_account("chief", "a password", tmp_path)
    path = installed(tmp_path / "site", "faucet")
    home = {"FEDLEDGER_HOME": str(tmp_path), PASSWORD: "a password", "PYTHONPATH": path}
    more = ("--contract", "Faucet", "--contract", "Guestbook")
    with Anvil(tmp_path) as node:
        place = ("--deployment", tmp_path / "chain.json")
        first = fedledger("deploy", "--rpc", node.url, *place, "--admin", account.address, **home)
        assert first.returncode == 0, first.stderr
        asked = ("deploy", "--ledger", f"ethereum+{node.url}", *place, *more)
        stranger = fedledger(*asked, **home)
        assert (stranger.returncode, stranger.stdout) == (2, "")
        assert "Faucet has to hold MINTER_ROLE" in stranger.stderr
        done = fedledger(*asked, "--account", "chief", **home)
        assert done.returncode == 0, done.stderr
        pattern = r"(\w+)  (0x\w{40})  version 1: (.*)"
        found = {name: (at, what) for name, at, what in re.findall(pattern, done.stdout)}
        assert {name: what for name, (_, what) in found.items()} == {
            **dict.fromkeys(BUILT_IN, "already there"),
            "Faucet": "created, MINTER_ROLE",
            "Guestbook": "created",
        }
        assert found["StakeToken"][0] in first.stdout
        unknown = fedledger(*asked[:-1], "Fawcet", **home)
        assert unknown.returncode == 2
        assert "unknown contract 'Fawcet': did you mean 'Faucet'" in unknown.stderr
        for words in ([], ["--rpc", node.url, "--ledger", f"ethereum+{node.url}"]):
            unclear = fedledger("deploy", *words, **home)
            assert unclear.returncode == 2
            assert "with --ledger or an Ethereum node with --rpc" in unclear.stderr


def test_options_of_ethereum_are_refused_for_other_ledgers(tmp_path):
    """An embedded chain has neither a file of its deployment nor proposers to name."""
    account = Account.create()
    account.save(tmp_path / "chief.json", "a password", light=True)
    words = ["deploy", "--ledger", "local:///chain.db", "--account", str(tmp_path / "chief.json")]
    runner = CliRunner(env={PASSWORD: "a password"})
    for more, says in (
        ([], "name those to add with --contract"),
        (["--contract", "X", "--anew"], "--anew is for Ethereum only"),
        (["--contract", "X", "--admin", account.address], "--admin is for Ethereum only"),
        (["--contract", "X", "--proposer", account.address], "--proposer is for Ethereum only"),
        (["--contract", "X", "--deployment", "x.json"], "--deployment is for Ethereum only"),
    ):
        with pytest.raises(ConfigError, match=says):
            runner.invoke(app, [*words, *more], catch_exceptions=False)


def test_an_embedded_chain_gains_a_contract_from_a_package(tmp_path, monkeypatch):
    """Its administrator adds it by one command; strangers and typos get one line."""
    use(monkeypatch, tmp_path / "packages", "faucet")
    home = {"FEDLEDGER_HOME": str(tmp_path), PASSWORD: "a password"}
    home["PYTHONPATH"] = os.environ["PYTHONPATH"]
    admin = create_account("chief", "a password", tmp_path)
    create_account("eve", "a password", tmp_path)
    url = f"local://{tmp_path}/chain.db"
    with open_ledger(url, admin=admin.address) as ledger:
        StakeToken(ledger).mint(load_account("chief", "a password", tmp_path), FRIEND, 7)
    arguments = ("deploy", "--ledger", url, "--contract", "Faucet", "--format", "json")
    stranger = fedledger(*arguments, "--account", "eve", **home)
    assert stranger.returncode == 2
    assert f"administrator {admin.address} alone" in stranger.stderr
    first = fedledger(*arguments, "--account", "chief", **home)
    assert first.returncode == 0, first.stderr
    said = json.loads(first.stdout)["contracts"]["Faucet"]
    assert (said["version"], said["created"], said["granted"]) == (1, True, ["MINTER_ROLE"])
    second = fedledger(*arguments, "--account", "chief", **home)
    assert not json.loads(second.stdout)["contracts"]["Faucet"]["created"]
    with open_ledger(url) as ledger:
        assert StakeToken(ledger).balance(FRIEND) == 7
        eve = load_account("eve", "a password", tmp_path)
        call = ledger.prepare(eve.address, "Faucet", "draw")
        ledger.transact(eve.sign(call))
        assert StakeToken(ledger).balance(eve.address) > 0
        ledger.verify()
    nowhere = fedledger(*arguments[:2], f"{url}-typo", *arguments[3:], "--account", "chief", **home)
    assert nowhere.returncode == 2
    assert not (tmp_path / "chain.db-typo").exists()
    unknown = fedledger(
        "deploy", "--ledger", url, "--contract", "Fauced", "--account", "chief", **home
    )
    assert unknown.returncode == 2
    assert "did you mean 'Faucet'" in unknown.stderr
