"""The audit passes on an honest run and names what is wrong in every other."""

import dataclasses
import json
import time
from pathlib import Path

import numpy as np
import pytest
from support.federation import make_app

from fedledger.errors import AuditError, ChainCorrupted
from fedledger.formats import canonical_json
from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.contracts import StakeToken, TrainingTask, cid_text
from fedledger.ledger_plugins.contracts.training_task.calls import SUBMIT_UPDATE
from fedledger.strategies import ArrivalWindow, audit_ledger
from fedledger.strategies.protocols.pofl.draws import UpdateList
from fedledger.strategies.rounds.evidence import documents
from fedledger.strategies.rounds.evidence.checks import Outcome
from fedledger.strategies.rounds.evidence.documents import Evidence, Specification
from fedledger.strategies.rounds.kinds.live import LiveRound
from fedledger.strategies.rounds.round import Result
from fedledger.strategies.rounds.tasks import settlement
from fedledger.strategies.rounds.tasks import task as rounds_task
from fedledger.strategies.rounds.tasks.task import LedgerTask


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
    """Content that is gone cannot be checked, which is no pass, and is named."""
    cid = TrainingTask(honest.ledger).submissions(1, 3)[honest.clients[0]].cid
    _file(honest, cid).unlink()
    report = _audit(honest)
    assert report.outcome is Outcome.UNCHECKED
    assert f"nothing stored under {cid}" in (report.reason or "")


# A dishonest aggregator: what it publishes is on a valid chain, and yet the audit finds it.


def _lie(monkeypatch, number, change):
    """Let the aggregator publish something else than what it computed in one round.

    `change` takes the round, which it may alter, and the result, and returns the result.
    """
    honest = LedgerTask.publish

    def publish(self, round_, result, state, *more):
        if round_.number == number:
            result = change(round_, result) or result
        return honest(self, round_, result, state, *more)

    monkeypatch.setattr(LedgerTask, "publish", publish)


def _result(**changes):
    return lambda _round, result: dataclasses.replace(
        result, **{name: change(getattr(result, name)) for name, change in changes.items()}
    )


def _phase(at=0, **changes):
    def change(round_, _result):
        update = {
            name: change(getattr(round_.phases[at], name)) for name, change in changes.items()
        }
        round_.phases[at] = round_.phases[at].model_copy(update=update)

    return change


def _other_salt(entries):
    first, *rest = entries
    [anchor] = first.anchors
    salted = anchor.model_copy(update={"values": {**anchor.values, "salt": "00" * 32}})
    return [first.model_copy(update={"anchors": [salted]}), *rest]


def _other_contributors(change):
    def changed(_round, result):
        who = tuple(change(result.contributors))
        return dataclasses.replace(result, contributors=who, payments=dict.fromkeys(who, 20))

    return changed


def _late(entries):
    return [entries[0].model_copy(update={"arrival": 10**8}), *entries[1:]]


