"""The experiments' ClientApp: everything it needs comes in the message's config.

The config record holds `SCENARIO`, the scenario as JSON, besides what Flower puts there
("server-round"); the node config holds "partition-id". A client's reply depends on these and on the
arrays alone: training a round again, in any process, gives the same bits.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from flwr.app import ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from fedledger.errors import ConfigError
from fedledger.records import CONFIG

from ...clients import device_of, signing_mod
from ...clients.handlers.voting import SCORED
from ...clients.training import evaluate, get_arrays, set_arrays, train
from ..adversary.collusion import PARTITION, collusion_mod, report_partition
from ..adversary.lies import told
from .federation import Federation, federation_of

if TYPE_CHECKING:
    from torch import nn

__all__ = ["SCENARIO", "build_client_app", "make_reproducible", "reproducible", "train_reply"]

SCENARIO = "scenario"
"""Key of the scenario's JSON in the message's config."""

PROXIMAL = "proximal-mu"
"""Key under which Flower's FedProx sends its µ."""


def build_client_app() -> ClientApp:
    """Return a ClientApp that trains and signs, and takes orders of an adversary's grid."""
    app = ClientApp(mods=[signing_mod, collusion_mod])
    app.train()(train_reply)
    app.evaluate()(score_reply)
    app.query(PARTITION)(report_partition)
    return app


def train_reply(message: Message, context: Context) -> Message:
    """Train one round and return the weights and metrics.

    The metrics are "num-examples", and "loss" and "accuracy" of the last epoch on the client's own
    data, which a malicious client has poisoned.

    Raises:
        ConfigError: the message is not from an experiment, or the node has no partition.
    """
    import torch  # noqa: PLC0415 - seconds; a server that only builds the app does not need it

    config = message.content.config_records[CONFIG]
    federation, client, model = _place(config, context)
    images, labels = federation.client_data(client)
    set_arrays(model, next(iter(message.content.array_records.values())))
    seed = federation.batch_seed(int(str(config["server-round"])), client)
    training = federation.scenario.training
    with _held_back(model, float(str(config.get(PROXIMAL, 0.0)))):
        loss, accuracy = train(
            model,
            images,
            labels,
            epochs=training.epochs,
            steps=training.steps,
            batch_size=training.batch_size,
            lr=training.learning_rate,
            momentum=training.momentum,
            generator=torch.Generator().manual_seed(seed),
            device=device_of(context),
        )
    metrics = MetricRecord({"num-examples": len(labels), "loss": loss, "accuracy": accuracy})
    return Message(RecordDict({"arrays": get_arrays(model), "metrics": metrics}), reply_to=message)


def score_reply(message: Message, context: Context) -> Message:
    """Return the loss of a model on the client's own data, as a voter's evaluation.

    A malicious client lies as the scenario says.

    Raises:
        ConfigError: the message is not from an experiment, or the node has no partition.
    """
    config = message.content.config_records[CONFIG]
    federation, client, model = _place(config, context)
    images, labels = federation.client_data(client)
    set_arrays(model, next(iter(message.content.array_records.values())))
    loss, accuracy = evaluate(model, images, labels, device=device_of(context))
    if client in federation.malicious:
        candidate = str(config.get(SCORED, "arrays")) != "arrays"
        loss = told(federation.scenario.lies, loss, candidate=candidate)
    metrics = MetricRecord({"num-examples": len(labels), "loss": loss, "accuracy": accuracy})
    return Message(RecordDict({"metrics": metrics}), reply_to=message)


def _place(config: ConfigRecord, context: Context) -> tuple[Federation, int, "nn.Module"]:
    scenario, client = config.get(SCENARIO), context.node_config.get("partition-id")
    if not isinstance(scenario, str) or client is None:
        raise ConfigError(
            f"this app runs experiments: it needs {SCENARIO!r} in the message's config "
            "and 'partition-id' in the node config"
        )
    make_reproducible()
    return federation_of(scenario), int(client), _workbench(scenario)


@contextmanager
def _held_back(model: "nn.Module", mu: float) -> Iterator[None]:
    """Add FedProx's term to the loss as long as it lasts: µ/2 · ‖w - w_global‖².

    Its gradient, µ (w - w_global), is added to each weight's.
    """
    hooks = []
    weights: list[Any] = list(model.parameters()) if mu else []
    for weight in weights:
        begun = weight.detach().clone()

        def pulled(grad: Any, weight: Any = weight, begun: Any = begun) -> Any:
            return grad + mu * (weight.detach() - begun)

        hooks.append(weight.register_hook(pulled))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@lru_cache(maxsize=4)
def _workbench(scenario: str) -> "nn.Module":
    """Return the model that this process trains and evaluates in, one message after the other.

    Building one takes longer than training a small one. Every weight and buffer is set from the
    message before use.
    """
    return federation_of(scenario).initial_model()


def make_reproducible() -> None:
    """Make PyTorch give the same bits in every process: one thread, deterministic algorithms."""
    import torch  # noqa: PLC0415 - see above

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)


@contextmanager
def reproducible() -> Iterator[None]:
    """The same as long as it lasts, then PyTorch's settings as they were.

    Raises:
        ConfigError: torch is not installed.
    """
    try:
        import torch  # noqa: PLC0415 - see above
    except ModuleNotFoundError as error:
        raise ConfigError("experiments need 'torch': pip install 'fedledger[torch]'") from error
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    make_reproducible()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(mode=strict)
