"""Hostile play on several contracts at once, on the compiled contracts and their twins alike."""

import pytest
from support.both_contracts import (
    ANN,
    BOB,
    CID,
    CID2,
    EVE,
    MEMBERSHIP,
    OWNER,
    REPORTS,
    TASKS,
    compared,
    errors,
)
from support.report_scene import NONE, UPDATE, WINDOW, of, publish, report, scene_of, settle

from fedledger.ledger_plugins.addresses import ZERO_ADDRESS

both = compared(scene_of)


def halt(both, number):
    """Let two members convict who published a round, and the verdict halt the task."""
    about = of("aggregate", OWNER, number)
    both.run((ANN, *report(number=number)), *((who, "decide", about, True) for who in (ANN, EVE)))
    settle(both, about)
    return about


def test_an_owner_that_halts_its_task_again_sets_no_pledge_free(both):
    """Only a verdict does: who published since, and has Reports appointed, waits for its pledge.

    Otherwise an owner whose task was halted once could publish what it likes, appoint Reports, and
    be gone with its pledge before anybody can accuse it.
    """
    about = halt(both, 1)
    both.run((OWNER, "appointAggregator", 1, BOB), (OWNER, "appointAggregator", 1, OWNER))
    publish(both, 2)
    both.run((OWNER, "appointAggregator", 1, both.evm.addresses[REPORTS]))
    assert both.look("haltedBy", 1) == about
    for who in (OWNER, BOB):
        [(_, name, _)] = both.run((who, "unpledge", 1))
        assert name == "PledgeLeaving"
    both.run((ANN, *report(number=2)))
    assert both.send(OWNER, REPORTS, "unpledge", 1, later=1001) == errors(
        REPORTS, "ReportsOpen", OWNER, 1
    )


def test_a_verdict_that_halts_after_more_rounds_sets_honest_pledges_free(both):
    """The rounds that the accused published while it was judged make no difference."""
    about = of("aggregate", OWNER)
    both.run((ANN, *report()))
    publish(both, 2)
    both.run(*((who, "decide", about, True) for who in (ANN, EVE)))
    settle(both, about)
    [(_, name, _), _] = both.run((BOB, "unpledge", 1))
    assert name == "Unpledged"


@pytest.mark.parametrize("by_members", [False, True], ids=["owner", "members"])
def test_a_halted_task_is_rolled_back_and_goes_on(both, by_members):
    """By its owner or its members; what was submitted is void, and pledges are bound again."""
    bad = of("aggregate", OWNER, 1, task=2)
    both.run(
        (OWNER, "propose", "n", CID, 3, WINDOW, 0, CID),
        (OWNER, "appointMembers", 2, [ANN, BOB, EVE]),
        (OWNER, "recordCheckpoint", 2, 0, 900_000),
        (ANN, "pledge", 2, 40, True),
        (EVE, "pledge", 2, 40, True),
    )
    publish(both, 1, task=2)
    both.run((EVE, *report(task=2)), *((who, "decide", bad, True) for who in (BOB, EVE)))
    settle(both, bad)
    both.run((EVE, "unpledge", 2), (ANN, "submitUpdate", 2, 2, CID2, 1, 1, NONE, NONE))
    if by_members:
        events = both.run((ANN, "voteRollback", 2, 2, 0), (EVE, "voteRollback", 2, 2, 0))
    else:
        events = both.run((OWNER, "rollback", 2, 2, 0))
    assert events[-1][1] == "RolledBack"
    whole = both.look("getTask", 2)
    assert (whole[4], CID in whole, CID2 in whole) == (2, True, False)
    for sender in (OWNER, BOB):  # halted as before: nobody publishes
        late = (sender, TASKS, "publishAggregate", 2, 3, CID2, "mean", [], CID, [])
        assert both.send(*late, later=WINDOW + 1) == errors(TASKS, "NotAggregator", sender)
    again = both.send(ANN, TASKS, "submitUpdate", 2, 2, CID2, 1, 1, NONE, NONE)
    assert again == errors(TASKS, "WrongRound", 3, 2)
    [(_, name, _)] = both.run((ANN, "unpledge", 2))
    assert name == "PledgeLeaving"
    events = both.run(*((who, "elect", 2, BOB) for who in (ANN, EVE)))
    assert events[-1][1] == "AggregatorAppointed"
    done = both.send(BOB, TASKS, "publishAggregate", 2, 3, CID2, "mean", [], CID, [], later=31)
    assert len(done) == 2


