"""Models that travel by the store: messages name contents, both ways, and nothing else changes."""

import dataclasses

import numpy as np
import pytest
from flwr.app import ConfigRecord
from flwr.serverapp.strategy import FedAvg
from support.clock import Ahead
from support.evidence import evidence_of
from support.federation import Federation, initial_model, make_app
from support.referring import Flawed, Traffic, named_in, naming, told
from support.store_server import StoreServer

from fedledger.arrays import record_of, to_safetensors
from fedledger.effects import Effects
from fedledger.errors import ConfigError, UnknownNameError
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.ledger_plugins.openings import veil
from fedledger.ledger_plugins.storage import base
from fedledger.ledger_plugins.storage.cid import cid_of, cid_to_bytes
from fedledger.records import LEDGER, SigningRequest
from fedledger.strategies import audit_ledger

KINDS = {
    "pofl": lambda federation, **options: federation.pofl(**options),
    "election": lambda federation, **options: federation.pofl(
        rules=None, selection="election", **options
    ),
    "anchored": lambda federation, **options: federation.anchored(**options),
}


def run(federation, app=None, rounds=1, kind="pofl", **options):
    strategy = KINDS[kind](federation, **({"transport": "store"} | options))
    return federation.run(strategy, app or make_app(), rounds=rounds, config=told(federation))


def outcome(federation):
    """Return how many updates counted, and why which client's did not; the audit passes."""
    report = audit_ledger(federation.ledger, federation.store)
    assert report.passed, report.reason
    phase = evidence_of(federation).phases[0]
    dropped = {federation.clients.index(one.party): one.reason for one in phase.dropped}
    return len(phase.accepted), dropped


def only_updates(change):
    """Return a change of replies that leaves those without an update alone."""

    def changed(reply, message, context):
        if SigningRequest.of(message.content).phase not in {"update", "weights"}:
            return reply
        return change(reply, message, context)

    return changed


@pytest.fixture
def flawed(tmp_path):
    """A federation whose aggregator's store does not have every content at once."""
    federation = Federation(tmp_path)
    federation.store.close()
    federation.store = Flawed(tmp_path / "store")
    yield federation
    federation.store.release.set()
    federation.ledger.close()


@pytest.mark.parametrize("kind", KINDS)
def test_models_are_the_same_however_they_travel(tmp_path, kind):
    """The same rules, updates and models to the last bit; by the store no array is in a message."""
    found, traffic = {}, {}
    for transport in ("inline", "store"):
        federation = Federation(tmp_path / transport)
        traffic[transport] = Traffic()
        app = make_app(outermost=traffic[transport])
        run(federation, app, rounds=2, kind=kind, transport=transport)
        assert outcome(federation) == (7, {})
        contract = TrainingTask(federation.ledger)
        found[transport] = [
            (one.rule, one.cid, [sent.cid for sent in contract.submissions(1, one.round).values()])
            for one in contract.aggregates(1)
        ]
        federation.ledger.close()
    assert found["inline"] == found["store"]
    assert traffic["inline"].records == traffic["store"].records
    assert not +traffic["store"].arrays
    assert min(traffic["inline"].arrays[key] for key in traffic["inline"].records) > 0


def test_evaluation_messages_name_their_models_too(federation):
    """Flower's own evaluation asks with a message that asks for no signature."""
    traffic = Traffic()
    strategy = federation.anchored(FedAvg(fraction_evaluate=1.0), transport="store")
    config = told(federation)
    result = federation.run(
        strategy,
        make_app(outermost=traffic),
        rounds=1,
        config=config,
        evaluate_config=ConfigRecord(config),
    )
    assert traffic.records["evaluate", "down"] == 7
    assert not +traffic.arrays
    assert result.evaluate_metrics_clientapp[1]["loss"] > 0


def test_what_the_store_does_not_have_goes_with_the_message(federation):
    """A strategy that sends its clients something else publishes nothing by that."""

    class Personal(FedAvg):
        def configure_train(self, server_round, arrays, config, grid):
            messages = list(super().configure_train(server_round, arrays, config, grid))
            arrays["layer.bias"] = type(arrays["layer.bias"])(np.full(3, 9, np.float32))
            return messages

    traffic = Traffic()
    strategy = federation.anchored(Personal(fraction_evaluate=0.0), transport="store")
    federation.run(strategy, make_app(outermost=traffic), rounds=1, config=told(federation))
    assert dict(+traffic.arrays) == {("train", "down"): 3 * 7}


