"""Membership: the compiled contract and its twin are the same, and nobody decides for others."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from support.both_contracts import (
    ADMIN,
    ANN,
    BOB,
    CID,
    EVE,
    MANY,
    MEMBERSHIP,
    OWNER,
    TASKS,
    Both,
    compared,
    contract_of,
    errors,
)
from support.evm import EvmBench
from support.examples import run_calls

from fedledger.ledger_plugins.addresses import ZERO_ADDRESS, address_from_bytes
from fedledger.ledger_plugins.contracts import abi
from fedledger.ledger_plugins.contracts.membership.twin import (
    ADMITTED,
    ASKED,
    LEFT,
    MAX_VOTES,
    REMOVED,
)

NEWCOMER = ADMIN
"""An account with another life as the token's administrator: here it wants to train."""


MANY_MORE = range(256)


def scene_of(evm):
    """Task 1 goes by its owner, task 2 by its members Ann, Bob and Eve; task 3 is fixed."""
    evm.restart()
    both = Both(evm)
    both.run(
        *((OWNER, "propose", "m", CID, 3, 0, 0, CID) for _ in range(3)),
        *((OWNER, "appointMembers", task, [ANN, BOB, EVE]) for task in (1, 2)),
        (OWNER, "openMembership", 1, False),
        (OWNER, "openMembership", 2, True),
    )
    return both


both = compared(scene_of)


def refused(both, sender, function, *args):
    """Send a call and return the refusal, without its values' names."""
    done = both.send(sender, contract_of(function), function, *args)
    assert len(done) == 3, done
    return done


def names(events):
    return [name for _, name, _ in events]


def publish(both, task, number):
    both.run((OWNER, "publishAggregate", task, number, CID, "kept", [], CID, []))


def test_an_account_is_admitted_once_it_asked(both):
    """The owner decides, and everything is said with who it is about."""
    asked, admitted = both.run((NEWCOMER, "join", 1), (OWNER, "admit", 1, NEWCOMER))
    assert asked[1:] == ("JoinAsked", {"task": 1, "account": NEWCOMER})
    assert admitted[1:] == ("ClientAdmitted", {"task": 1, "account": NEWCOMER, "votes": 0})
    assert both.look("standingOf", 1, NEWCOMER) == ADMITTED
    assert both.look("standingOf", 2, NEWCOMER) == 0, "another task knows nothing of it"
    for again, error in (("join", "AlreadyAdmitted"), ("leaveTask", None), ("join", None)):
        done = both.send(NEWCOMER, MEMBERSHIP, again, 1)
        assert done == errors(MEMBERSHIP, error, NEWCOMER) if error else len(done) == 2
    assert both.look("standingOf", 1, NEWCOMER) == ASKED
    twice = both.send(NEWCOMER, MEMBERSHIP, "join", 1)
    assert twice == errors(MEMBERSHIP, "AlreadyAsked", NEWCOMER)


def test_more_than_half_of_the_members_decide(both):
    """The vote that makes two of three does it; the third comes too late."""
    both.run((NEWCOMER, "join", 2))
    [(_, name, said)] = both.run((ANN, "voteAdmit", 2, NEWCOMER))
    expected = {"change": 1, "account": NEWCOMER, "by": ZERO_ADDRESS, "votes": 1, "members": 3}
    assert (name, said) == ("ChangeVoted", {"task": 2, "member": ANN, **expected})
    twice = both.send(ANN, MEMBERSHIP, "voteAdmit", 2, NEWCOMER)
    assert twice == errors(MEMBERSHIP, "AlreadyInFavour", ANN)
    voted, admitted = both.run((BOB, "voteAdmit", 2, NEWCOMER))
    assert (voted[2]["votes"], admitted[1:]) == (
        2,
        ("ClientAdmitted", {"task": 2, "account": NEWCOMER, "votes": 2}),
    )
    late = both.send(EVE, MEMBERSHIP, "voteAdmit", 2, NEWCOMER)
    assert late == errors(MEMBERSHIP, "NotAsked", NEWCOMER)


def test_a_decision_uses_its_votes_up(both):
    """Whoever left and asks again needs all the votes again, in the same round too."""
    call = ("voteAdmit", 2, NEWCOMER)
    both.run((NEWCOMER, "join", 2), (ANN, *call), (BOB, *call))
    both.run((NEWCOMER, "leaveTask", 2), (NEWCOMER, "join", 2))
    assert names(both.run((ANN, *call))) == ["ChangeVoted"]
    assert names(both.run((EVE, *call))) == ["ChangeVoted", "ClientAdmitted"]


