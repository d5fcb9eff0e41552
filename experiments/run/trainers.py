"""What a federation is worth to each trainer: its model, beside those it could have without one."""

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from flwr.app import ArrayRecord
from numpy.typing import NDArray

from ...clients.training import evaluate, set_arrays, train
from ..config.settings import Trainers
from ..report.results import Accuracies, TrainersResult
from .federation import Federation, federation_of
from .seeding import whole

if TYPE_CHECKING:
    from torch import nn

__all__ = ["measure_trainers", "on_validation"]

Data = tuple[NDArray[np.float32], NDArray[np.int64]]


def on_validation(federation: Federation, model: "nn.Module") -> float | None:
    """Return a model's accuracy on the validation images, a fraction; None without any."""
    images, labels = federation.validation
    return evaluate(model, images, labels)[1] if len(labels) else None


def measure_trainers(scenario: str, arrays: ArrayRecord, settings: Trainers) -> TrainersResult:
    """Return what each trainer's model reaches, what it would alone, and one model on all data.

    A trainer's model is the global one after `settings.epochs` passes over the trainer's part
    (FLChain, tables V and VI, which give each trainer numbers of its own although all hold the same
    global model). It is measured here, by who runs the experiment: no ledger has it.

    Args:
        scenario: the scenario, as JSON.
        arrays: the last global model.
        settings: how long each trains.
    """
    federation = federation_of(scenario)
    alone, full = _apart(scenario)
    return TrainersResult(
        each=tuple(_each(federation, arrays, settings.epochs)), alone=alone, full=full
    )


def _each(federation: Federation, arrays: ArrayRecord, epochs: int) -> Iterator[Accuracies]:
    after = federation.scenario.rounds + 1
    for client in range(federation.scenario.clients):
        model = federation.initial_model()
        set_arrays(model, arrays)
        seed = federation.batch_seed(after, client)
        _train(federation, model, federation.client_data(client), seed=seed, epochs=epochs)
        yield _accuracies(federation, model)


@lru_cache(maxsize=2)
def _apart(scenario: str) -> tuple[tuple[Accuracies, ...], Accuracies]:
    """Return what each trainer reaches alone, and one model on all parts.

    No approach has a part in it, so approaches that run one after the other share it.
    """
    federation = federation_of(scenario)
    alone = (
        _accuracies(federation, _from_the_start(federation, federation.client_data(client), client))
        for client in range(federation.scenario.clients)
    )
    dataset, parts = federation.dataset, np.sort(np.concatenate(federation.parts))
    everything = dataset.train_x[parts], dataset.train_y[parts]
    full = _accuracies(federation, _from_the_start(federation, everything, "full"))
    return tuple(alone), full


def _from_the_start(federation: Federation, data: Data, who: int | str) -> "nn.Module":
    """Return the initial model, trained on the data for as long as the federation trains."""
    rounds, training = federation.scenario.rounds, federation.scenario.training
    model = federation.initial_model()
    _train(
        federation,
        model,
        data,
        seed=whole(federation.scenario.seed, "apart", who),
        epochs=rounds * training.epochs,
        steps=rounds * training.steps if training.steps else None,
    )
    return model


def _train(
    federation: Federation,
    model: "nn.Module",
    data: Data,
    *,
    seed: int,
    epochs: int,
    steps: int | None = None,
) -> None:
    import torch  # noqa: PLC0415 - seconds; see `clients.training`

    training = federation.scenario.training
    train(
        model,
        *data,
        epochs=epochs,
        steps=steps,
        batch_size=training.batch_size,
        lr=training.learning_rate,
        momentum=training.momentum,
        generator=torch.Generator().manual_seed(seed),
    )


def _accuracies(federation: Federation, model: "nn.Module") -> Accuracies:
    dataset = federation.dataset
    return Accuracies(
        validation=on_validation(federation, model),
        test=evaluate(model, dataset.test_x, dataset.test_y)[1],
    )
