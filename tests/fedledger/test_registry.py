import sys

import pytest

from fedledger import registry
from fedledger.errors import ConfigError, UnknownNameError
from fedledger.experiments.config.catalogue import catalogue
from fedledger.registry import Registry


@pytest.fixture
def things():
    return Registry(
        "thing",
        {
            "join": "posixpath:join",
            "absent": "no_such_package_anywhere:thing",
            "broken": "fedledger.no_such_module:thing",
        },
        group="fedledger.things",
        extras={"absent": "torch"},
    )


def installed(monkeypatch, group, entries):
    """Packages from outside add these entries to a group, and nothing to the others."""
    monkeypatch.setattr(
        registry, "_installed", lambda wanted, _path: entries if wanted == group else {}
    )


def test_a_name_becomes_its_object(things):
    """A name is looked up and its object imported."""
    import posixpath  # noqa: PLC0415 - the expected value

    assert things.load("join") is posixpath.join


def test_nothing_is_imported_before_it_is_used(tmp_path, monkeypatch):
    """Making and listing a registry imports no entry; loading one does."""
    (tmp_path / "lazy_entry_of_a_test.py").write_text("thing = 5\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    lazy = Registry("thing", {"lazy": "lazy_entry_of_a_test:thing"})
    assert lazy.names() == ["lazy"]
    assert "lazy_entry_of_a_test" not in sys.modules
    assert lazy.load("lazy") == 5
    assert sys.modules.pop("lazy_entry_of_a_test")


def test_an_unknown_name_is_refused_with_the_nearest(things):
    """A name nobody registered is refused with the kind and the nearest known name."""
    with pytest.raises(UnknownNameError, match="unknown thing 'jion': did you mean 'join'"):
        things.load("jion")


def test_a_missing_package_names_the_extra(things):
    """An entry whose package is not installed says what to install."""
    with pytest.raises(ConfigError, match=r"pip install 'fedledger\[torch\]'"):
        things.load("absent")


def test_a_fault_of_ours_is_not_taken_for_a_missing_package(things):
    """A missing module of the library itself is a bug and stays one."""
    with pytest.raises(ModuleNotFoundError):
        things.load("broken")


def test_third_parties_add_names_but_replace_none(things, monkeypatch):
    """An entry point adds a name; it cannot take over one of the library's."""
    points = {"split": "posixpath:split", "join": "posixpath:split"}
    installed(monkeypatch, "fedledger.things", points)
    import posixpath  # noqa: PLC0415 - the expected value

    assert "split" in things.names()
    assert things.load("split") is posixpath.split
    assert things.load("join") is posixpath.join


@pytest.mark.parametrize(
    ("target", "what"),
    [
        ("posixpath:no_such_thing", "AttributeError"),
        ("no_such_package_of_a_test:thing", "ModuleNotFoundError"),
        ("raising_package_of_a_test:thing", "ZeroDivisionError"),
        ("posixpath", "AttributeError"),
        ("leaving_package_of_a_test:thing", "SystemExit"),
        ("posixpath:curdir", "it is of type str"),
    ],
)
def test_a_broken_package_is_named_and_costs_nobody_else(
    things, monkeypatch, tmp_path, target, what
):
    """An entry point that is no such object is one name's error; the others work."""
    (tmp_path / "raising_package_of_a_test.py").write_text("1 / 0\n")
    (tmp_path / "leaving_package_of_a_test.py").write_text("raise SystemExit\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    installed(monkeypatch, "fedledger.things", {"bad": target})
    assert things.names() == ["absent", "bad", "broken", "join"]
    with pytest.raises(ConfigError, match=f"thing 'bad' cannot be loaded.*{what}"):
        things.load("bad")
    assert things.load("join")


@pytest.mark.parametrize("target", ["posixpath:no_such_thing", "posixpath:curdir"])
@pytest.mark.parametrize("kind", ["rules", "attacks", "strategies", "protocols", "phases"])
def test_a_broken_package_does_not_break_the_list(monkeypatch, kind, target):
    """`fedledger list` names it as not available, beside everything else."""
    singular = {"strategies": "rules"}.get(kind, kind)
    installed(monkeypatch, f"fedledger.{singular}", {"zzz": target})
    found = {one["name"]: one["about"] for one in catalogue(kind)}
    assert found["zzz"].startswith("not available: ")
    assert len(found) > 2
