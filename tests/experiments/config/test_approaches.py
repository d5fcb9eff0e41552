import tomllib
from dataclasses import fields
from types import SimpleNamespace
from typing import Any

import pytest
import tomli_w
import torch

from fedledger.errors import ConfigError, UnknownNameError
from fedledger.experiments import run_experiment
from fedledger.experiments.config.approaches import (
    KINDS,
    BulyanApproach,
    FlowerApproach,
    PoFLApproach,
    ProtocolApproach,
    RuleApproach,
    Surroundings,
    kind_of,
    robust,
    strategies,
)
from fedledger.experiments.config.approaches.flower import flower_strategies
from fedledger.experiments.config.loading import config_of
from fedledger.experiments.config.parsing import parse
from fedledger.experiments.config.settings import Terms
from fedledger.experiments.run.client import _held_back
from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.strategies.protocols.pofl import MIXED

from ..small import small

NEEDED = {"qfedavg": {"client_learning_rate": 0.1}}
HONEST = ("attacks=['none']", "malicious=[]")


def instead(table, *changes):
    """Return overrides that put an approach in FedAvg's place."""
    return (f"approaches.FedAvg={table}", *changes)


def test_every_strategy_is_of_the_kind_that_has_its_keys():
    """PoFL, Bulyan, a rule and Flower's strategies are kinds, told apart by the name."""
    assert kind_of("pofl") is PoFLApproach
    assert kind_of("bulyan") is BulyanApproach
    assert kind_of("krum") is RuleApproach
    assert kind_of("fedadam") is kind_of("flower-krum") is FlowerApproach
    assert set(strategies().values()) == set(KINDS.values()) - {ProtocolApproach}  # none here
    with pytest.raises(UnknownNameError, match="did you mean 'fedadam'"):
        kind_of("fedadm")


@pytest.mark.parametrize("name", sorted(flower_strategies()))
def test_any_strategy_of_flowers_is_named_and_made(name):
    """Each asks every client to train and none to evaluate, where its constructor says so."""
    approach = FlowerApproach(name="x", strategy=name, arguments=NEEDED.get(name, {}))
    made: Any = approach._made_for(7)
    assert made.min_train_nodes == made.min_available_nodes == 7
    assert made.fraction_evaluate == 0.0
    assert type(made) is flower_strategies()[name]


def test_all_of_flowers_strategies_run(tmp_path):
    """A round of each: none needs more than the experiments' clients give."""
    tables = [
        {"name": name, "strategy": name, "arguments": NEEDED.get(name, {})}
        for name in flower_strategies()
    ]
    values = small(tmp_path, *HONEST, "rounds=1").to_toml() | {"approaches": tables}
    result = run_experiment(config_of(values, "all"), out=tmp_path, progress=False)
    assert result.failures == {}
    assert result.passed


def test_flowers_names_never_hide_a_rule():
    """Its Krum, Multi-Krum and Bulyan are named after it; wrappers and trees are left out."""
    names = set(flower_strategies())
    assert {"flower-krum", "flower-multikrum", "flower-bulyan", "fedavg", "fedprox"} <= names
    assert not [name for name in names if "privacy" in name or "xgb" in name or name == "krum"]


def test_a_kind_builds_its_strategy(tmp_path, monkeypatch):
    """A rule is PoFL with that rule and an open window; PoFL has its own rules and window."""
    made = []
    monkeypatch.setattr(robust, "PoFL", lambda **options: made.append(SimpleNamespace(**options)))
    config = small(tmp_path, *instead("{name='Bulyan', strategy='bulyan', strict=false}"))
    names = [field.name for field in fields(Surroundings)]
    around = Surroundings(**{**dict.fromkeys(names), "terms": Terms()})
    for approach in config.approaches:
        approach.build(around)
    bulyan, pofl = made
    assert (bulyan.rules, bulyan.strict, bulyan.window.seconds) == (("bulyan",), False, 1e6)
    assert (pofl.rules, pofl.strict, pofl.window.seconds) == (MIXED, True, 10.0)


ENCRYPTED = "{name='Encrypted', strategy='threshold-paillier'}"


