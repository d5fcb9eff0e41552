"""Aggregators: the compiled contract and its twin are the same; turns are kept."""

import pytest
from eth_abi.abi import encode
from eth_hash.auto import keccak
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from support.both_contracts import (
    ADMIN,
    ANN,
    BEACON,
    BOB,
    BONDS,
    CID,
    CID2,
    EVE,
    OWNER,
    REPORTS,
    TASKS,
    TURNS,
    Both,
    compared,
    contract_of,
    errors,
)
from support.evm import EvmBench
from support.examples import run_calls

from fedledger.ledger_plugins.addresses import checksum_address
from fedledger.ledger_plugins.contracts import abi
from fedledger.ledger_plugins.contracts.aggregators.turns import order_of
from fedledger.ledger_plugins.contracts.aggregators.twin import (
    LEAVE_SECONDS,
    MAX_NODES,
    PAUSED,
    topic_of,
)
from fedledger.ledger_plugins.contracts.beacon.draws import panel, round_party
from fedledger.ledger_plugins.contracts.reports.kinds import kind_name

NONE = bytes(32)
VALUE = b"\5" * 32
BOND, COST, SECONDS = 10, 4, 100
THREE = [ANN, BOB, EVE]


def publication(task, number):
    return ("publishTurn", task, number, CID2, "mean", [], CID, [])


def scene_of(evm):
    """Tasks 1 and 2 have turns; Ann, Bob and Eve pledged, have free tokens, and joined task 1."""
    evm.restart()
    both = Both(evm)
    reports = [("pledge", 1, 5, False), ("pledge", 2, 5, False)]
    both.run(
        (OWNER, "propose", "m", CID, 6, 0, 0, CID),
        (OWNER, "propose", "n", CID, 1, 60, 0, CID),
        (OWNER, "propose", "o", CID, 6, 0, 0, CID),
        (OWNER, "appointMembers", 1, THREE),
        (OWNER, "appointMembers", 2, THREE),
        (OWNER, "appointMembers", 3, THREE),
        (OWNER, "setTurns", 1, BOND, COST, SECONDS),
        (OWNER, "setTurns", 2, BOND, 0, SECONDS),
        *((ADMIN, "mint", who, 100) for who in THREE),
        *((who, "transferAndCall", evm.addresses[BONDS], 100, b"") for who in THREE),
        *((who, *call) for who in THREE for call in reports),
        *((who, "joinTurns", 1) for who in THREE),
    )
    return both


both = compared(scene_of)


def open_draw(both, task, number=1):
    """Open a task's draw of turns; return its number."""
    call = ("open", task, topic_of(number), 0, 1, 0, 10, 10, 10)
    [(_, _, said)] = both.run((OWNER, *call))
    return said["draw"]


def finish(both, draw, value=VALUE, *, reveal=True):
    """Let Ann alone commit to a value and reveal it, or not; end the draw."""
    sealed = keccak(encode(["uint256", "address", "bytes32"], [draw, ANN, value]))
    both.run((ANN, "commit", draw, sealed))
    assert len(both.send(OWNER, BEACON, "fix", draw, NONE, later=11)) == 2
    if reveal:
        both.run((ANN, "reveal", draw, value))
    assert len(both.send(EVE, BEACON, "close", draw, later=11)) == 2
    return both.look("valueOf", draw)[0]


def drawn(both, task=1, number=1, value=VALUE):
    """List, draw, and take the draw; return the order of the open round."""
    both.run((EVE, "listNodes", task))
    finish(both, open_draw(both, task, number), value)
    both.run((EVE, "drawTurns", task))
    ended = both.look("getProgress", task)[1]
    return list(both.look("turnsOf", task, ended + 1 + (number > 1))[2])


def led(both, who, task=1, number=1):
    return both.run((who, *publication(task, number)))


# The order ----------------------------------------------------------------------------------------


@given(
    st.binary(min_size=32, max_size=32).filter(any),
    st.integers(1, 1 << 64),
    st.integers(1, (1 << 32) - 1),
    st.lists(st.binary(min_size=20, max_size=20), min_size=1, max_size=MAX_NODES, unique=True),
)
def test_the_order_is_a_panel_of_all(value, task, number, raw):
    """The contract's order is what `draws.panel` chooses for the round, whoever the nodes are."""
    nodes = [checksum_address("0x" + one.hex()) for one in sorted(raw)]
    found = order_of(value, task, number, nodes)
    assert found == panel(value, round_party(task, number), nodes, len(nodes))


