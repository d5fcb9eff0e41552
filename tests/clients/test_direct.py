"""Clients that reach the ledger themselves: a real node, and rounds under Flower by its clock."""

import contextlib
import threading

import numpy as np
import pytest
from flwr.app import Context, RecordDict
from support.direct import WINDOW, audit, by_ledger, directly, senders
from support.evidence import accepted_in, all_evidence, evidence_of
from support.federation import initial_model, make_app
from support.store_server import StoreServer

from fedledger.arrays import to_safetensors
from fedledger.clients import direct
from fedledger.clients.direct import Direct, send_call
from fedledger.errors import (
    LedgerUnavailable,
)
from fedledger.experiments.run.engines.wire import over_the_wire, set_id
from fedledger.ledger_plugins import open_ledger, open_store
from fedledger.ledger_plugins.accounts import decode_transaction
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.ledger_plugins.contracts.training_task.calls import CONFIRM_HISTORY
from fedledger.ledger_plugins.storage.cid import cid_of
from fedledger.records import LEDGER, Signatures, SigningRequest
from fedledger.strategies import SimulatedLatency, audit_ledger


@pytest.mark.parametrize("sealed", [False, True], ids=["plain", "sealed"])
@pytest.mark.parametrize("rules", [("median",), ("krum", "trimmed_mean", "median")])
def test_direct_and_relayed_clients_count_alike(network, rules, sealed):
    """Each has one call a phase on the ledger, and the audit proves the rounds."""
    federation = network.federation
    app = make_app(outermost=directly(network, {1, 3, 4}))
    federation.run(by_ledger(network, sealed=sealed, rules=rules), app, rounds=2)
    assert accepted_in(federation) == [[7] * (2 if len(rules) > 1 else 1)] * 2
    assert {len(sent) for sent in senders(federation).values()} == {2}
    assert audit(federation).passed, audit(federation).reason


def test_direct_clients_under_the_aggregators_clock(network):
    """The reply names the call, which is looked up: it is not relayed, and counts as others do."""
    federation = network.federation
    app = make_app(outermost=directly(network, {1, 3, 4}))
    federation.run(federation.pofl(effects=network.effects), app, rounds=2)
    assert accepted_in(federation) == [[7, 7], [7, 7]]
    assert {len(sent) for sent in senders(federation).values()} == {2}
    assert audit(federation).passed, audit(federation).reason


def lost(_reply, _message, _context):
    raise RuntimeError("the connection is gone")


@pytest.mark.parametrize("sealed", [False, True], ids=["plain", "sealed"])
def test_a_client_whose_reply_is_dropped_counts(network, sealed):
    """What it sealed it opens itself, at its next message: too late for that round, for all to see.

    Who opens sooner, by `fedledger model open`, counts as well.
    """
    federation = network.federation
    app = make_app(outermost=directly(network, {1, 3}), after_signing={3: lost})
    federation.run(by_ledger(network, sealed=sealed), app, rounds=2)
    party = federation.clients[3]
    first, second = (one.phases[0] for one in all_evidence(federation))
    if not sealed:
        assert [party in {one.party for one in phase.accepted} for phase in (first, second)] == [
            True,
            True,
        ]
    else:
        assert (party, "unavailable") in {(one.party, one.reason) for one in first.dropped}
        assert len(first.accepted) == len(second.accepted) == 6
        cid = TrainingTask(federation.ledger).submissions(1, 1)[party].cid
        assert federation.store.has(cid)
    assert audit(federation).passed, audit(federation).reason


# What a reply may not name ------------------------------------------------------------------


def naming(network, partition, find):
    """Return what makes a client of the aggregator's relay name a call instead."""

    def change(reply, message, _context):
        request = SigningRequest.of(message.content)
        if request.phase == "update":
            named = find(request)
            if named is not None:
                digest = bytes.fromhex(named[2:])
                record = Signatures(request.phase, [digest], named=True).to_record()
                reply.content[LEDGER] = record
        return reply

    return {partition: change}


