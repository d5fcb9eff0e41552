"""`fedledger keys`: trainers' keys, a dealing by a process of its own, its check and its end."""

import importlib
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from support.node_thread import NodeThread
from support.nodes import PASSWORD, keystore
from typer.testing import CliRunner

from fedledger.clients.keyring import Keyring
from fedledger.crypto.threshold import KeyShare, ThresholdKeys, dealing, primes, seal_share
from fedledger.effects import Effects
from fedledger.errors import FedledgerError
from fedledger.ledger_plugins import open_ledger, open_store
from fedledger.ledger_plugins.accounts import Account, keystore_path
from fedledger.ledger_plugins.contracts import Identities
from fedledger.ledger_plugins.contracts import ThresholdKeys as Contract
from fedledger.ledger_plugins.contracts.identities.keys import keys_of, publish_keys
from fedledger.ledger_plugins.contracts.identities.nodes import public_of
from fedledger.ledger_plugins.contracts.threshold_keys.dealing import Dealing, context_of

app = importlib.import_module("fedledger.cli.app").app  # `fedledger.cli.app` names both
DEALER = Account.from_key(b"\7" * 32)
TRAINERS = [Account.from_key(bytes([key]) * 32) for key in range(60, 63)]
A, B, C = (one.address for one in TRAINERS)
STRANGER = Account.from_key(b"\x09" * 32)
DISK = Effects.real().disk


class Console:
    """Runs commands in this process: an answer, or an error's text; keeps all that was printed."""

    def __init__(self, home: Path, ledger: str, store: str) -> None:
        self.home, self.ledger, self.store, self.printed = home, ledger, store, ""

    def __call__(self, *arguments: object, store: bool = False, ledger: str | None = None):
        words = [str(one) for one in arguments] + ["--format", "json"]
        words += [] if arguments[1] == "forget" else ["--ledger", ledger or self.ledger]
        words += ["--store", self.store] if store else []
        done = CliRunner().invoke(app, words)
        self.printed += done.output
        if isinstance(done.exception, FedledgerError):
            self.printed += str(done.exception)
            return str(done.exception)
        assert done.exit_code == 0, (done.output, done.exception)
        return json.loads(done.stdout)

    def new(self, *who: str):
        return [self("keys", "new", "--account", one) for one in who]

    def deal(self, out: str, *trainers: str, threshold: int = 2):
        words = ("keys", "deal", *trainers, "--threshold", threshold, "--out", self.home / out)
        return self(*words, "--account", "dealer", store=True)

    def check(self, what: object, account: str, **options):
        return self("keys", "check", what, "--account", account, **options)