def test_both_compute_the_order_that_python_draws(both):
    """Of each round, from the value of the draw; rounds differ, and each has everybody once."""
    drawn(both)
    value, _ = both.look("valueOf", 1)
    orders = set()
    for number in range(1, 60):
        draw, begins, order = both.look("turnsOf", 1, number)
        assert list(order) == panel(value, round_party(1, number), THREE, 3)
        assert (draw, begins > 0) == (1, number == 1)
        orders.add(order)
    assert len(orders) == 6


# Turns --------------------------------------------------------------------------------------------


def test_rounds_are_published_by_whose_turn_it_is_alone(both):
    """Neither owner nor another node; the next one once the turn is over; then the first again."""
    order = drawn(both)
    for who in (OWNER, *order[1:], ADMIN):
        refused = both.send(who, TURNS, *publication(1, 1))
        assert refused[1] == "NotItsTurn"
        assert refused[2]["holder"] == order[0]
    for who in (OWNER, order[0]):
        refused = both.send(who, TASKS, "publishAggregate", *publication(1, 1)[1:])
        assert refused == errors(TASKS, "NotAggregator", who)
    events = led(both, order[0])
    assert [name for _, name, _ in events] == ["RoundLed", "AggregatePublished"]
    assert events[0][2] == {"task": 1, "round": 1, "node": order[0], "turn": 0}

    begins, order = both.look("turnsOf", 1, 2)[1:]
    until = begins + SECONDS
    refused = both.send(order[1], TURNS, *publication(1, 2), later=until - both.evm.now - 1)
    assert refused == errors(TURNS, "NotItsTurn", order[1], order[0], until)
    refused = both.send(order[0], TURNS, *publication(1, 2))
    assert refused == errors(TURNS, "NotItsTurn", order[0], order[1], until + SECONDS)
    assert led(both, order[1], number=2)[0][2]["turn"] == 1

    begins, order = both.look("turnsOf", 1, 3)[1:]
    done = both.send(order[0], TURNS, *publication(1, 3), later=3 * SECONDS)  # round about
    assert done[1][0][2]["turn"] == 3


def test_turns_begin_when_a_round_can_be_published(both):
    """A window does not eat the first node's turn; before it is over the task takes nothing."""
    both.run(*((who, "joinTurns", 2) for who in (BOB, EVE)))
    order = drawn(both, task=2)
    opened = both.look("getProgress", 2)[3]
    begins = both.look("turnsOf", 2, 1)[1]
    assert begins >= opened + 60  # or when the draw was taken, which was later
    refused = both.send(order[0], TURNS, *publication(2, 1))
    assert refused == errors(TASKS, "WindowOpen", opened + 60, both.evm.now)
    done = both.send(order[0], TURNS, *publication(2, 1), later=begins + SECONDS - both.evm.now - 1)
    assert done[1][0][2]["turn"] == 0
    assert both.look("turnsOf", 2, 1)[1] == 0
    assert both.ask(EVE, "joinTurns", 2) == errors(TURNS, "RoundsOver", 2)


def test_who_joins_after_the_draw_was_opened_is_not_in_it(both):
    """Neither once its value is known: accounts are tried in vain. Nor does leaving change it."""
    both.run(
        (OWNER, "listNodes", 1),
        (ADMIN, "mint", OWNER, 50),
        (OWNER, "transferAndCall", both.evm.addresses[BONDS], 50, b""),
        (OWNER, "pledge", 1, 5, False),
    )
    draw = open_draw(both, 1)
    both.run((OWNER, "joinTurns", 1), (BOB, "leaveTurns", 1))
    assert both.ask(OWNER, "listNodes", 1) == errors(TURNS, "NextDrawOpened", 1, draw)
    finish(both, draw)
    [(_, _, said), _] = both.run((OWNER, "drawTurns", 1))
    assert said["nodes"] == tuple(sorted(THREE, key=str.lower))
    assert both.ask(OWNER, "publishTurn", *publication(1, 1)[1:])[1] == "NotItsTurn"

    order = drawn(both, number=2)  # the next one has it, without who leaves
    assert sorted(order) == sorted([ANN, EVE, OWNER])
    first = both.look("turnsOf", 1, 1)
    assert (first[0], set(first[2])) == (draw, set(THREE))  # the open round stays as it was


