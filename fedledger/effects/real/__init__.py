"""This machine's clock, randomness, network, disk and threads: here and nowhere else."""

from .disk import SystemDisk
from .machine import HttpTransport, SystemClock, SystemEntropy
from .threads import ThreadWork

__all__ = ["HttpTransport", "SystemClock", "SystemDisk", "SystemEntropy", "ThreadWork"]