@pytest.mark.parametrize(
    ("change", "reason", "witness"),
    [
        (_result(rule=lambda rule: "median" if rule != "median" else "krum"), "rule: ", "rule"),
        (
            _result(model=lambda m: {k: np.asarray(v + 1, v.dtype) for k, v in m.items()}),
            "aggregate: ",
            "aggregate",
        ),
        (_other_contributors(lambda _: ()), "contributors: ", "contributors"),
        (_other_contributors(lambda who: who[::-1]), "contributors: ", "contributors"),
        (_phase(accepted=lambda entries: entries[2:]), "on the ledger", None),
        (_phase(1, accepted=_other_salt), "signer of Salt: ", None),
        (_phase(1, accepted=lambda entries: entries[1:]), "rule: ", "rule"),
        (_phase(accepted=_late), "counted but came too late", "window"),
        (_phase(late=lambda _: []), None, None),
        (lambda _round, _result: Result.keep("no reason"), "rule: ", "rule"),
    ],
    ids=[
        "rule",
        "aggregate",
        "no contributors",
        "order of contributors",
        "withheld update",
        "salt",
        "no salt",
        "late update counted",
        "nothing changed",
        "kept without reason",
    ],
)
def test_a_dishonest_aggregator(federation, monkeypatch, change, reason, witness):
    """One false statement about round 2 fails round 2, and says what is wrong and where."""
    _lie(monkeypatch, 2, change)
    strategy = federation.pofl(rules=("trimmed_mean", "median"))
    federation.run(strategy, make_app(), rounds=2)
    report = _audit(federation)
    if reason is None:
        assert report.passed, report.reason
        return
    assert report.outcome is Outcome.FAILED
    assert [verdict.passed for verdict in report.rounds] == [True, False]
    assert reason in (report.reason or "")
    assert "round 2" in (report.reason or "")
    found = report.rounds[1]
    assert found.checks[-1].outcome is Outcome.FAILED
    assert found.witness is not None
    assert found.witness.step == witness
    if witness == "aggregate":
        assert found.witness.coordinate == 0
    if "late" in reason:
        assert (found.witness.phase, found.witness.answer) == ("update", federation.clients[0])


def _stated(**changes):
    """Change what the evidence says, as it is written, and nothing else."""

    def change(monkeypatch, number):
        honest = documents.save

        def save(document, store):
            if isinstance(document, Evidence) and document.round == number:
                update = {name: make(getattr(document, name)) for name, make in changes.items()}
                document = document.model_copy(update=update)
            return honest(document, store)

        monkeypatch.setattr(documents, "save", save)

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_stated(state=lambda state: {**state, "through": 1}), "state: "),
        (_stated(state=lambda _: {}), "state: "),
        (_stated(payments=lambda _: {}), "payments: "),
        (_stated(notes=lambda notes: {**notes, "more": 1}), "notes: "),
        (_stated(notes=lambda _: {}), "list: "),
        (_stated(reveals=lambda reveals: {**reveals, "more": "00"}), "reveals: "),
        (_stated(commitments=lambda _: {"more": "00"}), "commitments: "),
        (_stated(phases=lambda phases: [*phases, phases[0]]), "number of phases: "),
        (_stated(phases=lambda _: []), "no phase stands there"),
        (
            _stated(phases=lambda phases: [phases[0].model_copy(update={"name": "weights"})]),
            "phase 1: weights",
        ),
    ],
)
def test_evidence_that_says_something_else(federation, monkeypatch, change, reason):
    """Every field of the evidence that the protocol decides is compared with the replay."""
    change(monkeypatch, 2)
    federation.run(federation.pofl(), make_app(), rounds=2)
    report = _audit(federation)
    assert report.outcome is Outcome.FAILED
    assert reason in (report.reason or "")


def test_an_update_passed_over_in_silence(federation, monkeypatch):
    """What is on the ledger must count or have a reason; leaving it out is found and named."""
    honest_save = documents.save

    def save(document, store):
        if isinstance(document, Evidence):
            phase, *more = document.phases
            phase = phase.model_copy(update={"accepted": phase.accepted[1:]})
            document = document.model_copy(update={"phases": [phase, *more]})
        return honest_save(document, store)

    monkeypatch.setattr(documents, "save", save)
    federation.run(federation.pofl(), make_app(), rounds=1)
    report = _audit(federation)
    assert not report.passed
    assert f"the answer of {federation.clients[0]} is on the ledger" in (report.reason or "")


def test_a_rule_that_the_lot_did_not_fall_on(federation, monkeypatch):
    """An aggregator that consistently uses the rule it likes is found by the lot."""
    honest_lot = UpdateList.lot

    def lot(listed, salts, choices):
        return (honest_lot(listed, salts, choices) + 1) % choices

    monkeypatch.setattr(UpdateList, "lot", lot)
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

    def pay(contract, account, task, number, clients):
        settlement.pay(contract, account, task, number, clients[1:])

    monkeypatch.setattr(rounds_task, "pay", pay)
    federation.run(federation.pofl(rules=("median",)), make_app(), rounds=1)
    report = _audit(federation)
    assert not report.passed
    assert f"reward: {federation.clients[0]} was not paid 20" in (report.reason or "")


