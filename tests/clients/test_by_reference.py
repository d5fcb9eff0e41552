"""Clients of a real node whose models travel by the store: direct, sealed, by the ledger's time."""

import pytest
from flwr.app import Context, RecordDict
from support.clock import Clock
from support.direct import audit, by_ledger, directly, senders
from support.evidence import accepted_in, evidence_of
from support.federation import initial_model, make_app
from support.referring import Traffic, named_in, naming, told

from fedledger.arrays import to_record, to_safetensors
from fedledger.clients.contents import MOST, OwnStore, fetched, own_store_of, simulated_store
from fedledger.effects import Effects
from fedledger.errors import ConfigError, ContentCorrupted, ContentNotFound, ModelError
from fedledger.ledger_plugins import open_store
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.ledger_plugins.storage.cid import cid_of
from fedledger.records import LEDGER, SigningRequest
from fedledger.references import Reference, references_of, with_references

DATA = to_safetensors(initial_model())


def run(network, app, rounds=1, **options):
    federation = network.federation
    options = {"transport": "store"} | options
    if options.pop("clock", "ledger") == "ledger":
        strategy = by_ledger(network, **options)
    else:
        strategy = federation.pofl(effects=network.effects, **options)
    federation.run(strategy, app, rounds=rounds, config=told(federation))


def within(*mods):
    """Return one mod out of several, the first one outermost."""

    def mod(message, context, call_next):
        for one in reversed(mods):
            call_next = _around(one, call_next)
        return call_next(message, context)

    return mod


def _around(mod, inner):
    return lambda message, context: mod(message, context, inner)


def dropped_in(federation):
    phase = evidence_of(federation).phases[0]
    return {federation.clients.index(one.party): one.reason for one in phase.dropped}


@pytest.mark.parametrize("sealed", [False, True], ids=["plain", "sealed"])
def test_by_the_ledgers_clock_no_message_has_a_model(network, sealed):
    """Direct and relayed clients count alike, salts choose the rule, and the audit passes."""
    federation, traffic = network.federation, Traffic()
    app = make_app(outermost=within(traffic, directly(network, {1, 3, 4})))
    run(network, app, 2, sealed=sealed, rules=("krum", "trimmed_mean", "median"))
    assert accepted_in(federation) == [[7, 7], [7, 7]]
    assert not +traffic.arrays
    assert {len(sent) for sent in senders(federation).values()} == {2}
    assert audit(federation).passed, audit(federation).reason


def test_a_sealed_content_is_under_a_veil_until_the_window_is_over(network):
    """The store has bytes that nobody can read, and no content, while replies come."""
    federation, seen = network.federation, {}

    def look(reply, message, _context):
        if SigningRequest.of(message.content).phase == "update":
            cid, key = reply.content[LEDGER]["veiled"]
            seen[named_in(reply)] = (cid, key, sorted(federation.store))
        return reply

    app = make_app(after_signing=dict.fromkeys(range(7), look))
    run(network, app, sealed=True)
    contents = {one.content for one in evidence_of(federation).phases[0].accepted}
    assert len(contents) == len({key for _, key, _ in seen.values()}) == 7
    for opening, (_, _, there) in seen.items():
        assert not contents & set(there)
        assert opening not in there
    assert all(federation.store.has(cid) for cid in contents)


@pytest.mark.parametrize("how", ["another key", "no key", "elsewhere", "not veiled"])
def test_a_veil_that_hides_something_else(network, how):
    """What is found under it has to be what the opening names."""
    federation = network.federation

    def change(reply, _message, _context):
        record = reply.content[LEDGER]
        cid, key = record["veiled"]
        record["veiled"] = {
            "another key": [cid, bytes(32)],
            "no key": [cid, b""],
            "elsewhere": [cid[:-1] + bytes([cid[-1] ^ 1]), key],
            "not veiled": [],
        }[how]
        if not record["veiled"]:
            del record["veiled"]
        return reply

    run(network, make_app(after_signing={3: change}), sealed=True)
    reasons = {"another key": "arrays", "no key": "opening"}
    assert dropped_in(federation) == {3: reasons.get(how, "unavailable")}
    assert audit(federation).passed, audit(federation).reason


@pytest.mark.parametrize("clock", ["ledger", "aggregator"])
def test_a_direct_call_whose_content_is_gone_is_unavailable(network, clock):
    """It is on the ledger; the evidence says so of nobody else, and the audit agrees."""
    federation, gone = network.federation, []

    def lose(reply, message, _context):
        if SigningRequest.of(message.content).phase == "update":
            account = federation.keys.account(3).address
            gone.append(TrainingTask(federation.ledger).submissions(1, 1)[account].cid)
            federation.store.delete(gone[0])
        return reply

    app = make_app(outermost=directly(network, {1, 3}), after_signing={3: lose})
    run(network, app, clock=clock, content_seconds=0.2, rules=("median",))
    assert dropped_in(federation) == {3: "unavailable"}
    assert len(evidence_of(federation).phases[0].accepted) == 6
    assert audit(federation).passed, audit(federation).reason


