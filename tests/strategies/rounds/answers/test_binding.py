"""Answers are tied to SuperNodes: one device cannot speak for another, refused at both ends."""

import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from support.evidence import all_evidence
from support.federation import make_app

from fedledger.effects import Effects
from fedledger.errors import AccountError, ConfigError, UnknownNameError
from fedledger.ledger_plugins.contracts import Identities, TrainingTask
from fedledger.ledger_plugins.contracts.identities.keys import FlowerKey, keys_of, publish_keys
from fedledger.ledger_plugins.contracts.identities.nodes import (
    bind_node,
    load_node_key,
    node_keys,
    public_of,
)
from fedledger.records import LEDGER
from fedledger.strategies import audit_ledger
from fedledger.strategies.rounds.answers import replies
from fedledger.strategies.rounds.arrival import LedgerClock
from fedledger.strategies.rounds.evidence import documents
from fedledger.strategies.rounds.evidence.checks import Outcome
from fedledger.strategies.rounds.evidence.documents import Evidence, Specification
from fedledger.strategies.rounds.tasks.task import LedgerTask

KEYS = [generate_private_key(SECP384R1()) for _ in range(7)]


@pytest.fixture
def bound(federation, tmp_path):
    """A federation of seven clients, each with a SuperNode's key that it has published."""
    for number, key in enumerate(KEYS):
        content = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        (tmp_path / f"node-{number}").write_bytes(content)
        bind_node(federation.ledger, federation.keys.account(number), key)
    return federation


def on_nodes(federation, app, **other):
    """Return an app on nodes whose config names their keys; `other`: node to another number."""
    others = {int(node.removeprefix("n")): number for node, number in other.items()}

    def run(message, context):
        node = context.node_config["partition-id"]
        number = others.get(node, node)
        if number is not None:
            context.node_config["node-key"] = str(federation.path / f"node-{number}")
        return app(message, context)

    return run


def pofl(federation, **changes):
    return federation.pofl(binding="required", **changes)


def dropped(evidence):
    [phase, *_] = evidence.phases
    return [(one.reason, one.detail) for one in phase.dropped if one.reason != "unheard"]


@pytest.mark.parametrize("kind", ["pofl", "anchored"])
def test_bound_nodes_are_counted_with_their_statements(bound, kind):
    """Every answer of every phase carries one, and the audit checks it."""
    strategy = getattr(bound, kind)(binding="required")
    bound.run(strategy, on_nodes(bound, make_app()), rounds=2)
    for evidence in all_evidence(bound):
        for phase in evidence.phases:
            assert len(phase.accepted) == 7
            assert all(one.node_proof for one in phase.accepted)
    report = audit_ledger(bound.ledger, bound.store)
    assert report.passed, report.reason


def test_without_binding_nothing_is_asked_for(bound):
    """By default neither specification nor evidence nor messages have a word about nodes."""
    bound.run(bound.pofl(), make_app(), rounds=1)
    [task] = [TrainingTask(bound.ledger).task(1)]
    [published] = TrainingTask(bound.ledger).aggregates(1)
    assert documents.load(Specification, task.spec, bound.store).binding is None
    for cid in (task.spec, published.evidence):
        content = bound.store.get(cid)
        assert b"binding" not in content
        assert b"node_proof" not in content


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"n3": 4}, "this device cannot speak for it"),
        ({"n3": None}, "set node-key=PATH in the node config"),
        ({"n3": "gone"}, "No such file or directory"),
    ],
    ids=["another-node", "no-key", "no-file"],
)
def test_a_client_refuses_by_itself(bound, other, says):
    """Before it trains: its own key is another than its account published, or there is none."""
    bound.run(pofl(bound), on_nodes(bound, make_app(), **other), rounds=1)
    [evidence] = all_evidence(bound)
    [(reason, detail)] = dropped(evidence)
    assert reason == "client-error"
    assert says in detail
    assert len(evidence.phases[0].accepted) == 6
    assert audit_ledger(bound.ledger, bound.store).passed


