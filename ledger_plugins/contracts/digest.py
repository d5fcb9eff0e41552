"""The digest of a twin: what its code does, not how it is written down.

A chain records it for each version of a contract, because a twin that was changed would lead the
same blocks to other balances. It is taken of the syntax trees of the twin's own modules, without
comments, docstrings, annotations and places, so that reading, formatting and Python's version do
not count: the module of the class, those of its bases up to `Twin`, and what these import of their
own: modules of the whole package that they belong to, in fedledger those of the contract's folder.
What the machine around a twin does (`Twin` itself, the chain's execution) belongs to the chain's
own version, which block 0 names; other packages, to who installs them.
"""

import ast
import inspect
import json
import sys
from collections.abc import Iterator
from functools import lru_cache
from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec, resolve_name
from types import FunctionType, ModuleType
from typing import Any

from fedledger.errors import ConfigError

from .twin import Twin

__all__ = ["twin_digest"]

_MACHINE = "fedledger"

_IRRELEVANT = frozenset(
    ("annotation", "ctx", "kind", "returns", "simple", "type_comment", "type_ignores")
)


def twin_digest(twin: type[Twin]) -> bytes:
    """Return the SHA-256 of a twin's code.

    Raises:
        ConfigError: the code is not there as source.
    """
    own = twin.__module__.rpartition(".")[0]
    modules = {name.removeprefix(own + "."): _plain_module(name) for name in _modules(twin)}
    parts = [twin.__qualname__, sorted(modules.items()), list(_patched(twin))]
    text = json.dumps(parts, separators=(",", ":"))
    return sha256(b"fedledger twin v1\n" + text.encode()).digest()


def _classes(twin: type[Twin]) -> list[type]:
    return [part for part in twin.__mro__ if issubclass(part, Twin) and part is not Twin]


def _modules(twin: type[Twin]) -> list[str]:
    """Return the names of the modules that a twin is made of, sorted."""
    found: set[str] = set()
    todo = [part.__module__ for part in _classes(twin)]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += _siblings(name)
    return sorted(found)


@lru_cache(maxsize=64)
def _siblings(name: str) -> tuple[str, ...]:
    """Return the modules that a module imports of its own package.

    Raises:
        ConfigError: one of them is not there.
    """
    package = sys.modules[name].__package__ or ""
    own = package if package.partition(".")[0] == _MACHINE else package.partition(".")[0]
    inside = []
    for one in dict.fromkeys(_imported(_tree(name), package)):
        if own and (one + ".").startswith(own + "."):
            try:
                import_module(one)
            except ImportError as error:
                raise ConfigError(
                    f"{name} imports {one}, which cannot be loaded ({error}): the digest of a "
                    "contract's twin is taken of all its modules"
                ) from error
            inside.append(one)
    return tuple(inside)


def _imported(tree: ast.Module, package: str) -> Iterator[str]:
    """Yield the full names of the modules from which a module imports something."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package)
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield inner if _is_module(inner) else base


def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ImportError:  # what should hold it is no package
        return False


@lru_cache(maxsize=64)
def _tree(name: str) -> ast.Module:
    return ast.parse(_source(sys.modules[name]))


def _source(code: ModuleType | FunctionType) -> str:
    try:
        return inspect.getsource(code)
    except (OSError, TypeError) as error:
        raise ConfigError(
            f"the source of {code.__name__} is not there: a contract's twin needs it, since a "
            "chain names the digest of its code"
        ) from error


@lru_cache(maxsize=64)
def _plain_module(name: str) -> Any:
    return _plain(_tree(name))


def _patched(twin: type[Twin]) -> Iterator[Any]:
    """Yield the methods that somebody put into a class from another module."""
    for part in _classes(twin):
        for name, value in sorted(vars(part).items()):
            parts = [value.fget, value.fset] if isinstance(value, property) else [value]
            for one in parts:
                function = getattr(one, "__func__", one)
                if isinstance(function, FunctionType) and function.__module__ != part.__module__:
                    yield [part.__qualname__, name, _plain(_parsed(function))]


def _parsed(function: FunctionType) -> ast.Module:
    try:
        return ast.parse(inspect.cleandoc("\n" + _source(function)))
    except SyntaxError as error:
        raise ConfigError(
            f"the source of {function.__qualname__} does not stand alone: a contract's twin needs "
            "it, since a chain names the digest of its code"
        ) from error


def _plain(value: Any) -> Any:
    """Return a syntax tree as lists; what does not change what the code does is left out."""
    if isinstance(value, ast.AST):
        fields = []
        for name, child in ast.iter_fields(value):
            if name in _IRRELEVANT or child is None or child == []:
                continue
            fields.append([name, _plain(child)])
        return [type(value).__name__, sorted(fields)]
    if isinstance(value, list):
        return [_plain(one) for one in value if not _says_nothing(one)]
    return value if isinstance(value, str) else [type(value).__name__, repr(value)]


def _says_nothing(value: Any) -> bool:
    """Tell whether a statement is a docstring, or is about names or annotations alone."""
    if isinstance(value, ast.ImportFrom):
        names = [alias.name for alias in value.names]
        return (value.module, names) == ("__future__", ["annotations"])
    if isinstance(value, ast.Assign):
        [target, *more] = value.targets
        return isinstance(target, ast.Name) and target.id == "__all__" and not more
    return (
        isinstance(value, ast.Expr)
        and isinstance(value.value, ast.Constant)
        and isinstance(value.value.value, str)
    )