def first_of(network, partition, number):
    return senders(network.federation)[partition][number - 1]


def another_account(network):
    """Let another client submit as it may, and return its call."""
    federation = network.federation
    contract, account = TrainingTask(federation.ledger), federation.keys.account(1)
    model = initial_model()
    update = {key: np.full(array.shape, 0.25, np.float32) for key, array in model.items()}
    cid = federation.store.put(to_safetensors(update))
    receipt = contract.submit_update(account, task=1, round=2, cid=cid, samples=1, accuracy=0)
    return receipt.transaction


def other_task(network):
    """Let a client submit to another task, and return the call."""
    federation = network.federation
    contract, account = TrainingTask(federation.ledger), federation.keys.account(6)
    cid, spec = cid_of(b"a model"), contract.task(1).spec
    options = {"model_id": "other", "model_cid": cid, "rounds": 1, "spec": spec}
    task, _ = contract.propose(account, **options)
    receipt = contract.submit_update(account, task=task, round=1, cid=cid, samples=1, accuracy=0)
    return receipt.transaction


def confirmation(network):
    federation = network.federation
    contract, account = TrainingTask(federation.ledger), federation.keys.account(6)
    return contract.confirm_history(account, task=1).transaction


HOSTILE = {
    "nobody's": (lambda _network: "0x" + "ab" * 32, "ledger"),
    "another account's": (another_account, "metrics"),
    "another task's": (other_task, "wrong-round"),
    "another call": (confirmation, "ledger"),
    "another round's": (lambda network: first_of(network, 6, 1), "ledger"),
}


@pytest.mark.parametrize("clock", ["ledger", "aggregator"])
@pytest.mark.parametrize("what", HOSTILE)
def test_a_reply_that_names_what_is_not_its_own_is_dropped(network, what, clock):
    """With its reason, and the round goes on; the audit passes."""
    federation = network.federation
    find, reason = HOSTILE[what]
    tampered = naming(network, 6, lambda request: find(network) if request.round == 2 else None)
    app = make_app(outermost=directly(network, {1}), after_signing=tampered)
    options = {"rules": ("median",), "effects": network.effects}
    strategy = by_ledger(network) if clock == "ledger" else federation.pofl(**options)
    federation.run(strategy, app, rounds=2)
    phase = evidence_of(federation).phases[0]
    found = [one.reason for one in phase.dropped if one.party == federation.clients[6]]
    assert found in ([reason], [reason, "abandoned"])
    assert [one.party for one in phase.accepted] == federation.clients[:6]
    assert audit_ledger(federation.ledger, federation.store, [1]).passed


@pytest.mark.parametrize("clock", ["ledger", "aggregator"])
def test_who_answers_with_anothers_call_takes_no_later_phase_from_it(network, clock):
    """It has the content as well, so it is taken for that client; which reveals its salt itself."""
    federation = network.federation
    order, copied = [], []

    class Robbed:
        """The client that is asked first: it calls by itself, and its reply is lost."""

        def __contains__(self, partition):
            return partition in (order or [partition])[:1]

    def changed(partition):
        def change(reply, message, _context):
            if SigningRequest.of(message.content).phase != "update":
                if partition == order[-1]:
                    raise RuntimeError("it has no account of its own")
                return reply
            order.append(partition)
            if len(order) == 1:
                copied.append(RecordDict({**reply.content}))
                raise RuntimeError("the connection is gone")
            if len(order) == federation.size:
                reply.content = RecordDict({**copied[0]})
            return reply

        return change

    tampering = {partition: changed(partition) for partition in range(federation.size)}
    app = make_app(outermost=directly(network, Robbed()), after_signing=tampering)
    options = {"rules": ("krum", "trimmed_mean", "median"), "effects": network.effects}
    strategy = by_ledger(network, **options) if clock == "ledger" else federation.pofl(**options)
    federation.run(strategy, app, rounds=1)
    honest = [federation.clients[partition] for partition in sorted(order[:-1])]
    for phase in evidence_of(federation).phases:
        assert [one.party for one in phase.accepted] == honest
    assert audit(federation).passed, audit(federation).reason


