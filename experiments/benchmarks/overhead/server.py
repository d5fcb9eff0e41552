"""The server's half, inside Flower's ServerApp: it trains in each way, and notes what happened.

Notes are lines of JSON, one file for the server and one for each device, by wall clock: all of
them run on one machine.
"""

import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message
from flwr.serverapp import Grid

from fedledger.arrays import to_record
from fedledger.errors import RunError
from fedledger.grids import WrappedGrid

from ....ledger_plugins import open_ledger, open_store
from ....ledger_plugins.accounts import Account, load_account, read_password
from ....strategies import audit_ledger
from ....strategies.rounds.evidence.documents import Evidence
from .settings import Settings
from .ways import WAYS, strategy_of

__all__ = ["NOTES", "measure_all"]

NOTES = "server.jsonl"
_LAYERS = 4
_POLLED = b"/v1/fleet/pull-messages"
_QUICK = 0.05  # as `exchange` of the rounds


def measure_all(grid: Grid, settings: str) -> None:
    """Train in every way, turn by turn.

    Args:
        grid: Flower's.
        settings: file of the settings.

    Raises:
        RunError: a device failed or was left out, or an audit does not pass.
    """
    given = Settings.model_validate_json(Path(settings).read_bytes())
    account = load_account("aggregator", read_password("password"))
    with given.superlink.open("rb") as log:
        for turn in range(given.turns):
            for name in given.ways:
                _Cell(given, name, turn, log).run(grid, account)


@dataclass(frozen=True, slots=True)
class _Mark:
    """A moment: the wall clock, and the processor seconds of the server app and the SuperLink."""

    at: float
    server: float
    superlink: float


class _Cell:
    """All rounds of one way in one turn; the first one warms up, and is noted as round 0."""

    def __init__(self, settings: Settings, name: str, turn: int, log: IO[bytes]) -> None:
        self._settings, self._name, self._turn, self._log = settings, name, turn, log
        self._way = WAYS[name]
        self._first = self._last = _Mark(0.0, 0.0, 0.0)
        self._evidence: list[Evidence] = []

    def run(self, grid: Grid, account: Account) -> None:
        """Train."""
        settings, rounds = self._settings, self._settings.rounds + 1
        observers = [self._evidence.append]
        task = f"{self._name}-{self._turn}"
        strategy = strategy_of(self._name, settings, account, task, observers)
        watched = _Watched(grid, quick=self._way.quick)
        asked = time.time()
        strategy.start(
            watched,
            _model(settings.parameters),
            num_rounds=rounds,
            train_config=self._config(),
            evaluate_fn=self._tick,
        )
        ended = time.time()
        for one in watched.seen.values():
            self._note(**one)
        self._note(opening=self._first.at - asked, closing=ended - self._last.at)
        self._check(rounds)

    def _tick(self, number: int, _arrays: ArrayRecord) -> None:
        """Note a round's end, which is the next one's beginning; Flower calls it after each."""
        now = _Mark(time.time(), time.process_time(), _cpu_of(self._settings.process))
        polls = sum(_POLLED in line for line in self._log)  # since it was read last
        if number:
            before = self._last
            self._note(
                round=number - 1,
                began=before.at,
                ended=now.at,
                cpu=now.server - before.server,
                superlink=now.superlink - before.superlink,
                polls=polls,
            )
        else:
            self._first = now
        self._last = now

    def _config(self) -> ConfigRecord:
        settings, way = self._settings, self._way
        config = ConfigRecord(
            {"seconds": settings.seconds, "signed": way.signed, "notes": str(settings.notes)}
        )
        if way.direct:
            config["submit"], config["account"] = "direct", "direct-{number}"
            config["ledger"], config["store"] = settings.direct.ledger, settings.direct.store
        return config

    def _note(self, **what: Any) -> None:
        line = json.dumps({"way": self._name, "turn": self._turn, **what})
        with (self._settings.notes / NOTES).open("a", encoding="utf-8") as notes:
            notes.write(line + "\n")

    def _check(self, rounds: int) -> None:
        """Check that what was timed is what was meant: everybody counted, and an audit passes."""
        if not self._way.signed:
            return
        places = self._settings.direct if self._way.direct else self._settings.local
        counted = [[len(phase.accepted) for phase in one.phases] for one in self._evidence]
        if counted != [[self._settings.devices] * self._way.phases] * rounds:
            raise RunError(f"{self._name}: of each round's phases these counted: {counted}")
        with (
            open_ledger(places.ledger, read_only=True) as ledger,
            open_store(places.store, read_only=True) as store,
        ):
            report = audit_ledger(ledger, store)
        if not report.passed:
            raise RunError(f"{self._name}: audit: {report.reason}")


class _Watched(WrappedGrid):
    """Notes when each message was sent, and when its reply was there.

    Args:
        grid: Flower's.
        quick: whether replies are looked for 20 times a second, and not as Flower's grid does it.
    """

    def __init__(self, grid: Grid, *, quick: bool) -> None:
        super().__init__(grid)
        self._quick = quick
        self.seen: dict[str, dict[str, Any]] = {}
        """By message: which of a cell's batches it was in, and when what happened."""
        self._batches = 0

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Note when messages are sent."""
        outgoing, now = list(messages), time.time()
        names = list(self._grid.push_messages(outgoing))
        self._batches += bool(names)
        for name in names:
            self.seen[name] = {"message": name, "batch": self._batches, "pushed": now}
        return names

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Note when replies are there."""
        replies = list(self._grid.pull_messages(message_ids))
        now = time.time()
        for reply in replies:
            if reply.has_error():
                raise RunError(f"a device failed: {reply.error.reason}")
            self.seen[reply.metadata.reply_to_message_id]["pulled"] = now
        return replies

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Wait as Flower's grid does, every 3 s, or more quickly."""
        if not self._quick:
            return type(self._grid).send_and_receive(self, messages, timeout=timeout)
        waiting, found = set(self.push_messages(messages)), list[Message]()
        end = time.monotonic() + (timeout or 0)
        while waiting and time.monotonic() < end:
            replies = self.pull_messages(waiting)
            found += replies
            waiting -= {one.metadata.reply_to_message_id for one in replies}
            if not replies:
                time.sleep(_QUICK)
        return found


def _model(parameters: int) -> ArrayRecord:
    share = parameters // _LAYERS
    sizes = [share] * (_LAYERS - 1) + [parameters - (_LAYERS - 1) * share]
    return to_record({f"layer.{one}": np.zeros(size, np.float32) for one, size in enumerate(sizes)})


def _cpu_of(process: int) -> float:
    """Return the processor seconds that a process has taken."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
