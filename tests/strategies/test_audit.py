"""The audit passes on an honest run and names what is wrong in every other."""

import dataclasses
import time
from pathlib import Path

import numpy as np
import pytest
from support.federation import make_app

from fedledger.errors import AuditError, ChainCorrupted, ContractError
from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.contracts import StakeToken, TrainingTask, read_update
from fedledger.strategies import ArrivalWindow, audit_ledger, documents, pofl
from fedledger.strategies.anchor import Anchor
from fedledger.strategies.documents import Evidence, Specification
from fedledger.strategies.selection import beacon_index


@pytest.fixture
def honest(federation):
    federation.run(federation.pofl(), make_app(), rounds=3)
    return federation


def _file(federation, cid):
    [found] = (path for path in (federation.path / "store").rglob(f"*{cid}*") if path.is_file())
    return found


def _flip(path: Path, at: int = -1) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.chmod(0o644)
    path.write_bytes(bytes(data))


def _audit(federation):
    return audit_ledger(federation.ledger, federation.store)


def test_an_honest_run_passes(honest):
    """Every round of an honest run is proved, and the rewards are where they belong."""
    report = _audit(honest)
    assert report.passed, report.reason
    assert [verdict.round for verdict in report.rounds] == [1, 2, 3]
    assert {verdict.aggregate for verdict in report.rounds} == {"proved"}
    due = sum(20 * verdict.contributors for verdict in report.rounds)
    token = StakeToken(honest.ledger)
    assert sum(token.balance(client) for client in honest.clients) == due == token.total_supply()


def test_it_needs_ledger_and_store_alone(honest):
    """Nothing of the run but the two is read: they pass when opened anew, elsewhere."""
    honest.reopen()
    assert _audit(honest).passed


def test_the_aggregate_of_an_unknown_strategy_is_attested(federation):
    """`Anchored` proves submissions and rewards, and says that the rest is attested."""
    federation.run(federation.anchored(), make_app(), rounds=2)
    report = _audit(federation)
    assert report.passed, report.reason
    assert {verdict.aggregate for verdict in report.rounds} == {"attested"}


@pytest.mark.parametrize("what", ["model_cid", "spec", "update", "aggregate", "evidence"])
def test_one_stored_byte(honest, what):
    """One flipped bit in any stored content fails the audit and names the content."""
    contract = TrainingTask(honest.ledger)
    second = contract.aggregates(1)[1]
    submissions = contract.submissions(1, 2)
    cid = {
        "model_cid": contract.task(1).model_cid,
        "spec": contract.task(1).spec,
        "update": submissions[honest.clients[4]].cid,
        "aggregate": second.cid,
        "evidence": second.evidence,
    }[what]
    _flip(_file(honest, cid))
    report = _audit(honest)
    assert not report.passed
    assert cid in (report.reason or "")
    if what in ("update", "aggregate", "evidence"):
        assert "round 2" in (report.reason or "")


def test_one_missing_content(honest):
    """Content that is gone fails the audit and is named."""
    cid = TrainingTask(honest.ledger).submissions(1, 3)[honest.clients[0]].cid
    _file(honest, cid).unlink()
    report = _audit(honest)
    assert not report.passed
    assert f"nothing stored under {cid}" in (report.reason or "")


# A dishonest aggregator: what it publishes is on a valid chain, and yet the audit finds it.


def _publish(monkeypatch, server_round, **changes):
    """Let the aggregator publish something else than what it computed in one round."""
    honest_publish = Anchor.publish

    def publish(self, model, **given):
        if self.opened.current_round + 1 == server_round:
            for name, change in changes.items():
                if name == "model":
                    model = change(model)
                else:
                    given[name] = change(given[name])
        honest_publish(self, model, **given)

    monkeypatch.setattr(Anchor, "publish", publish)


def _another_rule(rule):
    return "median" if rule != "median" else "krum"


