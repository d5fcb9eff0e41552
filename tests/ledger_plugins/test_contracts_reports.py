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
    TOKEN,
    Both,
    errors,
)
from support.evm import EvmBench

from fedledger.errors import ContractError
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.addresses import ZERO_ADDRESS
from fedledger.ledger_plugins.contracts import abi
from fedledger.ledger_plugins.contracts.reports.kinds import KINDS, kind_name
from fedledger.ledger_plugins.contracts.reports.statements import ONLY_ONE
from fedledger.ledger_plugins.contracts.reports.twin import AUTHORITY_ROLE, report_id
from fedledger.ledger_plugins.contracts.stake_token.twin import GOVERNOR_ROLE
from fedledger.ledger_plugins.signing import Domain

BAD = b"\2" + CID[1:]
AGGREGATE, UPDATE, UNQUALIFIED, TWICE = map(kind_name, KINDS)
TERMS = (20, 5, 50, 1000)  # least pledge, cost of lateness, patience, seconds of reports
WINDOW = 30
NONE = bytes(32)
KEYS = {Account.from_key(bytes(31) + bytes([n])).address: n for n in range(1, 6)}
A, B = b"list A".ljust(32, b"\0"), b"list B".ljust(32, b"\0")
ODD = report_id("update", BOB, 9, 9)


def of(kind, subject, number=1, task=1):
    return report_id(kind, subject, task, number)


def report(kind=AGGREGATE, subject=OWNER, task=1, number=1, evidence=CID):
    return "accuse", kind, subject, task, number, evidence


@pytest.fixture(scope="module")
def evm():
    return EvmBench()


def publish(both, number, contributors=(ANN, BOB), task=1):
    """Let two clients submit, and the owner publish when the window is over."""
    for who in contributors:
        both.run((who, "submitUpdate", task, number, CID, 1, 1, NONE, NONE))
    done = both.send(
        *(
            OWNER,
            TASKS,
            "publishAggregate",
            task,
            number,
            CID2,
            "mean",
            list(contributors),
            CID,
            [],
        ),
        later=WINDOW + 1,
    )
    assert len(done) == 2, done


def scene_of(evm):
    """Ann, Bob and Eve are members and owe updates, the owner publishes; round 1 ended."""
    evm.restart()
    both = Both(evm)
    both.run(
        (OWNER, "propose", "m", CID, 4, WINDOW, 0, CID),
        (OWNER, "setTerms", 1, *TERMS),
        (OWNER, "appointMembers", 1, [ANN, BOB, EVE]),
        *((ADMIN, "mint", who, 200) for who in (OWNER, ANN, BOB, EVE, ADMIN)),
        *((who, "transferAndCall", evm.addresses[BONDS], 190, b"") for who in (OWNER, ANN, BOB)),
        *((who, "transferAndCall", evm.addresses[BONDS], 190, b"") for who in (EVE, ADMIN)),
        (OWNER, "pledge", 1, 150, False),
        *((who, "pledge", 1, 40, True) for who in (ANN, BOB, EVE)),
    )
    publish(both, 1)
    return both


@pytest.fixture
def both(evm):
    both = scene_of(evm)
    yield both
    both.compare()


def free(both, *people):
    return [both.look("free", who) for who in people]


def settle(both, report, by=EVE):
    done = both.send(by, REPORTS, "settle", report)
    assert len(done) == 2, done
    return done[1]


def names(events):
    return [name for _, name, _ in events]


def state(both, report):
    return both.look("getReport", report)


def votes(both, report):
    return both.look("getVotes", report)


# What follows from verdicts ------------------------------------------------------------------


