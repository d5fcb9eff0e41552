"""An experiment as a config describes it, parsed once into frozen models.

A TOML file gives only what differs from the defaults below. What does not exist is refused with
the nearest name that does, before anything runs.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..strategies.protocols.pofl import CANDIDATES, MIXED
from .choices import Choice

__all__ = [
    "Approach",
    "ExperimentConfig",
    "Figure",
    "Latency",
    "Lies",
    "Published",
    "Training",
    "Tuning",
    "load_config",
]

_POFL_WINDOW = 10.0

Count = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Lies = Literal["none", "reverse", "block", "wave"]
Seconds = Annotated[float, Field(gt=0)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Training(_Table):
    """How a client trains in a round: plain SGD on cross-entropy.

    Attributes:
        epochs: passes over the client's data.
        batch_size: images in a step.
        learning_rate: step size.
        momentum: of SGD.
    """

    epochs: Count = 5
    batch_size: Count = 16
    learning_rate: Annotated[float, Field(gt=0)] = 0.1
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Tuning(_Table):
    """What differs from `Training` on one data set; None: nothing."""

    epochs: Count | None = None
    batch_size: Count | None = None
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    momentum: Annotated[float, Field(ge=0, lt=1)] | None = None


class Latency(_Table):
    """How long clients take to upload, simulated: log-normal, drawn for each client and round.

    Attributes:
        mean: mean in seconds.
        spread: standard deviation of the logarithm.
        exchange: seconds that colluding clients need on top, to exchange what they craft their
            models from (Bift, section VI-B, without a number). 0: nothing, and an arrival window
            then does not help against them. Attacks without an exchange never pay it.
    """

    mean: Seconds = 2.0
    spread: Annotated[float, Field(ge=0)] = 0.25
    exchange: Annotated[float, Field(ge=0)] = 0.0


class Approach(_Table):
    """A way to aggregate, one line of the plot.

    Attributes:
        name: what tables and plots call it.
        strategy: "fedavg", "pofl", or the name of one aggregation rule.
        rules: rules to choose from ("pofl" only; default Krum, trimmed mean and Bulyan, and for an
            election Multi-Krum, median, mean and trusted_mean as well).
        byzantine: number of malicious clients to tolerate; "auto": as many as there are, and as
            many as there could be (the largest of `malicious`) where nobody attacks.
        window: arrival window in seconds; false: none. Default: 10 for "pofl", none for a rule.
        quiet: close the window after this many seconds without an arrival.
        selection: how "pofl" chooses a round's rule.
        strict: whether Bulyan refuses n < 4f+3.
        min_submissions: with fewer accepted updates a round keeps its model (default 2f+3).
    """

    name: Annotated[str, Field(min_length=1, max_length=40)]
    strategy: str
    rules: tuple[str, ...] | None = None
    byzantine: Annotated[int, Field(ge=0)] | Literal["auto"] | None = None
    window: Seconds | Literal[False] | None = None
    quiet: Seconds | None = None
    selection: Literal["beacon", "timestamp", "election"] | None = None
    strict: bool | None = None
    min_submissions: Count | None = None

    @property
    def mixed(self) -> tuple[str, ...]:
        """The rules this approach uses, in order; none for "fedavg"."""
        if self.strategy == "fedavg":
            return ()
        if self.strategy != "pofl":
            return (self.strategy,)
        if self.rules is None:
            return CANDIDATES if self.selection == "election" else MIXED
        return self.rules

    @property
    def window_seconds(self) -> float | None:
        """Length of the arrival window, or None for no window."""
        if self.window is None:
            return _POFL_WINDOW if self.strategy == "pofl" else None
        return None if self.window is False else self.window


class Published(_Table):
    """Accuracies that a paper reports, to stand beside ours.

    Attributes:
        source: where they are from: "Bift, table VII".
        attack: an entry of the config's attacks, by its name or its label.
        malicious: fraction of malicious clients; 0 for the attack "none".
        accuracy: accuracy in per cent, by the name of the approach.
    """

    source: str = ""
    attack: str
    malicious: Annotated[float, Field(ge=0, lt=1)]
    accuracy: Annotated[Mapping[str, Annotated[float, Field(ge=0, le=100)]], Field(min_length=1)]


class Figure(_Table):
    """A plot of test error by round, of some of the cells.

    Attributes:
        name: names the files: figure-NAME.png and .svg.
        title: what stands above it.
        approaches: whose lines; names of the config's approaches.
        attacks: under what; entries of the config's attacks, by name or label.
        malicious: which fractions; empty: all of the config's. No matter to the attack "none".
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
    title: str = ""
    approaches: Annotated[tuple[str, ...], Field(min_length=1)]
    attacks: Annotated[tuple[str, ...], Field(min_length=1)]
    malicious: tuple[Fraction, ...] = ()