def _moved(model):
    return {key: np.asarray(value + 1, value.dtype) for key, value in model.items()}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rule": _another_rule}, "rule: "),
        ({"model": _moved}, "aggregate: "),
        ({"contributors": lambda _: []}, "contributors: "),
        ({"contributors": lambda clients: list(clients)[::-1]}, "contributors: "),
        ({"accepted": lambda updates: updates[2:]}, ": "),
        ({"reveal": lambda reveal: reveal[::-1]}, "does not hash"),
        ({"reveal": lambda _: None}, "value is missing"),
        (
            {
                "accepted": lambda updates: [
                    dataclasses.replace(updates[0], arrival=10**8),
                    *updates[1:],
                ]
            },
            "counted but came too late",
        ),
        ({"late": lambda _: []}, None),
        (
            {
                "kept": lambda _: "no reason",
                "model": lambda _: None,
                "contributors": lambda _: [],
            },
            "rule: ",
        ),
    ],
    ids=[
        "rule",
        "aggregate",
        "no contributors",
        "order of contributors",
        "withheld update",
        "reveal",
        "no reveal",
        "late update counted",
        "nothing changed",
        "kept without reason",
    ],
)
def test_a_dishonest_aggregator(federation, monkeypatch, changes, reason):
    """One false statement about round 2 fails round 2, for what is wrong with it."""
    _publish(monkeypatch, 2, **changes)
    strategy = federation.pofl(rules=("trimmed_mean", "median"))
    federation.run(strategy, make_app(), rounds=2)
    report = _audit(federation)
    if reason is None:
        assert report.passed, report.reason
        return
    assert not report.passed
    assert [verdict.passed for verdict in report.rounds] == [True, False]
    assert reason in (report.reason or "")
    assert "round 2" in (report.reason or "")


def test_an_update_passed_over_in_silence(federation, monkeypatch):
    """What is on the ledger must count or have a reason; leaving it out is found and named."""
    honest_save = documents.save

    def save(document, store):
        if isinstance(document, Evidence):
            document = document.model_copy(update={"accepted": document.accepted[1:]})
        return honest_save(document, store)

    monkeypatch.setattr(documents, "save", save)
    federation.run(federation.pofl(), make_app(), rounds=1)
    report = _audit(federation)
    assert not report.passed
    assert f"the update of {federation.clients[0]} is on the ledger" in (report.reason or "")


def test_a_rule_the_beacon_did_not_pick(federation, monkeypatch):
    """An aggregator that consistently uses the rule it likes is found by the beacon."""
    honest_index = beacon_index

    def index(reveal, task, server_round, updates, choices):
        return (honest_index(reveal, task, server_round, updates, choices) + 1) % choices

    monkeypatch.setattr(pofl, "beacon_index", index)
    federation.run(federation.pofl(), make_app(), rounds=1)
    monkeypatch.undo()
    report = _audit(federation)
    assert not report.passed
    assert "round 1: rule: " in (report.reason or "")


def test_an_update_in_time_called_late(federation, monkeypatch):
    """An aggregator that pushes an update out of the window is found by its own stamps."""
    monkeypatch.setattr(ArrivalWindow, "closes", lambda _, arrivals: sorted(arrivals)[-2])
    federation.run(federation.pofl(), make_app(), rounds=1)
    monkeypatch.undo()
    report = _audit(federation)
    assert not report.passed
    assert "came in time but did not count" in (report.reason or "")


def test_one_reward_not_paid(federation, monkeypatch):
    """A contributor left unpaid fails the round and is named."""
    honest_pay = Anchor._pay
    monkeypatch.setattr(
        Anchor, "_pay", lambda self, task, r, clients: honest_pay(self, task, r, clients[1:])
    )
    federation.run(federation.pofl(rules=("median",)), make_app(), rounds=1)
    report = _audit(federation)
    assert not report.passed
    assert f"reward: {federation.clients[0]} was not paid 20" in (report.reason or "")


def _replace_before_publication(federation, monkeypatch, refused):
    """Let client 2 submit another update to round 2, after the aggregator took the first."""
    honest_publish = Anchor.publish
    cheat, another = federation.keys.account(2), federation.store.put(b"another update")

    def publish(self, model, **given):
        task = self.opened
        if task.current_round == 1:
            try:
                TrainingTask(self.ledger).submit_update(
                    cheat, task=task.id, round=2, cid=another, samples=1, accuracy=1
                )
            except ContractError as error:
                refused.append(error.error)
        honest_publish(self, model, **given)

    monkeypatch.setattr(Anchor, "publish", publish)
    return cheat.address, another


def test_an_update_replaced_after_the_aggregator_looked(federation, monkeypatch):
    """A client cannot make an honest round fail: its own earlier, signed update is what counted."""
    cheat, another = _replace_before_publication(federation, monkeypatch, [])
    federation.run(federation.pofl(rules=("median",)), make_app(), rounds=2)
    report = _audit(federation)
    assert report.passed, report.reason
    contract = TrainingTask(federation.ledger)
    assert contract.submissions(1, 2)[cheat].cid == another
    assert [one.cid for one in contract.submitted(1, 2) if one.client == cheat][-1] == another
    evidence = documents.load(Evidence, contract.aggregates(1)[1].evidence, federation.store)
    (used,) = (entry for entry in evidence.accepted if entry.client == cheat)
    signed = federation.ledger.transaction(used.transaction)
    assert signed.sender == cheat
    to = federation.ledger.terms("TrainingTask", "submitUpdate").to
    assert read_update(signed, to).cid == used.cid != another


