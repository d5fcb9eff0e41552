"""Accounts: keys that sign as Ethereum wallets do, are never shown, and rest encrypted."""

import copy
import json
import pickle
import secrets
import stat

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from eth_account import Account as EthAccount
from eth_account.messages import encode_defunct
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples

from fedledger.errors import AccountError
from fedledger.ledger_plugins.accounts import (
    Account,
    create_account,
    list_accounts,
    load_account,
    recover,
)

KEY = bytes.fromhex("4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318")
ADDRESS = "0x2c7536E3605D9C16a7a3D7b1898e529396a65c23"  # of KEY, in the eth-account manual
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
KEYS = st.integers(1, ORDER - 1).map(lambda number: number.to_bytes(32, "big"))


def high_s(s):
    return (ORDER - int.from_bytes(s, "big")).to_bytes(32, "big")


@pytest.fixture(scope="module")
def account():
    return Account.from_key(KEY)


def test_an_account_is_its_address(account):
    """The address is Ethereum's; accounts with one key are equal, new ones differ."""
    assert account.address == ADDRESS
    assert account == Account.from_key(KEY)
    assert len({account, Account.from_key(KEY), Account.create(), Account.create()}) == 3
    assert account != ADDRESS


@pytest.mark.parametrize(
    "key", [b"", bytes(31), bytes(32), ORDER.to_bytes(32, "big"), KEY.hex(), bytearray(KEY)]
)
def test_bad_keys_are_refused_and_not_repeated(key):
    """What is no private key is refused, and the message does not contain it."""
    with pytest.raises(AccountError) as caught:
        Account.from_key(key)
    assert KEY.hex() not in str(caught.value)


@examples(60)
@given(key=KEYS, message=st.binary(max_size=200))
def test_messages_are_signed_as_wallets_do(key, message):
    """EIP-191 signatures equal eth-account's and recover to the signer, both ways."""
    ours = Account.from_key(key)
    signature = ours.sign_bytes(message)
    theirs = EthAccount.from_key(key).sign_message(encode_defunct(message))
    assert signature == bytes(theirs.signature)
    assert recover(message, signature) == ours.address
    assert EthAccount.recover_message(encode_defunct(message), signature=signature) == ours.address
    assert recover(message + b"!", signature) != ours.address


@pytest.mark.parametrize(
    "change",
    [
        lambda sig: sig[:64],
        lambda sig: sig[:64] + b"\0",
        lambda sig: bytes(64) + sig[64:],
        lambda sig: sig[:32] + high_s(sig[32:64]) + sig[64:],
    ],
)
def test_bad_signatures_are_refused(account, change):
    """A signature has one form: 65 bytes, low s, 27 or 28."""
    with pytest.raises(AccountError):
        recover(b"message", change(account.sign_bytes(b"message")))


def test_secrets_belong_to_a_purpose(account):
    """Secrets are HKDF-SHA256 of the key, differ by purpose and account, and are stable."""
    expected = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"fedledger/beacon").derive(KEY)
    assert account.secret(b"beacon") == expected
    others = {account.secret(b"beacon2"), Account.create().secret(b"beacon"), KEY}
    assert expected not in others
    with pytest.raises(AccountError):
        account.secret(b"")


def test_the_key_is_never_shown(account):
    """Neither repr, str, format nor a state, pickle or copy of an account carries its key."""
    shown = f"{account} {account!r} {account!s} {[account]}"
    assert ADDRESS in shown
    assert not any(form in shown for form in (KEY.hex(), str(int.from_bytes(KEY, "big")), str(KEY)))
    for leak in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(AccountError, match="never pickled"):
            leak(account)
    assert not hasattr(account, "__dict__")


# Keystore files -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def keyfile(tmp_path_factory, account):
    path = tmp_path_factory.mktemp("keys") / "ann.json"
    account.save(path, "correct horse", light=True)
    return path


def test_keystores_are_exchanged_with_eth_account(tmp_path, keyfile, account):
    """eth-account opens our files and we open its, scrypt and PBKDF2."""
    assert bytes(EthAccount.decrypt(json.loads(keyfile.read_text()), "correct horse")) == KEY
    assert Account.load(keyfile, "correct horse") == account
    for kdf in ("scrypt", "pbkdf2"):
        path = tmp_path / f"{kdf}.json"
        content = EthAccount.encrypt(KEY, "pass", kdf=kdf, iterations=4096)
        path.write_text(json.dumps(content))
        assert Account.load(path, "pass") == account


def test_keystores_are_private_and_whole(keyfile):
    """A file is readable by its owner alone, names its address, and nothing else is left behind."""
    assert stat.S_IMODE(keyfile.stat().st_mode) == 0o600
    content = json.loads(keyfile.read_text())
    assert (content["version"], content["crypto"]["kdf"]) == (3, "scrypt")
    assert "0x" + content["address"].removeprefix("0x").lower() == ADDRESS.lower()
    assert KEY.hex() not in keyfile.read_text()
    assert [path.name for path in keyfile.parent.iterdir()] == ["ann.json"]