class ExperimentConfig(_Table):
    """One experiment: a grid of cells and how to run them.

    The grid is approaches x attacks x malicious fractions x data sets x partitions x seeds; an
    attack called "none" is run once, without malicious clients.

    Attributes:
        name: names the output folder; lower-case letters, digits, hyphens.
        title: a sentence for people.
        engine: "flower" or "inprocess".
        clients: number of clients.
        rounds: rounds of training.
        seeds: each cell is run once for each.
        datasets: data sets.
        partitions: how the training data is dealt.
        attacks: what malicious clients do.
        malicious: fractions of clients that are malicious when there is an attack.
        model: the model.
        training: how a client trains.
        tuning: what of it differs, by data set.
        latency: how long uploads take.
        lies: what malicious clients say as miners, when candidates are elected: "none": the truth
            of their own data; "reverse": the opposite; "block": every candidate is bad; "wave":
            every candidate is good.
        reward: stake for each contributor and round (Bift: 20).
        approaches: what is compared.
        ledger: URL of the ledger; {run} is the run's folder, {cell} a cell's id.
        store: URL of the store, likewise.
        jobs: cells to run at once, each in a process of its own; needs the engine "inprocess" and
            a ledger for each cell. Default: as many as there are cores where both are given, else
            one.
        grid: "all" cells, or those alone that a figure shows.
        figures: plots besides the one of everything.
        paper: accuracies from a paper, shown beside ours.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
    title: str = ""
    engine: str = "flower"
    clients: Annotated[int, Field(ge=2)]
    rounds: Count
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (1,)
    datasets: Annotated[tuple[str, ...], Field(min_length=1)] = ("digits",)
    partitions: Annotated[tuple[Choice, ...], Field(min_length=1)] = (Choice(name="iid"),)
    attacks: Annotated[tuple[Choice, ...], Field(min_length=1)] = (Choice(name="none"),)
    malicious: tuple[Fraction, ...] = ()
    model: Choice = Choice(name="mlp")
    training: Training = Training()
    tuning: Mapping[str, Tuning] = {}
    latency: Latency = Latency()
    lies: Lies = "none"
    reward: Annotated[int, Field(ge=0, le=20)] = 20
    approaches: Annotated[tuple[Approach, ...], Field(min_length=1)]
    ledger: str = "local://{run}/chain.db"
    store: str = "file://{run}/store"
    jobs: Count | None = None
    grid: Literal["all", "figures"] = "all"
    figures: tuple[Figure, ...] = ()
    paper: tuple[Published, ...] = ()

    def malicious_clients(self, fraction: float) -> int:
        """Return how many clients a fraction means, rounded half up."""
        return int(fraction * self.clients + 0.5)

    def training_on(self, dataset: str) -> Training:
        """Return how a client trains on a data set."""
        tuned = self.tuning.get(dataset, Tuning()).model_dump(exclude_none=True)
        return self.training.model_copy(update=tuned)

    def to_toml(self) -> dict[str, Any]:
        """Return everything a TOML file has to say to get this config, whatever the defaults."""
        return {key: _plain(value) for key, value in self if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, Choice):
        return value.to_toml()
    if isinstance(value, tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, BaseModel):
        return {key: _plain(entry) for key, entry in value if entry is not None}
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    return value


def load_config(
    source: str | Path,
    *,
    overrides: tuple[str, ...] | list[str] = (),
    scale: str | None = None,
    engine: str | None = None,
) -> ExperimentConfig:
    """Read a config, apply a scale and overrides, and check it.

    Args:
        source: path of a TOML file, or the name of a config that comes with the library.
        overrides: "key=value" each, the key dotted, the value as TOML; applied after the scale.
        scale: name of a table below [scales] whose values replace the file's.
        engine: replaces the config's engine.

    Raises:
        ConfigError: not readable, not TOML, a wrong value, or a combination that cannot work; names
            the file and the key.
        UnknownNameError: an unknown key, scale, strategy, rule, attack … with the nearest known.
    """
    from .combinations import check_combinations  # noqa: PLC0415 - it needs the models above
    from .toml_files import parse, read, with_overrides, with_scale  # noqa: PLC0415 - the same

    path, values = read(source)
    values = with_overrides(with_scale(values, scale, str(path)), overrides)
    if engine is not None:
        values["engine"] = engine
    config = parse(values, str(path))
    check_combinations(config, str(path))
    return config
