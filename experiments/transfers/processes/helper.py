"""Processes that a measurement has besides its own: servers, links, clients.

Each is a fresh interpreter that reads questions from standard input, a line of JSON each, and
answers each with a line on standard output: {"answer": …} or {"error": "why"}. It ends when its
input does, so it does not outlive who started it. Whatever else it prints goes to standard error.
"""

import asyncio
import contextlib
import json
import os
import resource
import select
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from fedledger.errors import FedledgerError, RunError

__all__ = ["Helper", "answer_all", "cpu_seconds"]

# A helper finds modules where this process finds them, once its interpreter has started.
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    f"from {__package__}.{{role}} import main; main()"
)
_GRACE_SECONDS = 10.0
_LONGEST_LINE = 1 << 20

Answering = Callable[..., Awaitable[Any]]


class Helper:
    """A process that answers questions; a context manager that ends it.

    Args:
        role: the module beside this one whose `main` it runs.
        log: file that gets what it prints.
    """

    def __init__(self, role: str, log: Path) -> None:
        self._role = role
        with log.open("ab") as printed:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter
                [sys.executable, "-c", _START.format(role=role), json.dumps(sys.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=printed,
                start_new_session=True,  # Ctrl-C is for who started it, who then ends it
            )
        self._log = log

    def ask(self, what: str, *, seconds: float = 60.0, **arguments: Any) -> Any:
        """Return the answer to a question.

        Args:
            what: a name that the helper knows.
            seconds: how long it may take.
            **arguments: of JSON's types.

        Raises:
            RunError: it says what went wrong, or it does not answer in time, or has died.
        """
        asked, said = self._process.stdin, self._process.stdout
        assert asked is not None and said is not None  # noqa: S101, PT018 - they are pipes
        with contextlib.suppress(BrokenPipeError):
            asked.write(json.dumps({"what": what, **arguments}).encode() + b"\n")
            asked.flush()
        if not select.select([said], [], [], seconds)[0]:
            self._process.kill()  # or a late answer would be taken for the next one
            raise RunError(f"{self._role} {what!r}: no answer in {seconds:.0f} s (see {self._log})")
        line = said.readline()
        if not line:
            raise RunError(f"{self._role} has died (see {self._log})")
        answer = json.loads(line)
        if "error" in answer:
            raise RunError(answer["error"])
        return answer["answer"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End it: at once where something went wrong."""
        if exc_type is not None:
            self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        try:
            self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def answer_all(known: Mapping[str, Answering]) -> None:
    """Be a helper until the input ends."""
    asyncio.run(_answer_all(known))


async def _answer_all(known: Mapping[str, Answering]) -> None:
    said = _own_output()
    reader = asyncio.StreamReader(limit=_LONGEST_LINE)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        question = json.loads(line)
        what = question.pop("what")
        try:
            answer = {"answer": await known[what](**question)}
        except FedledgerError as error:
            answer = {"error": str(error)}
        except Exception as error:  # noqa: BLE001 - of other packages: the measurement ends with it
            answer = {"error": f"{what}: {type(error).__name__}: {error}"}
        said.write(json.dumps(answer) + "\n")
        said.flush()


def _own_output() -> IO[str]:
    """Return standard output, and let everyone else's prints go to standard error."""
    own = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return own


async def cpu_seconds() -> float:
    """Return the processor time that this process has taken."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
