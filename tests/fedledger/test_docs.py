"""The documents say what the code is: imports, fields, reasons, commands, links, numbers."""

import ast
import re
from pathlib import Path

import click
import pytest
import typer.main

from fedledger.cli.app import app
from fedledger.experiments.benchmarks.lots import FALLBACK, play
from fedledger.strategies.protocols.anchored import AnchoredSettings
from fedledger.strategies.protocols.pofl import PoFLSettings, PoFLState
from fedledger.strategies.rounds.evidence import documents
from fedledger.strategies.rounds.evidence.reasons import REASONS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
ROOMS = ("crypto", "ledger_plugins", "strategies", "clients", "experiments")
PAGES = sorted([*DOCS.glob("*.md"), *ROOT.glob("*.md")])

# Imports --------------------------------------------------------------------------------------


def modules():
    """Return every module by its path of names from the repository's root, with its source."""
    found = {}
    for room in (*ROOMS, "fedledger"):
        for path in (ROOT / room).rglob("*.py"):
            names = path.relative_to(ROOT).with_suffix("").parts
            found[names[:-1] if names[-1] == "__init__" else names] = path
    return found


MODULES = modules()


def imports(path):
    """Return the modules that a file imports, inside its functions too."""
    parts = path.relative_to(ROOT).parts
    package = [*(["fedledger"] if parts[0] in ROOMS else []), *parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = [*base, *(node.module.split(".") if node.module else [])]
            names = [[*module, alias.name] for alias in node.names]
        for name in names:
            if name[0] != "fedledger":
                continue
            target = tuple(name[1:]) if name[1:2] and name[1] in ROOMS else tuple(name)
            while target not in MODULES:  # a name in a module
                target = target[:-1]
            yield target


def arrows(box):
    """Return the imports between boxes; `box` gives a module's, or None where it is not drawn."""
    found = set()
    for name, path in MODULES.items():
        ends = [(box(name, path), box(target, MODULES[target])) for target in imports(path)]
        found |= {(one, other) for one, other in ends if one and other and one != other}
    return found


def room(name, _path):
    """The room of a module: the anchor and its command line are two."""
    if name[0] != "fedledger":
        return name[0]
    return "cli" if name[1:2] == ("cli",) else "anchor"


def within(room, root=None, *, deep=True):
    """Return what tells a room's folders apart; its own files stand under `root` or their names.

    Folders inside folders are told apart as well, unless it is not `deep`.
    """

    def box(name, path):
        if name[0] != room:
            return None
        folder = name if path.name == "__init__.py" else name[:-1]
        if len(folder) > 1:
            return folder[-1 if deep else 1]
        return root or (name[-1] if len(name) > 1 else None)

    return box


def drawn(text):
    """Return the arrows of a drawing, and all that stands in it."""
    found, boxes = set(), set()
    for line in text.strip().splitlines()[1:]:
        one, _, others = line.strip().partition(" --> ")
        boxes.add(one)
        for other in filter(None, others.split(" & ")):
            found.add((one, other))
            boxes.add(other)
    return found, boxes


@pytest.mark.parametrize(
    ("number", "box"),
    [(0, room), (1, within("strategies")), (2, within("ledger_plugins", "interface", deep=False))],
    ids=["rooms", "strategies", "ledger_plugins"],
)
def test_the_drawing_shows_the_imports(number, box):
    """Every arrow is an import, every import an arrow, and nothing is left out."""
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    drawings = re.findall(r"```mermaid\n(flowchart TD\n.*?)```", page, re.DOTALL)
    assert len(drawings) == 3
    found, boxes = drawn(drawings[number])
    assert found == arrows(box)
    assert boxes == {box(*module) for module in MODULES.items()} - {None}


def test_a_wrong_drawing_would_be_found():
    """What is read of a drawing is what stands there."""
    found, boxes = drawn("flowchart TD\n    a --> b & c\n    d\n")
    assert found == {("a", "b"), ("a", "c")}
    assert boxes == {"a", "b", "c", "d"}
    assert ("strategies", "ledger_plugins") in arrows(room)
    assert ("ledger_plugins", "strategies") not in arrows(room)


# Formats --------------------------------------------------------------------------------------

MODELS = {
    **{
        model.__name__: model
        for model in (
            documents.Specification,
            documents.ReportTerms,
            documents.Evidence,
            documents.PhaseEvidence,
            documents.Asked,
            documents.Counted,
            documents.Anchor,
            documents.Late,
            documents.Dropped,
            documents.Fault,
            documents.Measured,
        )
    },
    "Settings of `pofl`": PoFLSettings,
    "State of `pofl`": PoFLState,
    "Settings of `anchored`": AnchoredSettings,
}


def rows_under(heading):
    """Return the rows of the first table under a heading of formats.md, in cells."""
    page = (DOCS / "formats.md").read_text(encoding="utf-8")
    assert page.count(f"\n### {heading}\n") == 1, heading
    part = page.partition(f"\n### {heading}\n")[2].partition("\n#")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


@pytest.mark.parametrize("heading", MODELS)
def test_every_member_of_a_document_has_its_words(heading):
    """The table has the members of the class in its order, none more, each with a meaning."""
    rows = rows_under(heading)
    assert [row[0].strip("`") for row in rows] == list(MODELS[heading].model_fields)
    assert all(len(row) == 3 and row[1] and row[2] for row in rows)


def test_no_class_of_document_is_forgotten():
    """Whatever stands in a document has a table."""
    there = {
        name
        for name, one in vars(documents).items()
        if isinstance(one, type) and issubclass(one, documents._Document) and one.__module__
    }
    assert there - {"_Document"} <= set(MODELS)


def test_every_reason_has_its_sentence():
    """The table is the registry: codes in its order, sentences word for word."""
    rows = rows_under("Reasons")
    assert [row[0].strip("`") for row in rows] == list(REASONS)
    assert [row[1] for row in rows] == [reason.sentence for reason in REASONS.values()]


# Commands and links ---------------------------------------------------------------------------


def commands():
    """Yield each command line of the pages: the page and its words, options behind a backslash."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        blocks = re.findall(r"^```(?:console)?\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        lines = [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]
        lines += re.findall(r"`(fedledger [^`]+)`", text)
        for line in lines:
            if line.startswith("fedledger "):
                yield page.name, line.partition("#")[0].partition(" | ")[0].split()[1:]


def test_every_command_of_the_pages_is_there():
    """Each command and each of its options exists."""
    seen = 0
    for page, words in commands():
        command: click.Command = typer.main.get_command(app)
        rest = list(words)
        while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
            name = rest.pop(0)
            if name in {"COMMAND", "…"}:
                break
            assert name in command.commands, f"{page}: fedledger {' '.join(words)}"
            command = command.commands[name]
        known = {opt for one in command.params for opt in (*one.opts, *one.secondary_opts)}
        asked = {word.partition("=")[0].strip(",.") for word in rest if word.startswith("--")}
        assert asked <= {*known, "--help"}, f"{page}: fedledger {' '.join(words)}"
        seen += 1
    assert seen > 30


def anchors_of(page):
    """Return the anchors of a page's headings, as they are linked."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_every_link_leads_somewhere(page):
    """Files and headings that a page links are there."""
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if link.startswith("http"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors_of(target), link


def test_every_file_that_a_page_names_is_there():
    """Paths in the rooms, as text."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        named = re.findall(rf"`((?:{'|'.join((*ROOMS, 'docs', 'tests'))})/[\w/.-]+)`", text)
        assert [one for one in named if not (ROOT / one).exists()] == [], page.name


# Numbers --------------------------------------------------------------------------------------


def test_who_can_choose_a_rounds_rule_is_what_the_page_says():
    """Every attacker of the table plays again, in the rounds that the page speaks of."""
    page = (DOCS / "trust.md").read_text(encoding="utf-8")
    rows = {
        "nobody attacks": "nobody",
        "one client": "one client",
        "f clients": "f clients",
        "the aggregator": "aggregator",
        "the aggregator and f clients": "aggregator and f clients",
        "an aggregator that hides lots": "aggregator that hides lots",
    }
    for said, attacker in rows.items():
        [line] = re.findall(rf"^\| {said} \| (.*) \|$", page, re.MULTILINE)
        cells = line.split(" | ")
        for cell, wanted in zip(cells[:2], ("krum", FALLBACK), strict=True):
            played = [
                play(attacker, wanted, clients=n, byzantine=f, rounds=500)
                for n, f in ((7, 2), (20, 6), (30, 9))
            ]
            used = [f"{100 * one.used:.0f}" for one in played]
            short = used[:1] if len(set(used)) == 1 else used
            assert cell.partition(" %")[0] == ", ".join(short)
            assert {one.found for one in played} == {"the audit fails" in cell}
            kept = [100 * one.kept for one in played]
            low, _, high = cells[2].removesuffix(" %").partition(" to ")
            assert int(low) <= round(min(kept)) <= round(max(kept)) <= int(high or low)