def test_encrypted_rounds_by_name_are_proved(tmp_path):
    """A dealer deals keys for the cell, and every round of it is recomputed by the audit."""
    config = small(tmp_path, *instead(ENCRYPTED, *HONEST))
    result = run_experiment(config, out=tmp_path, progress=False)
    assert result.passed
    cell = next(cell for cell in result.cells if cell.approach.name == "Encrypted")
    found = result.results[cell.id]
    assert set(found.rules) == {"masked mean"}
    again = run_experiment(config, out=tmp_path / "again", progress=False)
    assert again.results[cell.id].accuracy_by_round == found.accuracy_by_round


def test_what_hides_updates_goes_with_no_attack_that_reads_them(tmp_path):
    """A config that asks for both is refused when it is loaded, by the attack's name."""
    with pytest.raises(ConfigError, match=r"attack 'sign_flip' .* 'Encrypted' hides that"):
        small(tmp_path, *instead(ENCRYPTED, "attacks=['sign_flip']"))
    small(tmp_path, *instead(ENCRYPTED, "attacks=['label_flip']"))


@pytest.mark.parametrize("wrong", ["threshold=3", "threshold=8", "floor=8", "floor=4, threshold=4"])
def test_thresholds_of_too_few_or_too_many_are_refused(tmp_path, wrong):
    """The threshold is a majority of the clients, and the floor of a sum above it."""
    with pytest.raises(ConfigError, match="threshold"):
        small(tmp_path, *instead(ENCRYPTED.replace("}", f", {wrong}}}"), *HONEST))


def test_fedadam_by_name_runs_and_is_anchored(tmp_path):
    """Flower's FedAdam with its arguments: every round on the ledger, the audit passes."""
    table = "{name='Adam', strategy='fedadam', arguments={eta=0.05, tau=0.01}}"
    config = small(tmp_path, *instead(table, *HONEST))
    adam = config.approaches[0]
    assert isinstance(adam, FlowerApproach)
    inner: Any = adam._made_for(7)
    assert (inner.eta, inner.tau) == (0.05, 0.01)
    result = run_experiment(config, out=tmp_path, progress=False)
    assert result.passed
    found = next(result.results[cell.id] for cell in result.cells if cell.approach.name == "Adam")
    assert found.rules == ("FedAdam", "FedAdam")
    with open_ledger(f"local://{result.directory}/chain.db") as ledger:
        task = TrainingTask(ledger).task(found.task)
    assert task.current_cid == found.model
    assert task.current_round == 2


def test_a_resumed_strategy_with_a_memory_has_a_footnote(tmp_path):
    """FedAdam's momentum is not on the ledger, and a table must not hide that it was lost."""
    config = small(
        tmp_path,
        *instead("{name='Adam', strategy='fedadam'}", "approaches.PoFL.strategy=fedavg", *HONEST),
    )
    assert [approach.remembers for approach in config.approaches] == [True, False]


def test_fedprox_adds_its_term_to_the_clients_gradients():
    """With µ = 0.5 a weight that is 2 away from the global one gets 1 more; afterwards nothing."""
    model = torch.nn.Linear(1, 1, bias=False)
    weight = model.weight

    def gradient():
        return float(torch.autograd.grad(model(torch.ones(1, 1)).sum(), [weight])[0])

    with _held_back(model, 0.5):
        assert gradient() == 1.0
        with torch.no_grad():
            weight += 2.0
        assert gradient() == 2.0
    assert gradient() == 1.0


def test_fedprox_is_no_fedavg_by_another_name(tmp_path):
    """Clients heed µ: with 0 the models are those of FedAvg, with 1 others."""

    def models(mu):
        prox = f"{{name='Prox', strategy='fedprox', arguments={{proximal_mu={mu}}}}}"
        plain = "approaches.PoFL={name='FedAvg', strategy='fedavg'}"
        config = small(tmp_path, *instead(prox, plain, *HONEST, "rounds=1"))
        result = run_experiment(config, out=tmp_path / str(mu), progress=False)
        assert result.passed
        return [found.model for found in result.results.values()]

    without, plain = models(0.0)
    held, again = models(1.0)
    assert without == plain == again != held


