"""What combines with what. Everything that cannot work is refused here, when a config is loaded.

| strategy | sees | rules | arrival window | attacks |
|---|---|---|---|---|
| one of Flower's | each client's weights | its own, attested | no | any |
| a rule's name | each client's update | that one | yes | any |
| "pofl" | each client's update | any, one for each round | yes | any |
| "threshold-paillier" | the sum of all updates | none: the weighted mean | no | of data alone |

Robust rules need the individual updates, so they cannot be joined with anything that hides them.
Nor can attacks that make models of what clients send: who runs them sees what the protocol hides.
A rule needs a number of clients that depends on how many malicious ones it must tolerate; only
`strict = false` lets Bulyan run with fewer than 4f+3, and then every table carries a footnote.
What is wrong inside one approach, its kind says (`approaches`).
"""

from collections.abc import Callable, Iterable

from fedledger.errors import ConfigError, UnknownNameError
from fedledger.registry import Registry
from fedledger.urls import mask_url

from ...ledger_plugins import LEDGERS, STORES
from ..adversary.attacks import NO_ATTACK, ModelAttack, load_attack
from ..datasets import DATASETS, SOURCES, require_dataset
from ..models import MODELS
from ..partition import PARTITIONS
from ..run.engines import ENGINES
from .choices import check_parameters
from .experiment import ExperimentConfig, makes_ledgers
from .sources import Source

__all__ = ["check"]

_LEADING = {"partition": 3, "model": 2}


def check(config: ExperimentConfig, source: Source | str) -> None:
    """Refuse a config that cannot be run.

    Args:
        config: the config.
        source: where it is from, for error messages.

    Raises:
        UnknownNameError: a name or a parameter that nobody registered.
        ConfigError: settings that do not go together; names the file, what changed it, the key.
    """
    source = Source(source) if isinstance(source, str) else source
    for keys, refuse in _CHECKS:
        try:
            refuse(config)
        except UnknownNameError as error:
            kind = f"{error.kind} in {source.among(keys)}"
            raise UnknownNameError(kind, error.name, error.known) from error
        except ConfigError as error:
            raise ConfigError(f"{source.among(keys)}: {error}") from error


def _check_engine(config: ExperimentConfig) -> None:
    if config.engine not in ENGINES.names():
        raise UnknownNameError("engine", config.engine, ENGINES.names())


def _check_ledger(config: ExperimentConfig) -> None:
    _check_url("ledger", config.ledger, LEDGERS)


def _check_store(config: ExperimentConfig) -> None:
    _check_url("store", config.store, STORES)


def _check_network(config: ExperimentConfig) -> None:
    """The nodes of a network fetch contents from each other, before they put a round on a block."""
    if config.ledger.startswith("local+http:") and "{run}" in config.store:
        raise ConfigError(
            f"the nodes behind {config.ledger} cannot fetch what is in the run's own store "
            f"({config.store}), and put no round on their chain without: name the store of one of "
            "them, --set store=file:///…/NODE/store"
        )


def _check_money(config: ExperimentConfig) -> None:
    """Accounts of a run are new: they have what the faucet gives them, and nothing else."""
    if config.bond > config.faucet:
        raise ConfigError(
            f"bond = {config.bond}: an account has no more to deposit than the faucet gives it, "
            f"and faucet is {config.faucet}"
        )
    if config.minter and not config.faucet:
        raise ConfigError(f"minter is {config.minter!r}, and faucet is 0: nothing is minted")
    if config.faucet and not (config.minter or makes_ledgers(config.ledger)):
        raise ConfigError(
            f"faucet = {config.faucet}: {mask_url(config.ledger)} is not the run's own, and its "
            "administrator has to mint: name that account with minter, a name in the keystore"
        )


def _check_url(key: str, url: str, registry: Registry) -> None:
    """Refuse what names no backend, or one whose packages are missing; nothing is opened."""
    scheme, separator, _ = url.partition("://")
    if not separator:
        raise ConfigError(f"key {key!r}: {url!r} is no URL: scheme://place is expected")
    registry.load(scheme if scheme in registry.names() else scheme.partition("+")[0])


def _check_datasets(config: ExperimentConfig) -> None:
    for dataset in config.datasets:
        require_dataset(dataset)
        images = SOURCES.load(dataset).train if dataset in SOURCES.names() else None
        if images is not None and config.validation >= images:
            raise ConfigError(
                f"validation = {config.validation}: {dataset} has {images} training images in all"
            )
    for dataset in config.tuning:
        if dataset not in DATASETS.names():
            raise UnknownNameError("data set in 'tuning'", dataset, DATASETS.names())


def _check_partitions(config: ExperimentConfig) -> None:
    for partition in config.partitions:
        check_parameters(partition, PARTITIONS, _LEADING["partition"])


def _check_model(config: ExperimentConfig) -> None:
    check_parameters(config.model, MODELS, _LEADING["model"])


