import json
import os
import subprocess
import sys
from importlib.metadata import version

import pytest

PASSWORD = "FEDLEDGER_ACCOUNT_PASSWORD"  # noqa: S105 - the variable's name

CONFIG = """
name = "tiny"
engine = "inprocess"
clients = 7
rounds = 1
model = "softmax"
training = { epochs = 1, batch_size = 50 }
[[approaches]]
name = "PoFL"
strategy = "pofl"
"""


def fedledger(*arguments, **environment):
    """Run the command line in a process of its own, as a user does."""
    program = "from fedledger.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "COLUMNS": "200", "NO_COLOR": "1", **environment},
        timeout=120,
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # no terminal to ask for a password at
    )


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A tiny experiment, run by the command line."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "tiny.toml").write_text(CONFIG, encoding="utf-8")
    done = fedledger("run", folder / "tiny.toml", "--out", folder, HOME=str(folder))
    assert done.returncode == 0, done.stderr
    return done, next((folder / "tiny").iterdir())


def test_help_explains_itself_to_a_newcomer():
    """The first help says what this is, which commands there are and what to type first."""
    done = fedledger("--help")
    assert done.returncode == 0
    for part in ("leaves evidence", "fedledger run quickstart", "run", "audit", "list", "account"):
        assert part in done.stdout
    assert fedledger().stdout.split() == done.stdout.split()


@pytest.mark.parametrize("command", [["run"], ["audit"], ["list"], ["account", "create"]])
def test_every_command_has_help(command):
    """Each command explains itself and its options."""
    done = fedledger(*command, "--help")
    assert done.returncode == 0
    assert "Usage: " in done.stdout


def test_help_is_fast_because_nothing_heavy_is_imported():
    """Help and version import neither torch nor Flower nor numpy."""
    program = (
        "import sys; from fedledger.cli import app; "
        "heavy = {'torch', 'flwr', 'numpy', 'numba', 'sklearn', 'matplotlib', 'eth_account'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_version_is_the_packages():
    """`fedledger --version` prints the installed version."""
    assert fedledger("--version").stdout == f"fedledger {version('fedledger')}\n"


def test_a_run_prints_table_head_and_verdict_last(ran):
    """The last line is the audit's verdict, before it the chain's head; files are named."""
    done, folder = ran
    lines = done.stdout.splitlines()
    assert lines[-1] == "audit: passed"
    assert lines[-2].startswith("chain head: block ")
    assert "PoFL" in done.stdout
    assert str(folder / "accuracy.png") in done.stdout
    assert "cell 1/1" in done.stderr


def test_a_grid_of_many_chains_counts_their_heads(ran):
    """Five chains are five heads for programs, and one line for people, the verdict after it."""
    _, folder = ran
    several = 'ledger = "local://{run}/cells/{cell}.db"\nseeds = [1, 2, 3, 4, 5]\n[[approaches]]'
    grid = folder.parent.parent / "grid.toml"
    grid.write_text(CONFIG.replace("[[approaches]]", several), encoding="utf-8")
    done = fedledger("run", grid, "--out", folder.parent.parent / "grid", HOME=str(folder))
    assert done.stdout.splitlines()[-2:] == [
        "chain heads: 5, listed by --format json",
        "audit: passed",
    ]
    assert "chain head: " not in done.stdout


def test_a_run_answers_programs_in_json(ran):
    """With --format json standard output is the results and nothing else; --resume finds them."""
    _, folder = ran
    done = fedledger("run", "--resume", folder, "--format", "json")
    answer = json.loads(done.stdout)
    assert done.returncode == 0
    assert answer["audit"]["passed"] is True
    assert answer["rows"][0]["approach"] == "PoFL"
    assert answer["directory"] == str(folder)


def test_an_audit_gives_a_verdict_a_task_and_a_summary(ran):
    """By folder or by URLs: what passed, the sum, what was not checked, the head, the verdict."""
    _, folder = ran
    by_folder = fedledger("audit", folder)
    by_url = fedledger(
        "audit", "--ledger", f"local://{folder}/chain.db", "--store", f"file://{folder}/store"
    )
    assert by_folder.returncode == by_url.returncode == 0
    lines, others = by_folder.stdout.splitlines(), by_url.stdout.splitlines()
    noted = "not checked: whether newer blocks were taken away: no head was noted (--head HASH)"
    assert noted not in lines
    assert [line for line in others if line != noted] == lines
    assert lines[0].startswith("passed  pofl--none--digits--iid--s1 round 1: ")
    assert lines[1] == "1 round: 1 proved, 0 attested, 0 kept their model"
    assert lines[2].startswith("update: ")
    assert lines[-1] == "audit: passed"
    answer = json.loads(fedledger("audit", folder, "--format", "json").stdout)
    summary = answer["summary"]
    assert (summary["rounds"], summary["passed"], summary["proved"]) == (1, 1, 1)
    assert (summary["trouble"], summary["not_checked"]) == (None, [])
    assert answer["ledgers"][0]["rounds"][0]["passed"] is True


def test_what_an_audit_exits_with(ran, tmp_path):
    """Another head than the one noted fails, 1; a missing chain could not be checked, 2."""
    _, folder = ran
    other = fedledger("audit", folder, "--head", "0x" + "00" * 32)
    missing = fedledger(
        "audit", "--ledger", f"local://{tmp_path}/no.db", "--store", f"file://{tmp_path}/store"
    )
    for done, status, word in ((other, 1, "FAILED"), (missing, 2, "could not check")):
        assert done.returncode == status
        assert done.stdout.splitlines()[-1].startswith(f"audit: {word}: ")
        assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())  # nothing was made