def test_approaches_of_every_kind_read_back_as_they_were(tmp_path):
    """What a run writes down has each kind's keys and no other."""
    config = small(
        tmp_path, *instead("{name='Adam', strategy='fedadam', arguments={eta=0.05}}", *HONEST)
    )
    again = parse(tomllib.loads(tomli_w.dumps(config.to_toml())), "again")
    assert again.approaches == config.approaches
    assert [type(approach) for approach in again.approaches] == [FlowerApproach, PoFLApproach]
    assert "byzantine" not in config.to_toml()["approaches"][0]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("{name='A', strategy='fedadam', argments={}}", "'fedadam'.*did you mean 'arguments'"),
        ("{name='A', strategy='krum', byzantin=1}", "with strategy 'krum'.*mean 'byzantine'"),
        ("{name='A', strategy='pofl', rule=['krum']}", "with strategy 'pofl'.*mean 'rules'"),
        ("{name='A', strategy='bulyan', strickt=true}", "'bulyan'.*did you mean 'strict'"),
        (
            "{name='A', strategy='fedadam', arguments={eeta=0.1}}",
            "argument of strategy 'fedadam'.*'eeta': did you mean 'eta'",
        ),
        ("{name='A', strategy='fedavg', arguments={eta=0.1}}", "argument of strategy 'fedavg'"),
        ("{name='A', strategy='multikrum'}", "did you mean 'multi_krum'"),
    ],
)
def test_an_unknown_key_is_told_the_nearest_of_its_kind(tmp_path, table, said):
    """A misspelt key is compared with the keys that this strategy has, not with all kinds'."""
    with pytest.raises(UnknownNameError, match=said):
        small(tmp_path, *instead(table))


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (
            "{name='A', strategy='fedavg', rules=['krum']}",
            "'rules' means nothing to this strategy, only to pofl; known here: arguments, name",
        ),
        ("{name='A', strategy='fedavg', byzantine=0}", "'byzantine' means nothing.*krum.*pofl"),
        ("{name='A', strategy='krum', strict=false}", "'strict' means nothing.*bulyan, pofl"),
        ("{name='A', strategy='krum', arguments={}}", "'arguments' means nothing.*fedadam"),
        ("{name='A', strategy='pofl', rules=['krum'], strict=true}", "not among the rules"),
        ("{name='A', strategy='fedadam', arguments={eta='x'}}", "eta = 'x'.*valid number"),
        ("{name='A', strategy='fedadam', arguments={fraction_evaluate=1.0}}", "set by the exper"),
        ("{name='A', strategy='fedadam', arguments={min_train_nodes=3}}", "set by the experiment"),
        ("{name='A', strategy='fedtrimmedavg', arguments={beta=0.9}}", "'fedtrimmedavg'.*beta"),
        ("{name='A', strategy='qfedavg'}", "'qfedavg' needs client_learning_rate"),
        ("{name='A'}", "key 'approaches.0.strategy': Field required"),
        ("{name='A', strategy=3}", "key 'approaches.0.strategy'.*string"),
        ("3", "key 'approaches.0'"),
    ],
)
def test_what_a_kind_does_not_take_is_refused(tmp_path, table, said):
    """A key of another kind, an argument of the wrong type, one that the experiment sets itself."""
    with pytest.raises(ConfigError, match=said):
        small(tmp_path, *instead(table))


def test_each_kinds_mistake_is_reported_by_its_own_table(tmp_path):
    """Two approaches with mistakes: the first is reported, then the second, each with its keys."""
    wrong = "approaches.PoFL={name='PoFL', strategy='pofl', widow=1.0}"
    with pytest.raises(UnknownNameError, match=r"\[approaches.0\] with strategy 'fedavg'"):
        small(tmp_path, "approaches.FedAvg.argument={}", wrong)
    with pytest.raises(UnknownNameError, match=r"\[approaches.1\].*'pofl'.*mean 'window'"):
        small(tmp_path, wrong)