def test_what_is_relayed_is_there_first(network):
    """By the ledger's clock a call whose content does not come is not put on the ledger at all."""
    federation = network.federation
    nowhere = naming(federation, 3, cid_of(b"nowhere"))
    run(network, make_app(after_signing={3: nowhere}))
    assert dropped_in(federation) == {3: "unavailable"}
    assert 3 not in senders(federation)
    assert audit(federation).passed, audit(federation).reason


# A client's store -----------------------------------------------------------------------------


def asking(**found):
    """Return a message's content whose records are references."""
    records = RecordDict({name: to_record(initial_model()) for name in found})
    return with_references(records, found)


@pytest.fixture
def own(tmp_path):
    """A client's store with a model in it, and time that passes when it waits."""
    with open_store(f"file://{tmp_path}/own") as store:
        store.put(DATA)
        yield OwnStore(store.url, MOST, 10.0, Clock(), Account.create)


def test_what_a_message_names_is_as_it_was_sent(own):
    """Every array with its key, in the same order, to the bit; the references are gone."""
    content = asking(arrays=Reference(cid_of(DATA), len(DATA)))
    assert not content.array_records["arrays"]
    whole = fetched(content, own)
    sent = to_record(initial_model())
    assert list(whole.array_records["arrays"]) == list(sent)
    for key, array in whole.array_records["arrays"].items():
        assert (array.dtype, array.shape, array.data) == (
            sent[key].dtype,
            sent[key].shape,
            sent[key].data,
        )
    assert references_of(whole) == {}
    assert list(whole) == ["arrays"]


@pytest.mark.parametrize(
    ("reference", "error", "said"),
    [
        (Reference(cid_of(DATA), MOST + 1), ConfigError, "max-model-bytes in its node config"),
        (Reference(cid_of(b"nowhere"), 7), ContentNotFound, "nothing stored"),
        (Reference("no CID", 7), ValueError, "invalid CID"),
    ],
)
def test_what_a_client_does_not_get(own, reference, error, said):
    """What is too large is not looked for, and what is not there is, for as long as it may."""
    with pytest.raises(error, match=said):
        fetched(asking(arrays=reference), own)
    assert own.time.now == (10.0 if error is ContentNotFound else 0.0)


def test_a_damaged_model_is_not_waited_for(own, tmp_path):
    """Its store says what it found."""
    [path] = (tmp_path / "own").rglob(cid_of(DATA))
    path.write_bytes(DATA[:-1] + b"x")
    with pytest.raises(ContentCorrupted):
        fetched(asking(arrays=Reference(cid_of(DATA), len(DATA))), own)
    assert own.time.now == 0.0


def test_a_content_that_is_no_model(own, tmp_path):
    """The error names it."""
    with open_store(own.url) as store:
        cid = store.put(b"no model")
    with pytest.raises(ModelError, match=cid):
        fetched(asking(arrays=Reference(cid, 8)), own)


@pytest.mark.parametrize(
    "fields",
    [
        {"names": ["arrays"], "cids": [], "sizes": [1]},
        {"names": ["arrays"], "cids": ["x"], "sizes": ["1"]},
        {"names": ["arrays"], "cids": ["x"], "sizes": [-1]},
        {"names": ["other"], "cids": ["x"], "sizes": [1]},
        {"names": "arrays", "cids": "x", "sizes": 1},
    ],
)
def test_references_that_are_none(fields):
    """A server that sends something else is told so."""
    content = asking(arrays=Reference(cid_of(DATA), len(DATA)))
    record = content.config_records["fedledger"]
    for key in list(record):
        del record[key]
    for key, value in fields.items():
        record[f"fedledger-contents.{key}"] = value
    with pytest.raises(ConfigError):
        references_of(content)


def test_where_a_clients_store_is(monkeypatch, tmp_path):
    """In its node config, its environment, or, in a simulation alone, in the message."""

    class Message:
        content = RecordDict()

    def of(run_config=None, **config):
        context = Context(1, 2, config, RecordDict(), run_config or {})
        return own_store_of(Message, context, Effects.real())

    assert of().url == ""
    assert of(store="file:///a").url == "file:///a"
    with open_store(f"file://{tmp_path}/s") as store:
        said = simulated_store(store)
    assert of(said).url == f"file://{tmp_path}/s"
    assert of(said, account="press-7").url == ""
    monkeypatch.setenv("FEDLEDGER_STORE", "ipfs+http://me:secret@127.0.0.1:1")
    assert of(said).url == "ipfs+http://me:secret@127.0.0.1:1"
    assert "secret" not in repr(of(said))
    for wrong in ({"max-model-bytes": "much"}, {"max-model-bytes": 0}, {"content-seconds": -1.0}):
        with pytest.raises(ConfigError, match="max-model-bytes and content-seconds"):
            of(**wrong)