@pytest.mark.parametrize("published", ["none", "revoked", "too late"])
def test_an_account_without_a_node_is_refused(bound, published):
    """It has to have published the key before the round opened; afterwards is too late for it."""
    account = bound.keys.account(3)
    Identities(bound.ledger).revoke_keys(account)
    late = {1: lambda: bind_node(bound.ledger, account, KEYS[3])}

    def measure(number, _arrays):
        late.pop(number, lambda: None)()
        return {}

    changes = {"measure": measure} if published == "too late" else {}
    bound.run(pofl(bound, **changes), on_nodes(bound, make_app()), rounds=2)
    first, second = all_evidence(bound)
    [(reason, detail)] = dropped(first)
    assert (reason, "`fedledger account bind`" in detail) == ("client-error", True)
    assert len(second.phases[0].accepted) == (7 if published == "too late" else 6)
    assert audit_ledger(bound.ledger, bound.store).passed


def _forged(change):
    """Return what a hostile client does to the statement of its node."""

    def after(reply, _message, _context):
        record = reply.content[LEDGER]
        change(record)
        return reply

    return after


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.pop("node-proof"),
        lambda record: record.update({"node-proof": b""}),
        lambda record: record.update({"node-proof": b"\1" * 104}),
        lambda record: record.update({"node-proof": record["node-proof"][:-1]}),
    ],
    ids=["missing", "empty", "noise", "cut"],
)
def test_the_server_refuses_what_no_node_stated(bound, change):
    """A client that does not refuse is dropped with the reason, and the round goes on."""
    app = make_app(after_signing={3: _forged(change)})
    bound.run(pofl(bound), on_nodes(bound, app), rounds=1)
    [evidence] = all_evidence(bound)
    [(reason, _)] = dropped(evidence)
    assert reason == "binding"
    assert len(evidence.phases[0].accepted) == 6
    assert audit_ledger(bound.ledger, bound.store).passed


def test_a_statement_is_worth_nothing_elsewhere(bound):
    """What a node stated in one round, or about one account, ties nothing in another."""
    kept = {}

    def replay(reply, message, _context):
        config = message.content.config_records["config"]
        record, key = reply.content[LEDGER], config["fedledger.phase"]
        if key in kept:
            record["node-proof"] = kept[key]
        else:
            kept[key] = record["node-proof"]
        return reply

    app = make_app(after_signing={3: replay})
    bound.run(pofl(bound), on_nodes(bound, app), rounds=2)
    first, second = all_evidence(bound)
    assert dropped(first) == []
    assert dropped(second) == [("binding", "the node's statement about this answer does not hold")]
    assert audit_ledger(bound.ledger, bound.store).passed


@pytest.mark.parametrize("lie", ["none", "noise"])
def test_an_aggregator_that_counts_unbound_answers_fails_the_audit(bound, monkeypatch, lie):
    """The specification asks for the statement, so every auditor does."""
    value = b"" if lie == "none" else b"\1" * 104
    monkeypatch.setattr(replies, "check_binding", lambda *_: value)
    bound.run(pofl(bound), on_nodes(bound, make_app()), rounds=1)
    monkeypatch.undo()
    report = audit_ledger(bound.ledger, bound.store)
    assert report.outcome is Outcome.FAILED
    assert "counted but is unusable: binding" in report.reason


def test_a_statement_where_none_is_asked_for_fails_the_audit(bound, monkeypatch):
    """Evidence says nothing that nobody can check."""
    honest = documents.save

    def save(document, store):
        if isinstance(document, Evidence):
            [first, *others] = document.phases
            accepted = [one.model_copy(update={"node_proof": "00"}) for one in first.accepted]
            phases = [first.model_copy(update={"accepted": accepted}), *others]
            document = document.model_copy(update={"phases": phases})
        return honest(document, store)

    monkeypatch.setattr(documents, "save", save)
    bound.run(bound.pofl(), make_app(), rounds=1)
    report = audit_ledger(bound.ledger, bound.store)
    assert report.outcome is Outcome.FAILED
    assert "node's statement" in report.reason


