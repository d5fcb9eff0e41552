"""Runs whose accounts have money before the first task: given once, by who may, and audited."""

import pytest
from support.anvil import Anvil
from support.nodes import PASSWORD, NodeProcess, keystore

from fedledger.errors import ConfigError
from fedledger.experiments import run_experiment
from fedledger.experiments.report.audit import audit_run
from fedledger.experiments.run.money import fund_accounts
from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.contracts import Bonds, StakeToken, TrainingTask
from fedledger.ledger_plugins.ethereum import deploy

from ..small import small

ADMIN, EVE = Account.from_key(b"\1" * 32), Account.from_key(b"\2" * 32)
MONEY = ("attacks=['none']", "malicious=[]", "faucet=100", "bond=40")


def check_money(result, *, accounts=8):
    """Each account was given 100 tokens once and deposited 40, and the audit says so."""
    assert result.passed, result.audit.verdict
    stake = result.audit.summary.stake
    assert (stake["given"], stake["deposited"]) == (100 * accounts, 40 * accounts)
    assert (stake["given_during_tasks"], stake["unexplained"], stake["nobodys"]) == (0, 0, 0)
    return stake


def test_accounts_have_money_before_the_task(tmp_path):
    """All mints and deposits are in blocks before the proposal; two cells give it once."""
    result = run_experiment(small(tmp_path, *MONEY), out=tmp_path, progress=False)
    check_money(result)
    with open_ledger(f"local://{result.directory}/chain.db", read_only=True) as ledger:
        first = TrainingTask(ledger).opened_in(1, ())
        deposits = [one for one in Bonds(ledger).moves() if one.block < first]
        minted = [one for one in StakeToken(ledger).transfers() if one.block < first]
    assert (len(deposits), len(minted)) == (8, 16)
    assert audit_run(result.directory).passed


def test_a_ledger_for_each_cell_has_money_too(tmp_path):
    """Two processes, two chains with the run's own minter as administrator: both are paid."""
    apart = ("ledger=local://{run}/cells/{cell}.db", "jobs=2")
    result = run_experiment(small(tmp_path, *MONEY, *apart), out=tmp_path, progress=False)
    assert check_money(result, accounts=16)["rewards"] > 0


def test_a_resumed_run_mints_nothing_twice(tmp_path, monkeypatch):
    """Killed after the mints, and again after some deposits: the sums are those of one run."""
    config = small(tmp_path, *MONEY)
    whole = fund_accounts
    stops = iter([3, 6])

    class Killed(BaseException):
        pass

    def interrupted(ledger, minter, accounts, terms):
        number = next(stops, None)
        if number is None:
            whole(ledger, minter, accounts, terms)
            return
        whole(ledger, minter, accounts[:number], terms)
        raise Killed

    monkeypatch.setattr("fedledger.experiments.run.cell.fund_accounts", interrupted)
    for _ in range(2):
        found = [*tmp_path.glob("small/*/")]
        resume = found[0] if found else None
        with pytest.raises(Killed):
            run_experiment(config, out=tmp_path, resume=resume, progress=False)
    [folder] = tmp_path.glob("small/*/")
    result = run_experiment(config, resume=folder, progress=False)
    check_money(result)
    again = run_experiment(config, resume=folder, progress=False)
    check_money(again)


def test_on_anvil_the_named_minter_gives(tmp_path, monkeypatch):
    """The contracts' administrator, from a keystore; another account is refused before the run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FEDLEDGER_HOME", str(tmp_path))
    monkeypatch.setenv("FEDLEDGER_ACCOUNT_PASSWORD", PASSWORD)
    keystore(tmp_path, "admin", ADMIN)
    keystore(tmp_path, "eve", EVE)
    with Anvil(tmp_path) as node:
        url = f"ethereum+{node.url}"
        deploy(url, admin=ADMIN.address)
        config = small(tmp_path, *MONEY, f"ledger={url}", "minter=admin")
        result = run_experiment(config, out=tmp_path, progress=False)
        check_money(result)
        assert audit_run(result.directory).passed
        other = small(tmp_path, *MONEY, f"ledger={url}", "minter=eve")
        with pytest.raises(ConfigError, match="may not mint"):
            run_experiment(other, out=tmp_path, progress=False)
        monkeypatch.delenv("FEDLEDGER_ACCOUNT_PASSWORD")
        with pytest.raises(ConfigError, match="set FEDLEDGER_ACCOUNT_PASSWORD"):
            run_experiment(config, out=tmp_path, progress=False)


def test_on_a_node_the_named_minter_gives(tmp_path, monkeypatch):
    """A mining node whose chain's administrator is in the keystore."""
    monkeypatch.setenv("FEDLEDGER_HOME", str(tmp_path))
    monkeypatch.setenv("FEDLEDGER_ACCOUNT_PASSWORD", PASSWORD)
    keystore(tmp_path, "admin", ADMIN)
    node = NodeProcess(tmp_path, "n1", "--mine", "--interval", "0.1", "--account", "admin")
    node.start("--new-chain", "--admin", ADMIN.address)
    try:
        node.wait_ready()
        config = small(
            tmp_path,
            *MONEY,
            f"ledger=local+{node.url}",
            f"store=file://{node.data}/store",
            "minter=admin",
            "rounds=1",
        )
        result = run_experiment(config, out=tmp_path, progress=False)
        check_money(result)
    finally:
        node.kill()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (("faucet=10", "bond=11"), "no more to deposit than the faucet gives"),
        (("minter=admin",), "faucet is 0: nothing is minted"),
        (
            ("faucet=10", "ledger=ethereum+http://127.0.0.1:1"),
            "administrator has to mint: name that account with minter",
        ),
        (("faucet=-1",), "greater than or equal to 0"),
        (("checkpoints=sometimes",), "checkpoints"),
        (("checkpoints=0",), "checkpoints"),
    ],
)
def test_money_that_cannot_be_is_refused_when_a_config_is_loaded(tmp_path, changes, says):
    """A bond above the faucet, a minter of nothing, a ledger of others without its minter."""
    with pytest.raises(ConfigError, match=says):
        small(tmp_path, *changes)


def test_a_chain_with_another_administrator_is_refused(tmp_path):
    """An embedded chain that was there, made without the minter, is named before any cell runs."""
    open_ledger(f"local://{tmp_path}/old.db").close()
    config = small(tmp_path, *MONEY, f"ledger=local://{tmp_path}/old.db")
    with pytest.raises(ConfigError, match="the chain was made with None"):
        run_experiment(config, out=tmp_path, progress=False)
