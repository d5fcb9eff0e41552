"""Miner election: what liars below half can and cannot do."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples

from fedledger.clients.handlers.voting import MAX_SCORE, score_of
from fedledger.strategies.protocols.pofl.election import Electorate, ballot_of

scores = st.integers(-(10**6), 10**6) | st.sampled_from([-MAX_SCORE, MAX_SCORE])


def elect(byzantine, rows):
    return Electorate(byzantine).elect(dict(enumerate(rows)))[0]


def test_the_lowest_score_below_zero_is_elected():
    """One wild vote of three does not move the choice; equal scores go to the first candidate."""
    assert elect(1, [[-5, -9], [-6, -8], [10**9, 10**9]]) == 1
    assert elect(0, [[-5, -5], [-5, -5]]) == 0
    assert elect(0, [[-5, -1], [-1, -6]]) == 1  # the mean decides


def test_when_nothing_improves_the_model_it_is_kept():
    """A mean of zero is no improvement."""
    assert elect(1, [[0, 3], [0, 4], [-1, 2]]) is None
    assert elect(0, [[-1], [1]]) is None


def test_too_few_votes_are_refused():
    """An election needs 2f+1 votes."""
    assert Electorate(2).quorum == 5
    with pytest.raises(ValueError, match="4 votes, 5 are needed"):
        elect(2, [[-1]] * 4)


@examples(300)
@given(st.data(), st.integers(0, 4), st.integers(1, 4), st.integers(1, 3))
def test_liars_below_half_stay_within_what_honest_miners_said(data, f, candidates, rounds):
    """Nothing that all honest find worse is elected, and something is if all find all better."""
    electorate = Electorate(f)
    honest_count = data.draw(st.integers(f + 1, 2 * f + 4))
    vote = st.lists(scores, min_size=candidates, max_size=candidates)
    for _ in range(rounds):
        honest = data.draw(st.lists(vote, min_size=honest_count, max_size=honest_count))
        lies = data.draw(st.lists(vote, min_size=f, max_size=f))
        chosen, electorate = electorate.elect(dict(enumerate(honest + lies)))
        if chosen is not None:
            assert min(row[chosen] for row in honest) < 0
        if all(score < 0 for row in honest for score in row):
            assert chosen is not None


@pytest.mark.parametrize("lie", [MAX_SCORE, -MAX_SCORE])
def test_liars_can_neither_force_nor_block(lie):
    """Nine of thirty lie in either direction: a good candidate passes, a bad one does not."""
    good, bad = [[-100]] * 21 + [[lie]] * 9, [[100]] * 21 + [[lie]] * 9
    assert elect(9, good) == 0
    assert elect(9, bad) is None


def test_who_keeps_disagreeing_is_left_out():
    """Two of seven say the opposite: once known, they no longer tip a close election."""
    electorate = Electorate(2)
    clear = dict.fromkeys(range(5), (-40, -20, 30)) | {5: (40, 20, -30), 6: (40, 20, -30)}
    close = {0: (-9, -8), 1: (-9, -8), 2: (-9, -2), 3: (-1, -8), 4: (-9, -8), 5: (9, 8), 6: (9, 8)}
    for _ in range(3):
        chosen, electorate = electorate.elect(clear)
        assert chosen == 0
    assert [electorate.agreement(miner) for miner in (0, 6, 7)] == [1, -1, 0]
    chosen, electorate = electorate.elect(close)
    assert chosen == 0
    assert electorate.agreement(3) < electorate.agreement(0)


def test_a_close_election_needs_to_know_the_liars():
    """The same votes elect what two liars want while nobody knows them, and not once they are."""
    liars = [(999, -999), (999, -999)]
    votes = dict(enumerate([*liars, *[(-100, -60)] * 3, *[(-10, -60)] * 2]))
    assert Electorate(2).elect(votes)[0] == 1
    known = Electorate(2)
    for _ in range(3):
        _, known = known.elect({miner: (9, 5) if miner < 2 else (-9, -5) for miner in range(7)})
    assert known.elect(votes)[0] == 0


def test_who_disagrees_is_not_trusted():
    """At most f, those that agree least; nobody is before the first election."""
    electorate = Electorate(2)
    assert electorate.trusted([4, 2, 0]) == [0, 2, 4]
    votes = dict.fromkeys(range(5), (-40, -20, 30)) | {5: (40, 20, -30), 6: (40, -20, -30)}
    _, electorate = electorate.elect(votes)
    assert electorate.agreement(5) < electorate.agreement(6) < 0
    assert electorate.trusted(range(7)) == [0, 1, 2, 3, 4]
    assert electorate.trusted([6, 0, 5]) == [0]
    assert electorate.trusted([0, 7]) == [0]  # 7 never voted
    one = Electorate(1)
    _, one = one.elect(votes)
    assert one.trusted(range(7)) == [0, 1, 2, 3, 4, 6]


def test_honest_miners_who_differ_are_trusted():
    """Who agrees more often than not is left out of nothing, however far from the others."""
    electorate = Electorate(2)
    for _ in range(3):
        _, electorate = electorate.elect(dict.fromkeys(range(6), (-9, -8, -7)) | {6: (-8, -7, -9)})
    assert 0 < electorate.agreement(6) < electorate.agreement(0)
    assert electorate.trusted(range(7)) == list(range(7))


@pytest.mark.parametrize("lie", [MAX_SCORE, -MAX_SCORE, 0])
def test_votes_that_tell_nothing_apart_are_no_agreement(lie):
    """To block everything, wave it through or say nothing is no agreement where others see more."""
    electorate = Electorate(1)
    _, electorate = electorate.elect(dict.fromkeys(range(4), (-9, -7, -5)) | {4: (lie,) * 3})
    assert electorate.agreement(4) <= 0
    assert electorate.trusted(range(5)) == [0, 1, 2, 3]


def test_pairs_that_the_count_does_not_order_say_nothing():
    """Equal candidates are nobody's disagreement."""
    electorate = Electorate(1)
    _, electorate = electorate.elect(dict.fromkeys(range(4), (-9, -9)))
    assert electorate.agreement(0) == Fraction(2, 3)
    assert electorate.trusted(range(4)) == [0, 1, 2, 3]


