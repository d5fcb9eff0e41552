"""`Anchored`: any Flower strategy, with its rounds on a ledger."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, ClassVar, Unpack

from flwr.app import Message
from flwr.serverapp.strategy import Strategy
from pydantic import Field

from fedledger.errors import ConfigError

from ...ledger_plugins.accounts import Account
from ...ledger_plugins.base import Ledger
from ...ledger_plugins.storage.base import Store
from ..rounds.arrival import LONGEST, ArrivalWindow
from ..rounds.protocol import NoState, Protocol, Settings, settings_of
from ..rounds.round import Attested, Result, Round
from ..rounds.server.inner import layers_of, weight_of
from ..rounds.server.options import Options
from ..rounds.server.strategy import SAMPLES, LedgerStrategy
from .training import WeightsPhase

__all__ = ["Anchored", "AnchoredProtocol", "AnchoredSettings", "refuse_growing"]

_GROWING = ("FedXgbBagging", "FedXgbCyclic")
"""Flower's strategies for decision trees."""


def refuse_growing(kind: type[Strategy]) -> None:
    """Refuse a strategy whose model does not keep its shape.

    Raises:
        ConfigError: it is one of Flower's for decision trees, or derived from one.
    """
    for base in kind.__mro__:
        if base.__name__ in _GROWING and base.__module__.startswith("flwr."):
            raise ConfigError(
                f"strategy {kind.__name__} cannot be anchored: its model is decision trees, more "
                "in every round, and a task's model keeps its keys, shapes and dtypes from the "
                "first round to the last; take a model of arrays, or run it without a ledger"
            )


class AnchoredSettings(Settings):
    """What the specification says about an anchored Flower strategy.

    Attributes:
        strategy: name of its class.
        arguments: what it was made with, as far as somebody said so.
        samples_key: metric that holds the number of training samples.
        window: length of the arrival window in seconds; None: every client is waited for, until
            the `timeout` of `start`.
        quiet: seconds without an arrival that close it early, or None.
        quorum: answers that have to be there before that.
    """

    strategy: str
    arguments: dict[str, bool | int | float | str] = Field(default_factory=dict)
    samples_key: str = "num-examples"
    window: Annotated[float, Field(gt=0, le=LONGEST)] | None = None
    quiet: Annotated[float, Field(gt=0, le=LONGEST)] | None = None
    quorum: Annotated[int, Field(ge=0)] = 0


class AnchoredProtocol(Protocol[AnchoredSettings, NoState]):
    """Clients send their weights, and a Flower strategy makes a model of them.

    Trust: what the strategy computed is the aggregator's word (`attests`): a strategy may keep
    state that no auditor has.

    Args:
        settings: the settings.
        aggregate: what the strategy makes of the clients' replies; only where the round runs.
    """

    name: ClassVar[str] = "anchored"
    version: ClassVar[int] = 1
    Settings: ClassVar = AnchoredSettings
    attests: ClassVar[bool] = True

    def __init__(
        self,
        settings: AnchoredSettings,
        aggregate: Callable[[int, Sequence[Message]], Attested] | None = None,
    ) -> None:
        super().__init__(settings)
        self._aggregate = aggregate

    def run(self, round: Round, state: NoState) -> tuple[Result, NoState]:
        """Ask for weights; take the strategy's word for the model."""
        settings, window = self.settings, None
        if settings.window is not None:
            window = ArrivalWindow(settings.window, settings.quiet, settings.quorum)
        weights = round.ask(WeightsPhase(settings.samples_key), window=window)
        if not weights:
            return Result.keep("no usable update arrived"), state

        def make() -> Attested:
            assert self._aggregate is not None  # noqa: S101 - only where the round runs
            messages = [answer.message for answer in weights if answer.message is not None]
            return self._aggregate(round.number, messages)

        made = round.attest(make)
        if made.model is None:
            return Result.keep(made.kept or f"{made.rule} gave no aggregate"), state
        parties = tuple(weights.parties)
        payments = dict.fromkeys(parties, round.terms.reward)
        rule = self.settings.strategy[:32]  # the specification's, whatever was published
        return Result(made.model, rule, None, parties, payments), state


class Anchored(LedgerStrategy):
    """Put any Flower strategy on a ledger.

    Every update is signed by its client, stored under its CID and on the ledger before it is
    aggregated; every aggregate is published with its evidence; contributors are rewarded.

    Trust: clients need not be trusted not to deny or copy an update, nor the server not to invent
    one. What the strategy computed from the updates is *attested* by the aggregator's signature,
    not proved: a strategy may keep state that no auditor has. `PoFL` proves that step too. Updates
    are visible to the aggregator and to everyone who can read the store.

    Args:
        strategy: the Flower strategy, unmodified.
        ledger: an open ledger, or the URL of one.
        store: an open store, or the URL of one.
        account: the aggregator's account.
        clients: addresses of the registered clients.
        model_id: the task's name on the ledger.
        window: the arrival window: a client that is silent holds up nobody beyond it. Without one
            each round waits for every client until the `timeout` of `start`, as Flower does.
        arguments: what the strategy was made with, for the specification; nobody can check it.
        options: what every strategy on a ledger may be told (see `LedgerStrategy`): `reward`,
            `ledger_window`, `owner`, `membership`, `binding`, `terms`, `observers`, `measure`,
            `checkpoints`, `members`, `transport`, `content_seconds`, `effects`.

    Raises:
        ConfigError: a setting is wrong, the strategy's model changes its shape, or the ledger
            holds the task with other settings.
    """

    def __init__(
        self,
        strategy: Strategy,
        ledger: Ledger | str,
        store: Store | str,
        *,
        account: Account,
        clients: Sequence[str],
        model_id: str,
        window: ArrivalWindow | None = None,
        arguments: Mapping[str, bool | float | str] | None = None,
        **options: Unpack[Options],
    ) -> None:
        for layer in layers_of(strategy):
            refuse_growing(type(layer))
        settings = settings_of(
            AnchoredSettings,
            strategy=type(strategy).__name__,
            arguments=dict(arguments or {}),
            samples_key=weight_of(strategy) or SAMPLES,
            window=window.seconds if window else None,
            quiet=window.quiet if window else None,
            quorum=window.quorum if window else 0,
        )
        super().__init__(
            AnchoredProtocol(settings, self.inner_aggregate),
            strategy,
            ledger,
            store,
            account=account,
            clients=clients,
            model_id=model_id,
            clock=None,  # the wall clock, whatever the options say
            parties=None,
            **options,
        )
