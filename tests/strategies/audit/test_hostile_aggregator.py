"""Documents of an aggregator's own making, on a valid chain: the audit ends, and passes no lie."""

import time
from dataclasses import replace

import numpy as np
import pytest
from flwr.app import RecordDict
from flwr.serverapp.strategy import FedAvg
from support.federation import make_app

from fedledger.arrays import to_record
from fedledger.errors import AuditError
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.strategies import audit_ledger
from fedledger.strategies.rounds.evidence import documents
from fedledger.strategies.rounds.evidence.checks import Outcome
from fedledger.strategies.rounds.evidence.documents import (
    Asked,
    Dropped,
    Evidence,
    Late,
    Measured,
    Specification,
)
from fedledger.strategies.rounds.tasks.task import LedgerTask


@pytest.fixture
def written(monkeypatch):
    """Change what a document says as it is written: `written(kind, field=change, …)`."""

    def written(kind, /, number=1, **changes):
        honest = documents.save

        def save(document, store):
            if isinstance(document, kind) and getattr(document, "round", number) == number:
                update = {name: make(getattr(document, name)) for name, make in changes.items()}
                document = document.model_copy(update=update)
            return honest(document, store)

        monkeypatch.setattr(documents, "save", save)

    return written


def _audit(federation):
    return audit_ledger(federation.ledger, federation.store)


@pytest.mark.parametrize(
    "state",
    [
        {"known": [[1, "zz"]]},
        {"known": [[1, "ab" * 32 + "\n"]]},
        {"through": -(10**12)},
        {"through": 7},
        {"through": True},
        {"since": 1.0},
        {"alike": ["a"]},
    ],
)
def test_a_state_that_is_none(federation, written, state):
    """Later rounds are judged on what a false round says, but only where that is a state."""
    written(Evidence, state=lambda honest: {**honest, **state})
    federation.run(federation.pofl(), make_app(), rounds=2)
    started = time.monotonic()
    report = _audit(federation)
    assert time.monotonic() - started < 10
    assert report.outcome is Outcome.FAILED
    assert "state: " in (report.reason or "")


@pytest.mark.parametrize(
    "settings",
    [
        {"window": 1e306},
        {"quiet": 1e306},
        {"selection": "election", "vote_window": 1e306},
        {"selection": "election", "rules": ["median"] * 10_000},
    ],
)
def test_settings_that_are_none(federation, written, settings):
    """A length in which no clock can count, and a rule many times over, are no settings."""
    written(Specification, settings=lambda honest: {**honest, **settings})
    federation.run(federation.pofl(), make_app(), rounds=1)
    report = _audit(federation)
    assert report.outcome is Outcome.FAILED
    assert "settings of 'pofl'" in (report.reason or "")


def _first(**changes):
    """Change the first answer that counted."""

    def change(phases):
        entry, *others = phases[0].accepted
        return [
            phases[0].model_copy(update={"accepted": [entry.model_copy(update=changes), *others]})
        ]

    return change


def _first_anchor(**changes):
    def change(phases):
        [anchor] = phases[0].accepted[0].anchors
        return _first(anchors=[anchor.model_copy(update=changes)])(phases)

    return change


def _phase(**changes):
    def change(phases):
        phase, *more = phases
        made = {name: make(phase) if callable(make) else make for name, make in changes.items()}
        return [phase.model_copy(update=made), *more]

    return change


@pytest.mark.parametrize(
    ("phases", "reason"),
    [
        (_first(arrival=-5), "greater than or equal to 0"),
        (_first(arrival=2**63), "less than 9223372036854775808"),
        (_first(content=None), "unusable: arrays"),
        (_first(content="x"), "invalid CID"),
        (_first(anchors=[]), "number of signatures"),
        (_first_anchor(carrier="batch"), "carrier 'batch' is unknown"),
        (_first_anchor(carrier="signature"), "an anchor by signature has"),
        (_first_anchor(values={"cid": "another"}), "an anchor by transaction has"),
        (_first_anchor(signature="00"), "an anchor by transaction has"),
        (_first_anchor(name="TrainingTask.submitVotes"), "where TrainingTask.submitUpdate was"),
        (_first_anchor(transaction="0x12"), "not on the ledger"),
        (_phase(late=[Late(party="0x" + "1" * 40, arrival=10**9)]), "said to be late"),
        (
            _phase(late=lambda phase: [Late(party=phase.accepted[0].party, arrival=10**9)]),
            "said to be late",
        ),
        (_phase(asked=[Asked(node="1", party="nobody")]), "nobody is named"),
        (_phase(asked=[Asked(node="1", party="")]), " is named, but is no party"),
        (
            _phase(dropped=[Dropped(reason="no-reply", detail="", party="0x" + "1" * 40)]),
            "is named, but is no party",
        ),
        (_phase(bytes=1), "bytes of the contents: 1 stands there"),
        (_phase(milliseconds=10**4000), "less than"),
    ],
)
def test_what_evidence_says_of_answers(federation, written, phases, reason):
    """Everything about an answer is checked, or of a form in which it can do no harm."""
    written(Evidence, phases=phases)
    federation.run(federation.pofl(), make_app(), rounds=1)
    report = _audit(federation)
    assert report.outcome is Outcome.FAILED
    assert reason in (report.reason or "")


