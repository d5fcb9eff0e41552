"""The base installation is the edge client: what it loads, what it can, and what it says it lacks.

Only base packages can be imported in the processes that these tests start.
"""

import json
import re
import tomllib
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from support.base_only import EXTRAS, Device, environment, python
from support.federation import Federation

from fedledger.experiments.benchmarks.edge import PROGRAMS
from fedledger.strategies import audit_ledger

ROOT = Path(__file__).parents[2]
HEAVY = set(chain(*EXTRAS.values())) | {"fastapi", "uvicorn", "requests", "sqlalchemy"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """The environment of a process that has the base installation alone."""
    return environment(tmp_path_factory.mktemp("base") / "site")


# What is loaded --------------------------------------------------------------------------------

LOADED = "; import json, sys; print(json.dumps(sorted({m.partition('.')[0] for m in sys.modules})))"


@pytest.mark.parametrize(
    "program",
    [
        PROGRAMS["a client app with signing_mod"],
        PROGRAMS["the same, with submit=direct on a node"]
        + "; import fedledger.clients.training, fedledger.clients.handlers.voting",
    ],
    ids=["mod", "direct"],
)
def test_a_client_app_loads_no_extra(program):
    """With everything installed, it is loaded for who uses it: here nobody does."""
    loaded = set(python(program + LOADED, env=None))
    assert "fedledger" in loaded
    assert loaded & HEAVY == set()


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_the_command_line_starts_with_next_to_nothing(option):
    """Version and help import neither numpy nor Flower, nor pydantic, nor any cryptography."""
    program = (
        "import io, json, sys; sys.argv[1:] = [sys.argv[1]]\n"
        "from fedledger.cli import main\n"
        "out, sys.stdout = sys.stdout, io.StringIO()\n"
        "try:\n    main()\nexcept SystemExit as error:\n    assert not error.code\n"
        "said, sys.stdout = sys.stdout.getvalue(), out\n"
        "print(json.dumps([said, sorted({m.partition('.')[0] for m in sys.modules})]))"
    )
    said, loaded = python(program, option, env=None)
    assert "fedledger" in said
    slow = {"numpy", "flwr", "pydantic", "coincurve", "cryptography", "eth_abi", "httpx"}
    assert set(loaded) & (HEAVY | slow) == set()


# What it can -----------------------------------------------------------------------------------


def test_a_whole_round_of_pofl_on_a_device_needs_the_base_alone(base, tmp_path):
    """Updates, seals and salts of two rounds drawn by lot, without numba, SQLite or pairings."""
    federation = Federation(tmp_path, size=5, byzantine=1)
    device = Device(base)
    try:
        strategy = federation.pofl(rules=("krum", "median"), min_submissions=5)
        federation.run(strategy, device, model={"w": np.zeros(3, np.float32)})
        report = audit_ledger(federation.ledger, federation.store)
    finally:
        device.close()
        federation.ledger.close()
    assert report.passed
    assert {verdict.record.rule for verdict in report.rounds} <= {"krum", "median"}
    # An update and a salt in each round, and at the end the ledger's history.
    assert device.answers == (2 * 2 + 1) * federation.size
    assert device.loaded & HEAVY == set()


def test_a_vehicle_needs_the_base_alone(base, tmp_path):
    """A protocol is followed, with its lot, by who cannot compute what its rules come to."""
    program = (
        "import json; from fedledger.strategies.protocols.pofl import PoFLProtocol, PoFLSettings, "
        "arithmetic_of; from fedledger.experiments.vehicles import running\n"
        "rules = ('krum', 'trimmed_mean', 'bulyan')\n"
        "settings = PoFLSettings(byzantine=1, rules=rules, selection='beacon', strict=True, "
        "min_submissions=5, window=None, quiet=None, fallback='krum', "
        "arithmetic=arithmetic_of(rules))\n"
        "print(json.dumps(PoFLProtocol(settings).throws_lots))"
    )
    assert python(program, env=base) is True


# What it says that it lacks --------------------------------------------------------------------

ALL_HELP = """
import io, json, sys
import typer.main
from click.testing import CliRunner
from fedledger.cli.app import app

def walk(command, path):
    done = CliRunner().invoke(root, [*path, "--help"])
    found[" ".join(path)] = [done.exit_code, repr(done.exception), len(done.output)]
    for name, one in getattr(command, "commands", {}).items():
        walk(one, [*path, name])

found, root = {}, typer.main.get_command(app)
walk(root, [])
print(json.dumps(found))
"""


def test_every_command_has_help_in_the_base(base):
    """No help needs an extra."""
    found = python(ALL_HELP, env=base)
    assert len(found) > 60
    assert {path: one for path, one in found.items() if one[0] or one[2] < 100} == {}


COMMANDS = """
import io, json, sys
from contextlib import redirect_stderr, redirect_stdout
from fedledger.cli.app import app
from fedledger.errors import FedledgerError

found = []
for line in json.loads(sys.argv[1]):
    out = io.StringIO()
    try:
        with redirect_stdout(out), redirect_stderr(out):
            app(line, standalone_mode=False)
        found.append(out.getvalue())
    except FedledgerError as error:
        found.append(f"{type(error).__name__}: {error}")
    except SystemExit as error:
        found.append(f"exit {error.code}: {out.getvalue()}")
print(json.dumps(found))
"""

SAID = {
    "run quickstart": "experiments,torch",
    "audit --ledger local:///nowhere/chain.db --store file:///nowhere/store": "server",
    "show balances --ledger local:///nowhere/chain.db": "server",
    "show rounds --ledger local:///nowhere/chain.db --store file:///nowhere/store": "server",
    "show balances --ledger ethereum+http://127.0.0.1:1": "ethereum",
    "deploy --rpc http://127.0.0.1:1": "ethereum",
    "node run --data nowhere --new-chain": "node",
    "store pins --store ipfs+http://127.0.0.1:1": "ipfs",
    "store serve --store file:///nowhere/store --data nowhere --name a:1 --allow all": "node",
    "run bift-transfer": "transfer",
    "data fetch mnist": "vision",
}
"""Command to the extra that it asks for."""


def test_a_command_says_which_extra_it_needs(base, monkeypatch, tmp_path):
    """In one sentence, that can be pasted; nothing is begun before."""
    monkeypatch.chdir(tmp_path)
    lines = [line.split() for line in SAID]
    found = dict(zip(SAID, python(COMMANDS, json.dumps(lines), env=base), strict=True))
    wrong = {
        line: said
        for line, said in found.items()
        if f"pip install 'fedledger[{SAID[line]}]'" not in said or "\n" in said.strip()
    }
    assert wrong == {}
    assert list(tmp_path.iterdir()) == []


PACKAGES = {
    "fedledger": "",
    "fedledger.clients": "",
    "fedledger.crypto": "",
    "fedledger.ledger_plugins": "",
    "fedledger.ledger_plugins.contracts": "",
    "fedledger.ledger_plugins.ethereum": "ethereum",
    "fedledger.ledger_plugins.local": "server",
    "fedledger.ledger_plugins.storage": "",
    "fedledger.strategies": "paillier",
    "fedledger.strategies.aggregation": "",
    "fedledger.strategies.protocols": "",
    "fedledger.strategies.protocols.pofl": "",
    "fedledger.experiments": "",
    "fedledger.experiments.config.catalogue": "",
    "fedledger.experiments.datasets": "",
    "fedledger.experiments.models": "",
    "fedledger.experiments.sim": "node",
}
"""Where public names are, and the extra that they need."""

PUBLIC = """
import importlib, json, sys
from fedledger.errors import FedledgerError

found = {}
for package in json.loads(sys.argv[1]):
    try:
        module = importlib.import_module(package)
        for name in getattr(module, "__all__", ()):
            getattr(module, name)
    except FedledgerError as error:
        found[package] = str(error)
    else:
        found[package] = ""
print(json.dumps(found))
"""


def test_public_names_are_there_or_say_which_extra_they_need(base):
    """No import from a public package ends in a ModuleNotFoundError."""
    found = python(PUBLIC, json.dumps(list(PACKAGES)), env=base)
    asked = {
        name: "".join(re.findall(r"pip install 'fedledger\[(.*)\]'", said))
        for name, said in found.items()
    }
    assert asked == PACKAGES


CALLS = """
import json
import numpy as np
from fedledger.errors import FedledgerError
from fedledger.crypto.bls import BlsKey
from fedledger.clients import device_of
from fedledger.experiments.datasets import load_dataset
from fedledger.ledger_plugins.accounts import Account
from fedledger.strategies import PoFL
from fedledger.strategies.aggregation import krum, rules
from flwr.app import Context, RecordDict

context = Context(1, 1, {"device": "auto"}, RecordDict(), {})
account = Account.from_key(bytes([7]) * 32)
calls = {
    "rule": lambda: krum(list(np.eye(5, dtype=np.float32)), byzantine=1),
    "strategy": lambda: PoFL("local:///nowhere", "file:///nowhere", account=account,
                             clients=[account.address], model_id="m", byzantine=0),
    "data set": lambda: load_dataset("digits"),
    "device": lambda: device_of(context),
    "key": BlsKey.create,
}
found = {}
for name, call in calls.items():
    try:
        call()
    except FedledgerError as error:
        found[name] = f"{type(error).__name__}: {error}"
print(json.dumps(found))
"""


def test_what_is_called_from_python_says_which_extra_it_needs(base):
    """A rule before its first result, a strategy when it is made, not in its first round."""
    found = python(CALLS, env=base)
    expected = {
        "rule": "server",
        "strategy": "server",
        "data set": "experiments",
        "device": "torch",
        "key": "pairing",
    }
    assert found.keys() == expected.keys()
    for name, extra in expected.items():
        assert f"pip install 'fedledger[{extra}]'" in found[name]
    assert found["rule"].startswith("NotInstalled: ")


# What the project promises ---------------------------------------------------------------------


def asked_for():
    """Return the extras that any sentence of ours, in code or documents, says to install."""
    found = {}
    folders = ("fedledger", "crypto", "ledger_plugins", "strategies", "clients", "experiments")
    pages = [path for room in folders for path in (ROOT / room).rglob("*.py")]
    pages += [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.rglob("apps/*/README.md")]
    for path in pages:
        for extras in re.findall(r"fedledger\[([a-z,]+)\]", path.read_text(encoding="utf-8")):
            found.setdefault(path.name, set()).update(extras.split(","))
    return found


def test_every_extra_that_somebody_is_told_to_install_is_there():
    """In all of our sentences; and what tests block is what the extras bring."""
    extras = PROJECT["optional-dependencies"]
    found = asked_for()
    assert len(found) > 8
    assert {
        page: names - extras.keys() for page, names in found.items() if names - extras.keys()
    } == {}
    assert EXTRAS.keys() | {"edge", "node", "demo", "test"} == extras.keys()


def test_the_base_asks_for_nothing_that_an_extra_is_for():
    """Extras cannot take away: what one of them brings is no dependency of the base."""

    def names(lines):
        return {re.split(r"[^A-Za-z0-9_.-]", line)[0].lower() for line in lines}

    base = names(PROJECT["dependencies"])
    assert (
        base & {"numba", "matplotlib", "scikit-learn", "ray", "torch", "apsw", "fastapi"} == set()
    )
    extras = PROJECT["optional-dependencies"]
    assert extras["edge"] == [], "the base, by its name"
    for extra in EXTRAS:
        assert names(extras[extra]) - {"fedledger", "flwr"} & base == set()
