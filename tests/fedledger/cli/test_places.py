"""The command line in places that nobody prepared for it."""

import json
import os
import pty
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from fedledger.cli.lines import date_of, laid_out

CONFIG = """
name = "tiny"
engine = "inprocess"
clients = 7
rounds = 3
model = "softmax"
training = { epochs = 1, batch_size = 50 }
[[approaches]]
name = "PoFL"
strategy = "pofl"
"""


def start(*arguments, limit=None, stdout=subprocess.PIPE, **environment):
    """Start the command line in a process group of its own, as a shell does."""
    program = "from fedledger.cli import main; main()"
    if limit is not None:  # Python itself would leave the first half of a module
        environment["PYTHONDONTWRITEBYTECODE"] = "1"

    def bound():
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "NO_COLOR": "1", "HOME": "/nonexistent", **environment},
        start_new_session=True,
        preexec_fn=bound,  # noqa: PLW1509 - no test has threads
    )


def fedledger(*arguments, limit=None, **environment):
    """Run the command line; its status, what it printed, and what it printed of errors."""
    process = start(*arguments, limit=limit, **environment)
    out, err = process.communicate(timeout=120)
    return process.returncode, out.decode(errors="replace"), err.decode(errors="replace")


def on_terminal(*arguments, **environment):
    """Run the command line on a terminal, and return what is shown there."""
    ours, theirs = pty.openpty()
    process = start(*arguments, stdout=theirs, TERM="xterm", **environment)
    os.close(theirs)
    shown = b""
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        try:
            while part := terminal.read(4096):
                shown += part
        except OSError:
            pass  # so a terminal ends on Linux
    assert process.wait() == 0
    if process.stderr is not None:
        process.stderr.close()
    return shown.decode()


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A tiny experiment's folder, with blanks and letters of other languages in its path."""
    folder = tmp_path_factory.mktemp("places") / "Ergebnisse für müde Köpfe"
    folder.mkdir()
    (folder / "tiny.toml").write_text(CONFIG, encoding="utf-8")
    status, _, err = fedledger("run", folder / "tiny.toml", "--out", folder)
    assert status == 0, err
    hint = re.search(r"--resume (.*)\)", err)
    assert hint
    assert hint[1].startswith("'")  # to be pasted into a shell
    return next((folder / "tiny").iterdir())


# Kernels --------------------------------------------------------------------------------------

KRUM = (
    "import numpy as np; from fedledger.strategies.aggregation import krum; "
    "print(krum(list(np.eye(7, 5, dtype=np.float32)), byzantine=1).tolist())"
)


