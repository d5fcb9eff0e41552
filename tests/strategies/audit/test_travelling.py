"""An audit that travels: one file and the URL of a chain's node are enough, wherever one is."""

import json

import pytest
from support.anvil import Anvil
from support.federation import Federation, make_app

from fedledger.errors import ConfigError
from fedledger.experiments.report.audit import audit_urls
from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.ethereum import deploy
from fedledger.ledger_plugins.storage.car import export_car, open_car_store
from fedledger.strategies.audit.travelling import pack_places, places_in, read_by_audit
from fedledger.strategies.rounds.evidence.checks import Outcome


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    with Anvil(tmp_path_factory.mktemp("anvil")) as node:
        yield node


def contracts(chain, folder):
    """Return the URL of a deployment of its own, whose file is in the folder."""
    folder.mkdir()
    url = f"ethereum+{chain.url}?deployment={folder}/chain.json"
    deploy(url)
    return url


@pytest.fixture(scope="module")
def travelled(chain, tmp_path_factory):
    """A file of two rounds on the chain, and the ledger's URL with the deployment's file."""
    folder = tmp_path_factory.mktemp("run")
    url = contracts(chain, folder / "server")
    federation = Federation(folder)
    federation.ledger.close()
    federation.ledger = open_ledger(url)
    federation.run(federation.pofl(), make_app(), rounds=2)
    cids, report = read_by_audit(federation.ledger, federation.store)
    assert report.passed, report.reason
    car = folder / "run.car"
    export_car(federation.store, cids, car, first=pack_places(federation.ledger))
    yield car, url
    federation.ledger.close()
    federation.store.close()


def audited(chain, car, more=""):
    return audit_urls(f"ethereum+{chain.url}{more}", f"car://{car}")


def named(audit):
    return [one for one in audit.summary.unchecked if "alone says where they are" in one]


def test_a_file_and_a_url_are_enough(chain, travelled, tmp_path, monkeypatch):
    """In a folder without a deployment the audit passes, and says whose word the contracts are."""
    car, url = travelled
    monkeypatch.chdir(tmp_path)
    audit = audited(chain, car)
    assert audit.passed, audit.reason
    assert audit.rounds == 2
    with open_ledger(url, read_only=True) as ledger:
        address = ledger.contracts()["TrainingTask"].address
    [said] = named(audit)
    assert f"car://{car} alone says where they are (TrainingTask at {address})" in said
    assert audit.to_json()["ledgers"][0]["contracts_named_by"] == said


def test_the_url_goes_first(chain, travelled, tmp_path):
    """Who names the contracts does not have the file's: of other contracts its rounds are none."""
    car, url = travelled
    own = audited(chain, car, "?" + url.partition("?")[2])
    assert own.passed, own.reason
    assert not named(own)
    other = contracts(chain, tmp_path / "other")
    audit = audited(chain, car, "?" + other.partition("?")[2])
    assert audit.outcome is Outcome.UNCHECKED
    assert audit.reason == "there is no round to check"


def changed(travelled, tmp_path, content):
    """Return a file with what the travelled one has, and another first content."""
    car = tmp_path / "changed.car"
    with open_car_store(f"car://{travelled[0]}") as store:
        export_car(store, store.roots[1:], car, first=content)
    return car


def test_somebody_who_names_contracts_of_their_own_is_seen(chain, travelled, tmp_path):
    """A file may name contracts that its maker deployed: the summary has their address."""
    with open_ledger(contracts(chain, tmp_path / "evil"), read_only=True) as ledger:
        car = changed(travelled, tmp_path, pack_places(ledger))
        address = ledger.contracts()["TrainingTask"].address
    audit = audited(chain, car)
    assert not audit.passed
    [said] = named(audit)
    assert f"(TrainingTask at {address})" in said


BAD = {
    "nothing": [],
    "no places": [b'{"form":"fedledger-places-1"}'],
    "a list": [b'{"form":"fedledger-places-1","places":[]}'],
    "something else": [b"0" * 1000],
    "much of something else": [b" " * 2**21],
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
def test_a_file_that_says_it_wrongly_is_no_pass(chain, travelled, tmp_path, monkeypatch, content):
    """It could not be checked, in a sentence."""
    monkeypatch.chdir(tmp_path)
    audit = audited(chain, changed(travelled, tmp_path, content))
    assert audit.outcome is Outcome.UNCHECKED
    assert "contracts" in audit.reason


def test_places_that_do_not_fit_are_refused(chain, travelled, tmp_path):
    """Those of another chain, and of a form that is none, are no setting to audit with."""
    (tmp_path / "anvil").mkdir()
    with Anvil(tmp_path / "anvil") as other, pytest.raises(ConfigError) as refused:
        audited(other, travelled[0])
    assert "what was noted of the contracts is about another chain" in str(refused.value)
    form = b'{"form":"fedledger-places-1","places":{"version":2}}'
    with pytest.raises(ConfigError, match="what was noted of the contracts is no deployment"):
        audited(chain, changed(travelled, tmp_path, [form]))


def test_a_ledger_whose_url_says_everything_has_nothing_added(tmp_path):
    """Of an embedded chain a file says no places, and none that it says are looked at."""
    federation = Federation(tmp_path)
    federation.run(federation.pofl(), make_app(), rounds=1)
    assert pack_places(federation.ledger) == []
    cids, _ = read_by_audit(federation.ledger, federation.store)
    strange = json.dumps({"form": "fedledger-places-1", "places": {"chain_id": 1}}).encode()
    car = tmp_path / "run.car"
    export_car(federation.store, cids, car, first=[strange])
    federation.ledger.close()
    federation.store.close()
    assert places_in(f"car://{car}") == {"chain_id": 1}
    audit = audit_urls(f"local://{tmp_path}/chain.db", f"car://{car}")
    assert audit.passed, audit.reason
    assert not named(audit)