def test_a_draw_that_nobody_was_listed_for_changes_nothing(both):
    """Nor a void one; the next draw is the next topic's, and nobody chooses among values."""
    finish(both, open_draw(both, 1))
    [(_, name, said)] = both.run((EVE, "drawTurns", 1))
    assert (name, said["firstRound"], said["nodes"]) == ("TurnsDrawn", 0, ())
    both.run((EVE, "listNodes", 1))
    assert finish(both, open_draw(both, 1, 2), reveal=False) == NONE
    [(_, _, said)] = both.run((EVE, "drawTurns", 1))
    assert (said["value"], said["firstRound"]) == (NONE, 0)
    assert both.look("listedFor", 1) == ()
    missing = errors(TURNS, "NextDrawMissing", 1, topic_of(3))
    assert both.ask(EVE, "drawTurns", 1) == missing
    assert both.look("getRoles", 1)[1] == OWNER
    assert both.look("topicOf", 3) == topic_of(3)
    drawn(both, number=3)
    assert both.look("getRoles", 1)[1] == both.evm.addresses[TURNS]


def test_a_missed_turn_costs_once(both):
    """By anybody, in the round or after another node published it; out of the bond, to nobody."""
    order = drawn(both)
    both.send(ADMIN, "StakeToken", "mint", ADMIN, 1, later=SECONDS + 1)
    [(_, name, said), (_, slashed, _)] = both.run((ADMIN, "markMissed", 1, 1, order[0]))
    assert (name, slashed, said["lost"]) == ("TurnMissed", "Slashed", COST)
    assert both.look("nodeOf", 1, order[0]) == (BOND - COST, 0)
    assert both.look("free", both.evm.addresses[BONDS]) == COST
    assert both.look("missed", 1, 1, order[0])
    for who in THREE:
        refused = both.ask(who, "markMissed", 1, 1, order[0])
        assert refused == errors(TURNS, "AlreadyMissed", 1, order[0])
    led(both, order[1])
    for place in (1, 2):
        refused = both.ask(EVE, "markMissed", 1, 1, order[place])
        assert refused == errors(TURNS, "TurnNotOver", order[place], place, 1)

    order = list(both.look("turnsOf", 1, 2)[2])
    done = both.send(order[2], TURNS, *publication(1, 2), later=2 * SECONDS)
    assert done[1][0][2]["turn"] == 2
    both.run(*((EVE, "markMissed", 1, 2, who) for who in order[:2]))
    lost = sum(BOND - both.look("nodeOf", 1, who)[0] for who in THREE)
    assert lost == 3 * COST
    assert both.ask(EVE, "markMissed", 1, 4, ANN) == errors(TURNS, "TurnUnknown", 1, 4)


def test_a_bond_that_is_used_up_is_put_down_again(both):
    """Who has none left is no node: its turns pass; it may join again, with a whole bond."""
    both.run(
        (OWNER, "setTurns", 3, COST, COST, SECONDS),
        *((who, "pledge", 3, 5, False) for who in THREE),
        *((who, "joinTurns", 3) for who in THREE),
    )
    first, second, _ = drawn(both, task=3)
    assert len(both.send(ADMIN, TURNS, "markMissed", 3, 1, first, later=SECONDS)) == 2
    assert both.look("nodeOf", 3, first) == (0, 0)
    assert first not in both.look("nodesOf", 3)
    led(both, second, task=3)
    place = both.look("turnsOf", 3, 2)[2].index(first)
    refused = both.send(first, TURNS, *publication(3, 2), later=place * SECONDS + 1)
    assert refused == errors(TURNS, "NotJoined", first)
    refused = both.send(EVE, TURNS, "markMissed", 3, 2, first, later=SECONDS)
    assert refused == errors(TURNS, "NotJoined", first)
    both.run((first, "joinTurns", 3))
    assert both.look("nodeOf", 3, first) == (COST, 0)


