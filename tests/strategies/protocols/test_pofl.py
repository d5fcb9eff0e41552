"""PoFL as a Flower strategy: window, choice of rule, rewards, resume."""

import numpy as np
import pytest
from support.evidence import evidence_of
from support.federation import Federation, arrays_of, initial_model, make_app, same

from fedledger.arrays import from_safetensors
from fedledger.errors import ConfigError, UnknownNameError
from fedledger.experiments.run.engines import InProcessGrid
from fedledger.ledger_plugins.contracts import StakeToken, TrainingTask
from fedledger.strategies import ArrivalWindow, SimulatedLatency, audit_ledger
from fedledger.strategies.rounds.evidence import documents
from fedledger.strategies.rounds.evidence.documents import Specification
from fedledger.strategies.rounds.kinds import live
from fedledger.strategies.rounds.tasks import task
from fedledger.strategies.rounds.tasks.task import LedgerTask


def test_the_final_model_is_the_one_on_the_ledger(federation):
    """What `start` returns is what the ledger names and the store holds."""
    result = federation.run(federation.pofl(), make_app(), rounds=3)
    task = TrainingTask(federation.ledger).task(1)
    assert task.finished
    stored = from_safetensors(federation.store.get(task.current_cid))
    returned = arrays_of(result.arrays)
    assert all(np.array_equal(stored[key], returned[key]) for key in stored)
    assert stored["counter"].dtype == np.int64
    before = initial_model()["layer.weight"]
    assert np.abs(stored["layer.weight"] - 1).mean() < np.abs(before - 1).mean()


def test_late_updates_are_discarded(federation):
    """Colluders who lose three seconds miss the window, in every round, and earn nothing."""
    clock = SimulatedLatency(seed=1, mean=1.0, spread=0.1, extra={0: 3.0, 5: 3.0})
    strategy = federation.pofl(window=ArrivalWindow(seconds=2.0), clock=clock)
    federation.run(strategy, make_app(), rounds=2)
    late = {federation.clients[0], federation.clients[5]}
    for server_round in (1, 2):
        evidence = evidence_of(federation, server_round)
        assert {entry.party for entry in evidence.phase("update").late} == late
        assert len(evidence.phase("update").accepted) == 5
    token = StakeToken(federation.ledger)
    assert [token.balance(client) for client in sorted(late)] == [0, 0]
    assert audit_ledger(federation.ledger, federation.store).passed


class FarAway(SimulatedLatency):
    """Client 0 is twenty seconds behind, whatever it is asked."""

    def arrival(self, server_round, client, stamped, *, first=True):
        drawn = super().arrival(server_round, client, stamped, first=first)
        return drawn + (20_000 if client == 0 else 0)


@pytest.mark.parametrize(("salts", "counted"), [({}, 6), ({"salts": ArrivalWindow(60.0)}, 7)])
def test_devices_far_apart_have_the_salts_window_they_need(federation, salts, counted):
    """A salt that is twenty seconds behind misses the quiet time, unless there is none."""
    federation.run(federation.pofl(clock=FarAway(seed=1, mean=1.0), **salts), make_app(), rounds=1)
    evidence = evidence_of(federation, 1)
    assert len(evidence.phase("update").accepted) == 7
    assert len(evidence.phase("salts").accepted) == counted
    assert audit_ledger(federation.ledger, federation.store).passed


def test_each_rule_is_used_and_krum_rewards_one(federation):
    """Over the rounds all rules come up; contributors are those with weight in the aggregate."""
    federation.run(federation.pofl(), make_app(), rounds=12)
    contributors = {
        aggregate.rule: len(aggregate.contributors)
        for aggregate in TrainingTask(federation.ledger).aggregates(1)
    }
    assert contributors == {"krum": 1, "trimmed_mean": 7, "median": 7}
    token = StakeToken(federation.ledger)
    verdicts = audit_ledger(federation.ledger, federation.store).rounds
    assert token.total_supply() == 20 * sum(verdict.contributors for verdict in verdicts)


def test_selection_by_timestamp_follows_the_paper(federation):
    """`timestamp` takes t mod 3 of the last arrival: 1, 2 and 0 (for 3) are the three rules."""
    federation.run(federation.pofl(selection="timestamp"), make_app(), rounds=4)
    names = {1: "krum", 2: "trimmed_mean", 0: "median"}
    for server_round in range(1, 5):
        evidence = evidence_of(federation, server_round)
        last = max(entry.arrival for entry in evidence.phase("update").accepted)
        assert evidence.rule == names[last % 3]
        assert evidence.reveals == {}
    assert audit_ledger(federation.ledger, federation.store).passed


def test_a_rule_that_cannot_work_keeps_the_model(federation):
    """Bulyan with n < 4f+3 keeps the model and says why; nothing is trained on a broken promise."""
    federation.run(federation.pofl(rules=("bulyan",)), make_app(), rounds=1)
    evidence = evidence_of(federation, 1)
    assert evidence.rule == "kept"
    assert "bulyan needs at least 11 updates" in (evidence.kept or "")
    assert audit_ledger(federation.ledger, federation.store).passed


def test_bulyan_clamped_is_on_the_record(federation):
    """With strict=False the specification says so, and the audit recomputes the same clamping."""
    federation.run(federation.pofl(rules=("bulyan",), strict=False), make_app(), rounds=1)
    spec = TrainingTask(federation.ledger).task(1).spec
    assert documents.load(Specification, spec, federation.store).settings["strict"] is False
    assert evidence_of(federation, 1).rule == "bulyan"
    assert audit_ledger(federation.ledger, federation.store).passed


