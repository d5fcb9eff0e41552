import tomllib
from contextlib import suppress

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from fedledger.errors import ConfigError, UnknownNameError
from fedledger.experiments import TransferConfig, load_any, load_config
from fedledger.experiments.adversary.attacks import ATTACKS
from fedledger.experiments.config import checks
from fedledger.experiments.config.parsing import parse
from fedledger.experiments.config.references import published_accuracy
from fedledger.experiments.config.toml_files import CONFIGS
from fedledger.experiments.datasets import DATASETS
from fedledger.strategies.aggregation import rules

MINIMAL = """
name = "tiny"
clients = 10
rounds = 4
[[approaches]]
name = "FedAvg"
strategy = "fedavg"
"""

MATRIX = """
name = "matrix"
clients = 30
rounds = 1
seeds = [1, 2]
partitions = ["iid", { name = "fang", q = 0.5 }]
attacks = ["none", "label_flip", { name = "label_flip", source = 1, target = 0 }]
malicious = [0.1, 0.2]
approaches = [
    { name = "FedAvg", strategy = "fedavg" },
    { name = "Krum", strategy = "krum" },
    { name = "PoFL", strategy = "pofl" },
]
[tuning.digits]
learning_rate = 0.02
[scales.smoke]
seeds = [1]
[scales.smoke.training]
epochs = 1
"""


@pytest.fixture
def load(tmp_path):
    def load(text=MINIMAL, **options):
        path = tmp_path / "test.toml"
        path.write_text(text, encoding="utf-8")
        return load_config(path, **options)

    return load


def test_a_config_says_only_what_differs(load):
    """Everything but name, clients, rounds and approaches has a default."""
    config = load()
    assert (config.engine, config.datasets, config.seeds) == ("flower", ("digits",), (1,))
    assert config.training.batch_size == 16


def test_the_complete_form_reads_back_as_the_same_config(load):
    """What a run writes down is the config, whatever the defaults become."""
    config = load(MATRIX)
    written = tomli_w.dumps(config.to_toml())
    assert "learning_rate" in written
    again = parse(tomllib.loads(written), "again")
    assert again.to_toml() == config.to_toml()
    assert again.matrix == config.matrix


def test_training_is_tuned_by_data_set(load):
    """A data set's own values replace the others', and what it does not say stays."""
    config = load(MATRIX, overrides=["training.epochs=7"])
    assert {cell.scenario.training.learning_rate for cell in config.matrix} == {0.02}
    assert config.training_on("digits").epochs == 7
    assert config.training_on("fashion_mnist") == config.training


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_the_configs_of_the_library_load_at_every_scale(path, monkeypatch):
    """A config that comes with the library is valid, by path and by name, with each scale."""
    monkeypatch.setattr(checks, "require_dataset", DATASETS.load)  # known; fetched or not
    scales = tomllib.loads(path.read_text(encoding="utf-8")).get("scales", {})
    assert load_any(path.stem) == load_any(path)
    for scale in [None, "default", *scales]:
        config = load_any(path, scale=scale)
        transfers = isinstance(config, TransferConfig)
        assert list(config.cases()) if transfers else config.matrix


@pytest.fixture
def everything_fetched(monkeypatch):
    monkeypatch.setattr(checks, "require_dataset", DATASETS.load)


@pytest.mark.usefixtures("everything_fetched")
def test_table_7_has_all_of_the_papers_numbers_at_30_percent():
    """21 of the 91 cells have a number: 5 approaches under 4 attacks, and FedAvg without one."""
    config = load_config("bift-table7")
    cells = config.matrix
    published = {
        (cell.approach.name, cell.scenario.attack.name): number
        for cell in cells
        if (number := published_accuracy(config, cell)) is not None
    }
    assert len(cells) == 8 * (1 + 4 * 3)
    assert len(published) == 21
    assert published["FedAvg", "none"] == 92.5
    assert published["PoFL, mix + window", "bulyan_attack"] == 91.0
    assert published["Trimmed mean", "trimmed_mean_attack"] == 52.1


@pytest.mark.usefixtures("everything_fetched")
def test_all_attacks_has_every_rule_and_every_attack():
    """Who registers a rule or an attack is reminded to put it into the config."""
    config = load_config("all-attacks")
    used = {rule for approach in config.approaches for rule in approach.mixed}
    assert used >= set(rules.names())
    assert {attack.name for attack in config.attacks} >= set(ATTACKS.names())


