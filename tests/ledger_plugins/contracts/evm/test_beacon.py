"""Beacon: the compiled contract and its twin are the same, and nobody draws twice.

On an EVM alone the randomness of a block can go in; the embedded chain's blocks have none.
"""

from hashlib import sha256

import pytest
from eth_abi.abi import encode
from eth_hash.auto import keccak
from support.both_contracts import (
    ADMIN,
    ANN,
    BEACON,
    BOB,
    BONDS,
    CID,
    EVE,
    MANY,
    OWNER,
    TASKS,
    TOP,
    Both,
    compared,
    contract_of,
    errors,
)
from support.evm import EvmBench

from fedledger.ledger_plugins.contracts import abi

TOPIC, SUBJECT = b"the rule of round 1".ljust(32, b"\0"), b"a list".ljust(32, b"\0")
VALUES = {ANN: b"\1" * 32, BOB: b"\2" * 32, EVE: b"\3" * 32}
NONE = bytes(32)
STAKE = 5
TERMS = (STAKE, 2, 0, 100, 50, 60)  # stake, quorum, lookahead; seconds to commit, fix and reveal


def sealed(who, draw=1):
    return keccak(encode(["uint256", "address", "bytes32"], [draw, who, VALUES[who]]))


def scene_of(evm):
    """Ann, Bob and Eve are members of task 1 with 20 tokens each as a bond; draw 1 is open."""
    evm.restart()
    both = Both(evm)
    both.run(
        (OWNER, "propose", "m", CID, 9, 0, 0, CID),
        (OWNER, "appointMembers", 1, list(VALUES)),
        *((ADMIN, "mint", who, 20) for who in VALUES),
        *((who, "transferAndCall", evm.addresses[BONDS], 20, b"") for who in VALUES),
        (OWNER, "open", 1, TOPIC, *TERMS),
    )
    return both


both = compared(scene_of)


def committed(both, *people):
    both.run(*((who, "commit", 1, sealed(who)) for who in people))


def fixed(both):
    """Let the time to commit pass, and fix the subject."""
    assert len(both.send(OWNER, BEACON, "fix", 1, SUBJECT, later=101)) == 2


def revealed(both, *people):
    both.run(*((who, "reveal", 1, VALUES[who]) for who in people))


def test_a_draw_is_a_hash_over_what_was_revealed(both):
    """In the order of the commitments, whatever the order of the reveals; stakes come back."""
    committed(both, BOB, ANN, EVE)
    assert both.look("free", ANN) == 15
    fixed(both)
    revealed(both, ANN, EVE, BOB)
    [(_, name, said)] = both.run((EVE, "close", 1))
    expected = sha256(
        (1).to_bytes(32, "big") + SUBJECT + NONE + VALUES[BOB] + VALUES[ANN] + VALUES[EVE]
    ).digest()
    assert (name, said) == ("DrawClosed", {"draw": 1, "value": expected, "void": False})
    assert both.look("valueOf", 1) == (expected, False)
    both.run(*((OWNER, "settle", 1, who) for who in VALUES))
    assert [both.look("free", who) for who in VALUES] == [20, 20, 20]


def test_who_does_not_reveal_loses_its_stake(both):
    """The draw goes on without it, and ends when the time to reveal is over."""
    committed(both, ANN, BOB, EVE)
    fixed(both)
    revealed(both, ANN, BOB)
    until = both.evm.now - 2 + 60
    refused = both.send(ANN, BEACON, "close", 1)
    assert refused == errors(BEACON, "DrawOpen", until, both.evm.now)
    refused = both.send(ANN, BEACON, "close", 1, later=until - both.evm.now)  # its last second
    assert refused == errors(BEACON, "DrawOpen", until, until)
    both.run((ANN, "close", 1))
    value, void = both.look("valueOf", 1)
    parts = ((1).to_bytes(32, "big"), SUBJECT, NONE, VALUES[ANN], VALUES[BOB])
    assert (value, void) == (sha256(b"".join(parts)).digest(), False)
    both.run(*((ANN, "settle", 1, who) for who in VALUES))
    free = [both.look("free", who) for who in (*VALUES, both.evm.addresses[BONDS])]
    assert free == [20, 20, 15, 5]


