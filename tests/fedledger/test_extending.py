"""docs/extending.md: its snippets, entry points and commands do what the page says."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from support.federation import Federation, make_app
from support.third_party import installed, use

from fedledger.strategies import audit_ledger

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")


def section(heading):
    """Return what stands under a heading of the page."""
    assert PAGE.count(f"\n## {heading}\n") == 1, heading
    return PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def snippets(heading):
    """Return the pieces of Python of a section."""
    return re.findall(r"```python\n(.*?)```", section(heading), re.DOTALL)


def snippet(heading):
    """Return the only Python of a section."""
    [code] = snippets(heading)
    return code


def fedledger(words, folder, path):
    """Run the command line in a folder; return its exit status and what it said."""
    done = subprocess.run(
        [sys.executable, "-c", "from fedledger.cli import main; main()", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "MPLCONFIGDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done.returncode, done.stderr + done.stdout


@pytest.fixture(scope="module")
def my_package(tmp_path_factory):
    """The page's rule, attack, data set and store in one module, with the page's entry points."""
    folder = tmp_path_factory.mktemp("site")
    parts = [snippet(name) for name in ("A rule", "An attack", "A data set")]
    parts.append(snippets("A store")[0])
    (folder / "my_package.py").write_text("\n\n".join(parts), encoding="utf-8")
    entries = re.findall(r'`(\w+) = "(my_package:\w+)"` in the group `([\w.]+)`', PAGE)
    assert len(entries) == 4
    info = folder / "my_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    lines = [f"[{group}]\n{name} = {target}\n" for name, target, group in entries]
    lines.append("[fedledger.stores]\nbroken = nowhere:nothing\n")
    (info / "entry_points.txt").write_text("".join(lines))
    return str(folder)


def test_every_group_of_the_table_is_one():
    """What the page lists is what the registries look up, and nothing is missing."""
    source = "".join(
        path.read_text(encoding="utf-8")
        for room in ("ledger_plugins", "strategies", "clients", "experiments")
        for path in (ROOT / room).rglob("*.py")
    )
    groups = set(re.findall(r'group="(fedledger\.\w+)"', source))
    table = set(re.findall(r"^\| `(fedledger\.\w+)` \|", PAGE, re.MULTILINE))
    assert table == groups


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("rules", r"half_range +The middle between the smallest and the largest value"),
        ("strategies", r"half_range +The middle between"),
        ("attacks", r"inflate +Upload the global model again"),
        ("datasets", r"stripes +Images with horizontal or vertical stripes"),
        ("stores", r"dict +Contents in a dictionary of this process"),
        ("stores", r"broken +not available: .*is broken.*\n(.*\n)*file "),
    ],
)
def test_what_is_added_is_listed(my_package, tmp_path, kind, said):
    """By name, with the first sentence of its docstring; a broken one beside the others."""
    status, output = fedledger(["list", kind], tmp_path, my_package)
    assert status == 0
    assert re.search(said, output), output


def test_the_store_keeps_its_clauses(my_package, tmp_path):
    """The page's store passes the suite as the page calls it."""
    (tmp_path / "test_dict.py").write_text(snippets("A store")[1], encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_dict.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": my_package},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_rule_attack_and_data_set_in_one_run(my_package, tmp_path):
    """All three are named in a config as the page names them; who audits needs the package."""
    [attack] = re.findall(r"`(attacks = [^`]+)`", PAGE)
    [data] = re.findall(r"`(datasets = [^`]+)`", PAGE)
    [strategy] = re.findall(r'`strategy = ("half_range")`', PAGE)
    [rules] = re.findall(r"`rules=\((.*?)\)` in `PoFL`", PAGE)
    pofl = f'{{name="mix", strategy="pofl", rules=[{rules}]}}'
    changes = [
        attack,
        data,
        f'approaches=[{{name="mine", strategy={strategy}}}, {pofl}]',
        "clients=7",
        "malicious=[0.15]",
        "rounds=2",
    ]
    words = ["run", "quickstart", "--engine", "inprocess"]
    for change in changes:
        words += ["--set", change.replace(" = ", "=", 1)]
    status, output = fedledger(words, tmp_path, my_package)
    assert status == 0, output
    assert output.splitlines()[-1] == "audit: passed"
    [run] = (tmp_path / "outputs" / "quickstart").iterdir()
    status, output = fedledger(["audit", str(run)], tmp_path, my_package)
    assert status == 0, output
    assert output.count("aggregates 2 proved") == 2
    status, output = fedledger(["audit", str(run)], tmp_path, "")
    assert status == 2
    assert "half_range" in output.splitlines()[-1]


def test_the_protocols_commands(tmp_path):
    """The page's commands, one after another, once the package is installed."""
    [block] = re.findall(r"```\n(pip install .*?)```", section("A protocol"), re.DOTALL)
    install, *lines = block.splitlines()
    assert install == "pip install docs/examples/commit_reveal"
    path = installed(tmp_path / "site", "commit_reveal")
    said = []
    for line in lines:
        name, *words = shlex.split(line)
        assert name == "fedledger"
        if words[0] == "audit":
            [run] = (tmp_path / "outputs" / "quickstart").iterdir()
            words = [word.replace("outputs/quickstart/TIME", str(run)) for word in words]
        status, output = fedledger(words, tmp_path, path)
        assert status == 0, output
        said.append(output)
    assert re.search(r"^commit-reveal ", said[0], re.MULTILINE)
    assert said[1].splitlines()[-1] == said[2].splitlines()[-1] == "audit: passed"
    assert said[2].count("aggregates 3 proved") == 1


def test_the_protocol_under_flower(tmp_path, monkeypatch):
    """The page's strategy runs a round, and the audit replays it."""
    use(monkeypatch, tmp_path / "site", "commit_reveal")
    federation = Federation(tmp_path)
    names = {
        "ledger": federation.ledger,
        "store": federation.store,
        "account": federation.server,
        "addresses": federation.clients,
    }
    exec(snippet("A protocol"), names)  # noqa: S102 - the page's own
    federation.run(names["strategy"], make_app(), rounds=1)
    report = audit_ledger(federation.ledger, federation.store)
    assert report.passed, report.reason
    assert [one.aggregate for one in report.rounds] == ["proved"]
    federation.close()
