"""`fedledger deploy` against a real node."""

import json

from support.anvil import Anvil

from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.accounts import create_account
from fedledger.ledger_plugins.addresses import ZERO_ADDRESS

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
        assert (said.pop("created"), again.pop("created")) == (True, False)
        assert said == again
        assert json.loads(file.read_text())["contracts"] == said["contracts"]
        with open_ledger(f"ethereum+{node.url}?deployment={file}") as ledger:
            assert (
                ledger.terms("TrainingTask", "propose").to
                == (said["contracts"]["TrainingTask"]["address"])
            )


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
        assert "TrainingTask  0x" in rich.stdout
        written = json.loads((tmp_path / "chain.json").read_text())
        assert written["deployer"] == written["admin"] == account.address
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
