"""Reports: the compiled contract and its twin are the same: what follows from verdicts."""

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
    compared,
    errors,
)
from support.report_scene import (
    NONE,
    UNQUALIFIED,
    UPDATE,
    WINDOW,
    free,
    names,
    of,
    proof,
    publish,
    report,
    scene_of,
    settle,
    state,
    votes,
)

from fedledger.errors import ContractError
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.contracts.reports.twin import AUTHORITY_ROLE
from fedledger.ledger_plugins.contracts.stake_token.twin import GOVERNOR_ROLE

both = compared(scene_of)


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
