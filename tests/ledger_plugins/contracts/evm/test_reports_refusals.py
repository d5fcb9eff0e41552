"""Reports: the compiled contract and its twin are the same: refusals, and the table of kinds."""

import pytest
from support.both_contracts import (
    ADMIN,
    ANN,
    BOB,
    BONDS,
    CID,
    CID2,
    EVE,
    OWNER,
    REPORTS,
    TASKS,
    compared,
    errors,
)
from support.evm import EvmBench
from support.report_scene import (
    BAD,
    NONE,
    ODD,
    TWICE,
    UPDATE,
    A,
    of,
    proof,
    report,
    scene_of,
    settle,
    signed,
)

from fedledger.ledger_plugins.addresses import ZERO_ADDRESS
from fedledger.ledger_plugins.contracts import abi
from fedledger.ledger_plugins.contracts.reports.kinds import KINDS, kind_name

both = compared(scene_of)


# Refusals --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scene():
    """Besides: a report on Bob is open, one on Eve is acquitted and settled, task 2 is finished."""
    both = scene_of(EvmBench())
    done = of("update", EVE)
    both.run(
        (OWNER, "propose", "n", CID, 1, 0, 0, CID),
        (OWNER, "publishAggregate", 2, 1, CID2, "mean", [], CID, []),
        (OWNER, "propose", "o", CID, 3, 0, 0, CID),
        (ANN, *report(UPDATE, BOB)),
        (EVE, "decide", of("update", BOB), True),
        (ANN, *report(UPDATE, EVE)),
        *((who, "decide", done, False) for who in (ANN, BOB)),
        (OWNER, *report(UPDATE, ANN)),
        *((who, "decide", of("update", ANN), False) for who in (EVE, BOB)),
    )
    settle(both, done)
    return both