def _replace_before_publication(federation, monkeypatch):
    """Let client 2 submit another update to round 2, after the aggregator took the first."""
    honest_publish = LedgerTask.publish
    cheat, another = federation.keys.account(2), federation.store.put(b"another update")

    def publish(self, *given):
        task = self.opened
        if task.current_round == 1:
            TrainingTask(self.ledger).submit_update(
                cheat, task=task.id, round=2, cid=another, samples=1, accuracy=1
            )
        return honest_publish(self, *given)

    monkeypatch.setattr(LedgerTask, "publish", publish)
    return cheat.address, another


def test_an_update_replaced_after_the_aggregator_looked(federation, monkeypatch):
    """A client cannot make an honest round fail: its own earlier, signed update is what counted."""
    cheat, another = _replace_before_publication(federation, monkeypatch)
    federation.run(federation.pofl(rules=("median",)), make_app(), rounds=2)
    report = _audit(federation)
    assert report.passed, report.reason
    contract = TrainingTask(federation.ledger)
    assert contract.submissions(1, 2)[cheat].cid == another
    assert [one.cid for one in contract.submitted(1, 2) if one.client == cheat][-1] == another
    evidence = documents.load(Evidence, contract.aggregates(1)[1].evidence, federation.store)
    (used,) = (entry for entry in evidence.phase("update").accepted if entry.party == cheat)
    signed = federation.ledger.transaction(used.anchors[0].transaction)
    assert signed.sender == cheat
    values = SUBMIT_UPDATE.decode(signed.unsigned.data)
    assert cid_text(values["cid"]) == used.content != another


def test_what_counted_is_the_clients_own_in_this_round(federation, monkeypatch):
    """Neither its update of the round before nor another client's with the same CID will do."""

    def stale(round_, _result):
        old = TrainingTask(federation.ledger).submissions(1, 1)[federation.clients[2]]
        phase = round_.phases[0]
        anchor = phase.accepted[2].anchors[0].model_copy(update={"transaction": old.transaction})
        entry = phase.accepted[2].model_copy(update={"content": old.cid, "anchors": [anchor]})
        accepted = [*phase.accepted[:2], entry, *phase.accepted[3:]]
        round_.phases = [phase.model_copy(update={"accepted": accepted})]

    _lie(monkeypatch, 2, stale)
    federation.run(federation.pofl(rules=("median",)), make_app(), rounds=2)
    report = _audit(federation)
    assert not report.passed
    assert f"transaction of {federation.clients[2]}" in (report.reason or "")


def test_a_first_submission_after_the_aggregator_looked(federation, monkeypatch):
    """Nor can a client that submits only then: the aggregator could have published before it."""
    cheat, another = federation.keys.account(2), federation.store.put(b"another update")

    def submit(round_, _result):
        TrainingTask(federation.ledger).submit_update(
            cheat, task=round_.terms.task, round=2, cid=another, samples=1, accuracy=1
        )

    def mute(reply, message, context):
        if message.content["config"]["server-round"] == 2:
            raise RuntimeError("nothing to say")
        return reply

    _lie(monkeypatch, 2, submit)
    app = make_app(before_signing={2: mute})
    federation.run(federation.pofl(rules=("median",)), app, rounds=2)
    assert TrainingTask(federation.ledger).submissions(1, 2)[cheat.address].cid == another
    report = _audit(federation)
    assert report.passed, report.reason