@pytest.mark.parametrize(
    ("measured", "reason"),
    [
        (Measured(metric="accuracy", ppm=999_999, by="0x" + "1" * 40), "who measured accuracy"),
        (Measured.model_construct(metric="accuracy", ppm=10**4000, by="x"), "measured.0.ppm"),
    ],
)
def test_nobody_measures_for_another(federation, written, measured, reason):
    """A measured value is the word of who published the round, and of nobody else."""
    written(Evidence, measured=lambda _: [measured])
    federation.run(federation.pofl(), make_app(), rounds=1)
    report = _audit(federation)
    assert report.outcome is Outcome.FAILED
    assert reason in (report.reason or "")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(b'"kept":', b'"kept": ', 1),
        lambda text: text.replace(b"{", b'{"aggregate":"another",', 1),
        lambda text: text.replace(b'"notes":{', b'"notes":{"x":NaN,', 1),
        lambda text: text.replace(b'"version":3', b'"version":3.0', 1),
    ],
    ids=["space", "twice", "not a number", "a float"],
)
def test_a_document_has_one_text(honest_evidence, change):
    """What two parsers could read in two ways is no document."""
    store, content = honest_evidence
    changed = change(content)
    assert changed != content
    with pytest.raises(AuditError, match="canonical JSON"):
        documents.load(Evidence, store.put(changed), store)


@pytest.fixture
def honest_evidence(federation):
    """The store of a run, and the evidence of its first round."""
    federation.run(federation.pofl(), make_app(), rounds=1)
    [published] = TrainingTask(federation.ledger).aggregates(1)
    return federation.store, federation.store.get(published.evidence)


def test_an_attested_rule_is_the_one_specified(federation, monkeypatch):
    """What the strategy made is the aggregator's word; which strategy it was is not."""
    honest = LedgerTask.publish

    def publish(self, round_, result, state, *more):
        return honest(self, round_, replace(result, rule="Bulyan"), state, *more)

    monkeypatch.setattr(LedgerTask, "publish", publish)
    federation.run(federation.anchored(), make_app(), rounds=1)
    report = _audit(federation)
    assert report.outcome is Outcome.FAILED
    assert "rule: Bulyan stands there, FedAvg follows" in (report.reason or "")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (str.lower, "among the clients"),
        (lambda _: "0x12", "among the clients"),
        (lambda _: "x" * 10**5, "among the clients"),
    ],
)
def test_a_party_is_a_list_of_accounts(federation, written, change, reason):
    """Who is listed under another spelling would be nobody's account: it could be passed over."""
    written(
        Specification,
        parties=lambda honest: {"clients": [change(honest["clients"][0]), *honest["clients"][1:]]},
    )
    federation.run(federation.pofl(), make_app(), rounds=1)
    report = _audit(federation)
    assert report.outcome is Outcome.FAILED
    assert reason in (report.reason or "")
    assert len(report.reason or "") < 400


def test_a_specification_lists_no_more_accounts_than_anybody_needs(federation, written):
    """A stranger's task with 200,000 of them would cost every audit seconds."""
    accounts = [f"0x{number:040x}" for number in range(200_000)]
    written(Specification, parties=lambda honest: {**honest, "miners": accounts})
    federation.run(federation.pofl(), make_app(), rounds=1)
    started = time.process_time()
    report = _audit(federation)
    assert time.process_time() - started < 1
    assert report.outcome is Outcome.FAILED
    assert "200007 accounts of all parties are too many" in (report.reason or "")


@pytest.mark.parametrize("clock", [{}, {"by": "me"}, {"by": ["ledger"]}])
def test_a_clock_that_nobody_keeps(federation, written, clock):
    """Whose clock it is decides what is checked: unknown is no clock of the aggregator's."""
    written(Specification, clock=lambda _: clock)
    federation.run(federation.pofl(), make_app(), rounds=1)
    report = _audit(federation)
    assert report.outcome is Outcome.FAILED
    assert "clock is kept by none of" in (report.reason or "")


def test_a_signature_has_one_text(federation, written):
    """Evidence in which only a hash differs from what was published is other evidence."""

    def upper(phases):
        salts = phases[1]
        entry, *others = salts.accepted
        [anchor] = entry.anchors
        anchor = anchor.model_copy(update={"signature": anchor.signature.upper()})
        changed = [entry.model_copy(update={"anchors": [anchor]}), *others]
        return [phases[0], salts.model_copy(update={"accepted": changed})]

    written(Evidence, phases=upper)
    federation.run(federation.pofl(byzantine=1), make_app(), rounds=1)
    report = _audit(federation)
    assert report.outcome is Outcome.FAILED
    assert "is not written in its one form" in (report.reason or "")


def test_nobody_is_late_where_there_is_no_window(federation, written):
    """An aggregator cannot call an answer late that nothing says was to come earlier."""

    def mute(reply, message, context):
        raise OSError("nothing to say")

    written(
        Evidence, phases=_phase(dropped=[], late=[Late(party=federation.clients[3], arrival=9)])
    )
    federation.run(federation.anchored(), make_app({3: mute}), rounds=1)
    report = _audit(federation)
    assert report.outcome is Outcome.FAILED
    assert "1 answers are said to be late, and there is no window" in (report.reason or "")


def test_what_a_client_was_sent_is_on_no_record(federation):
    """An aggregator that sends one client another model is not found, as trust.md says."""
    sent = set()

    class Probing(FedAvg):
        def configure_train(self, server_round, arrays, config, grid):
            messages = list(super().configure_train(server_round, arrays, config, grid))
            other = {key: np.zeros_like(value.numpy()) for key, value in arrays.items()}
            messages[0].content = RecordDict({**messages[0].content, "arrays": to_record(other)})
            sent.update(one.content["arrays"]["layer.weight"].data for one in messages)
            return messages

    federation.run(federation.anchored(Probing(fraction_evaluate=0.0)), make_app(), rounds=1)
    assert len(sent) == 2
    report = _audit(federation)
    assert report.passed
    assert report.rounds[0].record.accepted == federation.size