def test_a_models_size_is_bounded_by_its_layout_alone(federation, monkeypatch):
    """However little a store gives to readers that say nothing of the size."""
    monkeypatch.setattr(base, "READ_MAX_BYTES", 16)
    run(federation, rounds=2)
    assert outcome(federation) == (7, {})


def test_clients_store_over_http_what_they_sign_for(federation):
    """A server takes what registered accounts sign; one that may not write says why it did not."""

    def hurried(message, context, call_next):
        context.node_config["content-seconds"] = 0.5
        return call_next(message, context)

    allowed = [word for client in federation.clients[:6] for word in ("--allow", client)]
    behind = f"file://{federation.path}/store"
    with StoreServer(federation.path, *allowed, store=behind) as server:
        strategy = federation.pofl(transport="store")
        config = {"simulation-store": server.url}
        federation.run(strategy, make_app(outermost=hurried), rounds=1, config=config)
    phase = evidence_of(federation).phases[0]
    assert [one.party for one in phase.accepted] == federation.clients[:6]
    assert f"account {federation.clients[6]} may not write here" in phase.dropped[0].detail
    assert audit_ledger(federation.ledger, federation.store).passed


# What goes wrong with one content costs its client its update -------------------------------


def missing(federation, _reply, cid):
    federation.store.delete(cid)


def damaged(federation, _reply, cid):
    [path] = (federation.path / "store").rglob(cid)
    path.write_bytes(path.read_bytes()[:-1] + b"x")


@pytest.mark.parametrize("kind", ["pofl", "anchored"])
@pytest.mark.parametrize("harm", [missing, damaged], ids=lambda harm: harm.__name__)
def test_a_content_that_is_not_there_is_unavailable(federation, harm, kind):
    """The others count, the round is published, and the audit passes; the next one is whole."""
    done = []

    def change(reply, _message, _context):
        if not done:
            done.append(named_in(reply))
            harm(federation, reply, done[0])
        return reply

    run(federation, make_app(after_signing={3: change}), 1, kind, content_seconds=0.2)
    assert outcome(federation) == (6, {3: "unavailable"})
    [said] = [one.detail for one in evidence_of(federation).phases[0].dropped]
    assert done[0] in said