def _check_attacks(config: ExperimentConfig) -> None:
    hidden = [one.name for one in config.approaches if "updates" in one.hides]
    for attack in config.attacks:
        if isinstance(load_attack(attack), ModelAttack) and hidden:
            raise ConfigError(
                f"attack {attack.name!r} makes its models of what clients send, and "
                f"{hidden[0]!r} hides that: give it a config of its own, without attacks or with "
                "one of data, as label_flip"
            )
    attacked = any(attack.name != NO_ATTACK for attack in config.attacks)
    if attacked != bool(config.malicious):
        raise ConfigError(
            "'attacks' names an attack but 'malicious' no fraction of clients"
            if attacked
            else "'malicious' gives a fraction of clients but 'attacks' no attack"
        )
    for fraction in config.malicious:
        if not 1 <= config.malicious_clients(fraction) < config.clients:
            raise ConfigError(
                f"'malicious': {fraction} of {config.clients} clients is "
                f"{config.malicious_clients(fraction)} of them"
            )


def _check_transport(config: ExperimentConfig) -> None:
    """The adversary of a crafted attack reads what passes it, and by the store no model does."""
    for attack in config.attacks:
        if config.transport == "store" and isinstance(load_attack(attack), ModelAttack):
            raise ConfigError(
                f"the attack {attack.name!r} crafts models from those in messages, and with "
                "transport = 'store' there are none: take transport = 'inline'"
            )


def _check_references(config: ExperimentConfig) -> None:
    """Check that what a paper's values and figures name is in the config."""
    for index, published in enumerate(config.paper):
        where = f"paper.{index}"
        _check_named(config, where, approaches=published.accuracy, attacks=[published.attack])
        if (published.attack == NO_ATTACK) != (published.malicious == 0):
            raise ConfigError(f"{where}: malicious is 0 with the attack {NO_ATTACK!r}, and only so")
    paper = config.trainers.paper if config.trainers else None
    if paper and len(paper.each) not in {0, config.clients}:
        raise ConfigError(
            f"trainers.paper.each has {len(paper.each)} trainers, there are {config.clients}"
        )
    _check_unique("figures", (figure.name for figure in config.figures))
    for index, figure in enumerate(config.figures):
        where = f"figures.{index} ({figure.name!r})"
        _check_named(config, where, approaches=figure.approaches, attacks=figure.attacks)
    if not config.matrix:
        raise ConfigError("cells is 'figures', but no figure shows a cell")


def _check_named(
    config: ExperimentConfig, where: str, *, approaches: Iterable[str], attacks: Iterable[str]
) -> None:
    known = [approach.name for approach in config.approaches]
    for name in approaches:
        if name not in known:
            raise UnknownNameError(f"approach of {where}", name, known)
    for text in attacks:
        if not any(attack.is_called(text) for attack in config.attacks):
            labels = [attack.label for attack in config.attacks]
            raise UnknownNameError(f"attack of {where}", text, labels)


def _check_jobs(config: ExperimentConfig) -> None:
    if config.jobs is None or config.jobs == 1:
        return
    if config.engine != "inprocess":
        raise ConfigError(f"jobs = {config.jobs} needs engine 'inprocess', not {config.engine!r}")
    if "{cell}" not in config.ledger:
        raise ConfigError(
            f"jobs = {config.jobs} needs a ledger for each cell, for example "
            f"ledger = 'local://{{run}}/cells/{{cell}}.db', not {config.ledger!r}"
        )


def _check_cells(config: ExperimentConfig) -> None:
    _check_unique("approaches", (approach.name for approach in config.approaches))
    _check_unique("the cells", (cell.id for cell in config.matrix))


def _check_clients(config: ExperimentConfig) -> None:
    for cell in config.matrix:
        cell.approach.check_clients(cell.scenario.clients, cell.byzantine)


def _check_unique(what: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ConfigError(f"{what}: {name!r} is there twice")
        seen.add(name)


_CHECKS: tuple[tuple[tuple[str, ...], Callable[[ExperimentConfig], None]], ...] = (
    (("engine",), _check_engine),
    (("datasets", "tuning", "validation"), _check_datasets),
    (("partitions",), _check_partitions),
    (("model",), _check_model),
    (("attacks", "malicious", "clients"), _check_attacks),
    (("paper", "figures", "trainers", "approaches", "attacks", "cells"), _check_references),
    (("ledger",), _check_ledger),
    (("store",), _check_store),
    (("store", "ledger"), _check_network),
    (("transport", "attacks"), _check_transport),
    (("jobs", "engine", "ledger"), _check_jobs),
    (("faucet", "bond", "minter", "ledger"), _check_money),
    (("approaches", "seeds", "datasets", "partitions", "attacks", "malicious"), _check_cells),
    (("clients", "approaches", "malicious", "attacks"), _check_clients),
)
"""Each check with the keys that it is about."""
