"""Signed calls name a block: another history of the ledger is found by the signatures alone."""

import pytest
from flwr.app import ConfigRecord
from support.chains import signed_on
from support.evidence import resign
from support.federation import Federation, make_app
from support.rewriting import rewritten

from fedledger.clients.journal import Journal
from fedledger.effects.real import SystemDisk
from fedledger.errors import AccountError, CallError, LedgerUnavailable, UpdateRejected
from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.accounts import Account, decode_transaction
from fedledger.ledger_plugins.ancestry import header_hash, linked
from fedledger.ledger_plugins.base import UnsignedTransaction
from fedledger.ledger_plugins.contracts import StakeToken, TrainingTask
from fedledger.ledger_plugins.contracts.training_task.calls import CONFIRM_HISTORY, SUBMIT_UPDATE
from fedledger.records import CONFIG, LEDGER, SEEN, CallRequest, SigningRequest
from fedledger.strategies import audit_ledger
from fedledger.strategies.rounds.answers import asking
from fedledger.strategies.rounds.answers.history import History, Pins
from fedledger.strategies.rounds.evidence.checks import Outcome

UNKNOWN = "0x" + "5e" * 32


@pytest.fixture
def federation(tmp_path):
    federation = Federation(tmp_path)
    yield federation
    federation.ledger.close()


def audit(federation):
    return audit_ledger(federation.ledger, federation.store)


def reopened(federation):
    federation.ledger = open_ledger(f"local://{federation.path}/chain.db")


# What is on the ledger ---------------------------------------------------------------------------


def test_a_task_whose_proposal_is_gone_is_said(federation):
    """A reorganisation between two questions: the next try may find it again (seed 46 of `sim`)."""
    federation.run(federation.anchored(), make_app(), rounds=1)
    tasks = TrainingTask(federation.ledger)
    assert tasks.opened_in(1, []) == 1
    with pytest.raises(LedgerUnavailable, match="does not show the proposal of task 2"):
        tasks.opened_in(2, [])


@pytest.mark.parametrize("kind", ["pofl", "anchored"])
def test_every_update_names_the_newest_block_and_all_confirm_at_the_end(federation, kind):
    """On a chain with one writer the block named is the head; the end holds the last round, too."""
    federation.run(getattr(federation, kind)(), make_app(), rounds=2)
    tasks = TrainingTask(federation.ledger)
    aggregates = tasks.aggregates(1)
    for number in (1, 2):
        opened = tasks.opened_in(1, aggregates[: number - 1])
        for submission in tasks.submitted(1, number):
            index = federation.ledger.index_of(submission.seen)
            assert opened <= index == submission.block - 1
    said = federation.ledger.events("TrainingTask", CONFIRM_HISTORY.event)
    assert {event.arguments["client"] for event in said} == set(federation.clients)
    named = {federation.ledger.index_of("0x" + event.arguments["seen"].hex()) for event in said}
    assert min(named) >= aggregates[-1].block
    assert audit(federation).passed


def test_a_run_that_is_resumed_confirms_once(federation):
    """A finished run that is started again asks nobody."""
    federation.run(federation.pofl(), make_app(), rounds=2)
    head = federation.ledger.head()
    federation.run(federation.pofl(), make_app(), rounds=2)
    assert federation.ledger.head() == head


def test_a_run_that_was_killed_before_the_confirmations_asks_for_them(federation, monkeypatch):
    """Nothing is left to do but this, and it is done when the run goes on."""

    def killed(_round):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("fedledger.strategies.rounds.server.strategy.confirm_history", killed)
        with pytest.raises(KeyboardInterrupt):
            federation.run(federation.pofl(), make_app(), rounds=2)
    assert not federation.ledger.events("TrainingTask", CONFIRM_HISTORY.event)
    for hostile in range(2):  # who is quick does not keep the others from being asked
        TrainingTask(federation.ledger).confirm_history(federation.keys.account(hostile), task=1)
    federation.run(federation.pofl(), make_app(), rounds=2)
    said = federation.ledger.events("TrainingTask", CONFIRM_HISTORY.event)
    assert {event.arguments["client"] for event in said} == set(federation.clients)
    assert audit(federation).passed


@pytest.mark.parametrize("kind", ["pofl", "anchored"])
def test_an_aggregator_that_has_clients_name_old_blocks_is_found(federation, kind, monkeypatch):
    """Who writes the chain alone could rewrite all that came after the block that they name."""
    with monkeypatch.context() as patch:
        patch.setattr(type(federation.ledger), "settled", lambda ledger: ledger.block(1))
        patch.setattr(asking, "History", lambda ledger, _opened: History(ledger))
        federation.run(getattr(federation, kind)(), make_app(), rounds=2)
    report = audit(federation)
    assert report.outcome is Outcome.FAILED
    assert "names block 1, older than the round" in (report.reason or "")