def test_a_bond_comes_back_a_day_after_it_is_asked_for(both):
    """Until then its node is charged for what it missed, and not listed any more."""
    order = drawn(both)
    [(_, _, said)] = both.run((order[0], "leaveTurns", 1))
    assert said["leavesAt"] == both.evm.now + LEAVE_SECONDS
    refused = both.send(order[0], TURNS, "leaveTurns", 1, later=SECONDS)
    assert refused == errors(TURNS, "LeaveTooEarly", said["leavesAt"], both.evm.now)
    both.run((EVE, "markMissed", 1, 1, order[0]), (EVE, "listNodes", 1))
    assert set(both.look("listedFor", 1)) == set(THREE) - {order[0]}
    done = both.send(order[0], TURNS, "leaveTurns", 1, later=said["leavesAt"] - both.evm.now)
    assert [name for _, name, _ in done[1]] == ["NodeLeft", "Released"]
    assert done[1][0][2]["bond"] == BOND - COST
    refused = both.ask(order[0], "leaveTurns", 1)
    assert refused == errors(TURNS, "NotJoined", order[0])


def test_a_halted_task_takes_no_turns_and_charges_nobody(both):
    """Until this contract is appointed again; its turns begin then anew."""
    order = drawn(both)
    both.run((OWNER, "appointAggregator", 1, both.evm.addresses[REPORTS]))  # as a verdict does
    refused = both.ask(order[0], *publication(1, 1))
    assert refused == errors(TASKS, "NotAggregator", both.evm.addresses[TURNS])
    both.send(EVE, TURNS, "restartTurns", 1, later=5 * SECONDS)
    assert both.look("turnsOf", 1, 1)[1] == PAUSED
    refused = both.send(EVE, TURNS, "markMissed", 1, 1, order[0], later=2 * SECONDS)
    assert refused == errors(TURNS, "TurnsHalted", 1, both.evm.addresses[REPORTS])
    both.run((OWNER, "appointAggregator", 1, both.evm.addresses[TURNS]))
    refused = both.send(EVE, TURNS, "markMissed", 1, 1, order[0], later=9 * SECONDS)
    assert refused == errors(TURNS, "TurnNotOver", order[0], 0, 0)
    refused = both.send(order[1], TURNS, *publication(1, 1))
    assert refused == errors(TURNS, "NotItsTurn", order[1], order[0], PAUSED + SECONDS)
    both.run((EVE, "restartTurns", 1))
    assert both.look("turnsOf", 1, 1)[1] == both.evm.now
    assert both.ask(EVE, "restartTurns", 1) == errors(TURNS, "TurnsGoOn", 1)
    assert led(both, order[0])[0][2]["turn"] == 0


def test_the_first_node_publishes_while_turns_are_paused(both):
    """The task goes on without anybody's call; the other nodes are let in by one."""
    drawn(both)
    both.run(
        (OWNER, "appointAggregator", 1, OWNER),
        (EVE, "restartTurns", 1),
        (EVE, "restartTurns", 1),
        (OWNER, "appointAggregator", 1, both.evm.addresses[TURNS]),
    )
    for number in (1, 2):
        first = both.look("turnsOf", 1, number)[2][0]
        done = both.send(first, TURNS, *publication(1, number), later=5 * SECONDS)
        assert done[1][0][2]["turn"] == 0
    both.run((EVE, "restartTurns", 1))
    second = both.look("turnsOf", 1, 3)[2][1]
    done = both.send(second, TURNS, *publication(1, 3), later=SECONDS)
    assert done[1][0][2]["turn"] == 1


def test_whom_a_verdict_excluded_publishes_no_more(both):
    """Its turn passes, and the next node has it; it is listed no more. The others go on."""
    guilty, *others = drawn(both)
    events = both.run((others[0], "accuse", kind_name("update"), guilty, 1, 1, CID))
    [report] = [said["report"] for _, name, said in events if name == "Accused"]
    both.run(*((who, "decide", report, True) for who in others))
    assert len(both.send(EVE, REPORTS, "settle", report)) == 2
    assert both.look("excluded", 1, guilty)
    assert both.ask(guilty, *publication(1, 1)) == errors(TURNS, "NoPledge", guilty)
    both.run((EVE, "listNodes", 1))
    assert guilty not in both.look("listedFor", 1)
    done = both.send(others[0], TURNS, *publication(1, 1), later=SECONDS)
    assert done[1][0][2] == {"task": 1, "round": 1, "node": others[0], "turn": 1}


