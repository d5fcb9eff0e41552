"""A ledger that is not there is said by every command that sends to one, and is not made."""

import importlib

import pytest
import typer.main
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from support.nodes import PASSWORD, keystore
from typer.testing import CliRunner

from fedledger.errors import LedgerUnavailable
from fedledger.ledger_plugins.accounts import Account

app = importlib.import_module("fedledger.cli.app").app  # `fedledger.cli.app` names both

SIGNER = Account.from_key(bytes(31) + b"\1")
WHO = SIGNER.address
TASK = ("--task", "1")
CALLS = {
    "account bind": ("--node-key", "KEY"),
    "beacon open": ("topic", *TASK),
    "beacon commit": ("1",),
    "beacon fix": ("1", "subject"),
    "beacon reveal": ("1",),
    "beacon provide": ("1",),
    "beacon close": ("1",),
    "beacon settle": ("1", WHO),
    "bond deposit": ("5",),
    "bond withdraw": ("5",),
    "faucet": (WHO, "--amount", "5"),
    "keys check": ("FILE",),
    "keys deal": (WHO, WHO, "--threshold", "2", "--out", "DIR"),
    "keys new": (),
    "model confirm": TASK,
    "model open": (),
    "model reveal": TASK,
    "model update": ("FILE", *TASK),
    "report accuse": (*TASK, "--round", "1"),
    "report answer": ("ab", "--evidence", "FILE"),
    "report decide": ("ab",),
    "report expire": ("ab",),
    "report settle": ("ab",),
    "report claim": ("ab",),
    "report pledge": ("5", *TASK),
    "report unpledge": TASK,
    "task accept-place": (WHO, *TASK),
    "task admit": (WHO, *TASK),
    "task aggregators draw": TASK,
    "task aggregators join": TASK,
    "task aggregators leave": TASK,
    "task aggregators list": TASK,
    "task aggregators missed": (WHO, *TASK, "--round", "1"),
    "task aggregators restart": TASK,
    "task aggregators terms": (*TASK, "--bond", "5", "--turn-seconds", "60"),
    "task appoint": (WHO, *TASK),
    "task appoint-members": (WHO, *TASK),
    "task checkpoint": TASK,
    "task elect": (WHO, *TASK),
    "task join": TASK,
    "task leave": TASK,
    "task open": TASK,
    "task remove": (WHO, *TASK),
    "task replace": (WHO, WHO, *TASK),
    "task revoke-members": (WHO, *TASK),
    "task rollback": (*TASK, "--to", "0"),
    "task vote-admit": (WHO, *TASK),
    "task vote-checkpoint": (*TASK, "--round", "0", "--accuracy", "0.5"),
    "task vote-remove": (WHO, *TASK),
    "task vote-replace": (WHO, WHO, *TASK),
    "task vote-rollback": (*TASK, "--to", "0"),
    "tx mint": (WHO, "5"),
    "tx transfer": (WHO, "5"),
}
MAKING = {"model submit", "client run", "deploy"}
"""A first task makes its chain, a client waits for it, and a deployment needs none."""


def commands(group, prefix=""):
    """Return the options of every command, by its words."""
    found = {}
    for name, command in getattr(group, "commands", {}).items():
        inner = commands(command, f"{prefix}{name} ")
        found |= inner or {f"{prefix}{name}": {one.name for one in command.params}}
    return found


SENDING = {
    words: options
    for words, options in commands(typer.main.get_command(app)).items()
    if {"ledger", "account"} <= options
}


def test_every_command_that_sends_is_here():
    """What signs and names a ledger either stands in the table or may make a ledger."""
    assert set(SENDING) - MAKING == set(CALLS)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("FEDLEDGER_HOME", str(tmp_path))
    monkeypatch.setenv("FEDLEDGER_ACCOUNT_PASSWORD", PASSWORD)
    keystore(tmp_path, "ann", SIGNER)
    (tmp_path / "FILE").write_bytes(b"something")
    key = ec.generate_private_key(ec.SECP384R1())
    form = (Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    (tmp_path / "KEY").write_bytes(key.private_bytes(*form))
    (tmp_path / "there").mkdir()
    return tmp_path


@pytest.mark.parametrize("words", CALLS)
def test_a_mistyped_file_is_no_new_chain(place, words):
    """One sentence names the file; neither a chain nor a lock is left there."""
    call = [*words.split(), *(str(place / one) if one.isupper() else one for one in CALLS[words])]
    call += ["--ledger", f"local://{place}/there/typo.db", "--account", "ann"]
    call += ["--store", f"file://{place}/store"] if "store" in SENDING[words] else []
    with pytest.raises(LedgerUnavailable, match=r"there is no chain at .*typo\.db"):
        CliRunner().invoke(app, call, catch_exceptions=False)
    assert list((place / "there").iterdir()) == []
