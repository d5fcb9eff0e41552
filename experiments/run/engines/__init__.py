"""Where ClientApps run: in this process, or in Flower's simulation engine.

Both engines take the same ClientApp and the same function of a `Grid`, give nodes the same
`node_config`, and list nodes and replies in the order of the partitions. So they give the same
results for the same seeds, bit for bit, even from a strategy that sums replies as they come.
"""

from typing import Any, cast

from fedledger.registry import Registry

from .base import Engine
from .flower import FlowerEngine
from .inprocess import InProcessEngine, InProcessGrid

__all__ = ["ENGINES", "Engine", "FlowerEngine", "InProcessEngine", "InProcessGrid", "get_engine"]

ENGINES = Registry(
    "engine",
    {
        "flower": "fedledger.experiments.run.engines.flower:FlowerEngine",
        "inprocess": "fedledger.experiments.run.engines.inprocess:InProcessEngine",
    },
    group="fedledger.engines",
    extras={"flower": "simulation"},
)


def get_engine(name: str, **options: Any) -> Engine:
    """Return the engine called `name`, made with `options` (see its class).

    Raises:
        UnknownNameError: there is none.
    """
    return cast("Engine", ENGINES.load(name)(**options))