def refuse(*_, **__):
    raise AssertionError("the calling process deals")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A keystore with a dealer, trainers a, b and c, and a stranger; nothing deals here."""
    monkeypatch.setenv("FEDLEDGER_HOME", str(tmp_path))
    monkeypatch.setenv("FEDLEDGER_ACCOUNT_PASSWORD", PASSWORD)
    people = {"dealer": DEALER, "stranger": STRANGER, **dict(zip("abc", TRAINERS, strict=True))}
    for name, account in people.items():
        keystore(tmp_path, name, account)
    for module, name in ((dealing, "deal"), (dealing, "_factors"), (primes, "safe_prime")):
        monkeypatch.setattr(module, name, refuse)
    return tmp_path


@pytest.fixture
def console(home):
    """Commands on a chain in a file."""
    with open_ledger(f"local://{home}/chain.db"), open_store(f"file://{home}/store"):
        pass
    return Console(home, f"local://{home}/chain.db", f"file://{home}/store")


def ring(name):
    return Keyring.beside(keystore_path(name), DISK)


def files(folder):
    return sorted(one.name for one in folder.iterdir())


def test_a_dealing_from_new_keys_to_forgetting(console, caplog):
    """Trainers publish keys, a dealer deals apart, each trainer's share opens for it alone."""
    caplog.set_level(logging.DEBUG)
    published = console.new("a", "b", "c")
    dealt = console.deal("dealt", A.lower(), B, C)
    assert (dealt["dealer"], dealt["threshold"], dealt["key_bits"]) == (DEALER.address, 2, 2048)
    out, digest = console.home / "dealt", dealt["digest"]
    assert [one["hpke"] for one in dealt["trainers"]] == [one["hpke"] for one in published]
    assert files(out) == sorted(["keys.bin", *(f"{one}.share" for one in (A, B, C))])
    assert [one["file"] for one in dealt["trainers"]] == [f"{out}/{one}.share" for one in (A, B, C)]
    assert {(out / f"{one}.share").stat().st_mode & 0o777 for one in (A, B, C)} == {0o600}
    keys = ThresholdKeys.decode((out / "keys.bin").read_bytes())
    assert keys.digest.hex() == digest
    with open_ledger(console.ledger, read_only=True) as ledger:
        context = context_of(ledger.chain_id, ledger.contracts()["TrainingTask"].address)
        there = Contract(ledger).published(DEALER.address, keys.digest)
    assert there is not None
    assert (there.keys, there.trainers, there.threshold) == (keys.encode(), (A, B, C), 2)
    with open_store(console.store, read_only=True) as store:
        found = Dealing.decode(store.get(dealt["dealing"]))
    assert found.check() == keys

    for number, name in enumerate("abc", 1):
        expected = {
            "number": number,
            "trainers": 3,
            "threshold": 2,
            "key_bits": 2048,
            "digest": digest,
            "published": [{"dealer": DEALER.address, "trainer": TRAINERS[number - 1].address}],
        }
        own = out / f"{TRAINERS[number - 1].address}.share"
        assert own.read_bytes() == found.envelopes[number - 1]
        assert console.check(own, name) == expected
        assert console.check(dealt["dealing"], name, store=True) == expected
        ring(name).keep(found.keys, number, found.envelopes[number - 1], "task 1")
        ring(name).share(keys.digest, context)
    for what in (out / f"{B}.share", out / f"{C}.share"):
        assert "envelope: none of the 1 private keys" in console.check(what, "a")
    assert "none of the 0 private keys" in console.check(dealt["dealing"], "stranger", store=True)

    secrets = [ring(name).share(keys.digest, context).encode() for name in "abc"]
    secrets += [
        ring(name).private_key(bytes.fromhex(one["hpke"]))
        for name, one in zip("abc", published, strict=True)
    ]
    everything = console.printed + caplog.text
    for secret in secrets:
        assert secret.hex() not in everything
        assert str(int.from_bytes(secret, "big")) not in everything
        for path in (*out.iterdir(), *console.home.glob("store/**/*"), console.home / "chain.db"):
            assert path.is_dir() or secret not in path.read_bytes()

    for digits in (digest, f"0x{digest.upper()}"):
        forgotten = console("keys", "forget", digits, "--account", "a")
        assert (forgotten["forgotten"], forgotten["hpke_left"]) == (digest, [])
        assert files(ring("a").folder) == []
    assert "none of the 0 private keys" in console.check(out / f"{A}.share", "a")
    assert console.check(out / f"{B}.share", "b")["number"] == 2


def test_who_published_no_key_is_named(console):
    """All of them, before anything is dealt, stored or published."""
    console.new("b")
    said = console.deal("dealt", A, B, C)
    assert f"{A} has no hpke key: it published none; {C} has no hpke key" in said
    assert "`fedledger keys new` publishes one" in said
    assert files(console.home / "dealt") == []
    with open_ledger(console.ledger, read_only=True) as ledger:
        assert ledger.events("ThresholdKeys", "KeysPublished") == []


def test_what_cannot_be_dealt_is_refused(console):
    """The same account twice, a wrong threshold, no address, a folder with something in it."""
    console.new("a", "b", "c")
    assert f"{A} is named twice" in console.deal("d1", A, B, A)
    assert "threshold: 4 of 3 trainers is more than all" in console.deal("d1", A, B, C, threshold=4)
    assert "no majority" in console.deal("d1", A, B, C, STRANGER.address, threshold=2)
    assert "'ann' is no address" in console.deal("d1", "ann", B)
    assert "trainers: a key is dealt to 2 to 64" in console.deal("d1", A)
    (console.home / "d1" / "note").write_text("mine", encoding="utf-8")
    assert "d1 has something in it (note)" in console.deal("d1", A, B)
    (console.home / "file").write_text("mine", encoding="utf-8")
    assert "file cannot be used" in console.deal("file", A, B)


