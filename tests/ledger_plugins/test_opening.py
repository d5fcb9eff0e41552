"""Ledgers and stores are opened by the scheme of their URL; contracts are rebuilt from source."""

from pathlib import Path

import pytest

import fedledger.ledger_plugins as room
from fedledger.errors import ConfigError, UnknownNameError
from fedledger.ledger_plugins import LEDGERS, STORES, open_ledger, open_store
from fedledger.ledger_plugins.contracts import build
from fedledger.ledger_plugins.contracts.registry import BUILT_IN, CHAIN_ONLY


def opened(url, **options):
    return url, options


@pytest.fixture
def schemes(monkeypatch):
    """Register a backend called "test" that returns what it was opened with."""
    for registry in (LEDGERS, STORES):
        entries = {**registry._entries, "test": f"{__name__}:opened"}
        monkeypatch.setattr(registry, "_entries", entries)
    monkeypatch.setattr("fedledger.registry.import_module", lambda _: _Here)


class _Here:
    opened = staticmethod(opened)


@pytest.mark.parametrize("url", ["test:///a/b.db", "test+http://host:1/x?y", "test://"])
@pytest.mark.parametrize("function", [open_ledger, open_store])
def test_the_scheme_chooses_the_backend(schemes, function, url):
    """The part before "+" or "://" chooses; URL and options reach the backend unchanged."""
    assert function(url, admin="x") == (url, {"admin": "x"})


def test_unknown_schemes_name_the_known_ones():
    """An unknown scheme is an error that names the nearest; what is no URL says so."""
    with pytest.raises(UnknownNameError, match="did you mean 'local'"):
        open_ledger("lokal:///chain.db")
    with pytest.raises(UnknownNameError, match="unknown store 'local'"):
        open_store("local:///chain.db")
    for wrong in ("", "/plain/path", "local:/chain.db"):
        with pytest.raises(ConfigError, match="no URL"):
            open_ledger(wrong)


def test_the_built_in_backends_are_registered():
    """The embedded ledger and store are found by name."""
    assert "local" in LEDGERS.names()
    assert "file" in STORES.names()


def test_every_public_name_is_exported():
    """Each name of the room's list exists."""
    assert [name for name in room.__all__ if not hasattr(room, name)] == []


def test_building_needs_a_compiler(tmp_path):
    """Without solc the build says what is missing and writes nothing."""
    with pytest.raises(ConfigError, match=r"solc could not be run|needs node"):
        build.build(tmp_path)


def test_a_folder_holds_one_contract(tmp_path):
    """No interface, or two contracts, is an error that names the folder and what it has."""
    with pytest.raises(ConfigError, match=rf"{tmp_path}: one I<Name>.sol .* wanted, found \[\]"):
        build.build(tmp_path, [tmp_path])
    for name in ("IFirst.sol", "First.sol", "ISecond.sol", "Second.sol"):
        (tmp_path / name).touch()
    with pytest.raises(ConfigError, match="found \\['First', 'Second'\\]"):
        build.build(tmp_path, [tmp_path])


@pytest.mark.parametrize(
    ("abi", "message"),
    [
        ([{"type": "error", "name": "A", "inputs": []}] * 2, "overloaded error"),
        (
            [
                {
                    "type": "event",
                    "name": "A",
                    "inputs": [{"name": "x", "type": "bytes", "indexed": True}],
                }
            ],
            "x is only a hash",
        ),
    ],
)
def test_what_cannot_be_called_or_read_is_not_built(abi, message):
    """An overloaded name, or an indexed argument that leaves only a hash, stops the build."""
    with pytest.raises(ConfigError, match=message):
        build._check("Contract", abi)


def test_check_compares_and_writes_nothing(tmp_path, monkeypatch):
    """`--check` fails on a difference and writes nothing; without it the artifact is written."""
    root = Path(build.__file__).parent
    built = {path: path.read_text() for path in root.glob(f"*/{build.ARTIFACT}")}
    monkeypatch.setattr(build, "build", lambda *_: built)
    assert len(built) == len((*BUILT_IN, *CHAIN_ONLY))  # others come from other packages
    assert build.main([str(tmp_path), "--check"]) == 0
    built[path := tmp_path / "New.json"] = "new"
    assert build.main([str(tmp_path), "--check"]) == 1
    assert not path.exists()
    assert build.main([str(tmp_path)]) == 0
    assert path.read_text() == "new"