@pytest.mark.usefixtures("everything_fetched")
def test_the_papers_settings_are_the_scale_paper():
    """50 rounds of 10 epochs in batches of 10 at 0.001, among 30 clients (tables V and VI)."""
    for name in ("bift-table7", "bift-figures"):
        config = load_config(name, scale="paper")
        training = config.training
        assert (config.clients, config.rounds, len(config.seeds)) == (30, 50, 5)
        assert (training.epochs, training.batch_size, training.learning_rate) == (10, 10, 0.001)
        assert config.malicious == (0.1, 0.2, 0.3)


def test_the_quickstart_is_four_cells_on_one_seed():
    """FedAvg and PoFL, each with and without 30 % label flip, 20 clients, the same scenario."""
    cells = load_config("quickstart").matrix
    assert [(cell.approach.name, cell.scenario.malicious_clients) for cell in cells] == [
        ("FedAvg", 0),
        ("PoFL", 0),
        ("FedAvg", 6),
        ("PoFL", 6),
    ]
    assert cells[0].scenario == cells[1].scenario
    assert cells[2].scenario == cells[3].scenario
    assert {cell.scenario.clients for cell in cells} == {20}
    assert "27" in cells[1].footnotes[0]
    assert cells[0].footnotes == []


def test_the_matrix_has_every_combination_once(load):
    """Cells are approaches x (no attack + attacks x fractions) x partitions x seeds."""
    cells = load(MATRIX).matrix
    assert len(cells) == 3 * (1 + 2 * 2) * 2 * 2
    assert len({cell.id for cell in cells}) == len(cells)
    assert all(len(cell.id.encode()) <= 64 for cell in cells)
    assert {cell.scenario.malicious for cell in cells} == {0.0, 0.1, 0.2}


def test_byzantine_is_how_many_there_are_or_could_be(load):
    """A defence knows the number it must tolerate, not whether anybody attacks today."""
    told = {
        cell.scenario.malicious: cell.byzantine
        for cell in load(MATRIX).matrix
        if cell.approach.name == "Krum"
    }
    assert told == {0.0: 6, 0.1: 3, 0.2: 6}


def test_a_scale_merges_tables_and_overrides_come_last(load):
    """A scale replaces values and merges tables; --set has the last word."""
    config = load(MATRIX, scale="smoke", overrides=["training.epochs=7", "rounds=3"])
    assert config.seeds == (1,)
    assert (config.training.epochs, config.training.batch_size, config.rounds) == (7, 16, 3)
    assert load(MATRIX, scale="default").seeds == (1, 2)


def test_overrides_are_toml_and_reach_into_lists(load):
    """Values keep their type, bare words are strings, approaches are found by name or number."""
    config = load(
        MATRIX,
        overrides=[
            "engine=inprocess",
            "title='a = b'",
            "malicious=[0.2]",
            "approaches.PoFL.window=2.5",
            "approaches.1.byzantine=4",
            "model={name='mlp', hidden=8}",
            "store=file:///home/me/my runs/store",
        ],
    )
    assert config.store == "file:///home/me/my runs/store"
    assert (config.engine, config.title, config.malicious) == ("inprocess", "a = b", (0.2,))
    assert config.approaches[2].window == 2.5
    assert config.approaches[1].byzantine == 4
    assert config.model.parameters == {"hidden": 8}