def test_two_trainers_with_the_same_key_are_named(console):
    """Who publishes another's key would have its share read by that one."""
    [mine] = console.new("a")
    with open_ledger(console.ledger) as ledger:
        publish_keys(ledger, TRAINERS[1], hpke=bytes.fromhex(mine["hpke"]))
    said = console.deal("dealt", A, B)
    assert f"{A} and {B} published the same hpke key: one would open both shares" in said


def test_a_new_key_leaves_the_accounts_other_keys(console):
    """A bound SuperNode needs its key again, the same one, or nothing is drawn."""
    node = ec.generate_private_key(ec.SECP384R1())
    form = (Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    for name, key in (("node", node), ("other", ec.generate_private_key(ec.SECP384R1()))):
        (console.home / name).write_bytes(key.private_bytes(*form))
    with open_ledger(console.ledger) as ledger:
        publish_keys(ledger, TRAINERS[0], flower=node)
    assert "has bound a SuperNode" in console.new("a")[0]
    other = ("keys", "new", "--account", "a", "--node-key", console.home / "other")
    assert "the node's key is not the one" in console(*other)
    assert not ring("a").folder.exists()
    made = console("keys", "new", "--account", "a", "--node-key", console.home / "node")
    with open_ledger(console.ledger, read_only=True) as ledger:
        found = keys_of(ledger, A)
    assert (found.hpke, found.flower) == (bytes.fromhex(made["hpke"]), public_of(node))
    assert found.refused == {}
    bound = ("account", "bind", "--account", "a", "--node-key", console.home / "other")
    console(*bound)
    with open_ledger(console.ledger, read_only=True) as ledger:
        assert keys_of(ledger, A).hpke == found.hpke
    with open_ledger(console.ledger) as ledger:
        Identities(ledger).revoke_keys(TRAINERS[0])
    again = console.new("a")[0]
    assert again["hpke"] != made["hpke"]
    assert len(files(ring("a").folder)) == 2


def test_a_share_for_another_chain_a_wrong_one_and_another_order_are_refused(console):
    """Each is said in a sentence: where it opens not, whose fault it is, who is meant."""
    console.new("a", "b", "c")
    dealt = console.deal("dealt", A, B, C)
    share = console.home / "dealt" / f"{A}.share"
    with open_ledger(f"local://{console.home}/other.db"):
        pass
    elsewhere = {"ledger": f"local://{console.home}/other.db"}
    assert "none of the 1 private keys" in console.check(share, "a", **elsewhere)
    assert "none of the 1" in console.check(dealt["dealing"], "a", store=True, **elsewhere)

    keys = ThresholdKeys.decode((console.home / "dealt" / "keys.bin").read_bytes())
    with open_ledger(console.ledger) as ledger:
        context = context_of(ledger.chain_id, ledger.contracts()["TrainingTask"].address)
        recipient = keys_of(ledger, A).need("hpke")
        own = ring("a").find_share(keys, {1: share.read_bytes()}, context)
        Contract(ledger).publish_keys(STRANGER, trainers=[A, C, B], threshold=2, keys=keys.encode())
    assert [one["dealer"] for one in console.check(share, "a")["published"]] == [
        DEALER.address,
        STRANGER.address,
    ]
    assert console.check(console.home / "dealt" / f"{B}.share", "b")["published"][1] == {
        "dealer": STRANGER.address,
        "trainer": C,
    }
    wrong = object.__new__(KeyShare)
    wrong.keys, wrong.trainer = keys, 1
    wrong._secret = int.from_bytes(own.encode(), "big") ^ 1
    share.chmod(0o600)
    share.write_bytes(seal_share(wrong, recipient, context))
    assert "verification key 1: the dealer's fault" in console.check(share, "a")


def test_a_share_that_the_ledger_says_is_anothers_is_refused(console):
    """It opens, and whoever published the keys named another account for its number."""
    console.new("a", "b")
    console.deal("dealt", A, B)
    folder = console.home / "dealt"
    ring("c").folder.symlink_to(ring("a").folder)
    said = console.check(folder / f"{A}.share", "c")
    assert f"that of trainer 1, who is {A} on the ledger, and not {C}" in said


def test_a_torn_dealing_is_refused(console):
    """In a file and in a store; nothing is kept of it."""
    console.new("a", "b")
    dealt = console.deal("dealt", A, B)
    share, keys = console.home / "dealt" / f"{A}.share", console.home / "dealt" / "keys.bin"
    sealed, whole = share.read_bytes(), keys.read_bytes()
    for cut in (0, 1, 60, -1):
        with open_store(console.store) as store:
            torn = store.put(store.get(dealt["dealing"])[:cut])
        assert "dealing" in console.check(torn, "a", store=True)
        keys.write_bytes(whole[:cut])
        assert any(word in console.check(share, "a") for word in ("keys", "paillier"))
        keys.write_bytes(whole)
        share.write_bytes(sealed[:cut])
        assert "none of the 1 private keys" in console.check(share, "a")
    keys.unlink()
    assert "keys.bin cannot be read" in console.check(share, "a")
    assert len(files(ring("a").folder)) == 1


def test_what_is_wrong_is_said(console):
    """Neither a file nor a store, a digest that is none, an account that is not there."""
    console.new("a")
    with open_store(console.store) as store:
        cid = store.put(b"no dealing")
    assert "these bytes are no dealing" in console.check(cid, "a", store=True)
    assert "there is no file bafy" in console.check("bafy", "a")
    assert "invalid CID" in console.check("bafy", "a", store=True)
    assert "no account file" in console.check("bafy", "nobody")
    assert "'ab' is no digest of keys" in console("keys", "forget", "ab", "--account", "a")
    assert "no account file" in console("keys", "forget", "ab" * 32, "--account", "nobody")
    forgotten = console("keys", "forget", "ab" * 32, "--account", "a")
    assert len(forgotten["hpke_left"]) == 1
    assert len(files(ring("a").folder)) == 1


def test_it_works_through_a_node(home):
    """The same by a node's URL: keys, dealing and check."""
    node = NodeThread(home / "node")
    try:
        console = Console(home, f"local+{node.url}", f"file://{home}/store")
        console.new("a", "b")
        dealt = console.deal("dealt", A, B)
        assert console.check(dealt["dealing"], "b", store=True)["number"] == 2
        assert console.check(home / "dealt" / f"{A}.share", "a")["published"]
    finally:
        node.stop()


WITHOUT = """
import importlib, importlib.util, json, sys

sys.modules["gmpy2"], real = None, importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "gmpy2" else real(name, *rest)
from typer.testing import CliRunner
app = importlib.import_module("fedledger.cli.app").app
done = [CliRunner().invoke(app, one) for one in json.loads(sys.argv[1])]
print(json.dumps([str(one.exception or "") for one in done]))
"""


def test_without_the_extra_dealing_and_checking_say_what_to_install(console):
    """A sentence each, before a folder is made; drawing keys and forgetting need none."""
    place, who = ["--ledger", console.ledger], ["--account", "a"]
    out = ["--threshold", "2", "--out", f"{console.home}/x", "--store", console.store]
    commands = [
        ["new", *who, *place],
        ["forget", "ab" * 32, *who],
        ["deal", A, B, *out, *who, *place],
        ["check", "x", *who, *place],
    ]
    words = json.dumps([["keys", *one] for one in commands])
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, words], capture_output=True, text=True, check=True
    )
    said = "needs 'gmpy2': pip install 'fedledger[paillier]'"
    assert json.loads(done.stdout) == ["", "", f"dealing keys {said}", f"checking a share {said}"]
    assert not (console.home / "x").exists()