OPEN, DONE, DECIDED = of("update", BOB), of("update", EVE), of("update", ANN)
REFUSALS = [
    (OWNER, ("setTerms", 9, 0, 1, 0, 0), ("UnknownTask", 9)),
    (ANN, ("setTerms", 1, 0, 1, 0, 0), ("NotTaskOwner", ANN)),
    (OWNER, ("setTerms", 1, 0, 1, 0, 0), ("TermsFixed", 1)),
    (OWNER, ("setTerms", 2, 0, 1, 0, 0), ("RoundsEnded", 2)),
    (OWNER, ("setTerms", 3, 0, 1, 0, 0), ("InvalidTerm", "lateCost")),
    (OWNER, ("setTerms", 3, 1, 1, 15_552_001, 0), ("InvalidTerm", "patience")),
    (OWNER, ("setTerms", 3, 1, 1, 1, 0), ("InvalidTerm", "reportSeconds")),
    (OWNER, ("setTerms", 3, 1, 1, 1, 15_552_001), ("InvalidTerm", "reportSeconds")),
    (ADMIN, ("pledge", 9, 0, True), ("UnknownTask", 9)),
    (ADMIN, ("pledge", 2, 0, True), ("NothingDue", 2)),
    (ADMIN, ("pledge", 1, 19, True), ("PledgeTooSmall", 19, 20)),
    (ANN, ("pledge", 1, (1 << 128) - 40, True), ("Panic", 0x11)),
    (ANN, ("pledge", 1, 0, True), ("ZeroAmount",)),
    (ADMIN, ("pledge", 1, 191, True), ("FreeTooSmall", ADMIN, 190, 191)),
    (ADMIN, ("unpledge", 9), ("UnknownTask", 9)),
    (ADMIN, ("unpledge", 1), ("NotPledged", 1, ADMIN)),
    (BOB, ("unpledge", 1), ("ReportsOpen", BOB, 1)),
    (ADMIN, ("markLate", 9, 9, ADMIN, ADMIN), ("UnknownTask", 9)),
    (ADMIN, ("markLate", 3, 9, ADMIN, ADMIN), ("NoSuchTerm", 3)),
    (ADMIN, ("markLate", 1, 9, ADMIN, ADMIN), ("NotPledged", 1, ADMIN)),
    (ADMIN, ("markStalled", 9), ("UnknownTask", 9)),
    (ADMIN, ("markStalled", 2), ("NoSuchTerm", 2)),
    (ANN, report(b"x".ljust(32, b"\0"), ANN, 9, 9, BAD), ("UnknownKind", b"x".ljust(32, b"\0"))),
    (ANN, report(NONE, ANN, 9, 9, BAD), ("UnknownKind", NONE)),
    (ANN, report(TWICE, ANN, 9, 9, BAD), ("ProofNeeded", TWICE)),
    (ANN, report(subject=ANN, task=9, number=9, evidence=BAD), ("UnknownTask", 9)),
    (ANN, report(subject=ANN, number=2, evidence=BAD), ("RoundNotReportable", 1, 2)),
    (ANN, report(subject=ANN, number=0, evidence=BAD), ("RoundNotReportable", 1, 0)),
    (ANN, report(UPDATE, ANN, number=3, evidence=BAD), ("RoundNotReportable", 1, 3)),
    (ANN, report(subject=ADMIN, evidence=BAD), ("InvalidEvidence", BAD)),
    (ANN, report(subject=ADMIN, evidence=CID[:3]), ("InvalidEvidence", CID[:3])),
    (ANN, report(subject=ADMIN, evidence=b"\1" * 65), ("InvalidEvidence", b"\1" * 65)),
    (ANN, report(subject=ADMIN), ("NotParty", ADMIN)),
    (ANN, report(subject=ZERO_ADDRESS), ("NotParty", ZERO_ADDRESS)),
    (OWNER, report(), ("SelfAccused", OWNER)),
    (OWNER, report(UPDATE, BOB), ("AlreadyReported", OPEN)),
    (OWNER, report(UPDATE, EVE), ("AlreadyReported", DONE)),
    (ADMIN, report(task=2), ("NobodyDecides", 2)),
    (ADMIN, ("answer", ODD, BAD), ("UnknownReport", ODD)),
    (ADMIN, ("answer", DONE, BAD), ("ReportClosed", DONE)),
    (ADMIN, ("answer", OPEN, BAD), ("NotSubject", ADMIN)),
    (BOB, ("answer", OPEN, BAD), ("InvalidEvidence", BAD)),
    (ADMIN, ("decide", ODD, True), ("UnknownReport", ODD)),
    (ADMIN, ("decide", DONE, True), ("ReportClosed", DONE)),
    (ANN, ("decide", DECIDED, True), ("ReportClosed", DECIDED)),
    (ADMIN, ("decide", OPEN, True), ("NotEntitled", ADMIN)),
    (BOB, ("decide", OPEN, False), ("NotEntitled", BOB)),
    (OWNER, ("decide", OPEN, False), ("NotEntitled", OWNER)),
    (EVE, ("decide", OPEN, False), ("AlreadyJudged", EVE)),
    (ADMIN, ("expire", ODD), ("UnknownReport", ODD)),
    (ADMIN, ("expire", DONE), ("ReportClosed", DONE)),
    (ADMIN, ("claim", ODD), ("UnknownReport", ODD)),
    (ADMIN, ("claim", OPEN), ("NothingToClaim", OPEN)),
    (ADMIN, ("getReport", ODD), ("UnknownReport", ODD)),
    (ADMIN, ("getVotes", ODD), ("UnknownReport", ODD)),
    (ADMIN, ("getKind", NONE), ("UnknownKind", NONE)),
]


@pytest.mark.parametrize(
    ("sender", "call", "error"),
    REFUSALS,
    ids=[f"{call[0]!s}-{error[0]!s}" for _, call, error in REFUSALS],
)
def test_refused(scene, sender, call, error):
    """Each error comes in its order, with its values, from both (L2)."""
    owner = next(name for name in (REPORTS, TASKS, BONDS) if error[0] in abi.names(name, "error"))
    assert scene.ask(sender, *call) == errors(owner, *error)


