"""Keystore files of other wallets, damaged ones, and ones that ask for too much work."""

import json
import os
import time
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples
from typer.testing import CliRunner

from fedledger.cli.app import app
from fedledger.errors import AccountError
from fedledger.ledger_plugins.accounts import Account, create_account, list_accounts

# The two test vectors of the Web3 Secret Storage definition; neither names an address.
PASSWORD = "testpassword"  # noqa: S105 - a vector's
KEY = bytes.fromhex("7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d")
PBKDF2 = {
    "cipher": "aes-128-ctr",
    "cipherparams": {"iv": "6087dab2f9fdbbfaddc31a909735c1e6"},
    "ciphertext": "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
    "kdf": "pbkdf2",
    "kdfparams": {
        "c": 262144,
        "dklen": 32,
        "prf": "hmac-sha256",
        "salt": "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd",
    },
    "mac": "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2",
}
SCRYPT = {
    "cipher": "aes-128-ctr",
    "cipherparams": {"iv": "83dbcc02d8ccb40e466191a123791e0e"},
    "ciphertext": "d172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c",
    "kdf": "scrypt",
    "kdfparams": {
        "dklen": 32,
        "n": 262144,
        "r": 1,
        "p": 8,
        "salt": "ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19",
    },
    "mac": "2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097",
}
ADDRESS = Account.from_key(KEY).address


def write(path, crypto, **more):
    path.write_text(json.dumps({"version": 3, "id": "x", "crypto": crypto} | more))
    return path


@pytest.mark.parametrize("crypto", [PBKDF2, SCRYPT])
@pytest.mark.parametrize(
    "more",
    [
        {},  # foundry's `cast wallet`
        {"address": None},
        {"address": ""},
        {"address": ADDRESS[2:].lower()},  # geth
        {"address": ADDRESS},  # ethers
        {"address": "0X" + ADDRESS[2:].upper()},
        {"version": "3"},
    ],
)
def test_keystores_of_other_wallets_open(tmp_path, crypto, more):
    """The definition's vectors open with and without an address, however it is written."""
    path = write(tmp_path / "key", crypto, **more)
    assert Account.load(path, PASSWORD).address == ADDRESS


def test_other_writings_of_the_same_file_open(tmp_path):
    """Keys in capitals (MyEtherWallet), a mark at the beginning, hexadecimal digits with 0x."""
    path = tmp_path / "key"
    content = {"Version": 3, "Crypto": {name.upper(): one for name, one in PBKDF2.items()}}
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(content).encode())
    assert Account.load(path, PASSWORD).address == ADDRESS
    write(path, PBKDF2 | {"ciphertext": "0x" + str(PBKDF2["ciphertext"]).upper()})
    assert Account.load(path, PASSWORD).address == ADDRESS


def test_a_vault_is_told_from_a_damaged_keystore(tmp_path):
    """MetaMask's own file holds the seed of many accounts: the error says how to get one's key."""
    path = tmp_path / "vault"
    path.write_text(json.dumps({"data": "AA==", "iv": "AA==", "keyMetadata": {}, "salt": "AA=="}))
    with pytest.raises(AccountError, match="vault, the seed of all"):
        Account.load(path, PASSWORD)


@pytest.mark.parametrize(
    "params",
    [
        {"r": 2**20},
        {"p": 2**20},
        {"r": 2**20, "p": 2**20},
        {"n": 2**30},
        {"n": 2**24},
        {"dklen": 2**31},
        {"dklen": 2**31 - 1},
        {"dklen": 16},
        {"n": 262143},
        {"n": 1},
        {"n": -4},
        {"n": 2**70},
        {"n": True},
        {"n": 4096.0},
        {"n": "4096"},
        {"r": 0},
        {"p": None},
        {"salt": None},
        {"salt": "zz"},
    ],
)
def test_work_without_bounds_is_refused_at_once(tmp_path, params):
    """Parameters that no wallet uses are named and cost nothing; no memory is taken for them."""
    kdf = SCRYPT["kdfparams"] | params
    path = write(tmp_path / "key", SCRYPT | {"kdfparams": kdf})
    began = time.monotonic()
    with pytest.raises(AccountError, match=str(path)):
        Account.load(path, PASSWORD)
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("count", [2**31, 10**9, 0, -1, "5", 1.5])
def test_iterations_are_bounded_too(tmp_path, count):
    """PBKDF2 with more iterations than any wallet's is refused."""
    kdf = PBKDF2["kdfparams"] | {"c": count}
    path = write(tmp_path / "key", PBKDF2 | {"kdfparams": kdf})
    began = time.monotonic()
    with pytest.raises(
        AccountError, match="c " if not isinstance(count, int) or count < 1 else "c="
    ):
        Account.load(path, PASSWORD)
    assert time.monotonic() - began < 1


LIGHT = PBKDF2 | {"kdfparams": PBKDF2["kdfparams"] | {"c": 1}}
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 99) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@examples(300)
@given(data=st.data(), junk=JUNK)
def test_no_damage_leaves_the_tree_of_errors(tmp_path_factory, data, junk):
    """Whatever stands where in a keystore file, it opens or is an AccountError that names it."""
    content: dict[str, Any] = {"version": 3, "address": ADDRESS, "crypto": deepcopy(LIGHT)}
    place = content
    while True:
        name = data.draw(st.sampled_from(sorted(place)))
        if not isinstance(place[name], dict) or data.draw(st.booleans()):
            break
        place = place[name]
    place[name] = junk
    path = tmp_path_factory.getbasetemp() / "damaged.json"
    path.write_text(json.dumps(content))
    with pytest.raises(AccountError, match=r"damaged\.json"):
        Account.load(path, "no password opens it")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A keystore with one good account, one of foundry's, and all sorts of damage."""
    monkeypatch.setattr("fedledger.ledger_plugins.accounts._ROUNDS", 4096)
    monkeypatch.setenv("FEDLEDGER_HOME", str(tmp_path))
    good = create_account("good", "pass")
    folder = good.path.parent
    write(folder / "foundry.json", SCRYPT)
    (folder / "empty.json").write_bytes(b"")
    (folder / "half.json").write_bytes(good.path.read_bytes()[:100])
    (folder / "list.json").write_text("[]")
    (folder / "nested.json").write_text("[" * 100_000)
    write(folder / "other.json", SCRYPT, address="0x12")
    (folder / "folder.json").mkdir()
    os.mkfifo(folder / "fifo.json")
    return good


def test_a_damaged_file_names_itself_and_hides_no_other(home):
    """`list_accounts` returns every file, and of a damaged one why it cannot be opened."""
    found = {one.name: one for one in list_accounts()}
    assert found["good"] == home
    assert (found["foundry"].address, found["foundry"].problem) == (None, None)
    bad = {"empty", "half", "list", "nested", "other", "folder", "fifo"}
    assert set(found) == {"good", "foundry"} | bad
    for name in bad:
        assert found[name].address is None
        assert str(found[name].path) in found[name].problem


def test_the_command_lists_all_of_them(home):
    """`fedledger account list` shows good ones, says which are damaged, and does not fail."""
    done = CliRunner().invoke(app, ["account", "list"])
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert any(line.startswith("good") and home.address in line for line in lines)
    assert any(line.startswith("half") and "damaged" in line for line in lines)
    assert any(line.startswith("foundry") and "known when it is opened" in line for line in lines)
    done = CliRunner().invoke(app, ["account", "list", "--format", "json"])
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["good"]["problem"] is None
    assert "no keystore file" in rows["list"]["problem"]
