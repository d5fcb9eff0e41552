"""Which task a trainer masks for, and with whom: it knows by itself, and not from the server."""

import shutil

import pytest
from support import federation as plain
from support.encrypted import EncryptedFederation
from support.hostile_server import HostileServer
from support.node_thread import NodeThread

from fedledger.clients.identity import simulated_place
from fedledger.errors import AccountError, ConfigError, FedledgerError
from fedledger.formats import canonical_json, parse_json
from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.accounts import decode_transaction
from fedledger.ledger_plugins.contracts import TrainingTask

PASSWORD = "a password of tests"  # noqa: S105 - of tests


@pytest.fixture
def server(tmp_path):
    """A server whose trainers accepted the keys, and trainer 0 has a keystore of its own."""
    federation = EncryptedFederation(tmp_path)
    yield with_a_keystore(HostileServer(federation))
    federation.close()


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """A server of simulated trainers, which take its word."""
    federation = EncryptedFederation(tmp_path_factory.mktemp("simulated"))
    server = HostileServer(federation)
    server.accepts(0)
    yield server
    federation.close()


def with_a_keystore(server):
    """Let trainer 0 be a device: an account of its own, and what it keeps of keys beside it."""
    federation = server.federation
    server.accepts(*range(5))
    device = federation.path / "device"
    device.mkdir()
    keystore = device / "press.json"
    federation.keys.account(0).save(keystore, PASSWORD, light=True)
    (device / "password").write_text(PASSWORD)
    (device / "password").chmod(0o600)
    place = simulated_place(federation.keys.path, 4242, federation.contract, 0)
    shutil.copytree(f"{place}.trainer", f"{keystore}.trainer")
    server.config[0] = {
        "account": str(keystore),
        "account-password-file": str(device / "password"),
    }
    return server


def changed(server, change):
    """Return the specification's text with something changed."""
    said = parse_json(server.text.encode())
    change(said)
    return canonical_json(said).decode()


def sybils(server):
    """Return the change that leaves trainer 0 among accounts of the server's own."""

    def change(said):
        account = server.federation.keys.account
        others = [account(f"sybil {one}").address for one in range(4)]
        said["parties"]["clients"][1:] = others

    return change


def every_phase(server, sent, signed):
    """Return what the server asks trainer 0, by phase."""
    listed = server.list_of(*sent)
    return {
        "keys": lambda: server.accepts(0),
        "masked": lambda: server.masked(0, 2),
        "list": lambda: server.asked_to_sign(0, listed, sent),
        "shares": lambda: server.shares(0, listed, signed),
        "opened": lambda: server.ask(0, "opened", entries=listed.plain(), openers=[]),
    }


def round_of(server):
    """Return a round's masked updates, and four trainers' signatures of their list."""
    sent = [server.masked(one) for one in range(5)]
    return sent, server.signatures(range(1, 5), sent)


def test_a_device_that_knows_no_task_answers_no_phase(server):
    """Neither `task` nor a ledger of its own: the server's word is none."""
    known, server.config[0] = server.config[0], {}
    sent, signed = round_of(server)
    server.config[0] = known
    for asked in every_phase(server, sent, signed).values():
        with pytest.raises(
            ConfigError, match="does not know by itself which task is its own: set task="
        ):
            asked()


def test_a_device_masks_for_the_task_of_its_node_config(server):
    """It takes part in that task, and in each phase refuses another one's specification."""
    server.config[0]["task"] = server.spec
    sent, signed = round_of(server)
    assert server.signatures([0], sent)
    assert server.shares(0, server.list_of(*sent), signed)
    server.text = changed(server, sybils(server))
    for asked in every_phase(server, sent, signed).values():
        with pytest.raises(AccountError, match="task in its node config"):
            asked()


@pytest.mark.parametrize(
    "change",
    [
        {"keys": "0" * 64},
        {"floor": 5},
        {"dealer": "0x" + "1" * 40},
        {"weights": "equal", "total_weight": 5},
        {"clip": 2.0},
        {"threshold": 4, "floor": 5},
        {"total_weight": 2**32},
    ],
    ids=str,
)
def test_no_term_is_the_servers_to_change(server, change):
    """Keys, floor, threshold, weights, clip: another text is another CID."""
    server.config[0]["task"] = server.spec
    server.text = changed(server, lambda said: said["settings"].update(change))
    with pytest.raises(AccountError, match="task in its node config"):
        server.masked(0)


def _without(name):
    return lambda said: said.pop(name)