def test_who_is_excluded_can_be_elected_and_pledges_nothing(both):
    """The contract says who was excluded; whether its rounds count is for the audit."""
    halt(both, 1)
    both.run((ANN, "elect", 1, OWNER), (BOB, "elect", 1, OWNER))
    assert both.look("getRoles", 1)[1] == OWNER
    assert both.send(OWNER, REPORTS, "pledge", 1, 1, False) == errors(
        REPORTS, "ExcludedAccount", OWNER
    )


# Pledges ---------------------------------------------------------------------------------------


def test_pledging_more_does_not_let_a_subject_go(both):
    """The report on it stays open, as does its second one when the first is acquitted."""
    both.run((ANN, *report(UPDATE, BOB)), (BOB, "pledge", 1, 1, True))
    assert both.look("getPledge", 1, BOB) == (41, 2, 0, 1)
    both.run((ANN, *report(UPDATE, BOB, number=2)))
    about = of("update", BOB)
    both.run(*((who, "decide", about, False) for who in (ANN, EVE)))
    settle(both, about)
    assert both.send(BOB, REPORTS, "unpledge", 1) == errors(REPORTS, "ReportsOpen", BOB, 1)


def test_who_lost_its_whole_pledge_owes_no_updates_for_a_new_one(both):
    """What was owed went with the pledge; a new one owes what it says."""
    both.run(
        (OWNER, "propose", "n", CID, 4, WINDOW, 0, CID),
        (OWNER, "setTerms", 2, 20, 20, 0, 1000),
        (BOB, "pledge", 2, 20, True),
    )
    for number in (1, 2):
        publish(both, number, contributors=(ANN,), task=2)
    both.run((EVE, "markLate", 2, 2, BOB, ANN))
    assert both.look("getPledge", 2, BOB)[0] == 0
    both.run((BOB, "pledge", 2, 20, False))
    publish(both, 3, contributors=(ANN,), task=2)
    late = both.send(EVE, REPORTS, "markLate", 2, 3, BOB, ANN)
    assert late == errors(REPORTS, "NothingOwed", BOB, 3, 0)


# Calls of one second ---------------------------------------------------------------------------


def test_members_of_the_accusations_own_second_do_not_judge(both):
    """An owner that sees the accusation coming appoints nobody in the block that has it."""
    about = of("aggregate", OWNER)
    both.run((OWNER, "revokeMembers", 1, [EVE]))
    both.run_at_once((OWNER, "appointMembers", 1, [EVE]), (ANN, *report()))
    assert both.look("getVotes", about)[2] == 3  # it makes the majority larger
    refused = both.send(EVE, REPORTS, "decide", about, False)
    assert refused == errors(REPORTS, "NotEntitled", EVE)
    assert len(both.send(ANN, REPORTS, "decide", about, True)) == 2


def test_a_vote_in_the_second_of_an_appointment_counts_once(both):
    """It is that member's vote, and stands with the others'."""
    halt(both, 1)
    vote = ("elect", 1, BOB)
    both.run_at_once((OWNER, "appointMembers", 1, [OWNER]), (OWNER, *vote))
    again = both.send(OWNER, MEMBERSHIP, *vote)
    assert again == errors(MEMBERSHIP, "AlreadyInFavour", OWNER)
    both.run((ANN, *vote))
    events = both.run((EVE, *vote))
    assert (events[0][2]["votes"], events[-1][1]) == (3, "AggregatorAppointed")


def test_who_is_removed_is_promised_no_place(both):
    """What it accepted before goes with it, so it is asked for anew once it is admitted again."""
    both.run(
        (OWNER, "propose", "n", CID, 3, 0, 0, CID),
        (OWNER, "openMembership", 2, False),
        (ANN, "acceptPlace", 2, BOB),
        (OWNER, "remove", 2, ANN),
    )
    assert both.look("acceptedBy", 2, ANN) == ZERO_ADDRESS