def test_a_client_that_names_an_old_block_costs_its_own_say(federation):
    """Nobody else's: it is dropped where it arrives, so the audit of the round passes."""
    old = bytes.fromhex(federation.ledger.block(0).hash[2:])
    app = make_app(after_signing={3: resign(federation, 3, old)})
    federation.run(federation.pofl(byzantine=1), app, rounds=2)
    report = audit(federation)
    assert report.passed, report.reason
    assert [one.reason for one in report.rounds[1].record.phases[0].dropped] == ["history"]


# A rewritten chain -------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "found"), [(1, 1), (2, 2)])
def test_a_chain_rewritten_by_its_writer_is_found_by_the_signatures(federation, first, found):
    """The same calls in the same order, a millisecond later: valid in itself, and found.

    `first` is the round before whose updates history changes; round `found` fails the audit.
    """
    federation.run(federation.pofl(), make_app(), rounds=2)
    assert audit(federation).passed
    opened = TrainingTask(federation.ledger).opened_in(
        1, TrainingTask(federation.ledger).aggregates(1)[: first - 1]
    )
    rewritten(federation.ledger, opened)
    reopened(federation)
    assert federation.ledger.verify() is None
    report = audit(federation)
    assert not report.passed
    [*before, failed] = report.rounds[:found]
    assert all(verdict.outcome.name == "PASSED" for verdict in before)
    assert "names block" in failed.reason
    assert "which this ledger does not have" in failed.reason


def test_a_payment_slipped_in_after_the_last_update_is_found_by_the_confirmations(tmp_path):
    """What comes after the last update is held by what clients sign at the end."""
    admin = Account.from_key(b"\x51" * 32)
    federation = Federation(tmp_path)
    federation.ledger.close()
    (tmp_path / "chain.db").unlink()
    federation.ledger = open_ledger(f"local://{tmp_path}/chain.db", admin=admin.address)
    federation.run(federation.pofl(), make_app(), rounds=2)
    last = TrainingTask(federation.ledger).aggregates(1)[-1].block

    def mint(chain):
        return [signed_on(chain, admin, "StakeToken", "mint", admin.address, 1_000)]

    rewritten(federation.ledger, last, mint)
    reopened(federation)
    assert StakeToken(federation.ledger).balance(admin.address) == 1_000
    report = audit(federation)
    assert not report.passed
    assert "7 of 7 clients confirmed another history" in report.reason
    federation.ledger.close()


def names_another(federation, number):
    """Let a client call by itself, naming a block of another history."""
    TrainingTask(federation.ledger).submit_update(
        federation.keys.account(number),
        task=1,
        round=1,
        cid=federation.store.put(b"x"),
        samples=1,
        accuracy=1,
        seen=UNKNOWN,
    )


def unsigned(reply, message, context):
    del reply.content[LEDGER]
    return reply


def test_dropping_everybody_does_not_hide_a_rewritten_chain(federation):
    """More than f registered clients that named another history fail a round that counts none."""
    done = []

    def calls(reply, message, context):
        if not done:
            done.extend(range(3))
            for number in done:
                names_another(federation, number)
        return unsigned(reply, message, context)

    app = make_app(after_signing=dict.fromkeys(range(7), calls))
    federation.run(federation.pofl(), app, rounds=1)
    report = audit(federation)
    assert not report.passed
    assert "3 of 7 clients signed for another history of this ledger, at most 2" in report.reason


def test_f_clients_that_name_another_history_harm_nobody(federation):
    """An honest run passes, and what they sent does not count."""

    def calls(reply, message, context):
        request = SigningRequest.of(message.content)
        if (request.phase, request.round) == ("update", 1):
            names_another(federation, int(context.node_config["partition-id"]))
        return unsigned(reply, message, context)

    app = make_app(after_signing=dict.fromkeys(range(2), calls))
    federation.run(federation.pofl(), app, rounds=2)
    report = audit(federation)
    assert report.passed, report.reason
    assert [verdict.accepted for verdict in report.rounds] == [5, 5]


@pytest.mark.parametrize("kind", ["pofl", "anchored"])
def test_a_client_cannot_have_its_own_call_of_another_history_counted(federation, kind):
    """It calls by itself what it answers, and names no block there: the run stays honest."""
    account = federation.keys.account(1)

    def calls(reply, message, context):
        record = reply.content.config_records[LEDGER]
        if record["phase"] in {"update", "weights"}:
            signed = decode_transaction(record["transactions"][0]).unsigned
            values = SUBMIT_UPDATE.decode(signed.data) | {SEEN: bytes(32)}
            own = UnsignedTransaction(signed.terms, signed.nonce, SUBMIT_UPDATE.encode(values))
            federation.ledger.transact(account.sign(own))
        return reply

    federation.run(getattr(federation, kind)(), make_app(after_signing={1: calls}), rounds=2)
    report = audit(federation)
    assert report.passed, report.reason
    assert [verdict.record.reasons() for verdict in report.rounds] == [{"ledger": 1}] * 2