def test_too_few_reveals_are_no_value(both):
    """Below the quorum a draw is void, costs those who were silent, and is not drawn again."""
    committed(both, ANN, BOB)
    fixed(both)
    revealed(both, ANN)
    assert len(both.send(ANN, BEACON, "close", 1, later=61)) == 2
    assert both.look("valueOf", 1) == (NONE, True)
    both.run((BOB, "settle", 1, ANN), (BOB, "settle", 1, BOB))
    assert [both.look("free", who) for who in (ANN, BOB)] == [20, 15]
    assert both.ask(OWNER, "open", 1, TOPIC, *TERMS) == errors(BEACON, "TopicDrawn", 1, TOPIC)


def test_members_that_act_together_choose_among_as_many_values_as_they_pay_for(evm):
    """Two of three withhold what they like: four outcomes, for 0, 1, 1 and 2 stakes."""
    found = {}
    for silent in ((), (BOB,), (EVE,), (BOB, EVE)):
        both = scene_of(evm)
        committed(both, *VALUES)
        fixed(both)
        revealed(both, *(who for who in VALUES if who not in silent))
        assert len(both.send(ANN, BEACON, "close", 1, later=61)) == 2
        value, void = both.look("valueOf", 1)
        assert void == (len(silent) == 2)  # fewer than the quorum
        both.run(*((ANN, "settle", 1, who) for who in VALUES))
        lost = both.look("free", both.evm.addresses[BONDS])
        found[value] = lost
    assert sorted(found.values()) == [0, STAKE, STAKE, 2 * STAKE]


def test_a_subject_never_fixed_costs_no_member(both):
    """Who opened the draw can void it by silence, knowing no value; nobody else pays for that."""
    committed(both, ANN, BOB)
    assert both.send(ANN, BEACON, "close", 1, later=140)[1] == "DrawOpen"
    assert len(both.send(ANN, BEACON, "close", 1, later=20)) == 2
    assert both.look("valueOf", 1) == (NONE, True)
    both.run((EVE, "settle", 1, ANN), (EVE, "settle", 1, BOB))
    assert [both.look("free", who) for who in (ANN, BOB)] == [20, 20]


def test_nobody_commits_with_anothers_commitment(both):
    """A copied commitment cannot be revealed: it is bound to draw and account."""
    both.run((ANN, "commit", 1, sealed(ANN)), (BOB, "commit", 1, sealed(ANN)))
    fixed(both)
    revealed(both, ANN)
    assert both.send(BOB, BEACON, "reveal", 1, VALUES[ANN]) == errors(BEACON, "WrongValue", BOB)


def test_every_step_has_its_time(both):
    """Commitments, the subject and reveals are taken in their time alone, to the second."""
    opened = both.evm.now
    assert both.send(OWNER, BEACON, "fix", 1, SUBJECT) == errors(
        BEACON, "CommitmentsOpen", opened + 100, opened + 1
    )
    assert both.send(ANN, BEACON, "reveal", 1, VALUES[ANN]) == errors(BEACON, "NotFixed", 1)
    assert len(both.send(ANN, BEACON, "commit", 1, sealed(ANN), later=98)) == 2
    assert both.evm.now == opened + 100
    late = both.send(BOB, BEACON, "commit", 1, sealed(BOB))
    assert late == errors(BEACON, "CommitmentsClosed", opened + 100, opened + 101)
    assert len(both.send(OWNER, BEACON, "fix", 1, SUBJECT, later=49)) == 2
    both.run((OWNER, "open", 1, SUBJECT, *TERMS))
    refused = both.send(OWNER, BEACON, "fix", 2, SUBJECT, later=151)
    assert refused == errors(BEACON, "FixingClosed", both.evm.now - 1, both.evm.now)
    refused = both.send(ANN, BEACON, "reveal", 1, VALUES[ANN])
    assert refused[1] == "RevealsClosed"


def test_a_draw_has_an_end(evm):
    """256 members commit themselves and not one more (clause L9); forge closes a full draw."""
    both = scene_of(evm)
    people = MANY  # without ether, so by the twin alone
    twins, now = both.twins, evm.now
    twins.send(OWNER, TASKS, "appointMembers", 1, people[:200], now=now)
    twins.send(OWNER, TASKS, "appointMembers", 1, people[200:], now=now)
    twins.send(OWNER, BEACON, "open", 1, SUBJECT, 0, 1, 0, 100, 50, 60, now=now)
    for who in people[:256]:
        twins.send(who, BEACON, "commit", 2, NONE, now=now)
    refused = both._said(lambda: twins.send(people[256], BEACON, "commit", 2, NONE, now=now))
    assert refused[1] == errors(BEACON, "TooManyCommitted", 256)


