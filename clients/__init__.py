"""What runs on a client: the signing mod, its account, and PyTorch training."""

from .device import device_of
from .identity import SimulationKeys
from .signing import signing_mod

__all__ = ["SimulationKeys", "device_of", "signing_mod"]
