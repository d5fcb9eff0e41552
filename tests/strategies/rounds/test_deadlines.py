"""Every phase ends: at its window, a quiet time after its quorum, or with the run."""

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from flwr.app import ConfigRecord
from hypothesis import example, given
from hypothesis import strategies as st
from support.clock import Clock
from support.federation import Federation, initial_model, make_app

from fedledger.arrays import to_record
from fedledger.experiments.run.engines import get_engine
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.records import SigningRequest
from fedledger.strategies import ArrivalWindow, WallClock, audit_ledger
from fedledger.strategies.rounds.arrival import exchange
from fedledger.strategies.rounds.evidence import documents
from fedledger.strategies.rounds.evidence.documents import Evidence
from fedledger.strategies.rounds.server.strategy import LedgerStrategy

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


def _exchange(arrivals, window, timeout=3600.0, usable=lambda _: True, parties=math.inf):
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
        complete=lambda: len(taken) >= parties,
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


def test_who_is_nobodys_party_is_not_waited_for():
    """Once all parties have answered, silent strangers cost no time, with a window or without."""
    arrivals = [1.0, None, 3.0, 2.0, None]
    for window in (None, ArrivalWindow(100.0)):
        assert _exchange(arrivals, window, parties=3) == (3, 3.0)


def test_an_answer_counts_once_its_content_is_there():
    """From when it arrived; one that only names a content that never comes counts for no quorum."""
    window, grid, further = ArrivalWindow(100.0, 2.0, 3), _ScriptedGrid([0.0, 0.0, 0.0, None]), []

    def turn(at):
        if grid.time.now < at or further:
            return False
        further.extend([0, 0, 0])
        return True

    def took(at):
        further.clear()
        grid.time.now = 0.0
        ways = {"window": window, "timeout": 3600.0, "accept": lambda *_: False, "poll": 0.5}
        sent = [
            SimpleNamespace(metadata=SimpleNamespace(dst_node_id=n), content={}) for n in range(4)
        ]
        heard = exchange(grid, sent, **ways, time=grid.time, turn=lambda: turn(at), further=further)
        return heard.milliseconds / 1000

    assert took(10.0) == 10.0
    assert took(1.0) == 2.5
    assert took(1000.0) == 100.5


def test_nobody_waits_longer_than_the_time_of_a_run():
    """Flower's timeout holds for every phase, whatever its window."""
    assert _exchange([None, 1.0], ArrivalWindow(1000.0), timeout=10.0) == (1, 10.5)
    assert _exchange([None, 1.0], None, timeout=10.0) == (1, 10.5)


class _Muted:
    """A grid on which the replies of one account's node to one kind of message are lost."""

    def __init__(self, grid, node, phase):
        self._grid, self._node, self._phase, self._lost = grid, node, phase, set()

    def __getattr__(self, name):
        return getattr(self._grid, name)

    def push_messages(self, messages):
        messages = list(messages)
        ids = list(self._grid.push_messages(messages))
        for key, message in zip(ids, messages, strict=True):
            request = SigningRequest.of(message.content)
            asked = request is not None and request.phase == self._phase
            if asked and message.metadata.dst_node_id == self._node:
                self._lost.add(key)
        return ids

    def pull_messages(self, ids):
        found = self._grid.pull_messages(ids)
        return [one for one in found if one.metadata.reply_to_message_id not in self._lost]


@pytest.mark.parametrize("kind", ["anchored", "trains and never votes", "never trains"])
def test_a_silent_client_costs_a_round_no_more_than_its_window(tmp_path, kind):
    """With Flower's own timeout of an hour, two rounds take seconds, and the others count."""
    federation = Federation(tmp_path, size=5, byzantine=1)
    window = ArrivalWindow(60.0, 0.5, 4)
    strategy: LedgerStrategy
    if kind == "anchored":
        strategy = federation.anchored(window=window)
    else:
        election = {"selection": "election", "rules": ("krum", "median")}
        strategy = federation.pofl(**election, window=window, clock=WallClock())
    phase = {"anchored": "weights", "never trains": "update"}.get(kind, "votes")

    def main(grid):
        muted = _Muted(grid, max(grid.get_node_ids()), phase)
        keys = ConfigRecord({"simulation-keys": str(federation.keys.path)})
        return strategy.start(muted, to_record(initial_model()), num_rounds=2, train_config=keys)

    began = time.monotonic()
    get_engine("inprocess").run(make_app(), federation.size, main)
    assert time.monotonic() - began < 45
    report = audit_ledger(federation.ledger, federation.store)
    assert report.passed, report.reason
    for published in TrainingTask(federation.ledger).aggregates(1):
        evidence = documents.load(Evidence, published.evidence, federation.store)
        heard = evidence.phase(phase)
        assert (evidence.kept, len(heard.accepted)) == (None, 4)
        # Until it is heard, its node was silent, and for its account nobody answered.
        reasons = [one.reason for one in heard.dropped]
        assert reasons in (["no-reply"], ["no-reply", "unheard"])
    federation.ledger.close()


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
