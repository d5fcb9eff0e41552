"""What combines with what. Everything that cannot work is refused here, when a config is loaded.

| strategy | sees | rules | arrival window | attacks |
|---|---|---|---|---|
| "fedavg" | each client's weights | the samples' mean, always | no | any |
| a rule's name | each client's update | that one | yes | any |
| "pofl" | each client's update | any, one for each round | yes | any |

Robust rules need the individual updates, so they cannot be joined with anything that hides them.
A rule needs a number of clients that depends on how many malicious ones it must tolerate; only
`strict = false` lets Bulyan run with fewer than 4f+3, and then every table carries a footnote.
"""

from collections.abc import Iterable

from fedledger.errors import ConfigError, UnknownNameError

from ..strategies.aggregation import get_rule, rules
from ..strategies.protocols.pofl import check_rules, rule_of
from .attacks import NO_ATTACK, load_attack
from .cells import Cell, cells_of
from .choices import check_parameters
from .config import Approach, ExperimentConfig
from .datasets import DATASETS, require_dataset
from .engines import ENGINES
from .models import MODELS
from .partition import PARTITIONS

__all__ = ["STRATEGIES", "check_combinations", "footnotes", "rule_parameters"]

STRATEGIES = ("fedavg", "pofl")
"""Strategies besides the names of single rules."""

_ONLY_POFL = ("rules", "selection")
_ONLY_ROBUST = ("byzantine", "window", "quiet", "strict", "min_submissions")
_LEADING = {"partition": 3, "model": 2}


def check_combinations(config: ExperimentConfig, where: str) -> None:
    """Refuse a config that cannot be run.

    Args:
        config: the config.
        where: its file, for error messages.

    Raises:
        UnknownNameError: a name or a parameter that nobody registered.
        ConfigError: settings that do not go together; names the file and the key.
    """
    try:
        _check_names(config)
        for index, approach in enumerate(config.approaches):
            _check_approach(approach, f"approaches.{index} ({approach.name!r})")
        _check_attacks(config)
        _check_references(config)
        _check_jobs(config)
        cells = cells_of(config)
        _check_unique("approaches", (approach.name for approach in config.approaches))
        _check_unique("the grid", (cell.id for cell in cells))
        for cell in cells:
            _check_enough_clients(cell)
    except UnknownNameError as error:
        raise UnknownNameError(f"{error.kind} in {where}", error.name, error.known) from error
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def rule_parameters(rule: str, approach: Approach) -> dict[str, bool]:
    """Return the parameters a rule is called with in an approach."""
    return {"strict": False} if rule == "bulyan" and approach.strict is False else {}


def footnotes(cell: Cell) -> list[str]:
    """Return what a reader must know before trusting a cell's number."""
    n, f = cell.scenario.clients, cell.byzantine
    notes = []
    for rule in cell.approach.mixed:
        needed = get_rule(rule_of(rule)).required(f)
        if needed > n:
            notes.append(
                f"Alone or in a mix, {rule} guarantees nothing here: to tolerate f = {f} malicious "
                f"clients it needs n ≥ {needed}, there are {n}; strict = false lets it run with "
                "its trimming clamped."
            )
    return notes


def _check_names(config: ExperimentConfig) -> None:
    if config.engine not in ENGINES.names():
        raise UnknownNameError("engine", config.engine, ENGINES.names())
    for dataset in config.datasets:
        require_dataset(dataset)
    for dataset in config.tuning:
        if dataset not in DATASETS.names():
            raise UnknownNameError("data set in 'tuning'", dataset, DATASETS.names())
    for partition in config.partitions:
        check_parameters(partition, PARTITIONS, _LEADING["partition"])
    check_parameters(config.model, MODELS, _LEADING["model"])


def _check_approach(approach: Approach, where: str) -> None:
    known = [*STRATEGIES, *rules.names()]
    if approach.strategy not in known:
        raise UnknownNameError(f"strategy of {where}", approach.strategy, known)
    check_rules(approach.mixed, approach.selection or "beacon")
    if not approach.mixed and approach.strategy != "fedavg":
        raise ConfigError(f"{where}: rules must name at least one rule")
    for key in _ONLY_POFL + _ONLY_ROBUST:
        without = approach.strategy == "fedavg" or (
            key in _ONLY_POFL and approach.strategy != "pofl"
        )
        if without and getattr(approach, key) is not None:
            raise ConfigError(f"{where}: {key!r} means nothing to strategy {approach.strategy!r}")
    if approach.strict is not None and "bulyan" not in approach.mixed:
        raise ConfigError(f"{where}: 'strict' is about Bulyan, which is not among the rules")
    if approach.quiet is not None and approach.window_seconds is None:
        raise ConfigError(f"{where}: 'quiet' closes an arrival window, but there is none")


def _check_attacks(config: ExperimentConfig) -> None:
    for attack in config.attacks:
        load_attack(attack)
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


def _check_references(config: ExperimentConfig) -> None:
    """Check that what a paper's values and figures name is in the config."""
    for index, published in enumerate(config.paper):
        where = f"paper.{index}"
        _check_named(config, where, approaches=published.accuracy, attacks=[published.attack])
        if (published.attack == NO_ATTACK) != (published.malicious == 0):
            raise ConfigError(f"{where}: malicious is 0 with the attack {NO_ATTACK!r}, and only so")
    _check_unique("figures", (figure.name for figure in config.figures))
    for index, figure in enumerate(config.figures):
        where = f"figures.{index} ({figure.name!r})"
        _check_named(config, where, approaches=figure.approaches, attacks=figure.attacks)
    if not cells_of(config):
        raise ConfigError("grid is 'figures', but no figure shows a cell")


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


def _check_enough_clients(cell: Cell) -> None:
    approach, n, f = cell.approach, cell.scenario.clients, cell.byzantine
    for rule in approach.mixed:
        needed = get_rule(rule_of(rule), **rule_parameters(rule, approach)).required(f)
        if n < needed:
            hint = "; strict = false runs it without its guarantee" if rule == "bulyan" else ""
            raise ConfigError(
                f"approach {approach.name!r}: {rule} needs n ≥ {needed} clients to tolerate "
                f"f = {f} malicious ones, there are {n}{hint}"
            )
    least = approach.min_submissions or 2 * f + 3
    if approach.mixed and least > n:
        raise ConfigError(
            f"approach {approach.name!r}: min_submissions is {least} (default 2f+3 with f = {f}), "
            f"but there are only {n} clients"
        )


def _check_unique(what: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ConfigError(f"{what}: {name!r} is there twice")
        seen.add(name)