def test_windows_have_a_default_only_with_pofl(load):
    """PoFL closes after ten seconds, a single rule waits for everybody, false is no window."""
    config = load(MATRIX)
    assert [approach.window for approach in config.approaches[1:]] == [False, 10.0]
    assert load(MATRIX, overrides=["approaches.PoFL.window=false"]).approaches[2].window is False


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("round=3", "did you mean 'rounds'"),
        ("training.epoch=3", r"key of \[training\].*did you mean 'epochs'"),
        ("approaches.PoFL.widow=3", r"did you mean 'window'"),
        ("approaches.Pofl.window=3", "did you mean 'PoFL'"),
        ("attacks=['labelflip']", "did you mean 'label_flip'"),
        ("datasets=['digit']", "did you mean 'digits'"),
        ("tuning.digit.epochs=2", "data set in 'tuning'.*did you mean 'digits'"),
        ("tuning.digits.epoch=2", r"key of \[tuning.digits\].*did you mean 'epochs'"),
        ("partitions=[{name='fang', p=0.5}]", "parameter of partition 'fang'"),
        ("model=mpl", "did you mean 'mlp'"),
        ("model={name='mlp', hiden=3}", "parameter of model 'mlp'.*did you mean 'hidden'"),
        ("engine=flowr", "did you mean 'flower'"),
        ("approaches.PoFL.strategy=pofll", "did you mean 'pofl'"),
        ("approaches.PoFL.rules=['krumm']", "did you mean 'krum'"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(load, change, said):
    """A misspelt key or name is refused when the config is loaded."""
    with pytest.raises(UnknownNameError, match=said):
        load(MATRIX, overrides=[change])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("model={hidden=3}", "key 'model.name'"),
        ("model={name='mlp', hidden=[3]}", "key 'model'"),
        ("rounds=0", "--set 'rounds=0', key 'rounds'"),
        ("clients='ten'", "key 'clients'"),
        ("approaches.PoFL.window='long'", "key 'approaches.2.window'"),
        ("training.learning_rate=nan", "key 'training.learning_rate'"),
        ("malicious=[0.0]", "key 'malicious.0'"),
        ("name='a/b'", "key 'name'"),
        ("seeds=[]", "key 'seeds'"),
        ("partitions=[{name='fang'}]", "needs q"),
        ("partitions=[{name='fang', q='half'}]", "q = 'half'"),
        ("malicious=[0.01]", "is 0 of them"),
        ("malicious=[]", "'malicious' no fraction"),
        ("attacks=['none']", "'attacks' no attack"),
        ("approaches.Krum.quiet=1.0", "there is none"),
        ("approaches.PoFL.rules=[]", "key 'approaches.2.rules'.*at least 1"),
        ("approaches.Krum.name='PoFL'", "'PoFL' is there twice"),
        ("seeds=[1, 1]", "there twice"),
        ("approaches.Krum.byzantine=14", "krum needs n ≥ 31"),
        ("approaches.PoFL.min_submissions=31", "only 30 clients"),
        ("attacks=[{name='label_flip', source=1}]", "both source and target"),
        ("transport='pigeon'", "key 'transport'"),
        ("rounds", "key=value"),
        ("rounds=[", "not TOML"),
        ("rounds.more=1", "no table"),
    ],
)
def test_what_cannot_work_is_refused(load, change, said):
    """A wrong value or combination is refused when the config is loaded, and named."""
    with pytest.raises(ConfigError, match=said):
        load(MATRIX, overrides=[change])


def test_a_crafted_attack_needs_models_in_messages(load):
    """Its adversary reads them there; who poisons its own data needs none."""
    assert load(MATRIX, overrides=["transport='store'"]).matrix[0].terms.transport == "store"
    crafted = ["transport='store'", "attacks=['none', 'sign_flip']", "paper=[]"]
    with pytest.raises(ConfigError, match="with transport = 'store' there are none"):
        load(MATRIX, overrides=crafted)


def test_bulyan_needs_enough_clients_or_an_explicit_waiver(load):
    """With n < 4f+3 it is refused; strict = false runs it, and every cell carries a footnote."""
    tight = ["clients=20", "malicious=[0.3]", "attacks=['label_flip']"]
    with pytest.raises(ConfigError, match=r"bulyan needs n ≥ 27 .* strict = false"):
        load(MATRIX, overrides=tight)
    config = load(MATRIX, overrides=[*tight, "approaches.PoFL.strict=false"])
    marked = {cell.approach.name for cell in config.matrix if cell.footnotes}
    assert marked == {"PoFL"}


def test_files_that_are_no_config_are_refused(load, tmp_path):
    """A missing file, a file that is not TOML and an unknown name each say so."""
    with pytest.raises(ConfigError, match="No such file"):
        load_config(tmp_path / "missing.toml")
    with pytest.raises(ConfigError, match="is not TOML"):
        load("name = ")
    with pytest.raises(UnknownNameError, match="did you mean 'quickstart'"):
        load_config("quikstart")
    with pytest.raises(UnknownNameError, match="did you mean 'smoke'"):
        load(MATRIX, scale="smoky")
    with pytest.raises(ConfigError, match="scales"):
        load(MINIMAL + "[scales]\nsmoke = 3\n", scale="smoke")
    with pytest.raises(ConfigError, match="key 'approaches'"):
        load('name = "x"\nclients = 3\nrounds = 1\n')


@given(
    st.dictionaries(
        st.sampled_from(["name", "clients", "rounds", "seeds", "model", "approaches", "other"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
            max_leaves=6,
        ),
    )
)
def test_any_values_give_a_config_or_a_config_error(values):
    """Nothing a TOML file can hold makes the parser fail in another way."""
    with suppress(ConfigError):
        parse(values, "fuzz")
