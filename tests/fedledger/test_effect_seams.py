"""Rooms with seams call nothing that reads a clock, draws, opens a file or starts a thread itself.

Their imports are the import linter's business (the contract "effects" in pyproject.toml); here are
the calls that need no import of their own.
"""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

OF_MODULES = {
    "apsw": {"Connection"},
    "asyncio": {"create_subprocess_exec", "open_connection", "start_server", "to_thread"},
    "date": {"today"},
    "datetime": {"now", "today", "utcnow"},
    "os": {"fdopen", "fsync", "listdir", "mkdir", "open", "pread", "pwrite", "read", "remove"}
    | {"rename", "replace", "scandir", "stat", "unlink", "urandom", "write"},
    "threading": {"Thread", "Timer"},
}
OF_ANYTHING = {"exists", "glob", "is_dir", "is_file", "iterdir", "lexists", "link", "mkdir"} | {
    "read_bytes", "read_text", "rename", "run_in_executor", "stat", "touch", "unlink", "urlopen",
    "write_bytes", "write_text",
}  # fmt: skip
"""Methods of a path, of an event loop and of `urllib.request`, whatever the object is called."""

OF_A_DISK = {"disk", "_disk"}
"""What a disk is called: its methods may have these names."""

ALLOWED = {
    # The embedded chain's own file, where SQLite's checksum VFS is loaded and crashes are cleaned.
    "ledger_plugins/local/disk/database.py",
    # An IPFS daemon's files have calls of these names; ipfshttpclient makes them.
    "ledger_plugins/storage/ipfs.py",
    # Calls of somebody else's store are left behind at the deadline, each in its thread.
    "ledger_plugins/storage/waiting.py",
}


def rooms():
    """Return the rooms with seams, as the import linter's contract lists them."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    [contract] = [
        one for one in config["tool"]["importlinter"]["contracts"] if one["id"] == "effects"
    ]
    return [one.removeprefix("fedledger.").replace(".", "/") for one in contract["source_modules"]]


def files():
    for room in rooms():
        path = ROOT / room
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]


def bare_calls(source):
    """Return the lines of calls that do something to the world past the effects."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return sorted({call.lineno for call in calls if _is_bare(call)})


def _is_bare(call):
    function = call.func
    if isinstance(function, ast.Name):
        return function.id in {"open", "Thread", "Timer"}
    if not isinstance(function, ast.Attribute):
        return False
    owner = function.value
    name = owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "")
    if function.attr in OF_MODULES.get(name, ()):
        return True
    if function.attr == "open":  # of a path: it says how
        return bool(call.args) and _is_mode(call.args[0])
    if function.attr == "replace":  # of a path: a text's takes two
        return len(call.args) == 1 and not call.keywords
    return function.attr in OF_ANYTHING and name not in OF_A_DISK


def _is_mode(node):
    return isinstance(node, ast.Constant) and bool(re.fullmatch(r"[rwxabt+]+", str(node.value)))


@pytest.mark.parametrize("path", list(files()), ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms_with_seams_use_their_effects(path):
    """No call of a room goes past the effects, but in the files that are allowed to, by name."""
    lines = bare_calls(path.read_text(encoding="utf-8"))
    if str(path.relative_to(ROOT)) in ALLOWED:
        assert lines, "it needs no permission any more"
    else:
        assert lines == []


@pytest.mark.parametrize(
    "call",
    [
        "open('f')",
        "path.unlink()",
        "path.open('rb')",
        "path.replace(path)",
        "os.fsync(1)",
        "asyncio.to_thread(f)",
        "threading.Thread(target=f)",
        "self.path.write_bytes(b'')",
        "datetime.now()",
        "apsw.Connection('f')",
        "loop.run_in_executor(None, f)",
    ],
)
def test_a_bare_call_is_found(call):
    """What the rooms must not do is seen where it is done."""
    assert bare_calls(f"def f(path):\n    return {call}\n") == [2]


@pytest.mark.parametrize(
    "call", ["disk.exists(p)", "self._disk.rename(a, b)", "store.open()", "text.replace('a', 'b')"]
)
def test_calls_of_an_effect_are_no_bare_ones(call):
    """The same names are a disk's methods."""
    assert bare_calls(call) == []
