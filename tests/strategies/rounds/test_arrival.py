"""Arrival windows and clocks."""

import dataclasses
from itertools import pairwise
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.clock import Clock
from support.federation import make_app

from fedledger.effects import Effects
from fedledger.errors import ConfigError
from fedledger.strategies.rounds.arrival import (
    ArrivalWindow,
    SimulatedLatency,
    WallClock,
    exchange,
)

arrivals = st.lists(st.integers(0, 20_000), max_size=30)


@settings(deadline=None)
@given(arrivals)
def test_without_quiet_the_window_closes_at_its_end(times):
    """A plain window has its own length, whatever arrives."""
    assert ArrivalWindow(seconds=7.5).closes(times) == 7500


@settings(deadline=None)
@given(arrivals, st.integers(1, 5000))
def test_quiet_closes_after_the_first_gap(times, quiet):
    """Everything up to the first gap longer than T_m counts, nothing after it (Algorithm 2)."""
    window = ArrivalWindow(seconds=10.0, quiet=quiet / 1000)
    closes = window.closes(times)
    ordered = sorted(times)
    counted = [time for time in ordered if time <= closes]
    assert all(b - a <= quiet for a, b in pairwise(counted))
    if counted and len(counted) < len(ordered):
        following = ordered[len(counted)]
        assert following > 10_000 or following - counted[-1] > quiet
    assert closes <= 10_000


@settings(deadline=None)
@given(st.lists(st.integers(0, 5_000), min_size=1, max_size=9), st.data(), st.integers(1, 5000))
def test_late_answers_stretch_a_phase_by_a_quiet_time_each(honest, data, quiet):
    """Once the quorum is there, f others hold a phase up for f + 1 quiet times, and no longer."""
    others = data.draw(st.lists(st.integers(0, 60_000), max_size=4))
    window = ArrivalWindow(seconds=60.0, quiet=quiet / 1000, quorum=len(honest))
    assert window.closes(honest + others) <= max(honest) + (len(others) + 1) * quiet


def test_quiet_waits_for_the_first_update():
    """The quiet time runs from the last upload, so no upload means the whole window."""
    assert ArrivalWindow(seconds=3.0, quiet=0.5).closes([]) == 3000


@pytest.mark.parametrize(
    "settings_",
    [
        {"seconds": 0},
        {"seconds": 1, "quiet": -1},
        {"seconds": float("nan")},
        {"seconds": float("inf")},
        {"seconds": 1, "quiet": 1e306},
    ],
)
def test_a_window_without_length_is_refused(settings_):
    """A window that lets nothing in, or never closes, is a mistake and is named."""
    with pytest.raises(ConfigError, match="must be positive"):
        ArrivalWindow(**settings_)


def test_simulated_latency_depends_on_seed_round_and_client_alone():
    """The same draw comes back in any process, order or resumed run."""
    clock = SimulatedLatency(seed=3)
    draws = {(r, c): clock.arrival(r, c, 0) for r in range(1, 4) for c in range(5)}
    again = SimulatedLatency(seed=3)
    assert all(again.arrival(r, c, 999) == draws[r, c] for r, c in reversed(list(draws)))
    assert len(set(draws.values())) > 10
    assert SimulatedLatency(seed=4).arrival(1, 0, 0) != draws[1, 0]


def test_simulated_latency_has_the_mean_it_says():
    """The log-normal is scaled so that `mean` is its mean, and `extra` comes on top."""
    clock = SimulatedLatency(seed=0, mean=2.0, spread=0.5, extra={1: 3.0})
    draws = [clock.arrival(r, 0, 0) for r in range(4000)]
    assert abs(sum(draws) / len(draws) - 2000) < 60
    assert min(clock.arrival(r, 1, 0) for r in range(100)) > 3000


def test_the_wall_clock_believes_only_the_stamp():
    """Arrival is when the reply was pulled, never what a client says."""
    assert WallClock().arrival(1, 2, 1234) == 1234


class _Answering:
    """A grid in which every pull brings answers to other messages, and each answer twice."""

    def push_messages(self, messages):
        """Return an id for each message."""
        return [str(number) for number, _ in enumerate(messages)]

    def pull_messages(self, ids):
        """Return an answer to the first one asked for, twice, and one to nobody's message."""
        first = min(ids)
        return [_answer(key) for key in (first, first, "another")]


def _answer(key):
    return SimpleNamespace(metadata=SimpleNamespace(reply_to_message_id=key))


def test_one_answer_a_message_and_to_ours_alone():
    """Others neither count nor end the phase before everybody was heard."""
    messages = [
        SimpleNamespace(metadata=SimpleNamespace(dst_node_id=node), content=None)
        for node in (5, 6, 7)
    ]
    taken = []

    def accept(reply, asked, _stamp):
        taken.append((reply.metadata.reply_to_message_id, asked.metadata.dst_node_id))
        return True

    heard = exchange(_Answering(), messages, window=None, timeout=10, accept=accept, time=Clock())
    assert taken == [("0", 5), ("1", 6), ("2", 7)]
    assert heard.asked == [5, 6, 7]
    assert heard.answered == {5, 6, 7}


def test_a_strategy_waits_by_the_clock_it_was_given(federation):
    """While its time stands still, every phase takes no time."""
    effects = dataclasses.replace(Effects.real(), clock=Clock())
    told = []
    federation.run(federation.pofl(effects=effects, observers=[told.append]), make_app(), rounds=2)
    assert [phase.milliseconds for one in told for phase in one.phases] == [0, 0, 0, 0]