def krum(**environment):
    done = subprocess.run(
        [sys.executable, "-c", KRUM],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", **environment},
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


def test_rules_work_where_no_kernel_can_be_kept(tmp_path):
    """Nobody may write beside the sources nor at home; the cache is a file; what it has is torn."""
    keep = {"NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator"}
    cache, file = tmp_path / "cache", tmp_path / "file"
    file.touch()
    wanted = krum(**keep, NUMBA_CACHE_DIR=str(cache))
    kept = [path for path in cache.rglob("*") if path.is_file()]
    assert kept
    assert krum(**keep) == wanted
    assert krum(**keep, NUMBA_CACHE_DIR=str(file)) == wanted
    for path in kept:
        path.write_bytes(path.read_bytes()[:7])
    assert krum(**keep, NUMBA_CACHE_DIR=str(cache)) == wanted


# Disks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [100, 20_000])
def test_a_disk_that_takes_no_more_is_one_sentence_and_loses_nothing(tmp_path, limit):
    """A file cannot grow: no traceback; with room again the run goes on to its end."""
    (tmp_path / "tiny.toml").write_text(CONFIG, encoding="utf-8")
    status, _, err = fedledger("run", tmp_path / "tiny.toml", "--out", tmp_path, limit=limit)
    assert status in {1, 2}
    assert "Traceback" not in err
    assert "Logging error" not in err
    assert "too large" in err or "full" in err or "I/O" in err
    folder = next((tmp_path / "tiny").iterdir())
    if (folder / "run.json").exists():
        status, out, err = fedledger("run", "--resume", folder)
        assert status == 0, err
        assert out.splitlines()[-1].endswith("passed")


@pytest.mark.parametrize("arguments", [["list", "rules"], ["--version"], ["--help"]])
def test_an_answer_that_cannot_be_written_is_an_error(arguments):
    """What is printed onto a full disk ends with status 2 and a sentence."""
    with Path("/dev/full").open("wb") as full:
        process = subprocess.run(
            [sys.executable, "-c", "from fedledger.cli import main; main()", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert process.returncode == 2
    assert process.stderr == b"error: No space left on device\n"


# Ctrl-C ---------------------------------------------------------------------------------------


def group_of(folder):
    """Return the process group that works on a run in a worker, or None."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"worker" in path.read_bytes() and str(folder).encode() in path.read_bytes():
                return os.getpgid(int(path.parent.name))
        except (OSError, ProcessLookupError):
            continue  # it has ended
    return None


def living(group):
    """Return the ids of processes in a group that are no zombies."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, of = path.read_text().rpartition(") ")[2].split()[:3]
        except OSError:
            continue  # it has ended
        if int(of) == group and state != "Z":
            found.append(path.parent.name)
    return found


@pytest.mark.parametrize("wait", [1.0, 9.0])
def test_ctrl_c_ends_flowers_engine_with_all_of_ray(tmp_path, wait):
    """While ray starts and in a round: 130 in ten seconds, nothing is left, resumable."""
    (tmp_path / "tiny.toml").write_text(CONFIG.replace("rounds = 3", "rounds = 30"))
    process = start("run", tmp_path / "tiny.toml", "--engine", "flower", "--out", tmp_path)
    group, deadline = None, time.monotonic() + 60
    while group is None:
        assert process.poll() is None
        assert time.monotonic() < deadline
        group = group_of(tmp_path)
        time.sleep(0.05)
    time.sleep(wait)
    begun = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert time.monotonic() - begun < 10
    assert process.returncode == 130
    assert b"Traceback" not in err
    while living(group) and time.monotonic() - begun < 10:
        time.sleep(0.1)
    assert not living(group)
    folder = next((tmp_path / "tiny").iterdir())
    status, _, text = fedledger("run", "--resume", folder, "--engine", "inprocess")
    assert status == 0, text


def test_ctrl_c_that_something_ignores_ends_the_command_all_the_same():
    """Code that swallows the interrupt has a few seconds; a second Ctrl-C gives it none."""
    program = (
        "import signal, time\n"
        "from fedledger import cli\n"
        "cli._PATIENCE = 1.0\n"
        "def stuck():\n"
        "    while True:\n"
        "        try:\n"
        "            print('here', flush=True)\n"
        "            time.sleep(60)\n"
        "        except BaseException:\n"
        "            pass\n"
        "cli._main = stuck\n"
        "cli.main()\n"
    )
    for again in (False, True):
        process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.stdout.readline()
        if again:
            process.send_signal(signal.SIGINT)
        begun = time.monotonic()
        assert process.wait(10) == 130
        assert (time.monotonic() - begun < 0.9) == again
        process.stdout.close()


# What a terminal can show -----------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["ascii:strict", "cp1252"])
def test_output_in_any_encoding(ran, encoding):
    """What an encoding lacks is written in escapes; nothing fails for it."""
    where = {"PYTHONIOENCODING": encoding}
    status, out, err = fedledger("run", "--resume", ran, **where)
    assert status == 0, err
    assert out.splitlines()[-1].endswith("passed")
    for arguments in (["list", "rules"], ["--help"], ["audit", ran], ["run", "--help"]):
        status, out, err = fedledger(*arguments, **where)
        assert status == 0, err
        assert "Traceback" not in err
    status, _, err = fedledger("run", "quickstart", "--set", "name='ü≥'", **where)
    assert status == 2
    assert err.startswith("error: ")


@pytest.mark.parametrize("columns", [40, 80])
def test_no_word_of_a_table_is_broken(ran, columns):
    """Where a table does not fit, each number has a line; prose is wrapped between words."""
    narrow = {"COLUMNS": str(columns)}
    out = fedledger("run", "--resume", ran, **narrow)[1]
    for word in ("accuracy", "round", "attack", "PoFL", "time"):
        assert re.search(rf"\b{word}\b", out), out
    piped = fedledger("list", "attacks", **narrow)[1]
    shown = on_terminal("list", "attacks", **narrow)
    assert shown.split() == piped.split()
    assert max(map(len, shown.splitlines())) <= columns < max(map(len, piped.splitlines()))
    shown = on_terminal("show", "chain", "--ledger", f"local://{ran}/chain.db", **narrow)
    assert re.match(r"index +11\r?\nhash +[0-9a-f]{64}\r?\ntime ", shown), shown


def test_what_goes_into_a_pipe_has_a_line_a_row():
    """Programs find rows where they were; a terminal that is too narrow gets a line for a value."""
    rows = [["a" * 30, "b" * 30], ["c", "d"]]
    pipe = Console(width=40, force_terminal=False)
    terminal = Console(width=40, force_terminal=True)
    assert len(laid_out(pipe, rows, ("one", "another"))) == 3
    assert laid_out(terminal, rows, ("one", "another")) == [
        "one      " + "a" * 30,
        "another  " + "b" * 30,
        "",
        "one      c",
        "another  d",
    ]


def test_times_are_dates(ran):
    """A block's time is a date for people and a number for programs, whatever a chain says."""
    chain = ["--ledger", f"local://{ran}/chain.db"]
    date = r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}Z"
    assert re.search(date, fedledger("show", "chain", *chain)[1])
    assert re.search(date, fedledger("show", "block", "1", *chain)[1])
    block = json.loads(fedledger("show", "block", "1", *chain, "--format", "json")[1])
    assert isinstance(block["timestamp"], int)
    assert date_of(0) == "1970-01-01 00:00:00.000Z"
    assert date_of(2**63) == f"{2**63} ms"


@pytest.mark.parametrize(
    ("typed", "meant"), [(["lsit"], "list"), (["data", "fech"], "fetch"), (["nodee"], "node")]
)
def test_a_mistyped_command_is_suggested_once(typed, meant):
    """By us, or by what is below us, but not by both."""
    status, _, err = fedledger(*typed)
    assert status == 2
    assert err.count(f"'{meant}'") == 1


@pytest.mark.parametrize(
    ("words", "found"),
    [("fedledger aud", "audit"), ("fedledger list str", "strategies"), ("fedledger sh", "show")],
)
def test_a_shell_completes_commands_and_kinds(words, found):
    """Typer's own completion is there."""
    status, out, _ = fedledger(
        _FEDLEDGER_COMPLETE="complete_bash",
        COMP_WORDS=words,
        COMP_CWORD=str(len(words.split()) - 1),
    )
    assert status == 0
    assert found in out.split()


# An app to start from ---------------------------------------------------------------------------


def test_an_app_is_copied_whole_and_over_nothing(tmp_path):
    """With blanks in the path; what is there stays; unknown names and folders are one sentence."""
    folder = tmp_path / "meine erste" / "äpp"
    status, out, _ = fedledger("new", "quickstart", folder)
    assert status == 0
    assert str(folder) in out
    assert {str(path.relative_to(folder)) for path in folder.rglob("*.*")} == {
        "README.md",
        "pyproject.toml",
        "quickstart/__init__.py",
        "quickstart/client_app.py",
        "quickstart/server_app.py",
    }
    assert fedledger("new", "edge", folder.parent / "edge")[0] == 0
    assert (folder.parent / "edge" / "edge" / "digits.json").exists()
    assert sorted(folder.parent.iterdir()) == sorted([folder, folder.parent / "edge"])
    for arguments, said in (
        (["quickstart", folder], "is there already"),
        (["quickstrat", tmp_path / "x"], "did you mean 'quickstart'"),
        (["quickstart", folder / "README.md" / "x"], "cannot be written"),
        (["../configs", tmp_path / "x"], "unknown app"),
    ):
        status, _, err = fedledger("new", *arguments)
        assert status == 2
        assert said in err
        assert "Traceback" not in err
    assert not (tmp_path / "x").exists()
