"""What a client has answered is kept to the bit, and what is damaged is no answer."""

import json
import math

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from fedledger.clients.kept import Kept, KeptAnswers
from fedledger.effects import Effects
from fedledger.records import SigningRequest

REQUEST = SigningRequest(
    protocol="pofl",
    phase="update",
    task=1,
    round=1,
    chain_id=7,
    contract="0x",
    calls=[],
    statements=[],
    clients=["ann"],
    nonces=[0],
    details={},
    seen="",
    sealed=True,
)


@pytest.fixture
def answers(tmp_path):
    """What ann has answered, with all that a reply can have."""
    found = KeptAnswers(tmp_path / "ann.answers", Effects.real().disk)
    content = RecordDict(
        {
            "arrays": ArrayRecord([np.arange(6, dtype=np.float32).reshape(2, 3)]),
            "metrics": MetricRecord({"n": 1, "worst": math.inf, "zero": -0.0, "all": [1.5, -2.5]}),
            "config": ConfigRecord({"name": "Zoë", "key": b"\0", "on": True, "keys": [b"a", b""]}),
        }
    )
    values = {"update": {"cid": b"\1", "samples": 3}}
    found.keep(REQUEST, "ann", Kept(content, values, b"opening", (b"call",), (("{}", b"s"),)))
    return found, content, values


def test_an_answer_is_found_as_it_was(answers):
    """Records, values, opening and what was signed; of another account there is none."""
    kept, content, values = answers
    found = kept.find(REQUEST, "ann")
    assert found.content == content
    assert math.copysign(1, found.content["metrics"]["zero"]) == -1
    assert found.values == values
    assert (found.opening, found.transactions) == (b"opening", (b"call",))
    assert found.statements == (("{}", b"s"),)
    assert kept.find(REQUEST, "bob") is None


@pytest.mark.parametrize("value", [None, 5, "text", [1], {"update": 1}, {"update": {"cid": {}}}])
@pytest.mark.parametrize("field", ["key", "blob", "records", "values", "opening", "transactions"])
def test_a_damaged_answer_is_none(answers, field, value):
    """Whatever stands where: the client answers anew, and does not fail."""
    kept, _, _ = answers
    [path] = [one for one in kept.folder.iterdir() if not one.name.startswith(".")]
    head, _, blob = path.read_bytes().partition(b"\n")
    path.write_bytes(json.dumps({**json.loads(head), field: value}).encode() + b"\n" + blob)
    assert kept.find(REQUEST, "ann") is None


@pytest.mark.parametrize("cut", [0, 1, 40, -1])
def test_a_torn_answer_is_none(answers, cut):
    """A file that ends early."""
    kept, _, _ = answers
    [path] = [one for one in kept.folder.iterdir() if not one.name.startswith(".")]
    path.write_bytes(path.read_bytes()[:cut])
    assert kept.find(REQUEST, "ann") is None
