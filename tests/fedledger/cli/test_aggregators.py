"""Nodes that publish in turns, by commands, on anvil, where time passes when it is told to."""

from types import SimpleNamespace

import pytest
from support.anvil import Anvil
from support.console import Console
from support.federation import Federation, make_app
from support.nodes import PASSWORD, keystore

from fedledger.ledger_plugins import open_ledger, open_store
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.contracts import Aggregators, TrainingTask
from fedledger.ledger_plugins.ethereum import deploy
from fedledger.ledger_plugins.money import deposit_all, give

ADMIN = Account.from_key(b"\1" * 32)
ROUNDS, SECONDS = 2, 1000
GROUP = ("task", "aggregators")


class _Killed(BaseException):
    """Stands for the process ending: nothing may catch it."""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A task of two rounds on anvil; ann and bob have deposits, and pledged some to it."""
    monkeypatch.setenv("FEDLEDGER_HOME", str(tmp_path))
    monkeypatch.setenv("FEDLEDGER_ACCOUNT_PASSWORD", PASSWORD)
    people = [Account.from_key(bytes([n]) * 32) for n in (2, 3)]
    for name, account in zip(("ann", "bob"), people, strict=True):
        keystore(tmp_path, name, account)
    with Anvil(tmp_path) as node:
        url = f"ethereum+{node.url}?deployment={tmp_path}/deployment.json"
        deploy(url, admin=ADMIN.address)
        federation = Federation(tmp_path / "run")
        federation.close()
        federation.ledger = open_ledger(url)
        federation.store = open_store(f"file://{tmp_path}/store")
        keystore(tmp_path, "owner", federation.server)
        give(federation.ledger, ADMIN, [one.address for one in people], 100)
        deposit_all(federation.ledger, people, 100)
        console = Console(url)

        def later(seconds):
            node.rpc("evm_increaseTime", seconds)
            node.rpc("evm_mine")

        yield SimpleNamespace(
            run=console.run,
            ask=console.ask,
            refused=console.refused,
            later=later,
            url=url,
            store=f"file://{tmp_path}/store",
            people=people,
            federation=federation,
        )
        federation.close()


def run_as(place, account, **hooks):
    """Run the task as an account, its owner being the federation's server."""
    federation = place.federation
    strategy = federation.anchored(account=account, owner=federation.server.address)
    for name, hook in hooks.items():
        setattr(strategy, name, hook)
    return federation.run(strategy, make_app(), ROUNDS)


def killed(*_arguments):
    raise _Killed


def propose(place):
    """Propose the task as its owner, without a round, and appoint ann and bob its members."""
    with pytest.raises(_Killed):
        run_as(place, place.federation.server, configure_train=killed)
    members = [one.address for one in place.people]
    tasks = TrainingTask(place.federation.ledger)
    tasks.appoint_members(place.federation.server, task=1, members=members)
    return members


def drawn(place, members):
    """Set terms, join, and draw; return what is shown. Who may not, or not yet, is refused."""
    terms = ("--bond", 10, "--cost", 4, "--turn-seconds", SECONDS, "--task", 1, "--account")
    assert "NotTurnsOwner" in place.refused(*GROUP, "terms", *terms, "ann")
    place.ask(*GROUP, "terms", *terms, "owner")
    assert "TurnsFixed" in place.refused(*GROUP, "terms", *terms, "owner")
    join = (*GROUP, "join", "--task", 1, "--account")
    assert "NoPledge" in place.refused(*join, "ann")
    for name in ("ann", "bob"):
        place.ask("report", "pledge", 20, "--task", 1, "--account", name)
        place.ask(*join, name)
    assert "NextDrawMissing" in place.refused(*GROUP, "draw", "--task", 1, "--account", "ann")
    place.ask(*GROUP, "list", "--task", 1, "--account", "bob")
    shown = place.ask(*GROUP, "show", "--task", 1)
    assert sorted(one["node"] for one in shown["listed"]) == sorted(members)
    assert (shown["draw"], shown["order"]) == (None, [])

    times = ("--commit-seconds", 60, "--fix-seconds", 60, "--reveal-seconds", 60)
    place.ask("beacon", "open", shown["next_topic"], "--task", 1, *times, "--account", "owner")
    for name in ("ann", "bob"):
        place.ask("beacon", "commit", 1, "--account", name)
    assert "NextDrawOpened" in place.refused(*GROUP, "list", "--task", 1, "--account", "ann")
    assert "DrawNotEnded" in place.refused(*GROUP, "draw", "--task", 1, "--account", "ann")
    place.later(61)
    place.ask("beacon", "fix", 1, "turns", "--account", "owner")
    for name in ("ann", "bob"):
        place.ask("beacon", "reveal", 1, "--account", name)
    place.ask("beacon", "close", 1, "--account", "ann")
    place.ask(*GROUP, "draw", "--task", 1, "--account", "bob")
    shown = place.ask(*GROUP, "show", "--task", 1)
    assert TrainingTask(place.federation.ledger).roles(1).aggregator == shown["contract"]
    assert "TurnsGoOn" in place.refused(*GROUP, "restart", "--task", 1, "--account", "ann")
    return shown


def test_nodes_take_turns_from_their_bonds_to_the_audit(place):
    """Terms, bonds, a draw; the first node of a round never comes, the next one publishes.

    Each step is refused by name where it is not its time, or by whom it is not.
    """
    members = propose(place)
    shown = drawn(place, members)
    order = [one["node"] for one in shown["order"]]
    names = dict(zip(members, ("ann", "bob"), strict=True))
    accounts = dict(zip(members, place.people, strict=True))
    late = (*GROUP, "missed", order[0], "--task", 1, "--round", 1, "--account", "owner")
    assert "TurnNotOver" in place.refused(*late)
    place.later(shown["begins"] + SECONDS - place.federation.ledger.head().timestamp)
    with pytest.raises(_Killed):
        run_as(place, accounts[order[1]], aggregate_evaluate=killed)
    place.ask(*late)
    assert "AlreadyMissed" in place.refused(*late)
    shown = place.ask(*GROUP, "show", "--task", 1)
    assert shown["led"] == [{"round": 1, "node": order[1], "turn": 1}]
    assert shown["missed"] == [{"round": 1, "node": order[0], "lost": 4}]

    second = shown["order"][0]["node"]
    run_as(place, accounts[second])
    assert [one.node for one in Aggregators(place.federation.ledger).led(1)] == [order[1], second]
    assert "leavesAt" not in place.ask(*GROUP, "leave", "--task", 1, "--account", names[second])
    assert "LeaveTooEarly" in place.refused(
        *GROUP, "leave", "--task", 1, "--account", names[second]
    )
    audit = place.run("audit", "--ledger", place.url, "--store", place.store)
    assert audit.exit_code == 0, audit.stdout
    assert "order: 2" in place.run(*GROUP, "show", "--task", 1, "--ledger", place.url).stdout