def test_order_of_replies_does_not_matter(federation, tmp_path_factory, monkeypatch):
    """Replies come in any order; updates are taken in the order of the task's clients."""
    first = federation.run(federation.pofl(), make_app(), rounds=2)
    other = Federation(tmp_path_factory.mktemp("other"))
    strategy = other.pofl()
    pulled = InProcessGrid.pull_messages
    monkeypatch.setattr(InProcessGrid, "pull_messages", lambda grid, ids: pulled(grid, ids)[::-1])
    second = other.run(strategy, make_app(), rounds=2)
    other.ledger.close()
    assert same(first.arrays, second.arrays)


class _Killed(BaseException):
    """Stands for the process ending: nothing may catch it."""


@pytest.mark.parametrize("step", ["_relay", "publish", "pay"])
def test_a_run_killed_at_any_step_resumes_to_the_same_model(
    federation, tmp_path_factory, monkeypatch, step
):
    """Wherever a run stops, starting it again ends in the model of an undisturbed run."""
    undisturbed = Federation(tmp_path_factory.mktemp("undisturbed"))
    expected = undisturbed.run(undisturbed.pofl(), make_app(), rounds=4)
    undisturbed.ledger.close()

    where = {"_relay": live.LiveRound, "publish": LedgerTask, "pay": task}[step]
    inner = getattr(where, step)
    calls = []

    def dies(self, *args, **kwargs):
        calls.append(1)
        if len(calls) == 3:
            if step == "_relay":
                inner(self, *args, **kwargs)
            raise _Killed
        return inner(self, *args, **kwargs)

    monkeypatch.setattr(where, step, dies)
    with pytest.raises(_Killed):
        federation.run(federation.pofl(), make_app(), rounds=4)
    monkeypatch.undo()
    federation.reopen()
    seen = []
    result = federation.run(
        federation.pofl(),
        make_app(),
        rounds=4,
        evaluate_fn=lambda server_round, _arrays: seen.append(server_round),
    )
    assert same(result.arrays, expected.arrays)
    assert seen[-1] == 4
    assert seen[0] in (1, 2, 3)
    report = audit_ledger(federation.ledger, federation.store)
    assert report.passed, report.reason


def test_a_finished_task_returns_its_model_without_training(federation, caplog):
    """Starting a finished task again trains nothing, says why, and returns its model."""
    first = federation.run(federation.pofl(), make_app(), rounds=2)
    head = federation.ledger.head()
    said = "Rounds of it that the ledger has already: 2"
    assert said not in caplog.text
    again = federation.run(federation.pofl(), make_app(), rounds=2)
    assert said in caplog.text
    assert same(first.arrays, again.arrays)
    assert federation.ledger.head() == head


def test_another_task_of_the_same_name_is_refused(federation):
    """Resuming with other settings would make the evidence lie: an error says which."""
    federation.run(federation.pofl(), make_app(), rounds=2)
    with pytest.raises(ConfigError, match="another specification"):
        federation.run(federation.pofl(byzantine=1), make_app(), rounds=2)
    with pytest.raises(ConfigError, match="rounds"):
        federation.run(federation.pofl(), make_app(), rounds=5)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"rules": ("crum",)}, UnknownNameError, "did you mean 'krum'"),
        ({"selection": "dice"}, UnknownNameError, "unknown selection 'dice'"),
        ({"min_submissions": 30}, ConfigError, "only 7 clients"),
        ({"min_submissions": None, "byzantine": 3}, ConfigError, "default 2f\\+3"),
        ({"clients": ["0x" + "0" * 40] * 7}, ConfigError, "distinct account addresses"),
    ],
)
def test_wrong_settings_are_named(federation, change, error, match):
    """A setting that cannot work is refused when the strategy is made."""
    with pytest.raises(error, match=match):
        federation.pofl(**change)


def test_accounts_may_be_written_in_lower_case(federation):
    """Addresses are what they mean, however they are written; what is none is refused at once."""
    lower = [client.lower() for client in federation.clients]
    federation.run(federation.pofl(clients=lower), make_app(), rounds=1)
    report = audit_ledger(federation.ledger, federation.store)
    assert report.passed, report.reason
    assert report.rounds[0].accepted == federation.size
    for wrong in (["nobody", *lower[1:]], [*lower, federation.clients[0]]):
        with pytest.raises(ConfigError, match="clients: "):
            federation.pofl(clients=wrong)
    with pytest.raises(ConfigError, match="owner: "):
        federation.run(federation.pofl(owner="nobody"), make_app())


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"byzantine": -1}, "byzantine: Input should be greater than or equal to 0, not -1"),
        ({"byzantine": 1.5, "min_submissions": 3}, "byzantine: "),
        ({"min_submissions": 0}, "min_submissions: "),
        ({"rules": ()}, "rules: "),
        ({"fallback": "bulyan"}, "'bulyan' is none of the rules"),
        ({"fraction_train": 0.5}, "asks 3 of 7 clients, a lot needs 5"),
        ({"rules": ("median", "median")}, "each may be named once"),
        ({"weighted_by_key": 3}, "samples_key: "),
    ],
)
def test_a_wrong_setting_is_named(federation, settings, match):
    """As every other setting: by its name, as a ConfigError."""
    with pytest.raises(ConfigError, match=match):
        federation.pofl(**settings)