def test_votes_are_void_when_the_round_ends(both):
    """What was voted in one round decides nothing in the next."""
    both.run((NEWCOMER, "join", 2), (ANN, "voteAdmit", 2, NEWCOMER))
    publish(both, 2, 1)
    [(_, _, said)] = both.run((BOB, "voteAdmit", 2, NEWCOMER))
    assert said["votes"] == 1


@pytest.mark.parametrize("back", [False, True])
def test_the_vote_of_a_revoked_member_counts_no_more(both, back):
    """Also when it is appointed again; its new vote counts then."""
    call = ("voteAdmit", 2, NEWCOMER)
    both.run((NEWCOMER, "join", 2), (ANN, *call), (OWNER, "revokeMembers", 2, [ANN]))
    assert both.send(ANN, MEMBERSHIP, *call) == errors(MEMBERSHIP, "NotVoter", ANN)
    if back:
        both.run((OWNER, "appointMembers", 2, [ANN]))
    [(_, _, said)] = both.run((BOB, *call))
    assert said["votes"] == 1
    assert names(both.run((ANN if back else EVE, *call)))[1:] == ["ClientAdmitted"]


def test_who_comes_late_to_the_members_makes_a_majority_harder(both):
    """Votes stand while others become members, and more than half of all is needed."""
    call = ("voteRemove", 2, NEWCOMER)
    both.run((ANN, *call), (OWNER, "appointMembers", 2, [OWNER]))
    assert names(both.run((BOB, *call))) == ["ChangeVoted"]  # two of four
    assert names(both.run((OWNER, *call))) == ["ChangeVoted", "ClientRemoved"]


def test_an_account_hands_its_place_over(both):
    """The one agrees, the other signs: a planned rotation asks nobody else."""
    accepted, replaced = both.run((BOB, "acceptPlace", 2, ANN), (ANN, "replace", 2, ANN, BOB))
    assert accepted[1:] == ("PlaceAccepted", {"task": 2, "account": ANN, "by": BOB})
    assert replaced[1:] == ("ClientReplaced", {"task": 2, "account": ANN, "by": BOB, "votes": 0})
    assert [both.look("standingOf", 2, who) for who in (ANN, BOB)] == [LEFT, ADMITTED]
    assert both.look("acceptedBy", 2, BOB) == ZERO_ADDRESS


def test_a_lost_key_is_replaced_by_who_decides(both):
    """The owner does it in one task, more than half of the members in the other."""
    both.run(*((EVE, "acceptPlace", task, ANN) for task in (1, 2)))
    both.run((OWNER, "replace", 1, ANN, EVE))
    assert both.look("standingOf", 1, ANN) == REMOVED
    by_owner = both.send(OWNER, MEMBERSHIP, "replace", 2, ANN, EVE)
    assert by_owner == errors(MEMBERSHIP, "MembersDecide", 2)
    call = ("voteReplace", 2, ANN, EVE)
    assert names(both.run((BOB, *call), (EVE, *call))) == [
        *("ChangeVoted", "ChangeVoted"),
        "ClientReplaced",
    ]


def test_nobody_is_put_into_a_place_that_it_did_not_accept(both):
    """An agreement is about one place, the last one counts, and leaving takes it back."""
    expected = errors(MEMBERSHIP, "PlaceNotAccepted", ANN, BOB)
    assert both.send(ANN, MEMBERSHIP, "replace", 1, ANN, BOB) == expected
    both.run((BOB, "acceptPlace", 1, ANN), (BOB, "acceptPlace", 1, EVE))
    assert both.send(ANN, MEMBERSHIP, "replace", 1, ANN, BOB) == expected
    both.run((BOB, "acceptPlace", 1, ANN), (BOB, "leaveTask", 1))
    assert both.send(ANN, MEMBERSHIP, "replace", 1, ANN, BOB) == expected
    nobody = both.send(OWNER, MEMBERSHIP, "replace", 1, ZERO_ADDRESS, EVE)
    assert nobody == errors(MEMBERSHIP, "PlaceNotAccepted", ZERO_ADDRESS, EVE)
    for place in (ZERO_ADDRESS, EVE):
        own = both.send(EVE, MEMBERSHIP, "acceptPlace", 1, place)
        assert own == errors(MEMBERSHIP, "NoPlace", place)


