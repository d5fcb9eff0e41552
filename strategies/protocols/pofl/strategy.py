"""`PoFL` as a Flower strategy."""

from collections.abc import Iterable, Sequence
from typing import Unpack, get_args

from flwr.app import ArrayRecord, ConfigRecord, Message
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg

from fedledger.errors import ConfigError, UnknownNameError

from ....ledger_plugins.accounts import Account
from ....ledger_plugins.base import Ledger
from ....ledger_plugins.storage.base import Store
from ...aggregation import check_compiled
from ...rounds.arrival import ArrivalWindow, Clock, LedgerClock
from ...rounds.protocol import settings_of
from ...rounds.server.options import Options
from ...rounds.server.strategy import LedgerStrategy
from .draws import least_listed
from .protocol import PoFLProtocol, PoFLSettings, arithmetic_of, fallback_of
from .selection import CANDIDATES, MIXED, Selection

__all__ = ["PoFL"]

_SALTS = ArrivalWindow(seconds=60.0, quiet=5.0)
_VOTES = ArrivalWindow(seconds=600.0, quiet=5.0)


class PoFL(LedgerStrategy):
    """Robust federated learning in which every round can be recomputed by anyone.

    Trust: up to `byzantine` clients may send anything. What the aggregator accepted, which rule it
    used, what came out and whom it rewarded are recomputed by the audit. It is trusted not to
    withhold an update that arrived in time (a client sees that its transaction is missing). Who
    withholds a salt, the aggregator or a client, has the `fallback` instead of the lot. Updates are
    visible to the aggregator and to everyone who can read the store.

    Args:
        ledger: an open ledger, or the URL of one.
        store: an open store, or the URL of one.
        account: the aggregator's account.
        clients: addresses of the registered clients; the order numbers them.
        model_id: the task's name on the ledger.
        byzantine: f, the number of malicious clients to tolerate.
        rules: rules to choose from (default: `MIXED`, or `CANDIDATES` for an election, of which
            `TRUSTED` is the mean without clients that disagreed with past elections as voters).
        selection: "beacon": a lot that all clients throw together (`draws`); "election": every rule
            makes a candidate and the clients, as voters, elect one by scoring them on their own
            data (needs an evaluation that reports "loss"); "timestamp": the paper's, which the last
            uploader can aim.
        window: the arrival window; by a `LedgerClock` the contract's own one (`ledger_window`).
        salts: the window of the lot's salts; without a `quiet` it waits for all of them, with one
            only once all but f are there.
        votes: the window of an election's votes, in the same way, once 2f+1 are there.
        clock: what says when an update arrived; default: the wall clock.
        min_submissions: with fewer accepted updates the round keeps its model; default 2f+3.
        strict: whether Bulyan refuses n < 4f+3 (the round then keeps its model); with False its
            trimming is clamped.
        fallback: the rule of a round without a lot, since a salt is missing or too few updates
            are on its list, or "election"; default: the trimmed mean, or the first of the rules
            where it is none of them.
        fraction_train: fraction of the connected nodes asked in each round.
        fraction_evaluate: fraction asked to evaluate.
        min_available_nodes: connected nodes to wait for; default: `min_submissions`, or as many as
            there are clients where fewer are left.
        weighted_by_key: metric with the number of samples.
        options: what every strategy on a ledger may be told (see `LedgerStrategy`): `reward`,
            `ledger_window`, `owner`, `membership`, `binding`, `terms`, `observers`, `measure`,
            `checkpoints`, `members`, `transport`, `content_seconds`, `effects`.

    Raises:
        ConfigError: a setting is wrong or does not fit the others.
        UnknownNameError: a rule nobody registered.
        NotInstalled: the rules cannot compute here.
    """

    def __init__(
        self,
        ledger: Ledger | str,
        store: Store | str,
        *,
        account: Account,
        clients: Sequence[str],
        model_id: str,
        byzantine: int,
        rules: Sequence[str] | None = None,
        selection: Selection = "beacon",
        window: ArrivalWindow | None = None,
        salts: ArrivalWindow = _SALTS,
        votes: ArrivalWindow = _VOTES,
        clock: Clock | None = None,
        min_submissions: int | None = None,
        strict: bool = True,
        fallback: str | None = None,
        fraction_train: float = 1.0,
        fraction_evaluate: float = 0.0,
        min_available_nodes: int | None = None,
        weighted_by_key: str = "num-examples",
        **options: Unpack[Options],
    ) -> None:
        check_compiled()
        if selection not in get_args(Selection):
            raise UnknownNameError("selection", selection, get_args(Selection))
        if rules is None:
            rules = CANDIDATES if selection == "election" else MIXED
        if (window is None) != isinstance(clock, LedgerClock):
            raise ConfigError(
                "window: an arrival window is needed, or a LedgerClock, whose window is the "
                "contract's (ledger_window)"
            )
        least = 2 * byzantine + 3 if min_submissions is None else min_submissions
        if least > len(clients):
            raise ConfigError(
                f"min_submissions is {least} (default 2f+3 with f={byzantine}), "
                f"but only {len(clients)} clients are registered"
            )
        fallback = fallback_of(rules) if fallback is None else fallback
        asked = int(fraction_train * len(clients))
        if selection == "beacon" and len(rules) > 1:
            listed = least_listed(len(clients), byzantine, 0)
            if asked < listed:
                raise ConfigError(
                    f"fraction_train={fraction_train:g} asks {asked} of {len(clients)} clients, a "
                    f"lot needs {listed} (more than half of them and of f={byzantine}): ask more, "
                    "or let voters elect (selection='election')"
                )
        settings = settings_of(
            PoFLSettings,
            byzantine=byzantine,
            rules=tuple(rules),
            selection=selection,
            strict=strict,
            min_submissions=least,
            window=window.seconds if window else None,
            quiet=window.quiet if window else None,
            vote_window=votes.seconds,
            vote_quiet=votes.quiet or votes.seconds,
            fallback=fallback,
            salt_window=salts.seconds,
            salt_quiet=salts.quiet or salts.seconds,
            samples_key=weighted_by_key,
            arithmetic=arithmetic_of(rules),
        )
        nodes = min(max(2, least), len(clients)) if min_available_nodes is None else None
        self._waits_for = nodes
        inner = FedAvg(
            fraction_train=fraction_train,
            fraction_evaluate=fraction_evaluate,
            min_train_nodes=nodes or min_available_nodes or 1,
            min_evaluate_nodes=1,
            min_available_nodes=nodes or min_available_nodes or 1,
            weighted_by_key=weighted_by_key,
        )
        super().__init__(
            PoFLProtocol(settings),
            inner,
            ledger,
            store,
            account=account,
            clients=clients,
            model_id=model_id,
            clock=clock,
            parties=None,
            **options,
        )

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Choose nodes; nobody waits for those of clients that left."""
        if self._waits_for is not None and isinstance(self.inner, FedAvg):
            nodes = max(1, min(self._waits_for, len(self.task.terms.parties["clients"])))
            self.inner.min_train_nodes = self.inner.min_available_nodes = nodes
        return super().configure_train(server_round, arrays, config, grid)