def test_strangers_do_not_matter(federation, monkeypatch):
    """Who is not on the task's list may submit what it likes: the evidence need not mention it."""

    def submit(round_, _result):
        for name in ("eve", "mallory"):
            if TrainingTask(federation.ledger).task(1).finished:
                return
            TrainingTask(federation.ledger).submit_update(
                federation.keys.account(name),
                task=round_.terms.task,
                round=round_.number,
                cid=federation.store.put(b"noise"),
                samples=1,
                accuracy=1,
            )

    relay = LiveRound._relay
    monkeypatch.setattr(
        LiveRound, "_relay", lambda self, *given: submit(self, None) or relay(self, *given)
    )
    federation.run(federation.pofl(), make_app(), rounds=2)
    report = _audit(federation)
    assert report.passed, report.reason
    assert {verdict.dropped for verdict in report.rounds} == {0}


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
    cid = honest.store.put(b'{"version":3}')
    with pytest.raises(AuditError, match="field 'task'"):
        documents.load(Evidence, cid, honest.store)
    cid = honest.store.put(evidence.model_dump_json().replace("{", '{"more":1,', 1).encode())
    with pytest.raises(AuditError, match="field 'more'"):
        documents.load(Evidence, cid, honest.store)
    with pytest.raises(AuditError, match="Specification"):
        documents.load(Specification, contract.aggregates(1)[0].evidence, honest.store)


MANY = range(70_000)


def test_strangers_tasks_make_nobody_elses_audit_fail_to_end(honest):
    """On an open chain anybody proposes: each task is judged for itself, none is a traceback."""
    contract, stranger = TrainingTask(honest.ledger), Account.from_key(b"\x44" * 32)
    plain = json.loads(honest.store.get(contract.task(1).spec))
    model = honest.store.put(b"no model")
    for number, change in enumerate(
        [
            {"settings": plain["settings"] | {"byzantine": "zz"}},
            {"settings": plain["settings"] | {"quiet": 1e308}},
            {"settings": {f"s{number}": 0 for number in range(200_000)}},
            {"layout": {"arrays": [{"key": "w", "shape": [0, 2**47, 2**47], "dtype": "float32"}]}},
            {"layout": {"arrays": [{"key": str(k), "shape": [], "dtype": "bool"} for k in MANY]}},
            {"parties": {str(party): [] for party in range(300_000)}},
            {"clock": {"by": ["ledger"]}},
            {"protocol": "a\x00b"},
            {"protocol_version": 10**300},
        ]
    ):
        spec = honest.store.put(canonical_json(plain | change))
        name = f"stranger {number}"
        options = {"model_cid": model, "rounds": 1, "window": 0, "reward": 0, "spec": spec}
        contract.propose(stranger, model_id=name, **options)
    start = time.process_time()
    report = _audit(honest)
    assert time.process_time() - start < 30
    own = [verdict for verdict in report.rounds if verdict.task == 1]
    assert [verdict.outcome for verdict in own] == [Outcome.PASSED] * 3
    others = {verdict.task: verdict for verdict in report.rounds if verdict.task != 1}
    assert sorted(others) == list(range(2, 11))
    assert not any(verdict.passed for verdict in others.values())
    assert not any("fails" in verdict.reason for verdict in others.values())


def test_a_transaction_that_the_ledger_does_not_show_cannot_be_checked(honest, monkeypatch):
    """Nodes prune their index of transactions: that is no evidence against anybody."""
    hidden = TrainingTask(honest.ledger).submissions(1, 2)[honest.clients[2]].transaction
    transaction = type(honest.ledger).transaction

    def pruned(self, wanted):
        if wanted == hidden:
            raise KeyError(wanted)
        return transaction(self, wanted)

    monkeypatch.setattr(type(honest.ledger), "transaction", pruned)
    report = _audit(honest)
    assert report.outcome is Outcome.UNCHECKED
    assert "does not show the transaction itself" in (report.reason or "")
    assert [verdict.passed for verdict in report.rounds] == [True, False, True]