def test_settling_refuses(scene):
    """Not before a verdict, not twice, not what expired, and not what is none."""
    for one, error in ((ODD, "UnknownReport"), (OPEN, "ReportUndecided"), (DONE, "AlreadySettled")):
        assert scene.send(ADMIN, REPORTS, "settle", one) == errors(REPORTS, error, one)


def test_without_the_fee_nobody_is_accused(evm):
    """What is locked of the reporter is free before; nothing moved, nothing is open."""
    both = scene_of(evm)
    both.run((ADMIN, "withdraw", 186))
    refused = both.send(ADMIN, REPORTS, *report())
    assert refused == errors(BONDS, "FreeTooSmall", ADMIN, 4, 5)
    assert both.look("getPledge", 1, OWNER)[3] == 0
    assert both.look("getReport", of("aggregate", OWNER)) == errors(
        REPORTS, "UnknownReport", of("aggregate", OWNER)
    )


def changed(signature, **parts):
    """Return a signature with other parts: r, s or v."""
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    r, s, v = signature[:32], signature[32:64], signature[64:]
    if parts.get("high"):
        s = (order - int.from_bytes(s, "big")).to_bytes(32, "big")
        v = bytes([55 - v[0]])
    return parts.get("r", r) + parts.get("s", s) + parts.get("v", v)


def test_signatures_are_checked_alike(both):
    """Of the one canonical form, with a key, and the subject's; both say the same of each."""
    good = signed(both, OWNER, NONE, A)
    top = (1 << 256) - 1
    for wrong in (
        *(b"", good[:64], good + b"\0"),
        *(changed(good, v=bytes([v])) for v in (0, 1, 26, 29, 255)),
        changed(good, high=True),
        *(changed(good, r=n.to_bytes(32, "big")) for n in (0, 5, top)),  # 5: no point has it
        *(changed(good, s=n.to_bytes(32, "big")) for n in (0, top)),
    ):
        refused = both.send(EVE, REPORTS, *proof(both, one=wrong))
        assert refused == errors(REPORTS, "InvalidSignature", wrong), wrong.hex()
    for stranger in (
        signed(both, EVE, NONE, A),
        signed(both, OWNER, NONE, A, number=2),
        signed(both, OWNER, NONE, A, task=2),
        signed(both, OWNER, A, A),
    ):
        refused = both.send(EVE, REPORTS, *proof(both, one=stranger))
        assert refused[1] == "WrongSigner"
        assert refused[2]["subject"] == OWNER
    assert both.send(EVE, REPORTS, *proof(both, contents=(A, A)))[:2] == (REPORTS, "SameContent")
    assert both.send(OWNER, REPORTS, *proof(both))[:2] == (REPORTS, "SelfAccused")
    assert both.send(EVE, REPORTS, *proof(both, number=3))[1] == "RoundNotReportable"
    assert both.send(EVE, REPORTS, *proof(both, ADMIN))[:2] == (REPORTS, "NotParty")
    both.run((EVE, *proof(both)))
    assert both.send(ANN, REPORTS, *proof(both))[:2] == (REPORTS, "AlreadyReported")


def test_the_table_is_the_contracts(both):
    """What Python knows of the kinds is what both contracts say; rewards exceed fees."""
    for name, kind in KINDS.items():
        assert both.look("getKind", kind_name(name)) == tuple(kind)
        assert kind.reward > kind.fee >= kind.authority
        assert kind.loses >= kind.reward + kind.fee  # nobody gains by reporting itself


def test_every_error_is_provoked():
    """The rows have every error of the contract that is not provoked in a test above."""
    rows = {error[0] for _, _, error in REFUSALS}
    elsewhere = {
        *("ExcludedAccount", "UnpledgeTooEarly", "AlreadyLate", "NothingOwed", "NoContribution"),
        *("NotLate", "AlreadyHalted", "NotStalled", "AccusationLate", "SameContent"),
        *("InvalidSignature", "WrongSigner", "ReportOverdue", "ReportStillOpen"),
        *("ReportUndecided", "AlreadySettled", "AlreadyClaimed", "TooManyJudges"),
    }
    assert set(abi.names(REPORTS, "error")) - rows - elsewhere == {"Error"}
