"""Campaigns against what a client reads: what a server asks it to sign, and its own journal."""

import json
from typing import Any

from flwr.app import ConfigRecord
from support.fuzzing import INPUTS, changed_json, changed_value, run

from fedledger.clients.journal import Journal
from fedledger.effects.real import SystemDisk
from fedledger.errors import AccountError, ConfigError
from fedledger.records import CallRequest, SigningRequest, StatementRequest

ADDRESS = "0x" + "11" * 20
REQUEST = SigningRequest(
    protocol="pofl",
    phase="update",
    task=3,
    round=2,
    chain_id=7,
    contract=ADDRESS,
    calls=(CallRequest("TrainingTask.submitUpdate", ADDRESS, 90_000, 20, 1),),
    statements=(StatementRequest("Share", "Share(bytes32 digest)"),),
    clients=(ADDRESS, "0x" + "22" * 20),
    nonces=(4, 5),
    details={"samples-key": "num-examples", "deep": {"a": [1, None]}},
    seen="0x" + "ab" * 32,
    header_form="fedledger",
    headers=(b"one", b"two" * 40),
)
FIELDS: list[Any] = [
    "",
    "{}",
    "[1]",
    '{"a":1e999}',
    "[" * 2_000,
    "x" * 5_000,
    "0x" + "g" * 64,
    "é",
    b"",
    b"\0",
]
FIELDS += [0, -1, 2**62, 0.5, float("nan"), True, [], [0], [""], [b""], [0.5], [-1], [2**62] * 70]


@INPUTS
def test_requests(inputs, record_property):
    """A request is read to what is written again, or refused."""
    good = dict(REQUEST.to_record())

    def make(draw):
        record = ConfigRecord()
        plain = changed_value(draw, good, FIELDS)
        for key, value in plain.items() if isinstance(plain, dict) else ():
            try:
                record[key] = value
            except (TypeError, ValueError):  # Flower's own record refuses it
                continue
        return record

    def decode(record):
        found = SigningRequest.from_record(record)
        assert SigningRequest.from_record(found.to_record()) == found

    found = run(inputs, make, decode)
    record_property("requests", dict(found))
    assert set(found) == {"", ConfigError.__name__}


@INPUTS
def test_journals(inputs, tmp_path, record_property):
    """A journal is read, or nothing is signed."""
    path = tmp_path / "journal.json"
    journal = Journal(path, SystemDisk())
    journal.remember(REQUEST, {"TrainingTask.submitUpdate": "0x" + "cd" * 32})
    journal.first(REQUEST, "list", "ef" * 32)
    good = json.loads(path.read_text())

    def decode(data):
        with path.open("r+b") as file:
            file.write(data)
            file.truncate()
        journal.check(REQUEST)

    found = run(inputs, lambda draw: changed_json(draw, good), decode)
    record_property("journals", dict(found))
    assert set(found) == {"", AccountError.__name__}
