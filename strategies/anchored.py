"""`Anchored`: any Flower strategy, with its rounds on a ledger."""

from collections.abc import Sequence
from typing import Any

from flwr.serverapp.strategy import Strategy

from fedledger.arrays import Arrays
from fedledger.errors import ModelError
from fedledger.records import Form

from ..ledger_plugins.accounts import Account
from ..ledger_plugins.base import Ledger
from ..ledger_plugins.storage.base import Store
from .base import LedgerStrategy, Outcome, as_model, same_metrics
from .replies import CheckedUpdate

__all__ = ["Anchored"]


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
        reward: stake for each contributor and round.
        ledger_window: seconds after a round's opening in which the contract accepts updates; 0
            sets no limit.
        owner: who proposed the task and appointed `account` its aggregator; default: `account`
            proposes it.

    Raises:
        ConfigError: a setting is wrong, or the ledger holds the task with other settings.
    """

    form: Form = "weights"

    def __init__(
        self,
        strategy: Strategy,
        ledger: Ledger | str,
        store: Store | str,
        *,
        account: Account,
        clients: Sequence[str],
        model_id: str,
        reward: int = 20,
        ledger_window: int = 0,
        owner: str | None = None,
    ) -> None:
        super().__init__(
            strategy,
            ledger,
            store,
            account=account,
            clients=clients,
            model_id=model_id,
            reward=reward,
            ledger_window=ledger_window,
            owner=owner,
        )

    def parameters(self) -> dict[str, Any]:
        """Return the name of the strategy inside."""
        return {"strategy": type(self.inner).__name__}

    def decide(
        self, server_round: int, updates: Sequence[CheckedUpdate], current: Arrays
    ) -> Outcome:
        """Give the updates to the strategy inside, in the order of the task's clients."""
        rule = type(self.inner).__name__[:32]
        alike, dropped = same_metrics(updates)
        accepted, refused = self.anchor.submit(alike)
        dropped += refused
        if not accepted:
            return Outcome(None, rule, "no usable update arrived", accepted, dropped=dropped)
        arrays, metrics = self.inner.aggregate_train(
            server_round, [update.message for update in accepted]
        )
        if arrays is None:
            kept = f"{rule} gave no aggregate"
            return Outcome(None, rule, kept, accepted, dropped=dropped, metrics=metrics)
        try:
            model = as_model(arrays, current)
        except ModelError as error:
            return Outcome(None, rule, str(error), accepted, dropped=dropped, metrics=metrics)
        return Outcome(
            model,
            rule,
            None,
            accepted,
            dropped=dropped,
            contributors=[update.client for update in accepted],
            metrics=metrics,
        )
