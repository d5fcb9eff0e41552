"""A small federation whose updates are masked: keys dealt to its simulated trainers."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from fedledger.clients.identity import simulated_place
from fedledger.clients.keyring import Keyring
from fedledger.crypto.threshold import Dealing, KeyShare, ThresholdKeys, deal, seal_share
from fedledger.effects import Effects
from fedledger.ledger_plugins.contracts.threshold_keys.dealing import context_of
from fedledger.ledger_plugins.contracts.threshold_keys.facade import ThresholdKeys as Contract
from fedledger.strategies import DealtKeys, ThresholdPaillier
from support.federation import Federation

EFFECTS = Effects.real()


@cache
def dealt(trainers: int, threshold: int) -> tuple[ThresholdKeys, Sequence[KeyShare]]:
    """Return keys of 2048 bits; dealing takes a second, so all tests of a process share them."""
    return deal(2048, trainers, threshold, EFFECTS.entropy)


@dataclass
class EncryptedFederation(Federation):
    """Trainers with a key that `threshold` of them use together."""

    size: int = 5
    threshold: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        self.dealer = self.keys.account("dealer")
        self.contract = self.ledger.terms("TrainingTask", "submitUpdate").to
        self.dealt = self.deal()

    def keyring(self, partition: int) -> Keyring:
        """Return what a trainer keeps of threshold keys."""
        place = simulated_place(self.keys.path, self.ledger.chain_id, self.contract, partition)
        return Keyring.beside(place, EFFECTS.disk, durable=False)

    def deal(self) -> DealtKeys:
        """Deal keys to all trainers, and publish them."""
        keys, shares = dealt(self.size, self.threshold)
        context = context_of(self.ledger.chain_id, self.contract)
        recipients = [self.keyring(at).new_key(EFFECTS.entropy) for at in range(self.size)]
        sealed = zip(shares, recipients, strict=True)
        envelopes = tuple(seal_share(share, one, context) for share, one in sealed)
        cid = self.store.put(Dealing(keys.encode(), envelopes).encode())
        Contract(self.ledger).publish_keys(
            self.dealer, trainers=self.clients, threshold=self.threshold, keys=keys.encode()
        )
        return DealtKeys(self.dealer.address, keys.digest.hex(), cid, self.threshold)

    def encrypted(self, **changes: Any) -> ThresholdPaillier:
        """Return the strategy."""
        options: dict[str, Any] = {
            "account": self.server,
            "clients": self.clients,
            "model_id": "test",
            "keys": self.dealt,
            "quiet": 1.0,
        }
        return ThresholdPaillier(self.ledger, self.store, **(options | changes))