def test_the_caps_can_be_asked(both):
    """The contract says its caps."""
    assert [both.look(name) for name in ("MAX_NODES", "LEAVE_SECONDS")] == [32, 86_400]


# Refusals ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scene():
    """Task 1 was drawn, its first turn is over; nobody is listed for task 2."""
    both = scene_of(EvmBench())
    drawn(both)
    both.send(ADMIN, "StakeToken", "mint", ADMIN, 1, later=SECONDS)
    yield both
    both.compare()


FAR = (1 << 32) - 1
REFUSALS = [
    *(
        (OWNER, call, ("UnknownTask", 9))
        for call in (
            ("setTurns", 9, 0, 0, 0),
            ("joinTurns", 9),
            ("listNodes", 9),
            ("drawTurns", 9),
            publication(9, 1),
            ("restartTurns", 9),
            ("markMissed", 9, 1, ANN),
        )
    ),
    (ANN, ("setTurns", 1, 0, 0, 0), ("NotTurnsOwner", ANN)),
    (OWNER, ("setTurns", 1, 0, 1, 0), ("TurnsFixed", 1)),
    (OWNER, ("setTurns", 3, 0, 1, 0), ("InvalidTurns", "bond")),
    (OWNER, ("setTurns", 3, 1, 2, 0), ("InvalidTurns", "cost")),
    (OWNER, ("setTurns", 3, 1, 1, 0), ("InvalidTurns", "turnSeconds")),
    *((OWNER, (name, 3), ("NoTurns", 3)) for name in ("joinTurns", "listNodes", "drawTurns")),
    (ANN, ("joinTurns", 1), ("AlreadyJoined", ANN)),
    (OWNER, ("joinTurns", 1), ("NoPledge", OWNER)),
    (OWNER, ("leaveTurns", 1), ("NotJoined", OWNER)),
    (ANN, ("leaveTurns", 2), ("NotJoined", ANN)),
    (ANN, ("leaveTurns", 9), ("NotJoined", ANN)),
    (ADMIN, ("listNodes", 2), ("NobodyJoined", 2)),
    (ADMIN, ("drawTurns", 2), ("NextDrawMissing", 2, topic_of(1))),
    (ADMIN, ("drawTurns", 1), ("NextDrawMissing", 1, topic_of(2))),
    (ANN, publication(2, 1), ("NotDrawn", 2, 1)),
    (ANN, ("restartTurns", 2), ("NotDrawn", 2, 1)),
    (ANN, ("restartTurns", 1), ("TurnsGoOn", 1)),
    (ANN, ("markMissed", 2, 1, ANN), ("NotDrawn", 2, 1)),
    (ANN, ("markMissed", 1, 0, ANN), ("NotDrawn", 1, 0)),
    (ANN, ("markMissed", 1, 1, OWNER), ("NotInOrder", OWNER)),
    (ANN, ("markMissed", 1, 2, ANN), ("TurnUnknown", 1, 2)),
    (ANN, ("markMissed", 1, FAR, ANN), ("TurnUnknown", 1, FAR)),
]


@pytest.mark.parametrize(
    ("sender", "call", "error"),
    REFUSALS,
    ids=[f"{number}-{error[0]!s}" for number, (_, _, error) in enumerate(REFUSALS)],
)
def test_refused(scene, sender, call, error):
    """Each error comes in its order, with its values, from both (L2)."""
    contract = TASKS if error[0] == "UnknownTask" else TURNS
    assert scene.ask(sender, *call) == errors(contract, *error)
    assert contract_of(call[0]) == TURNS


def test_turns_are_set_before_the_first_round_ends(both):
    """Who submits knows by whom rounds are published."""
    both.run((OWNER, "publishAggregate", 3, 1, CID2, "mean", [], CID, []))
    refused = both.ask(OWNER, "setTurns", 3, 1, 0, 1)
    assert refused == errors(TURNS, "TurnsTooLate", 3, 1)