# Replies -----------------------------------------------------------------------------------------


def resigned(federation, seen):
    """Return what lets client 1 sign its update again for another block."""
    return resign(federation, 1, seen)


@pytest.mark.parametrize("seen", [bytes(32), b"\x5e" * 32])
def test_a_reply_that_names_another_history_is_dropped(federation, seen):
    """A block that does not exist: the reply is dropped with its reason, and never relayed.

    Its node has never said whose it is, so it is asked for a salt as well, and has none to give.
    """
    app = make_app(after_signing={1: resigned(federation, seen)})
    federation.run(federation.pofl(), app, rounds=1)
    [verdict] = audit(federation).rounds
    assert verdict.record.reasons() == {"history": 1, "salt": 1}
    assert verdict.accepted == 6
    counted = TrainingTask(federation.ledger).submissions(1, 1)
    assert federation.clients[1] not in counted


def test_where_many_write_an_older_block_is_as_good(federation, monkeypatch):
    """A client that knows an older block names that one: nobody alone can rewrite what followed."""
    monkeypatch.setattr(type(federation.ledger), "settled_depth", 6)
    first = bytes.fromhex(federation.ledger.block(0).hash[2:])
    app = make_app(after_signing={1: resigned(federation, first)})
    federation.run(federation.pofl(), app, rounds=1)
    report = audit(federation)
    assert report.passed
    assert [verdict.accepted for verdict in report.rounds] == [7]


def test_a_call_names_no_block_that_is_younger_than_itself(federation):
    """Neither its own block nor a later one, however the ledger was made."""
    StakeToken(federation.ledger).approve(federation.server, federation.clients[0], 1)
    StakeToken(federation.ledger).approve(federation.server, federation.clients[0], 2)
    history = History(federation.ledger)
    seen = {SEEN: bytes.fromhex(federation.ledger.block(1).hash[2:])}
    history.check(seen, before=2)
    history.check(seen)
    for before in (0, 1):
        with pytest.raises(UpdateRejected, match="which is not older"):
            history.check(seen, before=before)


# Clients -----------------------------------------------------------------------------------------


def request(ledger, headers, **changes):
    """Return a request to sign for a ledger's newest block."""
    terms = ledger.terms("TrainingTask", "submitUpdate")
    fields = {
        "protocol": "pofl",
        "phase": "update",
        "task": 1,
        "round": 1,
        "chain_id": terms.chain_id,
        "contract": terms.to,
        "calls": [CallRequest(SUBMIT_UPDATE.name, terms.to, 0, 0, 0)],
        "seen": ledger.settled().hash,
        "header_form": ledger.header_form,
        "headers": headers,
    }
    return SigningRequest(**(fields | changes))


def grow(ledger, account, count=3):
    for number in range(count):
        StakeToken(ledger).approve(account, account.address, number)


def test_a_client_signs_for_a_chain_that_contains_what_it_signed_for(federation, tmp_path):
    """From its last block on it follows the headers; without them, or elsewhere, it stops."""
    ledger, owner = federation.ledger, federation.server
    journal = Journal(tmp_path / "journal", SystemDisk())
    journal.remember(request(ledger, []), {})
    journal.check(request(ledger, []))  # nothing new
    grow(ledger, owner)
    follows = request(ledger, ledger.headers(1, 3))
    journal.check(follows)
    journal.remember(follows, {})
    grow(ledger, owner)
    journal.check(request(ledger, ledger.headers(4, 6)))
    journal.check(request(ledger, ledger.headers(2, 6)))  # more than needed does not matter
    forged = [*ledger.headers(4, 5), ledger.headers(6, 6)[0][:-1] + b"\0"]
    for headers in (
        [],
        ledger.headers(5, 6),
        ledger.headers(4, 5),
        [*ledger.headers(4, 4), *ledger.headers(6, 6)],
        forged,
    ):
        with pytest.raises(AccountError, match="headers"):
            journal.check(request(ledger, headers))
    with pytest.raises(AccountError, match="unknown form"):
        journal.check(request(ledger, ledger.headers(4, 6), header_form="mine"))


def test_a_client_signs_for_no_rewritten_chain(federation, tmp_path):
    """The keeper of the chain sends all headers of its new history: they do not lead there."""
    ledger = federation.ledger
    grow(ledger, federation.server)
    journal = Journal(tmp_path / "journal", SystemDisk())
    journal.remember(request(ledger, []), {})
    rewritten(ledger, 2)
    reopened(federation)
    grow(federation.ledger, federation.server, 1)
    with pytest.raises(AccountError, match="signs for no other history; if another one is right"):
        journal.check(request(federation.ledger, federation.ledger.headers(1, 4)))