# What goes wrong on the client ----------------------------------------------------------------


def files_of(federation, partition):
    """Return what a client keeps of its answers and of what is pending, as file names."""
    folders = federation.path.glob(f"journals/*/{partition}.*")
    return [
        one.name
        for folder in folders
        if folder.is_dir()
        for one in folder.iterdir()
        if one.name != ".lock"
    ]


@pytest.mark.parametrize("sealed", [False, True], ids=["plain", "sealed"])
def test_a_call_that_the_contract_refuses_is_said_in_the_reply(network, sealed):
    """The window is over when the client has trained: it keeps nothing of what nobody takes."""
    federation, way = network.federation, directly(network, set(range(7)))
    asked = []

    def mod(message, context, call_next):
        if SigningRequest.of(message.content).phase == "update":
            asked.append(int(context.node_config["partition-id"]))
            if len(asked) == 7:
                network.effects.clock.sleep(WINDOW + 1)
        return way(message, context, call_next)

    federation.run(by_ledger(network, sealed=sealed), make_app(outermost=mod), rounds=1)
    silent, said = evidence_of(federation).phases[0].dropped
    assert (silent.party, silent.reason) == (federation.clients[asked[6]], "no-reply")
    assert (said.party, said.reason) == (None, "client-error")
    assert "WindowClosed" in said.detail
    assert files_of(federation, asked[6]) == []
    assert audit(federation).passed, audit(federation).reason


@pytest.mark.parametrize("sealed", [False, True], ids=["plain", "sealed"])
def test_an_unreachable_ledger_is_an_error_that_leaves_nothing(
    network, monkeypatch, caplog, sealed
):
    """The client says it could not reach its ledger, and the next round it is there again.

    That it tries again it says before its app has trained.
    """
    monkeypatch.setattr(direct, "REACH", 0.5)
    federation = network.federation
    good, bad = directly(network, {6}), directly(network, {6}, ledger="local+http://127.0.0.1:9")
    seen, logged = [], []

    def trained(reply, _message, _context):
        logged.append(all(one in caplog.text for one in ("127.0.0.1:9", "trying again")))
        return reply

    def mod(message, context, call_next):
        request = SigningRequest.of(message.content)
        first = request is not None and request.round == 1
        try:
            return (bad if first else good)(message, context, call_next)
        except LedgerUnavailable as error:
            seen.append((str(error), files_of(federation, 6)))
            raise

    app = make_app(outermost=mod, before_signing={6: trained})
    federation.run(by_ledger(network, sealed=sealed), app, rounds=2)
    assert seen
    assert logged[0]
    assert "127.0.0.1:9" in seen[0][0]
    assert seen[0][1] == []
    assert [len(one.phases[0].accepted) for one in all_evidence(federation)] == [6, 7]
    assert audit(federation).passed, audit(federation).reason


def asked_twice(network, partition, first):
    """Return a mod by which a client is asked twice, first under `first`; and what it replied."""
    replies = []
    way = directly(network, {partition})

    def mod(message, context, call_next):
        request = SigningRequest.of(message.content)
        if int(context.node_config["partition-id"]) != partition or request.phase != "update":
            return way(message, context, call_next)
        content = message.content
        with contextlib.suppress(KeyError), first():
            replies.append(way(message, context, call_next))
        message.content = RecordDict({**content})
        replies.append(way(message, context, call_next))
        return replies[-1]

    return mod, replies


@contextlib.contextmanager
def killed(monkeypatch, where, name, *, before):
    """Let a client die before or after a step."""
    step = getattr(where, name)

    def dies(*given, **options):
        if not before:
            step(*given, **options)
        raise KeyError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(where, name, dies)
        yield


