"""How a training set is dealt to clients, by name.

A partitioner is a pure function `(labels, clients, rng, **parameters)`: labels are (n,) int64, the
result is one ascending (k,) int64 array of indices for each client. No sample goes to two clients
and no client goes without.
"""

from fedledger.registry import Registry

from .dealing import Indices, Labels, dirichlet, fang, iid, label_sharded

__all__ = ["PARTITIONS", "Indices", "Labels", "dirichlet", "fang", "iid", "label_sharded"]

PARTITIONS = Registry(
    "partition",
    {name: f"{__name__}.dealing:{name}" for name in ("iid", "dirichlet", "label_sharded", "fang")}
    | {"flower": f"{__name__}.flower:flower"},
    group="fedledger.partitions",
)
"""Name to a partitioner."""
