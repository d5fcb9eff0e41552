"""A task that miners aggregate: who takes part, and what its clients train.

A place is whatever has a ledger and a store.
"""

import numpy as np

from fedledger.arrays import to_safetensors
from fedledger.ledger_plugins.accounts import Account
from fedledger.strategies.mining import propose_task, submit_update

__all__ = ["CLIENTS", "MODEL", "OWNER", "propose", "submit", "trained"]

OWNER = Account.from_key(b"\x07" * 32)
CLIENTS = [Account.from_key(bytes([key]) * 32) for key in range(20, 25)]
MODEL = {"w": np.zeros((3, 2), dtype=np.float32)}


def propose(place, clients=CLIENTS, **changes):
    """Propose a task, by default of one round that ends with its last client; return its number."""
    options = {"model_id": "lights", "rounds": 1, "byzantine": 1, "rules": ("median",), "window": 0}
    clients = [client.address for client in clients]
    model = to_safetensors(MODEL)
    return propose_task(
        place.ledger, place.store, OWNER, model, clients=clients, **options | changes
    )


def trained(shift):
    """Return the bytes of a model that moved by so much."""
    return to_safetensors({"w": MODEL["w"] + np.float32(shift)})


def submit(place, clients=CLIENTS, *, task=1, shift=1):
    """Let clients submit what they trained: each a little more than the one before."""
    for number, client in enumerate(clients):
        model = trained(shift + number / 100)
        submit_update(place.ledger, place.store, client, model, task=task, samples=1, accuracy=0.5)