def test_the_randomness_of_a_block_goes_in(evm):
    """Its number is fixed with the subject; the header that is given has to be that block's."""
    both = scene_of(evm)
    evm.send(OWNER, BEACON, "open", 1, SUBJECT, 0, 1, 2, 100, 50, 60)
    evm.send(ANN, BEACON, "commit", 2, sealed(ANN, 2))
    _, [(_, _, said)] = evm.send(OWNER, BEACON, "fix", 2, SUBJECT, later=100)
    number = said["randomBlock"]
    assert number == said["fixedBlock"] + 2 == evm.block + 2
    evm.send(ANN, BEACON, "reveal", 2, VALUES[ANN])

    def refusal(header):
        return both._said(lambda: evm.send(BOB, BEACON, "provide", 2, header))[1]

    assert refusal(b"") == errors(BEACON, "BlockUnknown", number)  # this block itself
    assert both._said(lambda: evm.send(BOB, BEACON, "close", 2))[1][1] == "DrawOpen"
    header, mix = evm.header(number)
    assert refusal(evm.header(number - 1)[0]) == errors(BEACON, "WrongHeader", number)
    assert refusal(header[:-1]) == errors(BEACON, "WrongHeader", number)
    _, [(_, name, said)] = evm.send(BOB, BEACON, "provide", 2, header)
    assert (name, said["randomness"]) == ("RandomnessProvided", mix)
    assert refusal(header) == errors(BEACON, "RandomnessUnwanted", 2)
    _, [(_, _, said)] = evm.send(BOB, BEACON, "close", 2)
    parts = ((2).to_bytes(32, "big"), SUBJECT, mix, VALUES[ANN])
    assert said["value"] == sha256(b"".join(parts)).digest()


def test_randomness_that_was_missed_voids_the_draw(evm):
    """Nobody chooses another block instead, and the draw is not repeated."""
    scene_of(evm)
    evm.send(OWNER, BEACON, "open", 1, SUBJECT, 0, 1, 1, 100, 50, 60)
    evm.send(ANN, BEACON, "commit", 2, sealed(ANN, 2))
    evm.send(OWNER, BEACON, "fix", 2, SUBJECT, later=100)
    evm.send(ANN, BEACON, "reveal", 2, VALUES[ANN])
    _, [(_, _, said)] = evm.send(BOB, BEACON, "close", 2, later=61)
    assert (said["value"], said["void"]) == (NONE, True)


@pytest.fixture(scope="module")
def scene():
    """Draw 2 is fixed, Ann has revealed and Bob not; draw 3 ended, Ann's stake is settled."""
    both = scene_of(EvmBench())
    both.run(
        (OWNER, "open", 1, SUBJECT, *TERMS),
        (OWNER, "open", 1, NONE, *TERMS),
        *((who, "commit", 2, sealed(who, 2)) for who in (ANN, BOB)),
        (ANN, "commit", 3, sealed(ANN, 3)),
    )
    both.send(OWNER, BEACON, "fix", 2, SUBJECT, later=101)
    both.run(
        (ANN, "reveal", 2, VALUES[ANN]),
        (OWNER, "fix", 3, SUBJECT),
        (ANN, "reveal", 3, VALUES[ANN]),
        (ANN, "close", 3),
        (ANN, "settle", 3, ANN),
    )
    yield both
    both.compare()