def test_a_failed_run_exits_with_1(tmp_path):
    """A cell that fails is named with its error, and the status says so."""
    (tmp_path / "tiny.toml").write_text(CONFIG, encoding="utf-8")
    done = fedledger(
        "run",
        tmp_path / "tiny.toml",
        "--out",
        tmp_path,
        "--set",
        "attacks=[{name='label_flip', source=11, target=0}]",
        "--set",
        "malicious=[0.15]",
        HOME=str(tmp_path),
    )
    assert done.returncode == 1
    assert "FAILED" in done.stdout
    assert "number of classes" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run"], "Give a CONFIG"),
        (["run", "quikstart"], "did you mean 'quickstart'"),
        (["run", "quickstart", "--set", "round=3"], "did you mean 'rounds'"),
        (["run", "quickstart", "--engine", "flowr"], "did you mean 'flower'"),
        (["run", "quickstart", "--scale", "smok"], "did you mean 'smoke'"),
        (["run", "--resume", "/nowhere"], "/nowhere"),
        (["audit"], "Give RUN_DIR"),
        (["audit", "--ledger", "local:///x.db"], "Give RUN_DIR"),
        (["audit", "/nowhere"], "no run's folder"),
        (["audit", "--ledger", "lokal:///x", "--store", "file:///x"], "did you mean 'local'"),
        (["audit", "/nowhere", "--head", "0x12"], "'0x12' is no block's hash"),
        (["run", "quickstart", "--set", "clients=1e9"], "less than or equal to 256"),
        (
            ["account", "create", "Not A Name", "--password-file", "/nowhere"],
            "password file /nowhere",
        ),
        (["account", "create", "alice"], "no terminal to ask at: give --password-file"),
        (["deploy", "--ledger", "local:///x.db", "--account", "./alice"], "no account file alice"),
    ],
)
def test_what_is_wrong_is_one_line_and_status_2(arguments, said):
    """An error of the library is one line on standard error: no traceback, nothing printed."""
    done = fedledger(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr


def test_a_folder_whose_name_is_no_text_is_one_line(tmp_path):
    """What has to stand in a URL or in SQLite's hands is refused in a sentence when it cannot."""
    folder = os.fsencode(tmp_path) + b"/b\xfcro"
    os.mkdir(folder)  # noqa: PTH102 - bytes
    for arguments in (
        ["run", "quickstart", "--out", os.fsdecode(folder)],
        ["node", "run", "--new-chain", "--data", os.fsdecode(folder)],
    ):
        done = fedledger(*arguments)
        assert done.returncode == 2
        assert done.stderr.splitlines()[-1].startswith("error: '/")
        assert done.stderr.splitlines()[-1].endswith("have to be UTF-8 here")
        assert "Traceback" not in done.stderr


def test_accounts_are_made_and_listed(tmp_path):
    """An account is made from a password file or variable, listed, and never made twice."""
    home = {"FEDLEDGER_HOME": str(tmp_path)}
    secret = tmp_path / "password"
    secret.touch(0o600)
    secret.write_text("correct horse\n", encoding="utf-8")
    assert fedledger("account", "list", **home).stdout == "no accounts yet\n"
    made = fedledger(
        "account", "create", "alice", "--password-file", secret, "--format", "json", **home
    )
    assert made.returncode == 0, made.stderr
    alice = json.loads(made.stdout)[0]
    assert alice["address"].startswith("0x")
    bob = fedledger("account", "create", "bob", **home, **{PASSWORD: "correct"})
    assert bob.returncode == 0
    listed = json.loads(fedledger("account", "list", "--format", "json", **home).stdout)
    assert [account["name"] for account in listed] == ["alice", "bob"]
    assert listed[0] == alice
    again = fedledger("account", "create", "alice", "--password-file", secret, **home)
    assert again.returncode == 2
    assert "alice" in again.stderr
    assert "horse" not in made.stdout + made.stderr


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("rules", "bulyan"),
        ("attacks", "label_flip"),
        ("datasets", "digits"),
        ("models", "cnn"),
        ("partitions", "dirichlet"),
        ("engines", "inprocess"),
        ("configs", "quickstart"),
        ("contracts", "TrainingTask"),
    ],
)
def test_names_are_listed_with_what_they_mean(kind, name):
    """Everything a config can name is listed, each with a sentence."""
    entries = json.loads(fedledger("list", kind, "--format", "json").stdout)
    about = {entry["name"]: entry["about"] for entry in entries}
    assert len(about[name]) > 10