def test_the_first_draw_of_a_halted_task_is_not_taken(both):
    """A verdict halts it, and a draw that was under way does not end that."""
    both.run((EVE, "listNodes", 1))
    finish(both, open_draw(both, 1))
    both.run((OWNER, "appointAggregator", 1, both.evm.addresses[REPORTS]))
    refused = both.ask(EVE, "drawTurns", 1)
    assert refused == errors(TURNS, "TurnsHalted", 1, both.evm.addresses[REPORTS])


def test_a_draw_that_goes_on_is_not_taken(both):
    """Its value is not there yet."""
    both.run((EVE, "listNodes", 1))
    draw = open_draw(both, 1)
    assert both.ask(EVE, "drawTurns", 1) == errors(BEACON, "DrawNotEnded", draw)


def test_a_bond_that_is_not_there_is_not_locked(both):
    """A node needs free deposits besides its pledge."""
    both.run((ADMIN, "mint", OWNER, 5))
    both.run(
        (OWNER, "transferAndCall", both.evm.addresses[BONDS], 5, b""),
        (OWNER, "pledge", 1, 5, False),
    )
    refused = both.ask(OWNER, "joinTurns", 1)
    assert refused == errors(BONDS, "FreeTooSmall", OWNER, 0, BOND)


# Random calls -----------------------------------------------------------------------------------

DICE = st.randoms(use_true_random=True)


class SameTurns(RuleBasedStateMachine):
    """Random nodes, draws, publications and charges; many are refused, alike."""

    evm: EvmBench

    @initialize()
    def start(self):
        self.both = scene_of(self.evm)
        self.topics = 0

    @invariant()
    def they_agree(self):
        if hasattr(self, "both"):
            for task in (1, 2):
                self.both.compare_turns(task)
            self.both.compare_bonds()

    @rule(dice=DICE)
    def draw_some(self, dice):
        both, task = self.both, dice.choice([1, 1, 2])
        both.send(EVE, TURNS, "listNodes", task)
        number = both.look("drawsTaken", task) + 1
        if dice.random() < 0.8 and not both.look("drawOf", task, topic_of(number)):
            draw = open_draw(both, task, number)
            both.send(dice.choice(THREE), TURNS, dice.choice(["joinTurns", "leaveTurns"]), task)
            finish(both, draw, dice.randbytes(32), reveal=dice.random() < 0.8)
        both.send(ADMIN, TURNS, "drawTurns", task)

    @rule(dice=DICE)
    def act(self, dice):
        both = self.both
        for _ in range(6):
            who, task = dice.choice([*THREE, OWNER]), dice.choice([1, 1, 2, 3])
            open_round = both.look("getProgress", task)[1] + 1
            number = dice.choice([open_round] * 4 + [open_round - 1 or 1, open_round + 1])
            call = dice.choice(
                [
                    publication(task, number),
                    publication(task, number),
                    ("markMissed", task, number, dice.choice(THREE)),
                    ("joinTurns", task),
                    ("leaveTurns", task),
                    ("restartTurns", task),
                ]
            )
            later = dice.choice([1, 1, SECONDS, 3 * SECONDS, LEAVE_SECONDS])
            both.send(who, TURNS, *call, later=later)

    @rule(dice=DICE)
    def appoint(self, dice):
        addresses = self.both.evm.addresses
        whom = dice.choice([addresses[TURNS], addresses[TURNS], addresses[REPORTS], OWNER])
        self.both.send(OWNER, TASKS, "appointAggregator", dice.choice([1, 2]), whom)


@pytest.mark.hypothesis
def test_random_calls(evm):
    """Whatever is called, both have the same nodes, orders, bonds and charges."""
    run_calls(SameTurns, 3, evm=evm)


def test_every_error_is_provoked():
    """Each error of the contract is in a row or has a test, but for Solidity's own."""
    rows = {error[0] for _, _, error in REFUSALS}
    tested = {
        *("TurnsTooLate", "RoundsOver", "TooManyNodes", "LeaveTooEarly", "NextDrawOpened"),
        *("TurnsHalted", "NotItsTurn", "AlreadyMissed", "TurnNotOver", "ExcludedNode"),
    }
    assert set(abi.names(TURNS, "error")) - rows - tested == {"Error", "Panic"}
