"""`fedledger report`: a member accuses, members replay and decide, and what follows happens."""

import importlib
import json

import pytest
from support.encrypted import EncryptedFederation
from support.federation import Federation, make_app
from support.nodes import PASSWORD, keystore
from support.reporting import LIE, Story
from support.wrong_trainers import WrongTrainers
from typer.testing import CliRunner

from fedledger.errors import ConfigError, ContractError
from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.contracts import Bonds, StakeToken

app = importlib.import_module("fedledger.cli.app").app  # `fedledger.cli.app` names both


@pytest.fixture
def told(tmp_path, monkeypatch):
    """A task whose second round has another model than follows; five members in the keystore."""
    monkeypatch.setenv("FEDLEDGER_HOME", str(tmp_path))
    monkeypatch.setenv("FEDLEDGER_ACCOUNT_PASSWORD", PASSWORD)
    federation = Federation(tmp_path)
    federation.ledger.close()
    url = f"local://{tmp_path}/reports.db"
    with open_ledger(url, admin=federation.keys.account("owner").address) as ledger:
        federation.ledger = ledger
        story = Story(federation, monkeypatch)
        story.begin()
        story.run_until(story.liar, LIE)
    for number, member in enumerate(story.members):
        keystore(tmp_path, f"m{number}", member)
    keystore(tmp_path, "liar", story.liar)
    place = ("--ledger", url)
    store = ("--store", f"file://{tmp_path}/store")

    def run(command, *words, by=None, stored=False, fails=None):
        call = ["report", command, *map(str, words), *place, *(store if stored else ())]
        call += ["--account", by] if by else []
        call += ["--format", "json"] if fails is None else []
        if fails is not None:
            with pytest.raises((ConfigError, ContractError), match=fails):
                CliRunner().invoke(app, call, catch_exceptions=False)
            return None
        done = CliRunner().invoke(app, call, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    return story, run


def test_a_report_from_accusation_to_claim(told, tmp_path):
    """Each step by its command; a round that replays is no ground, and ids may be cut."""
    story, cli = told
    assert cli("list") == []
    task = ("--task", 1, "--round")
    cli("accuse", *task, 1, by="m0", stored=True, fails="replays: there is nothing to accuse")
    cli("accuse", *task, 9, by="m0", stored=True, fails="none of them is 9")
    made = cli("accuse", *task, LIE, by="m0", stored=True)
    assert made["subject"] == story.liar.address
    assert "aggregate" in made["finding"]
    short = made["report"][:8]
    (tmp_path / "answer.txt").write_text("it was the weather")
    cli("answer", short, "--evidence", tmp_path / "answer.txt", by="liar", stored=True)
    assert cli("decide", short, by="m1", stored=True)["verdict"] == "guilty"
    assert cli("decide", short, "--innocent", by="m2", stored=True)["verdict"] == "innocent"
    cli("decide", short, by="m3", stored=True)
    assert [one["status"] for one in cli("list")] == ["open"]
    cli("decide", short, by="m4", stored=True)
    shown = cli("show", short)
    assert (shown["status"], shown["guilty"], shown["innocent"]) == ("guilty", 3, 1)
    assert [one["says"] for one in shown["verdicts"]] == ["guilty", "innocent", *["guilty"] * 2]
    assert len(shown["answers"]) == 1
    cli("settle", short, by="m0")
    cli("claim", short, by="m2")
    assert cli("unpledge", "--task", 1, by="m2")["pledged"] == 0
    assert cli("pledge", 20, "--task", 1, "--trains", by="m2")["block"] > 0
    followed = cli("show", short)["followed"]
    assert followed == [{"lost": 100, "reward": 10, "compensation": 5}]


def test_what_makes_no_sense_is_said(told, tmp_path):
    """Other kinds need evidence, unknown ids are refused, and no replay decides other kinds."""
    story, cli = told
    task = ("--task", 1, "--round", 1)
    cli("show", "abc", fails="there is no report abc")
    cli("list", "--task", 9, fails="UnknownTask")
    cli("settle", "", by="m0", fails="there is no report")
    cli("accuse", *task, "--kind", "unqualified", by="m0", stored=True, fails="needs --subject")
    cli("accuse", *task, "--kind", "update", by="m0", stored=True, fails="shows nothing that any")
    subject = ("--subject", story.members[1].address)
    cli("accuse", *task, *subject, by="m0", stored=True, fails="by its own replay")
    evidence = tmp_path / "evidence.txt"
    call = (*task, *subject, "--kind", "update", "--evidence", evidence)
    cli("accuse", *call, by="m0", stored=True, fails="cannot be read")
    evidence.write_text("look at this")
    made = cli("accuse", *call, by="m0", stored=True)
    cli("decide", made["report"], by="m2", stored=True, fails="say --guilty or --innocent")
    done = cli("decide", made["report"], "--innocent", by="m2", stored=True)
    assert done["verdict"] == "innocent"


def test_what_a_trainer_signed_is_reported_from_ledger_and_store_alone(tmp_path, monkeypatch):
    """The replay finds who signed a proof that is none, a stranger accuses, a member decides."""
    monkeypatch.setenv("FEDLEDGER_HOME", str(tmp_path))
    monkeypatch.setenv("FEDLEDGER_ACCOUNT_PASSWORD", PASSWORD)
    federation = EncryptedFederation(tmp_path, admin=True)
    wrong = federation.clients[4]
    WrongTrainers(proof={1: wrong}).use(monkeypatch)
    federation.run(federation.encrypted(members="clients", quiet=60.0), make_app(), rounds=1)
    stranger = federation.keys.account("stranger")
    StakeToken(federation.ledger).mint(federation.server, stranger.address, 5)
    Bonds(federation.ledger).deposit(stranger, 5)
    federation.close()
    keystore(tmp_path, "stranger", stranger)
    keystore(tmp_path, "m0", federation.keys.account(0))
    place = ("--ledger", f"local://{tmp_path}/chain.db", "--store", f"file://{tmp_path}/store")

    def cli(*words):
        done = CliRunner().invoke(app, [*words, *place, "--format", "json"], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    accuse = ("report", "accuse", "--kind", "update", "--task", "1", "--round", "1")
    made = cli(*accuse, "--account", "stranger")
    assert made["subject"] == wrong
    assert "in phase 'masked' is wrong" in made["finding"]
    assert cli("report", "decide", made["report"], "--account", "m0")["verdict"] == "guilty"
    audited = cli("audit")
    [verdict] = audited["ledgers"][0]["rounds"]
    assert [one["party"] for one in verdict["faults"]] == [wrong]
    assert any(wrong in trouble for trouble in audited["summary"]["troubles"])