def test_one_key_is_one_accounts(bound):
    """Where two accounts of a task claim a key with its statement, the newer claim has it."""
    two, three = (bound.keys.account(number).address for number in (2, 3))
    top = (10**9, 0)
    keys = node_keys(bound.ledger, [two, three], top)
    assert keys == {two: public_of(KEYS[2]), three: public_of(KEYS[3])}
    bind_node(bound.ledger, bound.keys.account(3), KEYS[2])
    assert node_keys(bound.ledger, [two, three], top) == {three: public_of(KEYS[2])}
    squatted = public_of(KEYS[3])
    Identities(bound.ledger).set_keys(
        bound.keys.account(2), flower=squatted, flower_proof=b"\1" * 104
    )
    assert node_keys(bound.ledger, [two, three], top) == {three: public_of(KEYS[2])}


def test_binding_keeps_the_other_keys(federation):
    """Who binds a node keeps what it published for other protocols."""
    account, hpke = federation.keys.account(0), b"\x09" + bytes(31)
    publish_keys(federation.ledger, account, hpke=hpke)
    bind_node(federation.ledger, account, KEYS[0])
    found = keys_of(federation.ledger, account.address)
    assert (found.hpke, found.need("flower")) == (hpke, public_of(KEYS[0]))


def test_node_keys_are_read_as_ssh_keygen_writes_them(tmp_path):
    """OpenSSH's and PEM's forms; what has a passphrase, or is RSA, or no key, is named."""
    disk = Effects.real().disk
    made = tmp_path / "made"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ecdsa", "-b", "384", "-N", "", "-f", str(made)], check=True
    )
    assert len(public_of(load_node_key(made, disk))) == 120
    forms: dict[str, tuple[FlowerKey, PrivateFormat]] = {
        "pem": (KEYS[0], PrivateFormat.PKCS8),
        "edwards": (Ed25519PrivateKey.generate(), PrivateFormat.OpenSSH),
    }
    for name, (key, form) in forms.items():
        (tmp_path / name).write_bytes(key.private_bytes(Encoding.PEM, form, NoEncryption()))
        assert public_of(load_node_key(tmp_path / name, disk)) == public_of(key)
    locked = tmp_path / "locked"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "x" * 8, "-f", locked], check=True)
    rsa = generate_rsa(65537, 2048).private_bytes(
        Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()
    )
    (tmp_path / "rsa").write_bytes(rsa)
    (tmp_path / "no key").write_bytes(b"no key")
    for name in ("locked", "rsa", "no key", "gone"):
        with pytest.raises(AccountError, match=f"node key .*{name}"):
            load_node_key(tmp_path / name, disk)


def test_nodes_are_not_bound_where_the_ledger_says_what_counts(federation):
    """There a client's own call counts, whichever node it comes from: refused when it is set."""
    with pytest.raises(ConfigError, match="take the aggregator's clock"):
        federation.pofl(binding="required", clock=LedgerClock(), window=None, ledger_window=60)


def test_a_binding_that_nobody_knows(federation):
    """It is refused where it is set, by name."""
    with pytest.raises(UnknownNameError, match=r"binding 'require'.*'required'"):
        federation.pofl(binding="require")


class _Killed(BaseException):
    """Stands for the process ending: nothing may catch it."""


def test_a_run_that_is_resumed_counts_the_calls_that_are_there(bound, monkeypatch):
    """A client that signs again names a newer block; its new statement ties the first call."""

    def killed(*_):
        raise _Killed

    app = on_nodes(bound, make_app())
    monkeypatch.setattr(LedgerTask, "publish", killed)
    with pytest.raises(_Killed):
        bound.run(pofl(bound), app, rounds=1)
    monkeypatch.undo()
    bound.reopen()
    bound.run(pofl(bound), app, rounds=1)
    assert len(TrainingTask(bound.ledger).submitted(1, 1)) == 7
    [evidence] = all_evidence(bound)
    assert len(evidence.phases[0].accepted) == 7
    report = audit_ledger(bound.ledger, bound.store)
    assert report.passed, report.reason
