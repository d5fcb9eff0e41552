"""Which account a client signs with."""

import dataclasses
import json
import stat
from pathlib import Path

import pytest
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from fedledger.cli.signing import password_of
from fedledger.clients import SimulationKeys
from fedledger.clients.identity import PASSWORD_VARIABLE, account_of, journal_of
from fedledger.effects import Effects
from fedledger.effects.real import SystemDisk
from fedledger.errors import AccountError, ConfigError
from fedledger.experiments.sim.disk import MemoryDisk
from fedledger.experiments.sim.values import SeededEntropy
from fedledger.ledger_plugins.accounts import Account, load_account
from fedledger.ledger_plugins.addresses import checksum_address
from fedledger.records import SigningRequest


@pytest.fixture
def message():
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1
    return Message(RecordDict({"config": ConfigRecord()}), dst_node_id=2, message_type="train")


def context(node_config, run_config=None):
    return Context(
        run_id=1,
        node_id=2,
        node_config=node_config,
        state=RecordDict(),
        run_config=run_config or {},
    )


def test_simulated_accounts_are_stable_and_apart(tmp_path):
    """One secret file gives each partition the same account again, and no two the same."""
    keys = SimulationKeys.create(tmp_path / "run" / "simulation.secret")
    addresses = [keys.account(index).address for index in range(20)]
    again = SimulationKeys.create(tmp_path / "run" / "simulation.secret")
    assert [again.account(index).address for index in range(20)] == addresses
    assert len({*addresses, keys.account("server").address}) == 21
    other = SimulationKeys.create(tmp_path / "other.secret")
    assert other.account(0).address != addresses[0]


def test_the_secret_is_the_owners_alone(tmp_path):
    """The file is readable by its owner only, and nothing prints the secret."""
    path = tmp_path / "simulation.secret"
    keys = SimulationKeys.create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes().hex() not in repr(keys)


def test_a_file_that_is_no_secret_is_named(tmp_path):
    """A missing or cut file is an error that names it."""
    with pytest.raises(AccountError, match="No such file"):
        SimulationKeys(tmp_path / "nowhere")
    (tmp_path / "short").write_bytes(b"123")
    with pytest.raises(AccountError, match="32 bytes are needed"):
        SimulationKeys(tmp_path / "short")


def test_a_device_signs_with_its_keystore(tmp_path, message, monkeypatch):
    """The node config names the keystore; the password comes from the environment or a file."""
    account = Account.create()
    path = tmp_path / "truck-7.json"
    account.save(path, "open sesame", light=True)
    monkeypatch.setenv(PASSWORD_VARIABLE, "open sesame")
    assert (
        account_of(message, context({"account": str(path)}), SystemDisk()).address
        == account.address
    )
    monkeypatch.delenv(PASSWORD_VARIABLE)
    (tmp_path / "password").touch(0o600)
    (tmp_path / "password").write_text("open sesame\n")
    config = {"account": str(path), "account-password-file": str(tmp_path / "password")}
    assert account_of(message, context(config), SystemDisk()).address == account.address


@pytest.mark.parametrize(
    "content", [b"open sesame", b"open sesame\n", b"open sesame\r\n", b"open sesame\nnotes\n"]
)
def test_a_password_is_the_first_line_of_its_file(tmp_path, message, content):
    """Who makes an account and the device that opens it read the same password in a file."""
    (tmp_path / "password").touch(0o600)
    (tmp_path / "password").write_bytes(content)
    path = tmp_path / "truck-7.json"
    account = Account.create()
    account.save(path, password_of(tmp_path / "password", new=True), light=True)
    config = {"account": str(path), "account-password-file": str(tmp_path / "password")}
    assert account_of(message, context(config), SystemDisk()).address == account.address
    assert password_of(tmp_path / "password") == "open sesame"


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o644, 0o666])
def test_a_password_file_that_every_user_can_read_or_write_is_refused(tmp_path, message, mode):
    """By devices and commands alike; a group may read it, which somebody gave it on purpose."""
    (tmp_path / "password").touch(0o600)
    (tmp_path / "password").write_text("open sesame\n")
    (tmp_path / "password").chmod(0o640)
    assert password_of(tmp_path / "password") == "open sesame"
    (tmp_path / "password").chmod(mode)
    told = {"account": "truck-7", "account-password-file": str(tmp_path / "password")}
    with pytest.raises(AccountError, match=f"chmod 600 {tmp_path}/password") as caught:
        account_of(message, context(told), SystemDisk())
    assert "sesame" not in str(caught.value)
    with pytest.raises(AccountError, match="every user of this machine"):
        password_of(tmp_path / "password")


