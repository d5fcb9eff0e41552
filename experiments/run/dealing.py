"""The dealer of a simulation: keys for its trainers, dealt by a process of its own."""

from collections.abc import Callable

from fedledger.effects import Effects

from ... import strategies
from ...clients import SimulationKeys
from ...clients.identity import simulated_place
from ...clients.keyring import Keyring
from ...ledger_plugins import Ledger, Store
from ...ledger_plugins.contracts import TrainingTask
from ...ledger_plugins.contracts.identities.keys import publish_keys
from ...ledger_plugins.contracts.threshold_keys.dealing import deal_to
from ...ledger_plugins.contracts.threshold_keys.terms import PROTOCOL, ThresholdTerms
from ...strategies.rounds.evidence.documents import Specification, load

__all__ = ["DEALER", "simulated_dealer"]

DEALER = "dealer"
"""Name of the dealer's account among a simulation's."""


def simulated_dealer(
    ledger: Ledger, store: Store, keys: SimulationKeys, owner: str, model_id: str
) -> Callable[[int, int, int], "strategies.DealtKeys"]:
    """Return what deals keys for a task, or finds those that the ledger's task of its name has.

    Args:
        ledger: where keys and task are published.
        store: where the dealing goes.
        keys: the accounts; trainers keep their drawn keys beside them.
        owner: who proposes the task.
        model_id: its name.

    Returns:
        Takes the number of trainers, the threshold and the bits of the modulus.
    """

    def dealt(trainers: int, threshold: int, bits: int) -> "strategies.DealtKeys":
        contract = TrainingTask(ledger)
        if known := contract.find(owner, model_id):
            specification = load(Specification, contract.task(known[-1]).spec, store)
            if specification.protocol == PROTOCOL:
                terms = ThresholdTerms.read(specification.settings)
                return strategies.DealtKeys.find(ledger, store, terms.dealer, terms.dealing)
        address, effects = ledger.terms("TrainingTask", "submitUpdate").to, Effects.real()
        accounts = [keys.account(one) for one in range(trainers)]
        for partition, account in enumerate(accounts):
            place = simulated_place(keys.path, ledger.chain_id, address, partition)
            keyring = Keyring.beside(place, effects.disk, durable=False)
            publish_keys(ledger, account, hpke=keyring.new_key(effects.entropy))
        dealer, listed = keys.account(DEALER), [one.address for one in accounts]
        found = deal_to(ledger, store, dealer, listed, threshold=threshold, bits=bits)
        return strategies.DealtKeys.find(ledger, store, dealer.address, found.cid)

    return dealt