def test_a_dishonest_aggregator_is_convicted_and_the_task_halts(both):
    """Two of three members decide; settling pays, excludes and halts; the honest have it back."""
    guilty = of("aggregate", OWNER)
    treasury = both.evm.addresses[BONDS]
    both.run((ANN, *report()), (OWNER, "answer", guilty, CID2), (ANN, "decide", guilty, True))
    assert state(both, guilty)[0] == 1
    both.run((BOB, "decide", guilty, True))
    assert state(both, guilty)[0] == 2
    assert both.look("getRoles", 1)[1] == OWNER  # effects are pulled
    before = free(both, ANN, BOB, EVE, OWNER)
    assert names(settle(both, guilty)) == [
        *("ReportSettled", "Slashed", "Released", "TaskHalted", "AggregatorAppointed"),
    ]
    assert both.look("getRoles", 1)[1] == both.evm.addresses[REPORTS]
    assert both.look("haltedBy", 1) == guilty
    assert both.look("excluded", 1, OWNER)
    assert free(both, ANN, BOB, EVE, OWNER) == [before[0] + 5 + 10, *before[1:]]
    assert free(both, treasury) == [100 - 10 - 3 * 5]
    both.run(*((who, "claim", guilty) for who in (ANN, BOB, EVE)))
    assert free(both, BOB, EVE) == [before[1] + 5, before[2] + 5]
    assert both.send(EVE, REPORTS, "claim", guilty) == errors(REPORTS, "AlreadyClaimed", EVE)
    assert both.send(OWNER, REPORTS, "claim", guilty) == errors(REPORTS, "NotEntitled", OWNER)
    assert both.look("getPledge", 1, OWNER)[0] == 50
    both.run(*((who, "unpledge", 1) for who in (ANN, BOB, EVE)))
    assert free(both, BOB) == [before[1] + 5 + 40]
    assert both.send(OWNER, REPORTS, "pledge", 1, 9, False) == errors(
        REPORTS, "ExcludedAccount", OWNER
    )
    both.run((OWNER, "appointAggregator", 1, ANN))
    assert both.look("getRoles", 1)[1] == ANN


def test_a_false_accusation_costs_its_fee(both):
    """Acquitted by the majority, the subject gets the fee; nothing halts, and nobody claims."""
    about = of("aggregate", OWNER)
    before = free(both, ANN, OWNER)
    both.run((ANN, *report()), *((who, "decide", about, False) for who in (BOB, EVE)))
    assert state(both, about)[0] == 3
    settle(both, about)
    assert free(both, ANN, OWNER) == [before[0] - 5, before[1] + 5]
    assert both.look("getRoles", 1)[1] == OWNER
    refused = both.send(BOB, REPORTS, "claim", about)
    assert refused == errors(REPORTS, "NothingToClaim", about)
    both.run((OWNER, "unpledge", 1))  # nothing is open


def test_a_report_that_nobody_decides_expires(both):
    """A tie is no majority; the fee comes back, nothing else happens, and it can be made again."""
    about = of("update", EVE)
    before = free(both, OWNER)
    both.run((OWNER, *report(UPDATE, EVE)), (ANN, "decide", about, True))
    assert votes(both, about)[2:5] == (2, 1, 0)  # the accused, a member, does not count
    both.run((BOB, "decide", about, False))
    assert both.send(EVE, REPORTS, "unpledge", 1) == errors(REPORTS, "ReportsOpen", EVE, 1)
    deadline = state(both, about)[7]
    early = both.send(EVE, REPORTS, "expire", about)
    assert early == errors(REPORTS, "ReportStillOpen", deadline, both.evm.now)
    late = both.send(BOB, REPORTS, "decide", about, True, later=1001)
    assert late == errors(REPORTS, "ReportOverdue", deadline, both.evm.now)
    both.run((EVE, "expire", about))
    assert free(both, OWNER) == before
    assert both.look("getPledge", 1, EVE) == (40, 2, 0, 0)
    both.run((OWNER, *report(UPDATE, EVE)), *((who, "decide", about, True) for who in (ANN, BOB)))
    assert votes(both, about)[0] == 2  # the second attempt, in which both vote anew
    settle(both, about)
    assert both.look("getPledge", 1, EVE)[0] == 0
    assert both.look("excluded", 1, EVE)
    assert both.look("getRoles", 1)[1] == OWNER  # no kind that halts


def test_an_authority_is_paid_the_same_either_way(both):
    """Its verdict decides at once; the fee pays it, whoever is right."""
    about = [of("unqualified", who) for who in (BOB, EVE)]
    before = free(both, ADMIN, ANN, BOB, EVE, OWNER)
    both.run(
        (ADMIN, "grantRole", AUTHORITY_ROLE, ADMIN),
        (ANN, *report(UNQUALIFIED, BOB)),
        (OWNER, *report(UNQUALIFIED, EVE)),
        (ADMIN, "decide", about[0], True),
        (ADMIN, "decide", about[1], False),
    )
    for one in about:
        settle(both, one)
    assert free(both, ADMIN, ANN, BOB, EVE, OWNER) == [
        before[0] + 4 + 4,
        before[1] - 4 + 16,
        before[2],
        before[3] + 4,
        before[4] - 8,
    ]
    assert both.look("getPledge", 1, BOB)[0] == 0  # 50 are more than the 40 pledged


