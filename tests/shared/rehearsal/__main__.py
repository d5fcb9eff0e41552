"""`make edge-rehearsal`: docs/edge.md on machines of a small network, five rounds, three faults."""

import argparse
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console

from fedledger.errors import FedledgerError

from .ethereum import OnEthereum, installed
from .federation import Federation
from .memory import Memory
from .network import Network, enter
from .story import Story
from .telling import tell
from .wires import Link

out = Console(highlight=False, soft_wrap=True, width=120)


def main() -> int:
    """Rehearse, and return the exit status: 0 when the audit passed here and elsewhere."""
    asked = _asked()
    try:
        kind = Federation if asked.plain else partial(OnEthereum, programs=installed())
    except pytest.skip.Exception as error:
        out.print(f"no rehearsal here: {error}")
        return 2
    enter()
    started = time.monotonic()

    def say(text: str) -> None:
        out.print(f"{time.monotonic() - started:6.0f} s  {text}")

    folder = asked.keep or Path(tempfile.mkdtemp(prefix="rehearsal-"))
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    say(f"{folder}: a home for each machine, with what it said in started.log")
    link = Link(asked.delay / 1000, asked.jitter / 1000, asked.loss / 100)
    with Network(asked.seed) as network:
        federation = kind(folder.absolute(), network, asked.devices, link=link)
        whose = "each machine has a user" if federation.users else "all machines have one user"
        say(f"{asked.devices} devices; {whose}")
        story = Story(federation, say, calm=asked.calm)
        try:
            story.begin()
            with Memory(network.places) as memory:
                story.train(asked.rounds, asked.window)
            audits = story.end()
        finally:
            federation.stop()
        return tell(out, story, memory, audits)


def _asked() -> argparse.Namespace:
    words = argparse.ArgumentParser(prog="python -m rehearsal", description=__doc__)
    words.add_argument("--devices", type=int, default=5)
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--window", type=float, default=60.0, help="seconds for updates")
    words.add_argument("--delay", type=float, default=20.0, help="ms of a device's link, each way")
    words.add_argument("--jitter", type=float, default=5.0, help="ms that a frame may be later")
    words.add_argument("--loss", type=float, default=1.0, help="per cent of a device's frames")
    words.add_argument(
        "--plain", action="store_true", help="a chain beside the server, no Ethereum, no store"
    )
    words.add_argument("--calm", action="store_true", help="no link is cut")
    words.add_argument("--seed", type=int, default=7, help="which frames get lost")
    words.add_argument("--keep", type=Path, help="folder of everybody's homes; else a new one")
    asked = words.parse_args()
    if asked.devices < 3 or asked.rounds < 1:
        words.error("at least 3 devices and 1 round")
    return asked


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (AssertionError, FedledgerError, OSError, RuntimeError) as error:
        out.print(f"rehearsal: FAILED: {error}")
        sys.exit(1)
