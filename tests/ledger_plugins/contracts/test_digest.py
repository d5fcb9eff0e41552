"""The digest of a twin: what changes it, and what does not."""

import importlib
import sys

import pytest

from fedledger.errors import ConfigError
from fedledger.ledger_plugins.contracts import digest
from fedledger.ledger_plugins.contracts.digest import twin_digest

TWIN = """
from fedledger.ledger_plugins.contracts.twin import Twin
{imports}

class Meter(Twin):
    contract = "Meter"

    def rate(self) -> int:
        return {rate}

    @property
    def half(self) -> int:
        return 1
"""
PLAIN = TWIN.format(imports="", rate=1)


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Return what writes a package `metering` and gives the twin of `metering.twins.meter`."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def forget():
        for name in [name for name in sys.modules if name.partition(".")[0] == "metering"]:
            del sys.modules[name]
        for cache in (digest._siblings, digest._tree, digest._plain_module):
            cache.cache_clear()
        importlib.invalidate_caches()

    def make(twin, **modules):
        forget()
        files = {"": "", "twins": "", **modules, "twins/meter": twin}
        for name, text in files.items():
            path = tmp_path / "metering" / name
            path = path / "__init__.py" if name in {"", "twins"} else path.with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return importlib.import_module("metering.twins.meter").Meter

    yield make
    forget()


@pytest.mark.parametrize(
    ("imports", "rate", "where"),
    [
        ("from .rates import RATE", "RATE", "twins/rates"),
        ("from . import rates", "rates.RATE", "twins/rates"),
        ("import metering.twins.rates", "metering.twins.rates.RATE", "twins/rates"),
        ("from metering.twins import rates", "rates.RATE", "twins/rates"),
        ("from ..rates import RATE", "RATE", "rates"),
        ("from .. import rates", "rates.RATE", "rates"),
        ("from metering.rates import RATE", "RATE", "rates"),
        ("from . import RATE", "RATE", "twins"),
        ("from metering import RATE", "RATE", ""),
    ],
)
def test_a_changed_module_of_its_package_changes_the_digest(made, imports, rate, where):
    """However the twin imports it."""
    twin = TWIN.format(imports=imports, rate=rate)
    one, two = (twin_digest(made(twin, **{where: f"RATE = {value}\n"})) for value in (1, 2))
    assert one != two


@pytest.mark.parametrize(
    "same",
    [
        PLAIN.replace("class", "# a comment\nclass"),
        PLAIN.replace('"Meter"\n', '"Meter"\n    """Its name."""\n'),
        PLAIN.replace(" -> int", ""),
        "from __future__ import annotations\n" + PLAIN,
        PLAIN.replace("\n\n", '\n\n__all__ = ["Meter"]\n', 1),
        PLAIN.replace("return 1", "return (\n            1\n        )"),
    ],
)
def test_what_does_not_change_the_code_does_not_change_the_digest(made, same):
    """Comments, docstrings, annotations, formatting."""
    assert twin_digest(made(same)) == twin_digest(made(PLAIN))


def test_a_property_put_in_from_elsewhere_is_seen(made):
    """As a method is."""
    twin = made(PLAIN)
    before = twin_digest(twin)
    twin.half = property(lambda _: 2)
    assert twin_digest(twin) != before


def test_a_module_that_is_not_there_is_named(made):
    """Which of two ways was taken would depend on the machine."""
    either = "try:\n    from .fast import RATE\nexcept ImportError:\n    RATE = 1\n"
    with pytest.raises(ConfigError, match=r"meter imports metering.twins.fast, which cannot be"):
        twin_digest(made(TWIN.format(imports=either, rate="RATE")))
