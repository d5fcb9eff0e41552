"""Draws by commands, on anvil, where time passes when it is told to."""

import importlib
from types import SimpleNamespace

import pytest
from support.anvil import Anvil
from support.console import Console
from support.federation import Federation, make_app
from support.nodes import PASSWORD, keystore
from typer.testing import CliRunner

from fedledger.ledger_plugins import open_ledger, open_store
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.ethereum import deploy
from fedledger.ledger_plugins.money import deposit_all, give

app = importlib.import_module("fedledger.cli.app").app  # `fedledger.cli.app` names both
ADMIN = Account.from_key(b"\1" * 32)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A task of three rounds on anvil, whose members ann, bob and cid have deposits."""
    monkeypatch.setenv("FEDLEDGER_HOME", str(tmp_path))
    monkeypatch.setenv("FEDLEDGER_ACCOUNT_PASSWORD", PASSWORD)
    people = [Account.from_key(bytes([n]) * 32) for n in (2, 3, 4)]
    for name, account in zip(("ann", "bob", "cid"), people, strict=True):
        keystore(tmp_path, name, account)
    with Anvil(tmp_path) as node:
        url = f"ethereum+{node.url}?deployment={tmp_path}/deployment.json"
        store = f"file://{tmp_path}/store"
        deploy(url, admin=ADMIN.address)
        federation = Federation(tmp_path / "run")
        federation.close()
        federation.ledger, federation.store = open_ledger(url), open_store(store)
        keystore(tmp_path, "owner", federation.server)
        give(federation.ledger, ADMIN, [one.address for one in people], 10)
        deposit_all(federation.ledger, people, 10)
        members = [one.address for one in people]
        federation.run(federation.pofl(members=members), make_app(), rounds=3)
        federation.close()
        console = Console(url)

        yield SimpleNamespace(
            run=console.run,
            ask=console.ask,
            refused=console.refused,
            node=node,
            url=url,
            store=store,
            people=people,
        )


def test_a_draw_from_its_opening_to_the_spot_check(place):
    """Opened, committed to, fixed, revealed, closed, settled, shown; then rounds are drawn by it.

    Each step is refused by name where it is not its time, or by whom it is not; who withheld its
    value loses its stake.
    """
    terms = ("--commit-seconds", 60, "--fix-seconds", 60, "--reveal-seconds", 60, "--stake", 4)
    opened = ("beacon", "open", "epoch 1", "--task", 1, *terms, "--lookahead", 2, "--account")
    assert "NotDrawer" in place.refused(*opened, "ann")
    assert place.ask(*opened, "owner")["draw"] == 1
    assert "TopicDrawn" in place.refused(*opened, "owner")
    for name in ("ann", "bob", "cid"):
        place.ask("beacon", "commit", 1, "--account", name)
    assert "NotTaskMember" in place.refused("beacon", "commit", 1, "--account", "owner")
    assert "AlreadyCommitted" in place.refused("beacon", "commit", 1, "--account", "ann")
    fixed = ("beacon", "fix", 1, "rounds 1 to 3", "--account")
    assert "CommitmentsOpen" in place.refused(*fixed, "owner")
    assert "NotFixed" in place.refused("beacon", "reveal", 1, "--account", "ann")
    place.node.rpc("evm_increaseTime", 61)
    place.node.rpc("evm_mine")
    assert "NotDrawer" in place.refused(*fixed, "bob")
    place.ask(*fixed, "owner")
    shown = place.ask("beacon", "show", 1)
    assert (shown["subject"], shown["topic"], shown["state"]) == (
        "rounds 1 to 3",
        "epoch 1",
        "open",
    )
    assert shown["random_block"] == shown["fixed_block"] + 2
    assert "the newest is" in place.refused("beacon", "provide", 1, "--account", "ann")
    for name in ("ann", "bob"):
        place.ask("beacon", "reveal", 1, "--account", name)
    assert "AlreadyRevealed" in place.refused("beacon", "reveal", 1, "--account", "ann")
    place.ask("beacon", "provide", 1, "--account", "cid")
    assert "RandomnessUnwanted" in place.refused("beacon", "provide", 1, "--account", "cid")
    assert "DrawOpen" in place.refused("beacon", "close", 1, "--account", "cid")
    audit = ("audit", "--ledger", place.url, "--store", place.store, "--spot", 1_000_000)
    early = place.run(*audit, "--epoch", 1)
    assert "epoch 1 is still open" in str(early.exception)
    place.node.rpc("evm_increaseTime", 61)
    place.node.rpc("evm_mine")
    place.ask("beacon", "close", 1, "--account", "cid")
    shown = place.ask("beacon", "show", 1)
    assert shown["state"] == "drawn"
    assert shown["revealed"] == [one.address for one in place.people[:2]]
    assert "there is no draw 2" in place.refused("beacon", "show", 2)
    for call in (("provide", 2), ("commit", 1 << 255), ("settle", 2, ADMIN.address)):
        assert f"no draw {call[1]} on" in place.refused("beacon", *call, "--account", "ann")
    assert "uint256" in place.refused("beacon", "commit", 1 << 256, "--account", "ann")
    for one in place.people:
        place.ask("beacon", "settle", 1, one.address, "--account", "ann")
    rows = {row["address"]: row["free"] for row in place.ask("bond", "show")}
    assert [rows[one.address] for one in place.people] == [10, 10, 6]
    done = place.run(*audit, "--epoch", 1)
    assert done.exit_code == 0, done.stdout
    assert "audit: spot check passed: 3 rounds were replayed, 0 not checked" in done.stdout
    audit = (*audit[:-1], 1)
    none = place.run(*audit, "--epoch", 1)
    assert none.exit_code == 2
    assert "audit: could not check: epoch 1 drew no round" in none.stdout
    assert "not checked: 3 rounds (1, 2, 3) that epoch 1 did not draw" in none.stdout


def test_a_spot_check_is_asked_for_as_a_whole():
    """Probability and epoch go together, and with a ledger: the draw names its task."""
    urls = ("--ledger", "local:///x.db", "--store", "file:///x")
    for arguments, says in (
        ((*urls, "--spot", "5"), "needs both"),
        ((*urls, "--epoch", "5"), "needs both"),
        ((*urls, "--spot", "5", "--epoch", "1", "--task", "1"), "the draw names its task"),
        (("run", "--spot", "5", "--epoch", "1"), "the draw names its task"),
    ):
        done = CliRunner().invoke(app, ["audit", *arguments])
        assert says in str(done.exception), done.exception
    assert CliRunner().invoke(app, ["audit", *urls, "--spot", "0", "--epoch", "1"]).exit_code == 2


def test_topics_are_bytes_or_text(place):
    """32 bytes in hexadecimal, or a text that fits; a longer one is refused before anything."""
    opened = ("beacon", "open", "--task", 1, "--account", "owner")
    place.ask(*opened, "0x" + "fe" * 32)
    assert place.ask("beacon", "show", 1)["topic"] == "0x" + "fe" * 32
    for wrong in ("", "x" * 33, "0x" + "fg" * 32):
        assert "1 to 32 are needed" in place.refused(*opened, wrong)
