"""A campaign against what a round reads of a reply: Flower's records and what was signed."""

from hashlib import sha256
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from support.federation import make_app
from support.fuzzing import INPUTS, changed_bytes, changed_value, run

from fedledger.records import LEDGER, Signatures
from fedledger.strategies.rounds.answers import asking
from fedledger.strategies.rounds.answers.replies import check_arrival, check_reply, read_reply
from fedledger.strategies.rounds.phase import malformed

FIELDS: list[Any] = [
    "",
    "update",
    "\x00",
    "x" * 5000,
    "é",
    "TrainingTask.submitUpdate",
    "0x" + "g" * 64,
]
FIELDS += [b"", b"\x02" * 90, 0, -1, 2**62, 0.5, float("inf"), float("nan"), [], [b""], [0.5]]
FIELDS += [["a"], [1, 2], [b"\x02"] * 70, 1, True]
DTYPES = ("float64", "int8", "float32", "complex64")


def record(draw, kind, given):
    """Return a record with some entries changed, as far as Flower itself allows."""
    plain = dict(given)
    if draw.randrange(3) == 0:
        plain = changed_value(draw, plain, FIELDS)
    made = kind()
    for key, value in plain.items() if isinstance(plain, dict) else ():
        try:
            made[key] = value
        except (TypeError, ValueError):
            continue
    return made


def arrays(draw, given):
    """Return arrays of which some are missing, others, or damaged."""
    kept = {key: array for key, array in given.items() if draw.randrange(20)}
    for key, array in list(kept.items()):
        chance = draw.randrange(30)
        if chance == 0:
            values = array.numpy()
            with np.errstate(all="ignore"):
                other = values.astype(draw.choice(DTYPES))
            kept[key] = Array(draw.choice((np.asarray(values * np.nan), other, values.reshape(-1))))
        elif chance == 1:
            data = changed_bytes(draw, array.data)
            kept[key] = Array(array.dtype, array.shape, array.stype, data)
    return ArrayRecord(kept)


@INPUTS
def test_replies(inputs, federation, monkeypatch, record_property):
    """A reply counts with what its client signed, or is refused with a reason."""
    taken, arrived = [], {}
    check = check_reply

    def note(message, *given):
        good = RecordDict(dict(message.content))  # the round takes the signatures out of its own
        found = check_arrival(message, *given)
        arrived[found.party] = (message, good, given[2:])
        return found

    def note_read(there, *given):
        found = read_reply(there, *given)
        message, good, rest = arrived[there.party]
        taken.append((message, good, (*given, *rest), found))
        return found

    with monkeypatch.context() as here:
        here.setattr(asking, "check_arrival", note)
        here.setattr(asking, "read_reply", note_read)
        federation.run(federation.pofl(), make_app(), rounds=1)
    message, good, given, expected = taken[0]
    signed = Signatures.from_record(good.config_records[LEDGER])

    def make(draw):
        ledger = record(draw, ConfigRecord, good.config_records[LEDGER])
        if draw.randrange(3) == 0:
            raws = [changed_bytes(draw, raw) for raw in signed.transactions]
            named, openings = draw.randrange(4) == 0, [changed_bytes(draw, raw) for raw in raws]
            if named:
                raws = [sha256(raw).digest() for raw in raws]
            openings = openings if draw.randrange(4) == 0 else []
            phase = draw.choice((signed.phase, "votes"))
            ledger = Signatures(phase, raws, (), openings, named).to_record()
        changed = RecordDict({LEDGER: ledger})
        changed["metrics"] = record(draw, MetricRecord, good.metric_records["metrics"])
        changed["arrays"] = arrays(draw, good.array_records["arrays"])
        if draw.randrange(15) == 0:
            del changed[draw.choice(list(changed))]
        return changed

    def decode(changed):
        message.content = changed
        with malformed("a reply", given[3]):
            found = check(message, *given)
        assert found.answer.party == expected.answer.party
        assert found.answer.content.data == expected.answer.content.data
        assert found.transactions == expected.transactions

    counts = run(inputs, make, decode)
    record_property("replies", dict(counts))
    assert counts["UpdateRejected"] > inputs / 2
    assert counts[""] > inputs / 50
