"""Modules of the room import each other in one direction."""

import ast
from pathlib import Path

ROOM = Path(__file__).parents[2] / "experiments"
LAZY = "experiments"  # its documented `__getattr__` imports nothing until something is asked for


def modules():
    """Return every module of the room by its name, with its source."""
    found = {}
    for path in ROOM.rglob("*.py"):
        if "apps" in path.parts:
            continue
        parts = path.relative_to(ROOM.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(name, path, known):
    """Return the room's modules that one imports, inside its functions too.

    A package runs before what is in it: who imports a.b.c imports a and a.b as well.
    """
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    targets = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                targets.add(inner if inner in known else module)
        elif isinstance(node, ast.ImportFrom) and node.module:
            targets.add(node.module.removeprefix("fedledger."))
        elif isinstance(node, ast.Import):
            targets |= {alias.name.removeprefix("fedledger.") for alias in node.names}
    above = {".".join(package[:count]) for count in range(len(package) + 1)}
    for target in list(targets):
        parts = target.split(".")
        targets |= {".".join(parts[:count]) for count in range(1, len(parts))} - above
    return {target for target in targets if target in known and target != name}


def cycle_in(graph):
    """Return a cycle, or None."""
    done = set()

    def visit(name, trail):
        if name in trail:
            return [*trail[trail.index(name) :], name]
        if name in done:
            return None
        for target in sorted(graph[name]):
            found = visit(target, [*trail, name])
            if found:
                return found
        done.add(name)
        return None

    return next((found for name in sorted(graph) if (found := visit(name, []))), None)


def test_no_module_imports_itself_by_way_of_others():
    """The import graph has no cycle, imports inside functions counted."""
    known = modules()
    graph = {name: imported(name, path, known) for name, path in known.items() if name != LAZY}
    graph[LAZY] = set()
    assert sum(map(len, graph.values())) > len(graph), "it sees the imports"
    assert cycle_in(graph) is None


def test_a_cycle_would_be_found():
    """A graph with a circle in it gives that circle."""
    assert cycle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]


def test_no_module_of_the_room_is_imported_inside_a_function():
    """What would hide a cycle is not there: such imports are of heavy packages alone."""
    inside = []
    for name, path in modules().items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                inside += [
                    (name, node.module)
                    for node in ast.walk(function)
                    if isinstance(node, ast.ImportFrom)
                    and (node.level or (node.module or "").startswith("fedledger"))
                ]
    assert inside == []
