"""What a device loads when it starts, and what its installation takes, beside plain Flower.

    python -m fedledger.experiments.benchmarks.edge [--runs 9] [--format json]

Flower starts a Python process on a device for every message, so what a client app imports is paid
in every phase. Each program is started in turns with the others, in a process of its own; of its
times on a processor the shortest counts. The peer is `import flwr.clientapp`. An installation is
the files of a package and of all that it asks for, as they lie in this environment: measure in one
that has the wheel, since of an editable installation only its link is there.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["EXTRAS", "PROGRAMS", "Started", "files_of", "main", "measure_starts", "packages_of"]

PROGRAMS = {
    "Python alone": "pass",
    "flwr.clientapp": "import flwr.clientapp",
    "a client app with signing_mod": (
        "from flwr.clientapp import ClientApp; from fedledger.clients import signing_mod; "
        "app = ClientApp(mods=[signing_mod])"
    ),
    "the same, ready to train and sign": (
        "import fedledger.clients.signer; from fedledger.clients.handlers import salts, training"
    ),
    "the same, with submit=direct on a node": (
        "from fedledger.clients.handlers import salts, training; "
        "import fedledger.clients.direct, fedledger.effects.real.http; "
        "import fedledger.ledger_plugins.storage.served; "
        "import fedledger.ledger_plugins.local.node.http.remote"
    ),
    "fedledger --version": "import sys; sys.argv[1:] = ['--version']; {main}",
    "fedledger --help": "import sys; sys.argv[1:] = ['--help']; {main}",
    "torch": "import torch",
}
"""Name to what a fresh interpreter is told."""

_MAIN = """
from fedledger.cli import main
try:
    main()
except SystemExit as error:
    assert not error.code
"""

EXTRAS = ("server", "node", "ethereum", "ipfs", "torch", "experiments", "demo")
"""Of this package, whose installations are measured beside the base's."""

_BARE, _PEER = "Python alone", "flwr.clientapp"
_SAYS = """
import json, sys, time
status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
memory = int(status["VmRSS"].split()[0]) * 1024
print("\\n" + json.dumps([time.process_time(), memory, len(sys.modules)]))
"""


@dataclass(slots=True)
class Started:
    """A program that was started again and again.

    Attributes:
        seconds: the shortest time that it took of a processor, from its start to its end.
        memory: bytes resident at its end, the smallest.
        modules: modules loaded by then.
    """

    seconds: float = float("inf")
    memory: int = sys.maxsize
    modules: int = 0


@dataclass(frozen=True, slots=True)
class Measured:
    """All of it.

    Attributes:
        started: by program.
        installed: name of a package, and extra, to (packages, bytes).
    """

    started: dict[str, Started] = field(default_factory=dict)
    installed: dict[str, tuple[int, int]] = field(default_factory=dict)


def measure_starts(runs: int) -> dict[str, Started]:
    """Start each program `runs` times, in turns; those whose package is not here are left out.

    Raises:
        CalledProcessError: a program failed.
    """
    programs = {
        name: program.replace("{main}", _MAIN)
        for name, program in PROGRAMS.items()
        if name != "torch" or find_spec("torch") is not None
    }
    found = {name: Started() for name in programs}
    for _ in range(runs):
        for name, program in programs.items():
            done = subprocess.run(  # noqa: S603 - our own program
                [sys.executable, "-c", program + "\n" + _SAYS],
                capture_output=True,
                text=True,
                check=True,
            )
            taken, memory, modules = json.loads(done.stdout.splitlines()[-1])
            one = found[name]
            found[name] = Started(min(one.seconds, taken), min(one.memory, memory), modules)
    return found


def packages_of(name: str, extras: Sequence[str] = ()) -> set[str]:
    """Return the packages that an installation has: one, and all that it asks for, here.

    Raises:
        PackageNotFoundError: one of them is not installed.
    """
    found: set[tuple[str, str]] = set()
    left: list[tuple[str, str]] = [(canonicalize_name(name), extra) for extra in ("", *extras)]
    while left:
        one = left.pop()
        if one not in found:
            found.add(one)
            left += _asked_by(*one)
    return {package for package, _ in found}


def _asked_by(name: str, extra: str) -> Iterator[tuple[str, str]]:
    for line in distribution(name).requires or ():
        asked = Requirement(line)
        wanted = not extra if asked.marker is None else asked.marker.evaluate({"extra": extra})
        if wanted:
            yield from ((canonicalize_name(asked.name), one) for one in ("", *asked.extras))


def files_of(packages: set[str]) -> int:
    """Return the bytes of the packages' files, without what Python compiled from them."""
    total = 0
    for package in packages:
        for file in distribution(package).files or ():
            path = Path(file.locate())
            if file.suffix != ".pyc" and path.is_file():
                total += path.stat().st_size
    return total


def _installations() -> dict[str, tuple[int, int]]:
    wanted = {"flwr": ("flwr", ()), "fedledger": ("fedledger", ())} | {
        f"fedledger[{extra}]": ("fedledger", (extra,)) for extra in EXTRAS
    }
    found = {}
    for title, (name, extras) in wanted.items():
        try:
            packages = packages_of(name, extras)
        except PackageNotFoundError:  # an extra that is not installed here
            continue
        found[title] = len(packages), files_of(packages)
    return found


def tables(measured: Measured) -> list[Table]:
    """Return the measurements as tables for people."""
    starts = Table(title="What a process loads")
    starts.add_column("program")
    for heading in ("time", "beyond Flower", "memory", "beyond Flower", "modules"):
        starts.add_column(heading, justify="right")
    bare, peer = measured.started[_BARE], measured.started[_PEER]
    for name, one in measured.started.items():
        more = name not in {_BARE, _PEER}
        starts.add_row(
            name,
            f"{one.seconds:.2f} s",
            f"{one.seconds - peer.seconds:+.2f} s" if more else "",
            f"{one.memory / 1e6:.0f} MB",
            f"{(one.memory - peer.memory) / 1e6:+.0f} MB" if more else "",
            f"{one.modules - bare.modules}" if name != _BARE else "",
        )
    sizes = Table(title="What an installation takes")
    sizes.add_column("installation")
    for heading in ("packages", "files"):
        sizes.add_column(heading, justify="right")
    for name, (packages, size) in measured.installed.items():
        sizes.add_row(Text(name), str(packages), f"{size / 1e6:.0f} MB")
    return [starts, sizes]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark from the command line; return the exit status."""
    parser = argparse.ArgumentParser(description="What a device loads when it starts.")
    parser.add_argument("--runs", type=int, default=9, help="of each program (9)")
    parser.add_argument("--format", choices=("table", "json"), default="table")
    options = parser.parse_args(arguments)
    measured = Measured(measure_starts(options.runs), _installations())
    if options.format == "json":
        sys.stdout.write(json.dumps(asdict(measured), indent=2) + "\n")
        return 0
    console = Console()
    for table in tables(measured):
        console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