def test_silence_is_no_way_to_look_honest():
    """Agreement is a share of the pairs a miner ordered, so who votes seldom gains nothing."""
    electorate = Electorate(1)
    for turn in range(4):
        votes = dict.fromkeys(range(4), (-3, -2))
        _, electorate = electorate.elect(votes | ({4: (3, 2)} if turn == 0 else {}))
    assert electorate.agreement(4) == -1
    assert electorate.agreement(0) == Fraction(1)


def test_the_order_of_votes_does_not_matter():
    """Whoever counts gets the same result."""
    votes = {0: (-5, -9), 1: (-6, -8), 2: (10, -1), 3: (-7, -7)}
    turned = dict(reversed(votes.items()))
    one, other = Electorate(1), Electorate(1)
    assert one.elect(votes) == other.elect(turned)
    assert [one.agreement(miner) for miner in votes] == [other.agreement(m) for m in votes]


def test_scores_are_the_change_of_the_loss():
    """Millionths, cut at the ends; what is not finite counts as the worst."""
    assert score_of(1.5, 2.0) == -500_000
    assert score_of(float("nan"), 2.0) == MAX_SCORE
    assert score_of(float("inf"), 2.0) == MAX_SCORE
    assert score_of(-1e30, 2.0) == -MAX_SCORE


def test_a_ballot_names_everything_voted_on():
    """Task, round, base model and each candidate, in order, enter the hash."""
    base = ballot_of(1, 1, "a", ["b", "c"])
    others = {
        ballot_of(2, 1, "a", ["b", "c"]),
        ballot_of(1, 2, "a", ["b", "c"]),
        ballot_of(1, 1, "x", ["b", "c"]),
        ballot_of(1, 1, "a", ["c", "b"]),
        ballot_of(1, 1, "a", ["bc"]),
        ballot_of(1, 1, "a", ["b"]),
    }
    assert len(base) == 32
    assert base not in others
    assert len(others) == 6
