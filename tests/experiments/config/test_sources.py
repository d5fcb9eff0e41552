import pytest

from fedledger.errors import ConfigError
from fedledger.experiments import load_config

from ..small import CONFIG, small


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["rounds=0"], "^--set 'rounds=0', key 'rounds': "),
        (["training.epochs=0"], "^--set 'training.epochs=0', key 'training.epochs': "),
        (["round=3"], "in --set 'round=3' 'round': did you mean 'rounds'"),
        (["approaches.PoFL.window=x"], "^--set 'approaches.PoFL.window=x', key 'approaches.1.win"),
        (["rounds=2", "rounds=0"], "^--set 'rounds=0', "),
        (["seeds=[1]", "engine=flowr"], "unknown engine in .*small.toml with --set 'engine=flowr'"),
        (["jobs=4", "engine=flower"], "with --set 'jobs=4', --set 'engine=flower': jobs = 4 needs"),
        (["seeds=[1, 1]"], "small.toml with --set 'seeds=.1, 1.': the cells: .* is there twice"),
    ],
)
def test_a_mistake_in_an_override_is_the_overrides(tmp_path, changes, said):
    """What --set got wrong is not blamed on the file."""
    with pytest.raises(ConfigError, match=said):
        small(tmp_path, *changes)


def test_a_mistake_in_the_file_is_the_files(tmp_path):
    """An override of another key changes nothing about that; a scale and --engine are named."""
    path = tmp_path / "wrong.toml"
    path.write_text(CONFIG.replace("rounds = 2", "rounds = 0"), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"^[^ ]*wrong\.toml, key 'rounds'"):
        load_config(path, overrides=["clients=8"])
    path.write_text(CONFIG + "[scales.smoke]\nrounds = 0\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"wrong\.toml, \[scales\.smoke\], key 'rounds'"):
        load_config(path, scale="smoke")
    with pytest.raises(ConfigError, match="with --engine flowr 'flowr': did you mean 'flower'"):
        load_config(path, engine="flowr")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("ledger=foo://bar", "unknown ledger in .* with --set 'ledger=foo://bar' 'foo': known: "),
        (
            "store=foo://bar",
            "unknown store in .* with --set 'store=foo://bar' 'foo': known: .*file",
        ),
        ("ledger=chain.db", "'chain.db' is no URL"),
        ("store='{run}/store'", "is no URL"),
    ],
)
def test_a_url_that_names_no_backend_is_refused_before_anything_runs(tmp_path, change, said):
    """Ledger and store are looked up when the config is loaded, and not opened."""
    with pytest.raises(ConfigError, match=said):
        small(tmp_path, change)


def test_a_backend_chosen_before_the_plus_is_known(tmp_path):
    """Of "ethereum+tester" the part before the plus names the backend."""
    assert small(tmp_path, "ledger=ethereum+tester://{cell}").ledger.startswith("ethereum")