def test_files_are_never_overwritten(tmp_path, account):
    """Saving over a file or a dangling link is refused and leaves it as it was."""
    taken, link = tmp_path / "taken", tmp_path / "link"
    taken.write_text("precious")
    link.symlink_to(tmp_path / "nowhere")
    for path in (taken, link):
        with pytest.raises(AccountError, match="never overwritten"):
            account.save(path, "pass", light=True)
    assert taken.read_text() == "precious"
    with pytest.raises(AccountError, match="cannot be written"):
        account.save(tmp_path / "no" / "folder", "pass", light=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "taken"]


def test_the_file_wins_no_race(tmp_path, account, monkeypatch):
    """A file that appears after the first look is not replaced either."""
    path = tmp_path / "raced"
    monkeypatch.setattr("os.path.lexists", lambda _: False)
    path.write_text("precious")
    with pytest.raises(AccountError, match="never overwritten"):
        account.save(path, "pass", light=True)
    assert path.read_text() == "precious"
    assert [one.name for one in tmp_path.iterdir()] == ["raced"]


def test_a_wrong_password_says_so(keyfile):
    """A wrong password is told apart from a broken file, and not repeated."""
    with pytest.raises(AccountError, match="wrong password") as caught:
        Account.load(keyfile, "incorrect horse")
    assert "incorrect horse" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.clear(),
        lambda content: content.update(version=4),
        lambda content: content.update(crypto=[]),
        lambda content: content.update(address="12"),
        lambda content: content.update(address="11" * 20),
        lambda content: content["crypto"].pop("mac"),
        lambda content: content["crypto"].update(kdf="plain"),
        lambda content: content["crypto"].update(ciphertext="zz"),
        lambda content: content["crypto"]["kdfparams"].update(n="many"),
        lambda content: content["crypto"]["kdfparams"].update(n=0),
    ],
)
def test_malformed_keystores_are_refused(tmp_path, keyfile, change):
    """A keystore with a missing, wrong or contradictory part raises AccountError."""
    content = json.loads(keyfile.read_text())
    change(content)
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(content))
    with pytest.raises(AccountError):
        Account.load(path, "correct horse")


@pytest.mark.parametrize("text", ["", "no json", "[]", "3", "\xff", '"' + "x" * 70_000 + '"'])
def test_other_files_are_no_keystores(tmp_path, text):
    """A file of something else, or a missing one, raises AccountError."""
    path = tmp_path / "other"
    with pytest.raises(AccountError, match="no account file"):
        Account.load(path, "pass")
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(AccountError, match="no keystore"):
        Account.load(path, "pass")


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch):
    """In a container whose user is not in /etc/passwd there is a sentence, and no traceback."""
    for variable in ("FEDLEDGER_HOME", "HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 54321)
    with pytest.raises(AccountError, match=r"no home folder .* set FEDLEDGER_HOME"):
        list_accounts()


def test_the_keystore_folder(tmp_path, monkeypatch):
    """Accounts are made, listed and opened by name, in the folder that is asked for."""
    monkeypatch.setattr("fedledger.ledger_plugins.accounts._ROUNDS", 4096)
    monkeypatch.setenv("FEDLEDGER_HOME", str(tmp_path / "home"))
    assert list_accounts() == []
    made = [create_account(name, "pass") for name in ("server", "client-1")]
    assert list_accounts() == sorted(made, key=lambda file: file.name)
    assert made[0].path == tmp_path / "home" / "keystore" / "server.json"
    assert stat.S_IMODE(made[0].path.parent.stat().st_mode) == 0o700
    for name in ("server", made[0].path, str(made[0].path)):
        assert load_account(name, "pass").address == made[0].address
    assert list_accounts(tmp_path / "elsewhere") == []
    with pytest.raises(AccountError, match="never overwritten"):
        create_account("server", "other")
    with pytest.raises(AccountError, match="no account file"):
        load_account("nobody", "pass")
    with pytest.raises(AccountError, match="needs a password"):
        create_account("empty", "")
    monkeypatch.delenv("FEDLEDGER_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert create_account("mine", "pass").path == tmp_path / ".fedledger/keystore/mine.json"


def test_a_light_keystore_has_a_password_that_was_drawn(tmp_path):
    """It takes 4 MB to open; with a password that may be guessed it is refused, and not written."""
    with pytest.raises(AccountError, match="at least 22 characters"):
        create_account("device", "correct horse battery", tmp_path, light=True)
    assert not list(tmp_path.iterdir())
    drawn = secrets.token_urlsafe(24)
    made = create_account("device", drawn, tmp_path, light=True)
    params = json.loads(made.path.read_text())["crypto"]["kdfparams"]
    assert (params["n"], params["r"]) == (4096, 8)
    assert load_account("device", drawn, tmp_path).address == made.address


@pytest.mark.parametrize("name", ["", "Ann", "a/b", "../a", "a.b", "a" * 65, "é"])
def test_bad_names_are_refused(tmp_path, name):
    """A name is 1 to 64 of a-z, 0-9 and hyphens, so it never leaves the keystore's folder."""
    with pytest.raises(AccountError, match="no account name"):
        create_account(name, "pass", tmp_path)
    assert not list(tmp_path.iterdir())