LONGEST = (1 << 32) - 1
REFUSALS = [
    (OWNER, ("open", 9, TOPIC, 0, 0, 0, 0, 0, 0), (TASKS, "UnknownTask", 9)),
    (ANN, ("open", 1, TOPIC, 0, 0, 0, 0, 0, 0), ("NotDrawer", ANN)),
    (OWNER, ("open", 1, TOPIC, 0, 0, 0, 0, 0, 0), ("TopicDrawn", 1, TOPIC)),
    (OWNER, ("open", 1, CID[:32], 0, 0, 9999, 0, 0, 0), ("InvalidTerms", "commitSeconds")),
    (OWNER, ("open", 1, CID[:32], 0, 0, 9999, 1, 0, 0), ("InvalidTerms", "fixSeconds")),
    (OWNER, ("open", 1, CID[:32], 0, 0, 9999, 1, 1, 0), ("InvalidTerms", "revealSeconds")),
    (OWNER, ("open", 1, CID[:32], 0, 0, 9999, 1, 1, 1), ("InvalidTerms", "quorum")),
    (OWNER, ("open", 1, CID[:32], 0, 257, 9999, 1, 1, 1), ("InvalidTerms", "quorum")),
    (OWNER, ("open", 1, CID[:32], TOP, 1, 8001, *[LONGEST] * 3), ("InvalidTerms", "lookahead")),
    (ANN, ("commit", 9, NONE), ("UnknownDraw", 9)),
    (OWNER, ("fix", 9, NONE), ("UnknownDraw", 9)),
    (ANN, ("fix", 2, NONE), ("NotDrawer", ANN)),
    (OWNER, ("fix", 2, NONE), ("AlreadyFixed", 2)),
    (ANN, ("reveal", 9, NONE), ("UnknownDraw", 9)),
    (ANN, ("reveal", 1, NONE), ("NotFixed", 1)),
    (ANN, ("provide", 9, b""), ("UnknownDraw", 9)),
    (ANN, ("provide", 1, b""), ("NotFixed", 1)),
    (ANN, ("close", 9), ("UnknownDraw", 9)),
    (ANN, ("close", 3), ("DrawEnded", 3)),
    (ANN, ("settle", 9, ANN), ("UnknownDraw", 9)),
    (ANN, ("settle", 2, ANN), ("DrawNotEnded", 2)),
    (ANN, ("settle", 3, ANN), ("NothingStaked", ANN)),
    (ANN, ("settle", 3, BOB), ("NothingStaked", BOB)),
    (ANN, ("valueOf", 9), ("UnknownDraw", 9)),
    (ANN, ("valueOf", 2), ("DrawNotEnded", 2)),
]


@pytest.mark.parametrize(
    ("sender", "call", "error"),
    REFUSALS,
    ids=[f"{call[0]!s}-{error[-2]!s}" for _, call, error in REFUSALS],
)
def test_refused(scene, sender, call, error):
    """Each error comes in its order, with its values, from both (L2)."""
    expected = error if error[0] == TASKS else (BEACON, *error)
    assert scene.ask(sender, *call) == errors(*expected)
    assert contract_of(call[0]) == BEACON


def test_refused_in_time(both):
    """What hangs on block time and number is refused the same, sent for real."""
    committed(both, ANN)
    assert both.send(ANN, BEACON, "commit", 1, NONE) == errors(BEACON, "AlreadyCommitted", ANN)
    assert both.send(OWNER, BEACON, "commit", 1, NONE) == errors(BEACON, "NotTaskMember", OWNER)
    both.run((BOB, "withdraw", 20))
    poor = both.send(BOB, BEACON, "commit", 1, NONE)
    assert poor == errors(BONDS, "FreeTooSmall", BOB, 0, STAKE)
    fixed(both)
    assert both.send(EVE, BEACON, "reveal", 1, NONE) == errors(BEACON, "NotCommitted", EVE)
    assert both.send(ANN, BEACON, "provide", 1, b"") == errors(BEACON, "RandomnessUnwanted", 1)
    revealed(both, ANN)
    again = both.send(ANN, BEACON, "reveal", 1, VALUES[ANN])
    assert again == errors(BEACON, "AlreadyRevealed", ANN)


def test_values_wait_for_the_next_block(both):
    """In the block that fixes the subject nobody reveals: who fixes it sees no value before."""
    committed(both, ANN)
    fixed(both)
    there = both.evm.block
    alone = both._said(
        lambda: both.twins.send(
            ANN, BEACON, "reveal", 1, VALUES[ANN], now=both.evm.now, block=there
        )
    )
    assert alone[1] == errors(BEACON, "RevealTooEarly", there, there)


def test_the_embedded_chain_has_no_randomness_of_blocks(both):
    """A draw that asks for it is refused by the twin: whoever makes a block chooses all of it."""
    call = (OWNER, BEACON, "open", 1, SUBJECT, 0, 1, 1, 1, 1, 1)
    refused = both._said(lambda: both.twins.send(*call, now=both.evm.now))
    assert refused[1] == errors(BEACON, "NoBlockRandomness")


def test_every_error_is_provoked():
    """Each error of the contract is in a row or in a test above."""
    rows = {error[0] for _, _, error in REFUSALS} - {TASKS}
    assert set(abi.names(BEACON, "error")) - rows == {
        *("Error", "Panic"),  # nobody raises them
        *("AlreadyCommitted", "AlreadyRevealed", "BlockUnknown", "CommitmentsClosed"),
        *("CommitmentsOpen", "DrawOpen", "FixingClosed", "NoBlockRandomness", "NotCommitted"),
        *("NotTaskMember", "RandomnessUnwanted", "RevealTooEarly", "RevealsClosed"),
        *("TooManyCommitted", "WrongHeader", "WrongValue"),
    }
