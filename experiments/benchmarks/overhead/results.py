"""What came of it: each round's time, and where on its slowest device's way it went."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

from rich.table import Table

from .server import NOTES
from .settings import Settings
from .ways import BASE, WAYS

__all__ = ["LEGS", "POLL", "Overhead", "TimedRound", "lines_of", "read_overhead", "tables"]

POLL = 3.0
"""Seconds that a SuperNode waits before it asks again for a message (Flower 1.41)."""

LEGS = ("there", "start", "training", "device", "back", "server")
"""Legs of a round, of which its time is the sum; of a phase the device counts that was last."""

_HEADINGS = ("to a device", "its start", "training", "its own work", "back", "server's work")


@dataclass(frozen=True, slots=True)
class TimedRound:
    """A round.

    Attributes:
        way: how it was trained.
        turn: in which turn.
        number: from 1; 0 is the first one of a way and turn, which warms up.
        seconds: from its beginning to the next one's.
        legs: seconds by leg (`LEGS`): until a device's process is there; until its app is called;
            training; the rest of its app, which signs; until the server has the reply; and
            whatever the server does with nobody asked.
        messages: that a device answered.
        polls: how often a device asked for a message, on average.
        cpu_device: processor seconds of a device's processes, on average.
        cpu_server: those of the server app.
        cpu_superlink: those of the SuperLink.
    """

    way: str
    turn: int
    number: int
    seconds: float
    legs: Mapping[str, float]
    messages: float
    polls: float
    cpu_device: float
    cpu_server: float
    cpu_superlink: float


@dataclass(frozen=True, slots=True)
class Overhead:
    """All of it.

    Attributes:
        rounds: in the order in which they were made.
        once: by way the seconds that each turn took besides its rounds: task, confirmations.
    """

    rounds: tuple[TimedRound, ...]
    once: Mapping[str, Sequence[float]]

    def of(self, way: str) -> list[TimedRound]:
        """Return a way's rounds, without those that warmed up."""
        return [one for one in self.rounds if one.way == way and one.number]

    def seconds(self, way: str) -> float:
        """Return the median time of a way's rounds."""
        return median(one.seconds for one in self.of(way))

    def beyond(self, way: str, base: str = BASE) -> float | None:
        """Return the seconds that a way's round takes beyond another's; None: it was not run."""
        return self.seconds(way) - self.seconds(base) if self.of(base) else None

    @property
    def ways(self) -> list[str]:
        """The ways, in order."""
        return list(dict.fromkeys(one.way for one in self.rounds))

    def to_json(self, settings: Settings, machine: Mapping[str, Any]) -> dict[str, Any]:
        """Return it as JSON values."""
        asked = settings.model_dump(include={"devices", "seconds", "parameters", "rounds", "turns"})
        summary = {
            way: {
                "seconds": self.seconds(way),
                "beyond": self.beyond(way),
                "once": median(self.once[way]),
                "legs": _legs(self.of(way)),
            }
            for way in self.ways
        }
        rounds = [asdict(one) for one in self.rounds]
        return {**asked, "machine": dict(machine), "ways": summary, "rounds": rounds}


def lines_of(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the whole lines of notes."""
    if path.exists():
        text = path.read_text(encoding="utf-8")
        yield from (json.loads(line) for line in text.splitlines(keepends=True) if line[-1] == "\n")


def read_overhead(settings: Settings) -> Overhead:
    """Return what the notes of server and devices say."""
    devices = {
        line["message"]: line
        for path in sorted(settings.notes.glob("device-*.jsonl"))
        for line in lines_of(path)
    }
    noted = list(lines_of(settings.notes / NOTES))
    rounds, once = [], dict[str, list[float]]()
    for line in noted:
        if "opening" in line:
            once.setdefault(line["way"], []).append(line["opening"] + line["closing"])
        if "round" not in line:
            continue
        sent = [
            {**one, **devices[one["message"]]}
            for one in noted
            if "pushed" in one and line["began"] <= one["pushed"] < line["ended"]
        ]
        rounds.append(
            TimedRound(
                line["way"],
                line["turn"],
                line["round"],
                line["ended"] - line["began"],
                _split(line["began"], line["ended"], sent, settings.seconds),
                len(sent) / settings.devices,
                line["polls"] / settings.devices,
                sum(one["cpu"] for one in sent) / settings.devices,
                line["cpu"],
                line["superlink"],
            )
        )
    return Overhead(tuple(rounds), once)


def _split(
    began: float, ended: float, sent: Sequence[Mapping[str, Any]], training: float
) -> dict[str, float]:
    """Return a round's time by leg; in each phase the device counts that was last."""
    legs, at = dict.fromkeys(LEGS, 0.0), began
    for batch in sorted({one["batch"] for one in sent}):
        last = max((one for one in sent if one["batch"] == batch), key=lambda one: one["pulled"])
        trained = training if at == began else 0.0
        legs["server"] += last["pushed"] - at
        legs["there"] += last["began"] - last["pushed"]
        legs["start"] += last["called"] - last["began"]
        legs["training"] += trained
        legs["device"] += last["left"] - last["called"] - trained
        legs["back"] += last["pulled"] - last["left"]
        at = last["pulled"]
    legs["server"] += ended - at
    return legs


def _legs(rounds: Sequence[TimedRound]) -> dict[str, float]:
    return {leg: median(one.legs[leg] for one in rounds) for leg in LEGS}


def tables(found: Overhead, settings: Settings) -> list[Table]:
    """Return the measurements as tables for people."""
    given = f"{settings.devices} devices, {settings.parameters:,} parameters"
    cost = Table(title=f"What a round costs: {given}, training takes {settings.seconds:g} s")
    cost.add_column("way")
    for heading in ("a round", "from … to", "beyond FedAvg", "share", "in polls", "polls", "once"):
        cost.add_column(heading, justify="right")
    where = Table(title="Where a round's time goes, and what it takes of processors")
    where.add_column("way")
    for heading in (*_HEADINGS, "CPU: a device", "server app", "SuperLink"):
        where.add_column(heading, justify="right")
    for way in found.ways:
        rounds, beyond = found.of(way), found.beyond(way)
        times = [one.seconds for one in rounds]
        cost.add_row(
            WAYS[way].said,
            f"{found.seconds(way):.1f} s",
            f"{min(times):.1f} … {max(times):.1f} s",
            *_against(beyond, found.seconds(way), way),
            f"{mean(one.polls for one in rounds):.1f}",
            f"{median(found.once[way]):.1f} s",
        )
        where.add_row(
            WAYS[way].said,
            *(f"{seconds:.2f} s" for seconds in _legs(rounds).values()),
            *(
                f"{median(getattr(one, name) for one in rounds):.2f} s"
                for name in ("cpu_device", "cpu_server", "cpu_superlink")
            ),
        )
    return [cost, where]


def _against(beyond: float | None, seconds: float, way: str) -> tuple[str, str, str]:
    if beyond is None or way == BASE:
        return "", "", ""
    return f"{beyond:+.1f} s", f"{beyond / (seconds - beyond):+.1%}", f"{beyond / POLL:+.1f}"