def test_what_counted_is_the_clients_own_in_this_round(federation, monkeypatch):
    """Neither its update of the round before nor another client's with the same CID will do."""
    honest_publish = Anchor.publish

    def publish(self, model, *, accepted, **given):
        if self.opened.current_round == 1:
            old = TrainingTask(self.ledger).submissions(1, 1)[accepted[2].client]
            raw = self.ledger.transaction(old.transaction)
            stale = dataclasses.replace(accepted[2], cid=old.cid, transaction=raw)
            accepted = [*accepted[:2], stale, *accepted[3:]]
        honest_publish(self, model, accepted=accepted, **given)

    monkeypatch.setattr(Anchor, "publish", publish)
    federation.run(federation.pofl(rules=("median",)), make_app(), rounds=2)
    report = _audit(federation)
    assert not report.passed
    assert f"update of {federation.clients[2]}" in (report.reason or "")


def test_a_first_submission_after_the_aggregator_looked(federation, monkeypatch):
    """Nor can a client that submits only then: the aggregator could have published before it."""
    cheat, another = federation.keys.account(2), federation.store.put(b"another update")
    honest_check, honest_save = Anchor.check, documents.save

    def check(self, replies, nodes):
        good, dropped = honest_check(self, replies, nodes)
        return [update for update in good if update.client != cheat.address], dropped

    def save(document, store):
        if isinstance(document, Evidence) and document.round == 2:
            TrainingTask(federation.ledger).submit_update(
                cheat, task=document.task, round=2, cid=another, samples=1, accuracy=1
            )
        return honest_save(document, store)

    monkeypatch.setattr(Anchor, "check", check)
    monkeypatch.setattr(documents, "save", save)
    federation.run(federation.pofl(rules=("median",)), make_app(), rounds=2)
    assert TrainingTask(federation.ledger).submissions(1, 2)[cheat.address].cid == another
    report = _audit(federation)
    assert report.passed, report.reason


def test_a_window_that_has_closed_keeps_what_the_round_holds(federation, monkeypatch):
    """With a window on the ledger, nothing can be replaced after it, and the audit passes."""
    honest_submit = Anchor.submit

    def submit(self, updates):
        taken = honest_submit(self, updates)
        if self.opened.current_round == 1:
            time.sleep(max(0, self.opened.opened_at + self.window + 1 - time.time()))
        return taken

    monkeypatch.setattr(Anchor, "submit", submit)
    refused = []
    _replace_before_publication(federation, monkeypatch, refused)
    federation.run(federation.pofl(ledger_window=4), make_app(), rounds=2)
    assert refused == ["WindowClosed"]
    assert _audit(federation).passed


def test_a_changed_signature_breaks_the_chain(honest):
    """A transaction altered on the ledger is found when the chain is verified, with its block."""
    honest.ledger.close()
    path = honest.path / "chain.db"
    raw = path.read_bytes()
    honest.ledger = None
    _flip(path, len(raw) // 2)
    with pytest.raises(ChainCorrupted, match="block"):
        open_ledger(f"local://{path}")
    path.write_bytes(raw)
    honest.ledger = open_ledger(f"local://{path}")
    assert _audit(honest).passed


def test_documents_of_another_form_are_refused(honest):
    """A document with a field more, or one less, is no evidence."""
    contract = TrainingTask(honest.ledger)
    evidence = documents.load(Evidence, contract.aggregates(1)[0].evidence, honest.store)
    assert (
        documents.load(Evidence, documents.save(evidence, honest.store), honest.store) == evidence
    )
    cid = honest.store.put(b'{"version":1}')
    with pytest.raises(AuditError, match="field 'task'"):
        documents.load(Evidence, cid, honest.store)
    cid = honest.store.put(evidence.model_dump_json().replace("{", '{"more":1,', 1).encode())
    with pytest.raises(AuditError, match="field 'more'"):
        documents.load(Evidence, cid, honest.store)
    with pytest.raises(AuditError, match="Specification"):
        documents.load(Specification, contract.aggregates(1)[0].evidence, honest.store)