@pytest.mark.parametrize("sealed", [False, True], ids=["plain", "sealed"])
@pytest.mark.parametrize("step", ["before sending", "after sending", "before replying", None])
def test_asked_again_a_client_has_one_call_on_the_ledger(network, monkeypatch, step, sealed):
    """Whether it was killed before, or is just asked twice: nothing is lost, nothing doubled."""
    federation, trained = network.federation, []
    first = {
        "before sending": lambda: killed(monkeypatch, Direct, "_transact", before=True),
        "after sending": lambda: killed(monkeypatch, Direct, "_transact", before=False),
        "before replying": lambda: killed(monkeypatch, direct, "replied", before=True),
        None: contextlib.nullcontext,
    }[step]
    mod, replies = asked_twice(network, 6, first)

    def count(reply, _message, _context):
        trained.append(reply)
        arrays = reply.content.array_records["arrays"]
        bias = arrays["layer.bias"].numpy() + np.float32(len(trained))
        arrays["layer.bias"] = type(arrays["layer.bias"])(bias)  # it never trains the same twice
        return reply

    app = make_app(outermost=mod, before_signing={6: count})
    federation.run(by_ledger(network, sealed=sealed), app, rounds=1)
    assert len(trained) == 1
    assert len(senders(federation)[6]) == 1
    assert len(replies) == (2 if step is None else 1)
    if step is None:
        one, other = (Signatures.from_record(reply.content[LEDGER]) for reply in replies)
        assert one == other
    assert len(evidence_of(federation).phases[0].accepted) == 7
    assert audit(federation).passed, audit(federation).reason


@pytest.mark.parametrize("clock", ["ledger", "aggregator"])
def test_what_a_client_sends_and_the_aggregator_relays_is_on_the_ledger_once(network, clock):
    """Both ways at once: the same signed call."""
    federation = network.federation

    def both(reply, message, _context):
        if SigningRequest.of(message.content).phase == "update":
            [raw] = Signatures.from_record(reply.content[LEDGER]).transactions
            federation.ledger.transact(decode_transaction(raw))
        return reply

    app = make_app(after_signing={2: both})
    options = {"rules": ("median",), "effects": network.effects}
    federation.run(
        by_ledger(network) if clock == "ledger" else federation.pofl(**options), app, rounds=2
    )
    assert len(senders(federation)[2]) == 2
    assert [len(one.phases[0].accepted) for one in all_evidence(federation)] == [7, 7]
    assert audit(federation).passed, audit(federation).reason


def test_a_nonce_that_another_process_takes_is_no_loss(network):
    """While the client trains its account calls something else: it signs anew."""
    federation = network.federation

    def busy(reply, _message, _context):
        account = federation.keys.account(6)
        send_call(federation.ledger, account, CONFIRM_HISTORY, {"task": 1})
        return reply

    app = make_app(outermost=directly(network, {6}), before_signing={6: busy})
    federation.run(by_ledger(network), app, rounds=1)
    assert len(evidence_of(federation).phases[0].accepted) == 7
    assert len(senders(federation, "HistoryConfirmed")[6]) >= 1
    assert audit(federation).passed, audit(federation).reason


