"""`ThresholdPaillier` as a Flower strategy."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Unpack

from flwr.app import ArrayRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg, Result

from fedledger.errors import ConfigError

from ....crypto.threshold import Dealing
from ....crypto.threshold.dealt import MOST_BYTES
from ....ledger_plugins.accounts import Account
from ....ledger_plugins.base import Ledger
from ....ledger_plugins.contracts.threshold_keys.facade import ThresholdKeys as Contract
from ....ledger_plugins.contracts.threshold_keys.terms import PROTOCOL, ThresholdTerms
from ....ledger_plugins.storage.base import Store
from ...rounds.evidence.documents import MAX_DOCUMENT_BYTES
from ...rounds.protocol import settings_of
from ...rounds.server.options import Options
from ...rounds.server.strategy import LedgerStrategy
from .protocol import ThresholdPaillierProtocol

__all__ = ["DealtKeys", "ThresholdPaillier"]


@dataclass(frozen=True, slots=True)
class DealtKeys:
    """Threshold keys that a dealer has dealt and published (`fedledger keys deal`).

    Attributes:
        dealer: the account that published them.
        digest: SHA-256 of the keys, in hexadecimal.
        dealing: CID of the keys and of the trainers' sealed shares, in the task's store.
        threshold: t, how many trainers open a sum together.
        key_bits: size of the modulus.
    """

    dealer: str
    digest: str
    dealing: str
    threshold: int
    key_bits: int = 2048

    @classmethod
    def find(cls, ledger: Ledger, store: Store, dealer: str, dealing: str) -> "DealtKeys":
        """Return the keys of a dealing, once its dealer has published them.

        Raises:
            ConfigError: the ledger has no such keys of the dealer.
            CryptoError: the content is no dealing.
            StoreError: the store does not have it.
        """
        found = Dealing.decode(store.get(dealing, max_bytes=MOST_BYTES))
        keys = found.check()
        if Contract(ledger).published(dealer, keys.digest) is None:
            raise ConfigError(
                f"the ledger has no keys {keys.digest.hex()} of the dealer {dealer or '(none)'}: "
                "`fedledger keys deal` publishes them, and prints the dealer"
            )
        bits = keys.public.bits
        return cls(dealer, keys.digest.hex(), dealing, keys.threshold, bits)


class ThresholdPaillier(LedgerStrategy):
    """Federated averaging of updates that nobody sees: only their sum is opened, by t trainers.

    Trust: fewer than t trainers are malicious, and the dealer of the keys forgets them. Then the
    aggregator and t-1 trainers together learn of an honest trainer's update what the opened sum
    less their own updates tells, and no more. Every step is recomputed by the audit. Nobody can
    look whether an update is poisoned: to find that out, take `PoFL`.

    Args:
        ledger: an open ledger, or the URL of one.
        store: an open store, or the URL of one.
        account: the aggregator's account.
        clients: addresses of the trainers, in the order in which the keys were dealt to them.
        model_id: the task's name on the ledger.
        keys: the keys; they serve this run alone.
        floor: how many masked updates a sum has at least; default: 3 or t+1, whichever is more.
        bits: bits of a rounded value, 8 to 24: with 8 a round costs half of what it costs with 16.
        clip: largest magnitude of a value of an update; what is beyond is cut to it.
        weights: "samples": updates weigh as many samples as their trainers say; "equal": the same.
        total_weight: bound of the sum of the weights; it makes slots wider, by its bits.
        windows: seconds for accepting the keys, for training, for signing the list, and for shares.
        quiet: seconds without an answer that close a phase once it has enough.
        lifts: ciphertexts of a sum that the aggregator lifts by itself instead of asking trainers.
        weighted_by_key: metric with the number of samples.
        options: what every strategy on a ledger may be told (see `LedgerStrategy`), but for
            `membership`: the keys' trainers are these for the whole run.

    Raises:
        ConfigError: a setting is wrong or does not fit the others.
    """

    def __init__(
        self,
        ledger: Ledger | str,
        store: Store | str,
        *,
        account: Account,
        clients: Sequence[str],
        model_id: str,
        keys: DealtKeys,
        floor: int | None = None,
        bits: int = 16,
        clip: float = 1.0,
        weights: Literal["samples", "equal"] = "samples",
        total_weight: int = 256,
        windows: tuple[float, float, float, float] = (60.0, 600.0, 120.0, 120.0),
        quiet: float = 5.0,
        lifts: int = 128,
        weighted_by_key: str = "num-examples",
        **options: Unpack[Options],
    ) -> None:
        if options.get("membership") is not None:
            raise ConfigError(
                f"{PROTOCOL}: membership is not for encrypted rounds: the keys were dealt to these "
                "trainers, and serve them for the whole run"
            )
        count = len(clients)
        settings = settings_of(
            ThresholdTerms,
            dealer=keys.dealer,
            keys=keys.digest,
            dealing=keys.dealing,
            key_bits=keys.key_bits,
            trainers=count,
            threshold=keys.threshold,
            floor=max(3, keys.threshold + 1) if floor is None else floor,
            bits=bits,
            clip=clip,
            weights=weights,
            total_weight=count if weights == "equal" else total_weight,
            samples_key=weighted_by_key,
            accept_window=windows[0],
            train_window=windows[1],
            list_window=windows[2],
            share_window=windows[3],
            quiet=quiet,
            lifts=lifts,
        )
        quorum = settings.quorum
        inner = FedAvg(
            fraction_train=1.0,
            fraction_evaluate=0.0,
            min_train_nodes=quorum,
            min_evaluate_nodes=1,
            min_available_nodes=quorum,
            weighted_by_key=weighted_by_key,
        )
        super().__init__(
            ThresholdPaillierProtocol(settings, self._specification),
            inner,
            ledger,
            store,
            account=account,
            clients=clients,
            model_id=model_id,
            clock=None,
            parties=None,
            **options,
        )

    def start(self, grid: Grid, initial_arrays: ArrayRecord, *args: Any, **options: Any) -> Result:
        """Run the task, as `LedgerStrategy.start`, once the keys are published for these trainers.

        Raises:
            ConfigError: the ledger has no such keys of the dealer, or for others.
        """
        terms, trainers = self.protocol.settings, list(self.task.clients)
        found = Contract(self.task.ledger).published(terms.dealer, bytes.fromhex(terms.keys))
        if found is None or (list(found.trainers), found.threshold) != (trainers, terms.threshold):
            raise ConfigError(
                f"the keys {terms.keys} of the dealer {terms.dealer} are not published on this "
                f"ledger for these {terms.trainers} trainers in this order, {terms.threshold} of "
                "whom open a sum"
            )
        return super().start(grid, initial_arrays, *args, **options)

    def _specification(self) -> str:
        task = self.task
        return task.store.get(task.opened.spec, max_bytes=MAX_DOCUMENT_BYTES).decode()