HOSTILE = {
    "nowhere": (cid_of(b"nowhere"), "unavailable"),
    "no CID of ours": (bytes([1, 0x70, 0x12, 32]) + bytes(32), "unavailable"),
    "no arrays": (b"not safetensors", "arrays"),
    "another layout": (to_safetensors({"w": np.zeros(3, np.float32)}), "arrays"),
    "not finite": (
        to_safetensors(
            {key: np.full(one.shape, np.nan, np.float32) for key, one in initial_model().items()}
        ),
        "not-finite",
    ),
    "huge": (bytes(10_000), "oversized"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_client_that_names_something_else(federation, what):
    """It signs the CID of what is no update of this model."""
    content, reason = HOSTILE[what]
    cid = content
    if what not in {"nowhere", "no CID of ours"}:
        cid = federation.store.put(content)
    app = make_app(after_signing={3: naming(federation, 3, cid)})
    run(federation, app, content_seconds=0.2)
    assert outcome(federation) == (6, {3: reason})


def test_a_client_that_names_anothers_content_is_a_copy(federation):
    """One content counts once, though the store has what both have trained."""
    named = []

    def act(partition):
        def change(reply, message, context):
            if SigningRequest.of(message.content).phase != "update":
                return reply
            named.append((partition, named_in(reply)))
            if len(named) != 2:
                return reply
            return naming(federation, partition, named[0][1])(reply, message, context)

        return change

    run(federation, make_app(after_signing={n: act(n) for n in range(7)}))
    counted, dropped = outcome(federation)
    assert (counted, list(dropped.values())) == (6, ["copy"])
    assert set(dropped) < {partition for partition, _ in named[:2]}


def test_arrays_may_still_come_with_the_reply(federation):
    """A client that leaves its model in is read as ever: only what travels how changes."""

    def whole(reply, _message, _context):
        arrays = reply.content.array_records["arrays"]
        assert not arrays
        reply.content["arrays"] = record_of(federation.store.get(named_in(reply)))
        return reply

    run(federation, make_app(after_signing={3: only_updates(whole)}))
    assert outcome(federation) == (7, {})


def test_a_veil_where_nothing_is_sealed(federation):
    """Its content could be fetched, and is refused: the reply answers something else."""

    def veiled(reply, _message, _context):
        data = veil(bytes(32), federation.store.get(named_in(reply)))
        cid = cid_to_bytes(federation.store.put(data))
        reply.content[LEDGER]["veiled"] = [cid, bytes(32)]
        return reply

    run(federation, make_app(after_signing={3: only_updates(veiled)}))
    assert outcome(federation) == (6, {3: "opening"})


def test_without_the_option_an_empty_record_is_none(federation):
    """Inline, a reply that names a content of the store has no arrays."""

    def empty(reply, _message, _context):
        reply.content["arrays"] = type(reply.content["arrays"])()
        return reply

    run(federation, make_app(after_signing={3: only_updates(empty)}), transport="inline")
    assert outcome(federation) == (6, {3: "arrays"})


def test_a_content_that_comes_late_counts(flawed):
    """It is looked for again; what is there at once waits for nothing but the phase."""
    late = []

    def note(reply, _message, _context):
        late.append(named_in(reply))
        flawed.store.absent[late[0]] = 2
        return reply

    run(flawed, make_app(after_signing={3: only_updates(note)}))
    assert outcome(flawed) == (7, {})
    assert flawed.store.looks[late[0]] >= 3


def test_contents_that_never_end_cost_the_others_nothing(flawed):
    """Two that hang are given up at the deadline, and everything else counts."""

    def hang(reply, _message, _context):
        flawed.store.stuck.add(named_in(reply))
        return reply

    run(
        flawed,
        make_app(after_signing=dict.fromkeys((2, 3), only_updates(hang))),
        content_seconds=0.5,
    )
    flawed.store.release.set()
    assert outcome(flawed) == (5, {2: "unavailable", 3: "unavailable"})


def test_who_withholds_costs_the_others_less_each_time(federation):
    """Half of the seconds for contents after each round in a row, and all of them once it came."""
    effects = dataclasses.replace(Effects.real(), clock=Ahead())
    nowhere = naming(federation, 3, cid_of(b"nowhere"))

    def act(reply, message, context):
        number = SigningRequest.of(message.content).round
        return nowhere(reply, message, context) if number != 4 else reply

    app = make_app(after_signing={3: act})
    run(federation, app, rounds=5, content_seconds=80.0, effects=effects, rules=("median",))
    phases = [evidence_of(federation, number).phases[0] for number in range(1, 6)]
    assert [len(one.accepted) for one in phases] == [6, 6, 6, 7, 6]
    assert [round(one.milliseconds / 1000, -1) for one in phases] == [80, 40, 20, 0, 80]
    assert audit_ledger(federation.ledger, federation.store).passed


def test_more_contents_lost_than_may_be_keeps_the_model(federation):
    """With too few updates the round keeps its model; the run goes on, and the audit passes."""
    app = make_app(after_signing={n: naming(federation, n, cid_of(bytes([n]))) for n in range(5)})
    run(federation, app, rounds=2, content_seconds=0.2)
    assert outcome(federation) == (2, dict.fromkeys(range(5), "unavailable"))
    assert evidence_of(federation).kept is not None


# What clients cannot do -------------------------------------------------------------------------


def test_a_client_without_a_store_says_what_to_set(federation):
    """It answers with an error that names the setting, and the round has no update."""
    strategy = federation.pofl(transport="store")
    federation.run(strategy, make_app(), rounds=1)
    dropped = evidence_of(federation).phases[0].dropped
    said = {one.detail for one in dropped if one.reason == "client-error"}
    assert len(said) == 1
    assert "set store=URL in the node config" in said.pop()


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"transport": "pigeon"}, UnknownNameError, "transport"),
        ({"content_seconds": 0}, ConfigError, "content_seconds must be positive"),
        ({"content_seconds": float("nan")}, ConfigError, "content_seconds must be positive"),
    ],
)
def test_options_that_are_none(federation, options, error, said):
    """Refused where the strategy is made, under both kinds."""
    for make in (federation.pofl, federation.anchored):
        with pytest.raises(error, match=said):
            make(**options)
