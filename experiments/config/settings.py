"""The small tables of a config, each one of a config's keys; `experiment` is the whole."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "Checkpoints",
    "Count",
    "Figure",
    "Fraction",
    "Latency",
    "Members",
    "Published",
    "PublishedTrainers",
    "Seconds",
    "Table",
    "Terms",
    "Trainers",
    "Training",
    "Transport",
    "Tuning",
]

Count = Annotated[int, Field(ge=1)]
Percent = Annotated[float, Field(ge=0, le=100)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Seconds = Annotated[float, Field(gt=0)]
Checkpoints = Literal["never", "best"] | Count
Members = Literal["clients"] | tuple[str, ...]
Transport = Literal["inline", "store"]


class Table(BaseModel):
    """A table of a config: frozen, and a key it does not have is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Training(Table):
    """How a client trains in a round: plain SGD on cross-entropy.

    Attributes:
        epochs: passes over the client's data.
        steps: steps of a round, from a fresh pass; `epochs` then says nothing. None: as many as
            `epochs` takes.
        batch_size: images in a step.
        learning_rate: step size.
        momentum: of SGD.
    """

    epochs: Count = 5
    steps: Count | None = None
    batch_size: Count = 16
    learning_rate: Annotated[float, Field(gt=0)] = 0.1
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Tuning(Table):
    """What differs from `Training` on one data set; None: nothing."""

    epochs: Count | None = None
    steps: Count | None = None
    batch_size: Count | None = None
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    momentum: Annotated[float, Field(ge=0, lt=1)] | None = None


class Latency(Table):
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


class Terms(Table):
    """What a task pays, who decides in it and how its models travel; see `ExperimentConfig`."""

    reward: int = 20
    faucet: int = 0
    bond: int = 0
    checkpoints: Checkpoints = "never"
    members: Members = ()
    transport: Transport = "inline"


class Published(Table):
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
    accuracy: Annotated[Mapping[str, Percent], Field(min_length=1)]


class PublishedTrainers(Table):
    """A paper's numbers about trainers; accuracies in per cent, of validation and test.

    Attributes:
        source: where they are from: "FLChain, table V".
        each: of each trainer, in order.
        alone: of a trainer that trains alone.
        full: of one model that is trained on all data.
        seconds: what the training took.
    """

    source: str = ""
    each: tuple[tuple[Percent, Percent], ...] = ()
    alone: tuple[Percent, Percent] | None = None
    full: tuple[Percent, Percent] | None = None
    seconds: Seconds | None = None


class Trainers(Table):
    """A table with a line for each trainer, beside that of approaches (FLChain, tables V and VI).

    A trainer's accuracies are those of its own model: the last global model, trained on the
    trainer's part. Beside them stand those of trainers who train alone, on their part and from the
    initial model, and of one model trained on all parts together, as long as the federation trains.

    Attributes:
        epochs: passes over its part by which a trainer's model differs from the global one.
        paper: a paper's numbers.
    """

    epochs: Count = 1
    paper: PublishedTrainers | None = None


class Figure(Table):
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
