"""Every phase ends: at its window, a quiet time after its quorum, or with the run."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.clock import Clock

from fedledger.strategies import (
    ArrivalWindow,
)
from fedledger.strategies.rounds.arrival import exchange

SHARED = Path(__file__).parents[2] / "shared"


class _ScriptedGrid:
    """Replies come at the times that a test says, on a clock that only `sleep` moves."""

    def __init__(self, arrivals):
        self._arrivals = arrivals
        self.time = Clock()

    def push_messages(self, messages):
        return [f"m{index}" for index in range(len(messages))]

    def pull_messages(self, ids):
        return [
            SimpleNamespace(metadata=SimpleNamespace(reply_to_message_id=key))
            for key in ids
            if (at := self._arrivals[int(key[1:])]) is not None and at <= self.time.now
        ]


def _exchange(arrivals, window, timeout=3600.0, usable=lambda _: True):
    """Return how many replies were taken, and how many seconds it took."""
    taken = []

    def accept(reply, _asked, _stamp):
        taken.append(reply.metadata.reply_to_message_id)
        return usable(int(taken[-1][1:]))

    grid = _ScriptedGrid(arrivals)
    sent = [
        SimpleNamespace(metadata=SimpleNamespace(dst_node_id=n), content={})
        for n in range(len(arrivals))
    ]
    heard = exchange(
        grid,
        sent,
        window=window,
        timeout=timeout,
        accept=accept,
        time=grid.time,
        poll=0.5,
    )
    assert len(heard.answered) == len(taken)
    return len(taken), heard.milliseconds / 1000


@given(
    st.lists(st.none() | st.floats(0, 200), min_size=1, max_size=12),
    st.integers(1, 12),
    st.floats(1, 20),
)
@example([None, 1.5, 0.25], 1, 1.0)  # noted at 0.5, in time for the next one
def test_a_phase_ends_at_its_window_or_a_quiet_time_after_its_quorum(arrivals, quorum, quiet):
    """Whoever is silent, a phase takes no longer, and no answer before its end is lost."""
    window = ArrivalWindow(100.0, quiet, quorum)
    heard, took = _exchange(arrivals, window)
    there = sorted(math.ceil(2 * at) / 2 for at in arrivals if at is not None)  # noted when polled
    closes = window.closes(round(1000 * at) for at in there) / 1000
    if len(there) == len(arrivals) and there[-1] <= closes:
        closes = there[-1]
    assert took <= min(closes, 100.0) + 1.001
    assert heard >= sum(at <= closes - 0.501 for at in there)


def test_rubbish_counts_for_no_quorum():
    """Clients that send something unusable at once do not end a phase for the slower ones."""
    window = ArrivalWindow(100.0, 2.0, 3)
    arrivals = [0.0, 0.0, 0.0, 4.0, 4.0, 8.0, 9.0, None]
    assert _exchange(arrivals, window) == (3, 2.5)
    assert _exchange(arrivals, window, usable=lambda client: client > 2) == (7, 11.5)


def test_nobody_waits_longer_than_the_time_of_a_run():
    """Flower's timeout holds for every phase, whatever its window."""
    assert _exchange([None, 1.0], ArrivalWindow(1000.0), timeout=10.0) == (1, 10.5)
    assert _exchange([None, 1.0], None, timeout=10.0) == (1, 10.5)


@pytest.mark.soak
def test_who_trains_and_never_votes_costs_nobody_any_time(tmp_path, record_property):
    """Once 2f+1 votes are there, an election waits a short quiet time for the rest, no longer.

    In Flower's simulation, where a client that sleeps holds nobody else.
    """
    done = subprocess.run(
        [sys.executable, "-m", "support.slow_voter", str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(SHARED)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["audit"] == "passed"
    assert said["kept"] == [None]
    assert said["voted"] == [6]
    assert max(said["milliseconds"]) < 45_000
    record_property("milliseconds", max(said["milliseconds"]))