def test_a_removed_account_comes_back_only_through_the_door(both):
    """A friend cannot hand it a place, whatever it asks and takes back; admitted it is a client."""
    both.run((OWNER, "remove", 1, BOB))
    gone = both.send(BOB, MEMBERSHIP, "replace", 1, BOB, EVE)
    assert gone == errors(MEMBERSHIP, "AlreadyGone", BOB)
    for washing in ((), ("join",), ("leaveTask",), ("join",)):
        both.run(*((BOB, call, 1) for call in washing), (BOB, "acceptPlace", 1, ANN))
        for sender in (ANN, OWNER):
            done = both.send(sender, MEMBERSHIP, "replace", 1, ANN, BOB)
            assert done == errors(MEMBERSHIP, "RemovedBefore", BOB)
    both.run((OWNER, "admit", 1, BOB))
    done = both.send(ANN, MEMBERSHIP, "replace", 1, ANN, BOB)
    assert done == errors(MEMBERSHIP, "AlreadyAdmitted", BOB)


def test_a_halted_task_gets_the_aggregator_that_members_elect(both):
    """While an account aggregates nobody is elected; one election ends the halt by a report."""
    halted = both.evm.addresses["Reports"]
    not_yet = both.send(ANN, MEMBERSHIP, "elect", 3, BOB)
    assert not_yet == errors(MEMBERSHIP, "NotHalted", 3)
    both.run((OWNER, "appointAggregator", 2, halted), (ANN, "elect", 2, BOB))
    events = both.run((BOB, "elect", 2, EVE), (EVE, "elect", 2, BOB))
    assert names(events)[-1] == "AggregatorAppointed"
    assert both.view(TASKS, "getRoles", 2)[1] == BOB
    assert both.send(ANN, MEMBERSHIP, "elect", 2, EVE) == errors(MEMBERSHIP, "NotHalted", 2)
    both.run((OWNER, "appointAggregator", 2, halted))
    both.run((ANN, "elect", 2, ZERO_ADDRESS))
    nobody = both.send(BOB, MEMBERSHIP, "elect", 2, ZERO_ADDRESS)
    assert nobody == errors(TASKS, "InvalidAggregator", ZERO_ADDRESS)


def test_members_record_a_checkpoint(both):
    """More than half of them, for one accuracy; then it is there, recorded by the contract."""
    publish(both, 1, 1)
    both.run((ANN, "voteCheckpoint", 1, 1, 900_000), (BOB, "voteCheckpoint", 1, 1, 800_000))
    [_, (contract, name, said)] = both.run((EVE, "voteCheckpoint", 1, 1, 900_000))
    assert (contract, name, said["by"], said["accuracy"]) == (
        TASKS,
        "CheckpointRecorded",
        both.evm.addresses[MEMBERSHIP],
        900_000,
    )
    again = both.send(ANN, MEMBERSHIP, "voteCheckpoint", 1, 1, 800_000)
    assert again == errors(TASKS, "CheckpointExists", 1, 1)


def test_a_change_has_at_most_so_many_votes(evm):
    """What 257 votes would have to decide is refused, not looped over (L9); forge agrees."""
    both = scene_of(evm)
    twins, now = both.twins, evm.now  # without ether, so by the twin alone
    for some in (
        MANY[:256],
        MANY[256:],
        [address_from_bytes(bytes([1, n] * 10)) for n in MANY_MORE],
    ):
        twins.send(OWNER, TASKS, "appointMembers", 2, some, now=now)
    for member in MANY[:256]:
        twins.send(member, MEMBERSHIP, "voteRemove", 2, ANN, now=now)
    full = both._said(lambda: twins.send(MANY[256], MEMBERSHIP, "voteRemove", 2, ANN, now=now))
    assert full[1] == errors(MEMBERSHIP, "TooManyInFavour", MAX_VOTES)