def test_an_authority_judges_no_case_of_its_own(both):
    """Neither what it reported itself nor itself; members have no say."""
    about, other = of("unqualified", BOB), of("unqualified", ANN)
    both.run(
        *((ADMIN, "grantRole", AUTHORITY_ROLE, who) for who in (ADMIN, ANN)),
        (ADMIN, *report(UNQUALIFIED, BOB)),
        (ADMIN, *report(UNQUALIFIED, ANN)),
    )
    for who, one in ((ADMIN, about), (EVE, about), (ANN, other)):
        refused = both.send(who, REPORTS, "decide", one, True)
        assert refused == errors(REPORTS, "NotEntitled", who)
    both.run((ANN, "decide", about, True))


def signed(both, who, purpose, content, *, task=1, number=1):
    domain = Domain(both.evm.chain_id, both.evm.addresses[TASKS], task, number)
    digest = ONLY_ONE.digest(domain, {"purpose": purpose, "content": content})
    return Account.from_key(bytes(31) + bytes([KEYS[who]])).sign_digest(digest)


def proof(both, who=OWNER, contents=(A, B), number=1, **changed):
    first, second = (signed(both, who, NONE, one, number=number) for one in contents)
    call = {
        "subject": who,
        "task": 1,
        "round": number,
        "purpose": NONE,
        "first": contents[0],
        "one": first,
        "second": contents[1],
        "two": second,
    }
    return "proveEquivocation", *(call | changed).values()


def test_who_signs_two_lists_is_guilty_at_once(both):
    """The contract recovers both signers by itself; also of the open round."""
    about = of("equivocation", OWNER, 2)
    before = free(both, EVE)
    events = both.run((EVE, *proof(both, number=2)))
    assert names(events) == ["Accused", "EquivocationProved", "ReportDecided"]
    assert names(settle(both, about, BOB))[:2] == ["ReportSettled", "Slashed"]
    assert free(both, EVE) == [before[0] + 10]
    assert both.look("getRoles", 1)[1] == both.evm.addresses[REPORTS]
    both.run((ANN, *proof(both, BOB)))
    settle(both, of("equivocation", BOB))
    assert both.look("getPledge", 1, BOB)[0] == 0


def test_a_pledge_comes_back_after_a_delay_or_the_end(both):
    """Announced, a pledge stays for as long as reports; at the end of a task as well."""
    [(_, name, said)] = both.run((ANN, "unpledge", 1))
    assert (name, said["leavesAt"]) == ("PledgeLeaving", both.evm.now + 1000)
    early = both.send(ANN, REPORTS, "unpledge", 1, later=999)
    assert early == errors(REPORTS, "UnpledgeTooEarly", said["leavesAt"], both.evm.now)
    both.run((ANN, "unpledge", 1))
    assert both.look("getPledge", 1, ANN) == (0, 0, 0, 0)
    both.run((ANN, "pledge", 1, 20, True), (ANN, "unpledge", 1), (ANN, "pledge", 1, 1, False))
    assert both.look("getPledge", 1, ANN) == (21, 3, 0, 0)  # what it owes, it owes
    publish(both, 2, ())
    publish(both, 3)
    publish(both, 4)
    ended = both.evm.now
    early = both.send(BOB, REPORTS, "unpledge", 1)
    assert early == errors(REPORTS, "UnpledgeTooEarly", ended + 1000, both.evm.now)
    late = both.send(ANN, REPORTS, *report(), later=1001)
    assert late == errors(REPORTS, "AccusationLate", ended + 1000, both.evm.now)
    both.run((BOB, "unpledge", 1))