@pytest.mark.parametrize(("content", "said"), [(b"\nlater\n", "is empty"), (b"s\xff", "UTF-8")])
def test_a_file_without_a_password_is_named(tmp_path, message, content, said):
    """An empty first line or other bytes than text are an error that names the file alone."""
    (tmp_path / "password").touch(0o600)
    (tmp_path / "password").write_bytes(content)
    Account.create().save(tmp_path / "a.json", "x", light=True)
    config = {
        "account": str(tmp_path / "a.json"),
        "account-password-file": str(tmp_path / "password"),
    }
    with pytest.raises(AccountError, match=f"password file {tmp_path}/password.* {said}$"):
        account_of(message, context(config), SystemDisk())


def test_without_a_password_the_device_says_what_to_set(tmp_path, message, monkeypatch):
    """No password is an error that names both ways to give one."""
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    path = tmp_path / "other.json"
    Account.create().save(path, "x", light=True)
    with pytest.raises(AccountError, match="account-password-file"):
        account_of(message, context({"account": str(path)}), SystemDisk())


def test_the_device_prefers_its_own_keystore(tmp_path, message, monkeypatch):
    """A server cannot make a device with a keystore sign with a key it can guess."""
    account = Account.create()
    account.save(tmp_path / "own.json", "x", light=True)
    keys = SimulationKeys.create(tmp_path / "simulation.secret")
    message.content["config"]["simulation-keys"] = str(keys.path)
    monkeypatch.setenv(PASSWORD_VARIABLE, "x")
    config = {"account": str(tmp_path / "own.json"), "partition-id": 0}
    assert account_of(message, context(config), SystemDisk()).address == account.address


def test_a_simulated_client_finds_its_key(tmp_path, message):
    """Run config or message config name the secret file, the partition picks the key."""
    keys = SimulationKeys.create(tmp_path / "simulation.secret")
    run_config = {"simulation-keys": str(keys.path)}
    found = account_of(message, context({"partition-id": 3}, run_config), SystemDisk())
    assert found.address == keys.account(3).address
    message.content["config"]["simulation-keys"] = str(keys.path)
    assert (
        account_of(message, context({"partition-id": 4}), SystemDisk()).address
        == keys.account(4).address
    )


def test_a_client_without_account_says_how_to_get_one(message):
    """The error tells what to set."""
    with pytest.raises(ConfigError, match="fedledger account create"):
        account_of(message, context({"partition-id": 3}), SystemDisk())


def test_the_keystore_does_not_hold_the_key_in_the_clear(tmp_path):
    """What lies on the device is encrypted."""
    account = Account.create()
    account.save(tmp_path / "a.json", "x", light=True)
    assert "crypto" in {key.lower() for key in json.loads((tmp_path / "a.json").read_text())}


def test_a_named_account_has_one_journal(tmp_path, message, monkeypatch):
    """Beside its keystore, wherever the client is started; pins are addresses, not spellings."""
    monkeypatch.setenv("FEDLEDGER_HOME", str(tmp_path / "home"))
    contract = checksum_address("0x" + "ab" * 20)
    request = SigningRequest("pofl", "update", 1, 1, 5, contract)
    config = {"account": "truck-7", "ledger-contract": contract.lower()}
    paths = []
    for folder in (tmp_path / "here", tmp_path / "there"):
        folder.mkdir()
        monkeypatch.chdir(folder)
        journal = journal_of(message, context(config), request, SystemDisk())
        journal.check(request)
        paths.append(journal.path)
    assert paths == [tmp_path / "home" / "keystore" / "truck-7.json.journal"] * 2
    with pytest.raises(ConfigError, match="ledger pins"):
        journal_of(message, context({**config, "ledger-contract": "0x12"}), request, SystemDisk())


def test_keys_come_from_the_effects_that_were_given():
    """Keystore, secret and journal lie on the disk handed in; keys follow from the entropy."""

    def made():
        disk = MemoryDisk(SeededEntropy(1, "disk"), lambda: None)
        effects = dataclasses.replace(Effects.real(), disk=disk, entropy=SeededEntropy(1, "keys"))
        keys = SimulationKeys.create(Path("/run/secret"), effects)
        account = Account.create(effects.entropy)
        account.save("/run/keystore.json", "x", light=True, disk=disk)
        assert load_account("/run/keystore.json", "x", disk=disk) == account
        with pytest.raises(AccountError, match="never overwritten"):
            account.save("/run/keystore.json", "x", light=True, disk=disk)
        assert disk.names(Path("/run")) == ["keystore.json", "secret"]
        return keys.account(1).address, account.address

    assert made() == made()
    assert not Path("/run/secret").exists()