@pytest.mark.parametrize(
    "change",
    [
        _without("settings"),
        _without("parties"),
        _without("protocol"),
        lambda said: said.update(protocol="pofl"),
        lambda said: said.update(parties=[]),
        lambda said: said.update(settings=7),
        lambda said: said["parties"].pop("clients"),
        lambda said: said["parties"]["clients"].pop(),
        lambda said: said["parties"]["clients"].__setitem__(1, said["parties"]["clients"][0]),
        lambda said: said["settings"].update(floor=2),
        lambda said: said["settings"].update(threshold=2),
        lambda said: said["settings"].update(threshold=6),
        lambda said: said["settings"].update(floor=3),
        lambda said: said["settings"].update(more=1),
        lambda said: said["settings"].pop("clip"),
        lambda said: said.update(profile="none"),
    ],
    ids=range(16),
)
def test_what_is_no_specification_of_the_protocol_is_refused(simulated, change, monkeypatch):
    """A simulation's trainer, which takes the server's word, takes no nonsense either."""
    monkeypatch.setattr(simulated, "text", changed(simulated, change))
    with pytest.raises(FedledgerError):
        simulated.masked(0)


@pytest.mark.parametrize("text", [None, 7, "", "{", "[]", "null", "1" * 5000], ids=str)
def test_what_is_no_text_of_a_specification_is_refused(simulated, text, monkeypatch):
    """Other JSON, and what is none."""
    monkeypatch.setattr(simulated, "text", text)
    with pytest.raises(FedledgerError):
        simulated.masked(0)


def test_a_stranger_to_the_specification_takes_no_part(simulated, monkeypatch):
    """Whoever is asked finds itself among the trainers, or answers nothing."""
    text = changed(
        simulated, lambda said: said["parties"]["clients"].__setitem__(0, "0x" + "1" * 40)
    )
    monkeypatch.setattr(simulated, "text", text)
    with pytest.raises(AccountError, match="is no trainer of the task's specification"):
        simulated.masked(0)


@pytest.fixture
def on_a_node(tmp_path, monkeypatch):
    """The same on a node's ledger, which trainer 0 reads by itself."""
    node = NodeThread(tmp_path / "node", chain_id=4242)
    monkeypatch.setattr(plain, "open_ledger", lambda *_, **__: open_ledger(f"local+{node.url}"))
    federation = EncryptedFederation(tmp_path)
    server = with_a_keystore(HostileServer(federation))
    server.config[0] |= {"ledger": f"local+{node.url}", "ledger-task": 1}
    yield server
    federation.close()
    node.stop()


def test_a_device_with_a_ledger_believes_it_and_not_the_server(on_a_node):
    """The specification is the ledger's; a list names what the ledger has of this round.

    A content that never was on the ledger, though its trainer signed it, is on no list; nor is
    another task's specification any use: which task is its own, its node config says, and a ledger
    that has tasks of anybody's says no such thing.
    """
    server = on_a_node
    for unsaid in ({"ledger-task": "any"}, {}):
        kept = server.config[0]
        server.config[0] = {k: v for k, v in kept.items() if k != "ledger-task"} | unsaid
        with pytest.raises(ConfigError, match="which task is its own"):
            server.masked(0)
        server.config[0] = kept
    ledger = server.federation.ledger
    sent, signed = round_of(server)
    listed = server.list_of(*sent)
    with pytest.raises(AccountError, match="this trainer's ledger has nothing of it in round 1"):
        server.asked_to_sign(0, listed, sent)
    for one in sent:
        for call in one.calls:
            ledger.transact(decode_transaction(call))
    other = server.masked(4, asked="more")
    swapped = [*sent[:4], other]
    with pytest.raises(AccountError, match="this trainer's ledger has baf"):
        server.asked_to_sign(0, server.list_of(*swapped), swapped)
    assert server.signatures([0], sent)
    assert server.shares(0, listed, signed)

    honest = server.text
    server.text = changed(server, sybils(server))
    for asked in every_phase(server, sent, signed).values():
        with pytest.raises(AccountError, match="its own ledger"):
            asked()
    cid = server.federation.store.put(server.text.encode())
    number, _ = TrainingTask(ledger).propose(
        server.federation.server,
        model_id="sybils",
        model_cid=server.federation.store.put(b"a model"),
        rounds=3,
        window=0,
        reward=0,
        spec=cid,
    )
    server.task = number
    with pytest.raises(AccountError, match="this client signs for task 1"):
        server.masked(0)
    server.text, server.task = honest, 1
    assert server.signatures([0], sent)