def test_where_headers_cannot_be_checked_a_client_believes_only_when_told(federation, tmp_path):
    """A chain that hashes its headers in its own way needs the operator's word."""
    ledger = federation.ledger
    careful = Journal(tmp_path / "journal", SystemDisk())
    careful.remember(request(ledger, []), {})
    grow(ledger, federation.server)
    blind = request(ledger, [], header_form="")
    with pytest.raises(AccountError, match='ledger-headers="unchecked"'):
        careful.check(blind)
    Journal(tmp_path / "journal", SystemDisk(), unchecked=True).check(blind)


def test_a_run_on_a_rewritten_chain_gets_no_signatures(federation):
    """The clients of an earlier run refuse the new history, and the audit shows no update."""
    federation.run(federation.pofl(), make_app(), rounds=1)
    rewritten(federation.ledger, 2)
    reopened(federation)
    federation.run(federation.pofl(model_id="again"), make_app(), rounds=1)
    record = audit(federation).rounds[-1].record
    assert (record.accepted, record.reasons()) == (0, {"client-error": 7})
    assert "signs for no other history" in record.phases[0].dropped[0].detail


def test_headers_lead_from_what_a_client_named_last(federation):
    """The server asks the ledger what each client named; of nobody it sends all since the task."""
    federation.run(federation.pofl(), make_app(), rounds=2)
    ledger = federation.ledger
    head = ledger.head().block
    pins = Pins(ledger, federation.clients)
    form, headers = pins.headers(ledger.settled(), federation.clients, 0)
    named = {
        ledger.index_of("0x" + event.arguments["seen"].hex())
        for event in ledger.events("TrainingTask", CONFIRM_HISTORY.event)
    }
    assert (form, len(headers)) == ("fedledger", head - min(named))
    assert len(pins.headers(ledger.settled(), [UNKNOWN], 0)[1]) == head


def test_who_signed_in_vain_before_the_task_is_settled_is_not_locked_out(federation, monkeypatch):
    """Elsewhere than on one's own chain what is named is older than the task's first block."""
    ledger = federation.ledger
    grow(ledger, federation.server, 9)
    monkeypatch.setattr(type(ledger), "settled_depth", 6)

    def lost(reply, message, context):
        request = SigningRequest.of(message.content)
        return unsigned(reply, message, context) if request.round == 1 else reply

    def away(reply, message, context):
        if message.content.config_records[CONFIG]["server-round"] in {2, 3}:
            raise AccountError("away, before anything is signed")
        return reply

    app = make_app(after_signing={1: lost}, before_signing={1: away})
    federation.run(federation.pofl(), app, rounds=4)
    report = audit(federation)
    assert report.passed
    assert [verdict.accepted for verdict in report.rounds] == [6, 6, 6, 7]


def test_nobody_makes_the_server_send_a_whole_chain(federation, monkeypatch):
    """A client that names an ancient block is asked like the others, and costs a bound at most."""
    ancient = bytes.fromhex(federation.ledger.block(0).hash[2:])
    asked = []

    def watched(reply, message, context):
        request = SigningRequest.of(message.content)
        if request.phase == "update":
            asked.append((request.round, len(request.headers)))
        return resigned(federation, ancient)(reply, message, context)

    federation.run(federation.pofl(), make_app(after_signing={1: watched}), rounds=3)
    per_round = dict(asked)
    assert per_round[3] <= per_round[2]  # not all blocks again from block 0
    assert audit(federation).passed
    ledger = federation.ledger
    monkeypatch.setattr("fedledger.strategies.rounds.answers.history.MAX_HEADERS", 3)
    assert len(Pins(ledger, federation.clients).headers(ledger.settled(), [UNKNOWN], 0)[1]) == 3


def test_headers_hash_to_their_blocks(federation):
    """A header's hash is its block's, and it names the one before."""
    grow(federation.ledger, federation.server)
    headers = federation.ledger.headers(0, 3)
    hashes = [federation.ledger.block(index).hash for index in range(4)]
    assert [header_hash("fedledger", header) for header in headers] == hashes
    assert linked("fedledger", headers) == ["0x" + "00" * 32, *hashes]
    for wrong in (headers[::-1], [b""], [headers[1] + b"\0"], [b"\xff" * 64], [b"\0" * 4_000]):
        with pytest.raises(CallError):
            linked("fedledger", wrong)


def test_strange_configurations_are_named():
    """A phase that names a block needs one from the server."""
    with pytest.raises(Exception, match="no hash of a block"):
        SigningRequest.from_record(
            ConfigRecord({**_record(), "seen": "0x12"}),
        )


def _record():
    plain = SigningRequest("p", "update", 1, 1, 1, "0x" + "11" * 20)
    return dict(plain.to_record())
