"""A Flower App's folder, as `flwr run` takes it, and its ClientApp in this process."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.config import flatten_dict, get_project_config, parse_config_args
from flwr.supercore.object_ref import load_app

from fedledger.errors import ConfigError, UnknownNameError
from fedledger.guards import in_words

from ..run.engines.wire import over_the_wire, quiet_flower

__all__ = ["Value", "VehicleApp", "load_vehicle_app", "pairs_of"]

Value = bool | int | float | str

_RATE, _RATES = "lr", ("learning-rate", "learning_rate")


@dataclass(eq=False)
class VehicleApp:
    """A ClientApp and what it is told.

    Attributes:
        client: the app.
        run_config: the context's run config.
        node_config: the context's node config.
        train_config: what a message's config says besides the round, as a strategy's
            `train_config` does.
        state: the context's state, from message to message.
    """

    client: ClientApp
    run_config: Mapping[str, Value] = field(default_factory=dict)
    node_config: Mapping[str, Value] = field(default_factory=dict)
    train_config: Mapping[str, Value] = field(default_factory=dict)
    state: RecordDict = field(default_factory=RecordDict)

    def context(self, run: int, node: int) -> Context:
        """Return Flower's context for one message; its state is the app's own."""
        return Context(
            run_id=run,
            node_id=node,
            node_config=dict(self.node_config),
            state=self.state,
            run_config=dict(self.run_config),
        )

    def __call__(self, message: Message, context: Context) -> Message:
        """Let the app answer; both ways are Flower's own serialisation.

        Raises:
            Exception: what the app raises.
        """
        return over_the_wire(self.client(message, context))


def load_vehicle_app(
    folder: Path,
    *,
    run_config: Mapping[str, Value],
    node_config: Mapping[str, Value],
    train_config: Mapping[str, Value],
) -> VehicleApp:
    """Load a Flower App's ClientApp, with its own run config and changes to it.

    A strategy chooses what a message's config says, and there is none. So it says what the run
    config says, and the learning rate under "lr" too, as the apps of Flower's templates want it.

    Args:
        folder: the app's folder, with its pyproject.toml.
        run_config: changes to the app's `[tool.flwr.app.config]`.
        node_config: the context's node config.
        train_config: changes to what messages' configs say.

    Raises:
        ConfigError: it is no such folder, or names no ClientApp.
        UnknownNameError: its run config does not have a key.
    """
    try:
        project = get_project_config(folder)
        known = flatten_dict(project["tool"]["flwr"]["app"].get("config", {}))
        reference = project["tool"]["flwr"]["app"]["components"]["clientapp"]
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{folder} is no Flower App: {in_words(error)}") from error
    for key in run_config:
        if key not in known:
            raise UnknownNameError("key of the app's run config", key, list(known))
    config = known | dict(run_config)
    try:
        with quiet_flower(quiet=True):
            client = load_app(reference, ConfigError, folder)
    except ConfigError:
        raise
    except Exception as error:  # importing an app runs it
        raise ConfigError(f"{folder}: {reference} cannot be loaded: {in_words(error)}") from error
    if not isinstance(client, ClientApp):
        raise ConfigError(f"{folder}: {reference} is a {type(client).__name__}, no ClientApp")
    rate = next((config[key] for key in _RATES if key in config), None)
    said: dict[str, Any] = config if rate is None else {_RATE: rate, **config}
    return VehicleApp(client, config, node_config, {**said, **train_config})


def pairs_of(option: str, given: Sequence[str]) -> dict[str, Value]:
    """Return what KEY=VALUE options say, read as Flower reads `--run-config`.

    Raises:
        ConfigError: one is none.
    """
    try:
        found: dict[str, Value] = parse_config_args(list(given))
    except Exception as error:  # click's, tomli's
        raise ConfigError(f"{option}: {in_words(error)}") from error
    if given and not found:
        raise ConfigError(f"{option}: KEY=VALUE wanted, not {given[0]!r}; a text is KEY='\"TEXT\"'")
    return found
