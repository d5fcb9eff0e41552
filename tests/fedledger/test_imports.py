"""The two forms of an import; which room may import which is a contract in pyproject.toml."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("crypto", "ledger_plugins", "strategies", "clients", "experiments")


def imported(path):
    """Return what a file imports, in functions too: names, relative ones with their dots' place."""
    package = path.relative_to(ROOT).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: max(len(package) - node.level + 1, 0)] if node.level else ()
            names = [alias.name for alias in node.names]
            modules = [*base, *([node.module] if node.module else [])]
            yield from ((node.level, ".".join([*modules, name])) for name in names)


def test_rooms_are_imported_relatively_and_the_anchor_by_its_name():
    """Room to room and inside a room `from ..crypto import`; `from fedledger.errors import`."""
    wrong, seen = [], 0
    for path in (path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        if "apps" in path.parts:  # Flower Apps are users' code
            continue
        for level, name in imported(path):
            first, *rest = name.split(".")
            seen += 1
            if level and first not in ROOMS:
                wrong.append(f"{path.relative_to(ROOT)}: relative import of fedledger.{name}")
            elif not level and first == "fedledger" and rest and rest[0] in ROOMS:
                wrong.append(f"{path.relative_to(ROOT)}: full name of {name}")
    assert wrong == []
    assert seen > 1_000, "it sees the imports"