# Refusals ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scene():
    """Of tasks 1 and 2: Ann asked, Bob is in, Eve is out; one of task 2's rounds ended."""
    both = scene_of(EvmBench())
    both.run(
        *((who, "join", task) for who in (ANN, BOB, EVE) for task in (1, 2)),
        *((OWNER, call, 1, who) for call, who in (("admit", BOB), ("admit", EVE), ("remove", EVE))),
        *((who, "voteAdmit", 2, BOB) for who in (ANN, BOB)),
        *((who, "voteRemove", 2, EVE) for who in (ANN, BOB)),
        *((NEWCOMER, "acceptPlace", task, ANN) for task in (1, 2)),
    )
    publish(both, 3, 1)
    yield both
    both.compare()


FEW = 1_000_001
REFUSALS = [
    *(
        (OWNER, call, (TASKS, "UnknownTask", 9))
        for call in (
            ("openMembership", 9, True),
            ("join", 9),
            ("admit", 9, ANN),
            ("voteAdmit", 9, ANN),
            ("leaveTask", 9),
            ("remove", 9, ANN),
            ("voteRemove", 9, ANN),
            ("acceptPlace", 9, ANN),
            ("replace", 9, ANN, BOB),
            ("voteReplace", 9, ANN, BOB),
            ("elect", 9, ANN),
            ("voteCheckpoint", 9, 0, 0),
            ("ruleOf", 9),
            ("standingOf", 9, ANN),
            ("acceptedBy", 9, ANN),
        )
    ),
    *(
        (EVE, call, ("MembershipFixed", 3))
        for call in (
            ("join", 3),
            ("admit", 3, ANN),
            ("voteAdmit", 3, ANN),
            ("leaveTask", 3),
            ("remove", 3, ANN),
            ("voteRemove", 3, ANN),
            ("acceptPlace", 3, ANN),
            ("replace", 3, ANN, BOB),
            ("replace", 3, EVE, BOB),
            ("voteReplace", 3, ANN, BOB),
        )
    ),
    (EVE, ("openMembership", 3, True), ("OwnerOnly", EVE)),
    (OWNER, ("openMembership", 1, True), ("MembershipAlreadyOpen", 1)),
    (OWNER, ("openMembership", 3, True), ("FirstRoundEnded", 3, 1)),
    (ANN, ("join", 1), ("AlreadyAsked", ANN)),
    (BOB, ("join", 1), ("AlreadyAdmitted", BOB)),
    *((ANN, (call, 1, ANN), ("OwnerOnly", ANN)) for call in ("admit", "remove")),
    *((ANN, (call, 2, EVE), ("OwnerOnly", ANN)) for call in ("admit", "remove")),
    (ANN, ("replace", 1, BOB, EVE), ("OwnerOnly", ANN)),
    *((OWNER, (call, 2, EVE), ("MembersDecide", 2)) for call in ("admit", "remove")),
    (OWNER, ("replace", 2, EVE, BOB), ("MembersDecide", 2)),
    *((ANN, (call, 1, EVE), ("OwnerDecides", 1)) for call in ("voteAdmit", "voteRemove")),
    (ANN, ("voteReplace", 1, EVE, EVE), ("OwnerDecides", 1)),
    *((OWNER, ("admit", 1, who), ("NotAsked", who)) for who in (BOB, EVE, NEWCOMER)),
    *((NEWCOMER, ("voteAdmit", 2, who), ("NotAsked", who)) for who in (BOB, EVE, NEWCOMER)),
    (NEWCOMER, ("voteAdmit", 2, ANN), ("NotVoter", NEWCOMER)),
    (EVE, ("leaveTask", 1), ("AlreadyGone", EVE)),
    (OWNER, ("remove", 1, EVE), ("AlreadyGone", EVE)),
    (NEWCOMER, ("voteRemove", 2, EVE), ("AlreadyGone", EVE)),
    (NEWCOMER, ("voteRemove", 2, ANN), ("NotVoter", NEWCOMER)),
    (BOB, ("acceptPlace", 1, BOB), ("NoPlace", BOB)),
    (BOB, ("acceptPlace", 1, ZERO_ADDRESS), ("NoPlace", ZERO_ADDRESS)),
    (BOB, ("acceptPlace", 1, ANN), ("AlreadyAdmitted", BOB)),
    (EVE, ("replace", 1, EVE, BOB), ("AlreadyGone", EVE)),
    (OWNER, ("replace", 1, ANN, BOB), ("PlaceNotAccepted", ANN, BOB)),
    (NEWCOMER, ("voteReplace", 2, EVE, BOB), ("AlreadyGone", EVE)),
    (NEWCOMER, ("voteReplace", 2, ANN, BOB), ("PlaceNotAccepted", ANN, BOB)),
    (NEWCOMER, ("voteReplace", 2, ANN, NEWCOMER), ("NotVoter", NEWCOMER)),
    (NEWCOMER, ("elect", 1, ANN), ("NotHalted", 1)),
    (NEWCOMER, ("voteCheckpoint", 1, 1, FEW), ("NotNewestModel", 0, 1)),
    (NEWCOMER, ("voteCheckpoint", 1, 0, FEW), ("AccuracyTooHigh", FEW)),
    (NEWCOMER, ("voteCheckpoint", 1, 0, 0), ("NotVoter", NEWCOMER)),
]


