"""What a client says when it is asked for its salt, and by whom it cannot be misled."""

import json

import pytest
from flwr.app import ConfigRecord, Message, RecordDict
from support.federation import Federation, make_app

from fedledger.experiments.run.engines import get_engine
from fedledger.ledger_plugins.contracts.training_task.seals import SALT
from fedledger.ledger_plugins.signing import Domain
from fedledger.records import LEDGER, SigningRequest, StatementRequest

FIRST, SECOND = "11" * 32, "22" * 32


@pytest.fixture
def federation(tmp_path):
    federation = Federation(tmp_path, size=3, byzantine=0)
    yield federation
    federation.ledger.close()


def ask(federation, *details, number=1):
    """Ask a client for its salt of a round, once for each `details`; return what it says."""
    terms = federation.ledger.terms("TrainingTask", "submitUpdate")

    def main(grid):
        replies = []
        for one in details:
            request = SigningRequest(
                protocol="pofl",
                phase="salts",
                task=1,
                round=number,
                chain_id=terms.chain_id,
                contract=terms.to,
                calls=[],
                statements=[StatementRequest(SALT.name, SALT.type)],
                clients=federation.clients,
                nonces=[0] * 3,
                details=one,
            )
            config = ConfigRecord({"simulation-keys": str(federation.keys.path)})
            content = RecordDict({"config": config, LEDGER: request.to_record()})
            node = min(grid.get_node_ids())
            message = Message(content, dst_node_id=node, message_type="train")
            replies += grid.send_and_receive([message])
        return replies

    replies = get_engine("inprocess").run(make_app(), federation.size, main)
    return [
        reply.error.reason if reply.has_error() else json.loads(reply.content[LEDGER]["values"][0])
        for reply in replies
    ]


def test_a_round_has_one_list(federation):
    """Whatever lists follow, and however many: the salt is signed for the first one alone."""
    others = [{"list": f"{number:064x}"} for number in range(20)]
    said = ask(federation, {"list": FIRST}, *others, {"list": FIRST})
    assert {one["list"] for one in said} == {FIRST}
    assert len({one["salt"] for one in said}) == 1


def test_the_list_before_is_named(federation):
    """The newest earlier round's, whichever lists were shown afterwards; later rounds' never."""
    [one, _] = ask(federation, {"list": FIRST}, {"list": SECOND})
    assert (one["lastRound"], one["last"]) == (0, "00" * 32)
    [two] = ask(federation, {"list": SECOND}, number=4)
    assert (two["lastRound"], two["last"], two["list"]) == (1, FIRST, SECOND)
    assert two["salt"] != one["salt"]
    [three] = ask(federation, {"list": FIRST}, number=5)
    assert (three["lastRound"], three["last"]) == (4, SECOND)


def test_an_earlier_round_is_over(federation):
    """Its salt is not given a second time, nor its list forgotten."""
    ask(federation, {"list": FIRST}, number=3)
    [said] = ask(federation, {"list": SECOND}, number=2)
    assert "round 2 of task 1 is over" in said
    [said] = ask(federation, {"list": SECOND}, number=3)
    assert said["list"] == FIRST


@pytest.mark.parametrize(
    ("details", "match"),
    [
        ({}, "'list' in hexadecimal"),
        ({"list": None}, "'list' in hexadecimal"),
        ({"list": "zz" * 32}, "'list' in hexadecimal"),
        ({"list": [FIRST]}, "'list' in hexadecimal"),
        ({"list": {"x": FIRST}}, "'list' in hexadecimal"),
        ({"list": ""}, "32 bytes, not 0"),
        ({"list": "11" * 31}, "32 bytes, not 31"),
        ({"list": "11" * 1_000_000}, "32 bytes, not 1000000"),
    ],
    ids=["none", "null", "no-hex", "list", "object", "empty", "short", "huge"],
)
def test_details_that_name_no_list(federation, details, match):
    """They are refused in a sentence, and bind the client to nothing."""
    refused, said = ask(federation, details, {"list": FIRST})
    assert match in refused
    assert len(refused) < 300
    assert said["list"] == FIRST


def test_a_removed_journal_forgets(federation):
    """Without its journal a client signs for a second list, with the same salt: docs say so."""
    [one] = ask(federation, {"list": FIRST})
    for journal in federation.path.rglob("journals/*/*.json"):
        journal.unlink()
    [two] = ask(federation, {"list": SECOND})
    assert (two["list"], two["salt"]) == (SECOND, one["salt"])


def test_a_salt_is_signed_for_its_round_alone(federation):
    """What a client signs for one round has another digest in every other round and task."""
    [said] = ask(federation, {"list": FIRST})
    values = {k: bytes.fromhex(v) if isinstance(v, str) else v for k, v in said.items()}
    terms = federation.ledger.terms("TrainingTask", "submitUpdate")
    domains = [Domain(terms.chain_id, terms.to, task, n) for task in (1, 2) for n in (1, 2)]
    assert len({SALT.digest(domain, values) for domain in domains}) == 4