def test_two_processes_of_an_account_send_one_call(network):
    """Both train, one sends, and the other one names the same call."""
    federation, replies = network.federation, []
    way = directly(network, {6})

    def mod(message, context, call_next):
        request = SigningRequest.of(message.content)
        if int(context.node_config["partition-id"]) != 6 or request.phase != "update":
            return way(message, context, call_next)

        def answer():
            copied = set_id(over_the_wire(message), message.metadata.message_id)
            given = Context(1, 2, dict(context.node_config), RecordDict(), {})
            replies.append(way(copied, given, call_next))

        threads = [threading.Thread(target=answer) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return replies[0]

    both = threading.Barrier(2)

    def noisy(reply, _message, _context):
        both.wait(60)  # both have trained before one sends
        arrays = reply.content.array_records["arrays"]
        bias = arrays["layer.bias"].numpy() + np.float32(threading.get_ident() % 97)
        arrays["layer.bias"] = type(arrays["layer.bias"])(bias)
        return reply

    app = make_app(outermost=mod, before_signing={6: noisy})
    federation.run(by_ledger(network), app, rounds=1)
    one, other = (Signatures.from_record(reply.content[LEDGER]) for reply in replies)
    assert one == other
    assert len(senders(federation)[6]) == 1
    assert len(evidence_of(federation).phases[0].accepted) == 7
    assert audit(federation).passed, audit(federation).reason


def test_a_direct_call_that_is_late_by_the_aggregators_stamp(network):
    """It is on the ledger, does not count, and the evidence says both."""
    federation = network.federation
    late = SimulatedLatency(seed=1, extra={6: 1000.0})
    app = make_app(outermost=directly(network, {6}))
    strategy = federation.pofl(clock=late, rules=("median",), effects=network.effects)
    federation.run(strategy, app, rounds=1)
    phase = evidence_of(federation).phases[0]
    party = federation.clients[6]
    assert [one.party for one in phase.late] == [party]
    assert [(one.party, one.reason) for one in phase.dropped] == [(party, "abandoned")]
    assert audit(federation).passed, audit(federation).reason


class Watched:
    """A ledger that notes what it is asked."""

    def __init__(self, ledger, noted):
        self._ledger, self._noted = ledger, noted

    def __getattr__(self, name):
        found = getattr(self._ledger, name)
        if not callable(found):
            return found

        def asked(*given, **options):
            self._noted.append(name)
            return found(*given, **options)

        return asked


@pytest.mark.parametrize("sealed", [False, True], ids=["plain", "sealed"])
def test_a_round_takes_a_client_one_call_of_its_ledger_longer(network, monkeypatch, sealed):
    """All else it asks while its app trains."""
    federation, noted = network.federation, []
    opened = open_ledger

    @contextlib.contextmanager
    def watched(url):
        with opened(url) as ledger:
            yield Watched(ledger, noted)

    monkeypatch.setattr(direct, "open_ledger", watched)
    wait = direct._Meanwhile.wait

    def waited(self, seconds):
        wait(self, seconds)
        noted.append("trained")

    monkeypatch.setattr(direct._Meanwhile, "wait", waited)
    app = make_app(outermost=directly(network, {6}))
    federation.run(by_ledger(network, sealed=sealed), app, rounds=2)
    parts = " ".join(noted).split("trained")[1:]
    after = [part.split() for part in parts]
    assert all(part[:1] == ["transact_all"] for part in after)
    assert noted.count("transact_all") == noted.count("trained") == 3  # and the confirmation
    assert len(senders(federation)[6]) == 2


def test_a_direct_client_stores_by_a_server(network, tmp_path):
    """Its node config names the server alone; the account that signs its calls signs for it.

    The server stores into the folder that the aggregator and the audit read.
    """
    federation = network.federation
    (tmp_path / "server").mkdir()
    allowed = [option for one in (1, 3) for option in ("--allow", federation.clients[one])]
    folder = f"file://{tmp_path}/store"
    with StoreServer(tmp_path / "server", *allowed, store=folder) as server:
        app = make_app(outermost=directly(network, {1, 3}, store=server.url))
        federation.run(by_ledger(network), app, rounds=1)
        for partition in (1, 3):
            client = federation.keys.account(partition)
            cid = TrainingTask(federation.ledger).submissions(1, 1)[client.address].cid
            with open_store(server.url, account=client) as store:
                store.pin(cid)  # which only who has stored it there can
    assert len(evidence_of(federation).phases[0].accepted) == 7
    assert audit(federation).passed, audit(federation).reason