def test_late_accounts_lose_what_the_terms_say(both):
    """Only in rounds that opened after their pledge, were published, and got nothing from them."""
    publish(both, 2)
    publish(both, 3)
    treasury = both.evm.addresses[BONDS]
    mark = (ADMIN, REPORTS, "markLate", 1)
    owed = errors(REPORTS, "NothingOwed", EVE, 1, 2)
    assert both.look("getPledge", 1, EVE)[1] == 2
    assert both.send(*mark, 1, EVE, ANN) == owed
    both.run((mark[0], "markLate", 1, 2, EVE, ANN), (mark[0], "markLate", 1, 3, EVE, BOB))
    assert both.look("getPledge", 1, EVE)[0] == 30
    assert free(both, treasury) == [10]
    assert both.send(*mark, 2, EVE, ANN) == errors(REPORTS, "AlreadyLate", 2, EVE)
    assert both.send(*mark, 2, ANN, BOB) == errors(REPORTS, "NotLate", ANN, 2)
    assert both.send(*mark, 2, OWNER, BOB) == errors(REPORTS, "NothingOwed", OWNER, 2, 0)
    assert both.send(*mark, 4, EVE, ANN) == errors(REPORTS, "NoContribution", ANN, 4)


def test_a_round_that_was_rolled_back_makes_nobody_late(both):
    """It has no contributors, so nobody can name one."""
    both.run(
        (OWNER, "recordCheckpoint", 1, 1, 1),
        (ANN, "submitUpdate", 1, 2, CID, 1, 1, NONE, NONE),
    )
    publish(both, 2, (BOB,))
    both.run(
        (ANN, "submitUpdate", 1, 3, CID, 1, 1, NONE, NONE), (OWNER, "recordCheckpoint", 1, 2, 1)
    )
    both.run((OWNER, "propose", "n", CID, 4, WINDOW, 0, CID))
    refused = both.send(ADMIN, REPORTS, "markLate", 1, 3, EVE, ANN)
    assert refused == errors(REPORTS, "NoContribution", ANN, 3)


def test_an_aggregator_that_does_not_publish_is_halted(both):
    """Noted once, it has the patience of the terms; then the task halts, and goes on by another."""
    opened = both.evm.now
    early = both.send(ANN, REPORTS, "markStalled", 1)
    assert early == errors(REPORTS, "NotStalled", opened + WINDOW, both.evm.now)
    done = both.send(ANN, REPORTS, "markStalled", 1, later=WINDOW)
    noted = both.evm.now
    assert done[1][0][2]["haltsFrom"] == noted + 51
    early = both.send(BOB, REPORTS, "markStalled", 1, later=50)
    assert early == errors(REPORTS, "NotStalled", noted + 50, noted + 50)
    both.run((BOB, "markStalled", 1))
    assert both.look("getRoles", 1)[1] == both.evm.addresses[REPORTS]
    assert both.look("haltedBy", 1) == NONE
    halted = both.send(BOB, REPORTS, "markStalled", 1)
    assert halted == errors(REPORTS, "AlreadyHalted", 1)
    both.run((OWNER, "appointAggregator", 1, BOB), (ANN, "markStalled", 1))  # noted anew
    assert both.look("getRoles", 1)[1] == BOB
    [(_, name, _)] = both.run((ANN, "unpledge", 1))
    assert name == "PledgeLeaving"  # a stall lets nobody go at once


# Hostile people ------------------------------------------------------------------------------


def test_who_is_appointed_for_a_report_has_no_say_in_it(both):
    """Later members neither judge nor claim, nor do those who were members before and came back."""
    about = of("aggregate", OWNER)
    both.run((ANN, *report()), (OWNER, "appointMembers", 1, [ADMIN]))
    refused = both.send(ADMIN, REPORTS, "decide", about, False)
    assert refused == errors(REPORTS, "NotEntitled", ADMIN)
    for function in ("revokeMembers", "appointMembers"):
        both.run((OWNER, function, 1, [BOB, EVE]))
    for who in (BOB, EVE):
        refused = both.send(who, REPORTS, "decide", about, False)
        assert refused == errors(REPORTS, "NotEntitled", who)
    both.run((ANN, "decide", about, True))
    assert state(both, about)[0] == 1  # one of three: revoking blocks, and forges nothing
    assert both.look("judged", about, ANN) is True
    assert len(both.send(ANN, REPORTS, "expire", about, later=1001)) == 2


def test_a_subject_cannot_leave_before_the_verdict(both):
    """Announced long before, a pledge stays while a report is open, and pays."""
    about = of("aggregate", OWNER)
    both.run((OWNER, "unpledge", 1))
    assert len(both.send(ANN, REPORTS, *report(), later=1001)) == 2
    assert both.send(OWNER, REPORTS, "unpledge", 1) == errors(REPORTS, "ReportsOpen", OWNER, 1)
    both.run(*((who, "decide", about, True) for who in (BOB, EVE)))
    assert both.send(OWNER, REPORTS, "unpledge", 1) == errors(REPORTS, "ReportsOpen", OWNER, 1)
    settle(both, about)
    assert both.look("getPledge", 1, OWNER)[0] == 50


