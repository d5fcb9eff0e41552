"""An audit in lines: few where all is well, each round where it is not, and a sum at the end."""

import pytest

from fedledger.experiments.report.lines import VerdictLines, summary_lines, trouble_lines
from fedledger.strategies.audit import AuditSummary, RoundVerdict
from fedledger.strategies.rounds.evidence.checks import Outcome, Witness
from fedledger.strategies.rounds.evidence.documents import Counted, Dropped
from fedledger.strategies.rounds.evidence.record import PhaseRecord, RoundRecord

NOBODY = {"asked": (), "late": (), "dropped": (), "silent": (), "absent": ()}


def _verdict(task=1, number=1, outcome=Outcome.PASSED, aggregate="proved", phase=None, **more):
    counted = tuple(Counted(party=who, content=None, anchors=[], arrival=0) for who in ("a", "b"))
    given = {**NOBODY, "accepted": counted, **(phase or {})}
    found = PhaseRecord(name="update", milliseconds=0, bytes=0, **given)
    record = RoundRecord(
        task, f"cell{task}", number, rule="krum", phases=(found,), contributors=("a",)
    )
    return RoundVerdict(record, outcome, aggregate, **more)


def _lines(verdicts):
    lines = VerdictLines()
    return [line for verdict in verdicts for line in lines.add(verdict)] + lines.end()


def test_rounds_of_a_task_that_passed_are_one_line():
    """However many rounds; one round alone is named as one."""
    lines = _lines([*(_verdict(1, n) for n in range(1, 16)), _verdict(2)])
    assert lines == [
        "passed  cell1 rounds 1-15: 15 krum, 30 updates, 15 rewarded, aggregates 15 proved",
        "passed  cell2 round 1: krum, 2 updates, 1 rewarded, aggregate proved",
    ]


def test_a_table_of_many_cells_is_few_lines():
    """Of 120 cells with 15 rounds twenty lines are printed, and the others are counted."""
    lines = _lines([_verdict(task, n) for task in range(1, 121) for n in range(1, 16)])
    assert len(lines) == 21
    assert lines[-1] == "passed  100 more tasks, listed by --format json"


def test_what_did_not_pass_is_named_round_by_round():
    """In its place between the others, with the reason and where to look."""
    failed = _verdict(
        1, 2, Outcome.FAILED, reason="rule: x stands there", witness=Witness("update", "0x1")
    )
    away = _verdict(1, 3, Outcome.UNCHECKED, reason="nothing stored under c")
    lines = _lines([_verdict(1, 1), failed, away, _verdict(1, 4)])
    assert lines[1:4] == [
        "FAILED  cell1 round 2: rule: x stands there",
        "        look at: phase update, answer of 0x1",
        "could not check  cell1 round 3: nothing stored under c",
    ]
    assert [line.split(":")[0] for line in (lines[0], lines[4])] == [
        "passed  cell1 round 1",
        "passed  cell1 round 4",
    ]
    many = _lines([_verdict(1, n, Outcome.FAILED, reason="x") for n in range(1, 100)])
    assert many[-1] == "not passed: 79 more rounds, listed by --format json"


def test_the_summary_counts_and_explains():
    """Proved, attested, kept, drops with their reasons in words, accounts absent, what is left."""
    phase = {
        "accepted": (),
        "dropped": (Dropped(reason="not-finite", detail="", party="a", node="1"),),
        "absent": (Dropped(reason="not-asked", detail="", party="b"),),
    }
    verdicts = [
        _verdict(1, 1),
        _verdict(1, 2, aggregate="attested", phase=phase),
        _verdict(1, 3, Outcome.UNCHECKED, aggregate="", reason="nothing stored under c"),
    ]
    lines = summary_lines(AuditSummary.of(verdicts, ["the ledger's state"]))
    assert lines[0] == (
        "3 rounds: 1 proved, 1 attested, 0 kept their model, 1 could not be checked"
    )
    assert lines[1] == (
        "update: 4 counted, 0 late, 1 dropped (1 not-finite: the arrays hold NaN or infinity)"
    )
    assert lines[2] == "update: 1 of 2 registered accounts absent: b in 1 of 3"
    assert lines[3].startswith("attested: the model is the aggregator's word")
    assert lines[4:] == [
        "not checked: task 1 (cell1), round 3: nothing stored under c",
        "not checked: the ledger's state",
    ]


def test_a_summary_of_nothing_has_no_rounds():
    """No round, nothing proved, and no alarm about updates."""
    summary = AuditSummary.of([])
    assert summary_lines(summary) == ["0 rounds: 0 proved, 0 attested, 0 kept their model"]
    assert (summary.tally.unused, summary.tally.trouble) == (False, None)


@pytest.mark.parametrize(
    ("lost", "said"),
    [(0, None), (2, None), (3, "MOST UPDATES DID NOT COUNT: 3 of 5")],
)
def test_most_is_more_than_half(lost, said):
    """Of five accounts two may be lost without an alarm; whoever was not asked does not matter."""
    gone = tuple(
        Dropped(reason="no-reply", detail="", party=f"p{n}", node="1") for n in range(lost)
    )
    left = tuple(
        Counted(party=f"c{n}", content=None, anchors=[], arrival=0) for n in range(5 - lost)
    )
    unasked = tuple(Dropped(reason="not-asked", detail="", party=f"n{n}") for n in range(9))
    phase = {"accepted": left, "silent": gone, "absent": unasked}
    trouble = AuditSummary.of([_verdict(phase=phase)]).tally.trouble
    assert (trouble or "").startswith(said or "")
    assert (trouble is None) == (said is None)


def test_a_task_without_a_used_update_is_named_beside_one_that_is_well():
    """What goes well in one task of a run hides no other's trouble; many are counted."""
    well = {"accepted": (Counted(party="c", content=None, anchors=[], arrival=0),)}
    lost = {"accepted": (), "silent": (Dropped(reason="no-reply", detail="", party="c", node="1"),)}
    verdicts = [_verdict(phase=well), *(_verdict(task=n, phase=lost) for n in range(2, 12))]
    summary = AuditSummary.of(verdicts)
    assert summary.tally.trouble is not None
    assert [one.partition(":")[0] for one in summary.troubles[:2]] == [
        "task 2 (cell2)",
        "task 3 (cell3)",
    ]
    assert len(summary.troubles) == len(summary.to_json()["troubles"]) == 10
    assert trouble_lines(summary)[-1].startswith("of 2 more tasks")
    assert trouble_lines(AuditSummary.of(verdicts[:1])) == []