@pytest.mark.parametrize(
    ("sender", "call", "error"),
    REFUSALS,
    ids=[f"{number}-{call[0]!s}-{error[-2]!s}" for number, (_, call, error) in enumerate(REFUSALS)],
)
def test_refused(scene, sender, call, error):
    """Each error comes in its order, with its values, from both (L2)."""
    expected = error if error[0] == TASKS else (MEMBERSHIP, *error)
    assert scene.ask(sender, *call) == errors(*expected)
    assert contract_of(call[0]) == MEMBERSHIP


def test_every_error_is_provoked():
    """Each error of the contract is in a row or in a test above."""
    rows = {error[0] for _, _, error in REFUSALS} - {TASKS}
    assert set(abi.names(MEMBERSHIP, "error")) - rows == {
        *("Error", "Panic"),  # nobody raises them
        *("AlreadyInFavour", "RemovedBefore", "TooManyInFavour"),
    }


# Random calls -----------------------------------------------------------------------------------

PEOPLE = [ADMIN, OWNER, ANN, BOB, EVE]
PERSON = st.sampled_from(PEOPLE)
TASK = st.sampled_from([1, 2, 2, 3])


class SameMembership(RuleBasedStateMachine):
    """Random calls by random people about each other; many are refused, alike."""

    evm: EvmBench

    @initialize()
    def begin(self):
        self.both = scene_of(self.evm)

    def send(self, sender, function, *args):
        return self.both.send(sender, contract_of(function), function, *args)

    @rule(sender=PERSON, task=TASK)
    def joins_and_is_admitted(self, sender, task):
        self.send(sender, "join", task)
        self.send(OWNER, "admit", task, sender)

    @rule(sender=PERSON, task=TASK, name=st.sampled_from(["join", "leaveTask"]))
    def comes_or_goes(self, sender, task, name):
        self.send(sender, name, task)

    @rule(
        sender=PERSON,
        task=TASK,
        about=PERSON,
        name=st.sampled_from(["voteAdmit", "voteRemove", "elect", "remove", "acceptPlace"]),
    )
    def decides(self, sender, task, about, name):
        self.send(sender, name, task, about)

    @rule(task=TASK, about=PERSON, by=PERSON, voters=st.lists(PERSON, max_size=3))
    def replaces(self, task, about, by, voters):
        self.send(by, "acceptPlace", task, about)
        for voter in voters:
            self.send(voter, "voteReplace", task, about, by)
            self.send(voter, "replace", task, about, by)

    @rule(task=TASK, member=PERSON, name=st.sampled_from(["appointMembers", "revokeMembers"]))
    def members_change(self, task, member, name):
        self.send(OWNER, name, task, [member])

    @rule(task=TASK, number=st.integers(1, 3), halts=st.booleans())
    def a_round_ends(self, task, number, halts):
        self.send(OWNER, "publishAggregate", task, number, CID, "kept", [], CID, [])
        if halts:
            self.send(OWNER, "appointAggregator", task, self.evm.addresses[MEMBERSHIP])

    @rule(task=TASK, sender=PERSON, number=st.integers(0, 2))
    def votes_for_a_checkpoint(self, task, sender, number):
        self.send(sender, "voteCheckpoint", task, number, 5)

    @invariant()
    def the_same(self):
        if hasattr(self, "both"):
            for task in (1, 2, 3):
                self.both.compare_membership(task)


@pytest.mark.hypothesis
def test_random_calls(evm):
    """Whatever is called, both have told every account the same."""
    run_calls(SameMembership, evm=evm)