def test_two_reports_take_no_more_than_there_is(both):
    """The second one gets what the first left; rewards come before compensations."""
    both.run((ANN, *report()), (BOB, *report(UPDATE)), (ADMIN, *report(UPDATE, number=2)))
    every = (of("aggregate", OWNER), of("update", OWNER), of("update", OWNER, 2))
    for about in every:
        both.run(*((who, "decide", about, True) for who in (ANN, BOB)))
        settle(both, about)
    lost = [votes(both, about)[5] for about in every]
    assert lost == [5, 2, 0]
    assert both.look("getPledge", 1, OWNER) == (0, 0, 0, 0)
    for about in every[:2]:
        both.run(*((who, "claim", about) for who in (ANN, BOB, EVE)))
    assert both.send(ANN, REPORTS, "claim", every[2]) == errors(REPORTS, "NothingToClaim", every[2])
    assert both.look("locked", OWNER, both.evm.addresses[REPORTS], (1).to_bytes(32, "big")) == 0


def test_a_replaced_aggregator_halts_nobody_elses_task(both):
    """The verdict punishes and excludes it; the new one goes on."""
    about = of("aggregate", OWNER)
    both.run((ANN, *report()), (OWNER, "appointAggregator", 1, BOB))
    both.run(*((who, "decide", about, True) for who in (ANN, EVE)))
    settle(both, about)
    assert both.look("getRoles", 1)[1] == BOB
    assert both.look("excluded", 1, OWNER)
    assert both.look("haltedBy", 1) == NONE


def test_without_its_role_a_verdict_waits(both):
    """Where the token's admin took the role, settling is refused and can be repeated."""
    about = of("aggregate", OWNER)
    reports = both.evm.addresses[REPORTS]
    both.run((ANN, *report()), *((who, "decide", about, True) for who in (ANN, EVE)))
    both.run((ADMIN, "revokeRole", GOVERNOR_ROLE, reports))
    refused = both.send(EVE, REPORTS, "settle", about)
    assert refused == errors(TASKS, "NotOwner", reports)
    both.run((ADMIN, "grantRole", GOVERNOR_ROLE, reports))
    settle(both, about)


def test_many_members_decide_and_claim(both):
    """With 256 members the majority is 129 of 256; what each claims is what is there."""
    about = of("aggregate", OWNER, task=2)
    crowd = [Account.from_key(bytes(30) + n.to_bytes(2, "big")).address for n in range(256, 512)]
    both.run(
        (OWNER, "propose", "n", CID, 1, 0, 0, CID),
        (OWNER, "appointMembers", 2, crowd),
        (OWNER, "publishAggregate", 2, 1, CID2, "mean", [], CID, []),
        (ANN, *report(task=2)),
    )
    assert votes(both, about)[2] == 256
    assert state(both, about)[7] == both.evm.now + 604_800


def test_there_are_so_many_judges_and_no_more(evm):
    """The twin says the same as the contract on forge, where a task has that many members."""
    twins = scene_of(evm).twins
    aggregator = twins.states[TASKS]["roles", 1][0]
    for members in (65_536, 65_535):
        twins.states[TASKS]["roles", 1] = (aggregator, members, 0)
        call = (ANN, REPORTS, *report())
        if members == 65_535:
            twins.ask(*call)
            continue
        with pytest.raises(ContractError, match="TooManyJudges"):
            twins.ask(*call)


def test_a_contract_is_a_party_only_where_it_has_a_part(both):
    """Reports itself never is, not even as the aggregator of a halted task."""
    about = of("aggregate", OWNER)
    both.run((ANN, *report()), *((who, "decide", about, True) for who in (ANN, EVE)))
    settle(both, about)
    for name in (REPORTS, TASKS, BONDS, TOKEN):
        where = both.evm.addresses[name]
        refused = both.send(ANN, REPORTS, *report(subject=where))
        assert refused == errors(REPORTS, "NotParty", where)
    both.run((OWNER, "recordCheckpoint", 1, 1, 1))  # a halted task is still rolled back
    refused = both.send(OWNER, TASKS, "rollback", 1, 2, 1)
    assert refused == errors(TASKS, "ModelUnchanged", 1)


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
