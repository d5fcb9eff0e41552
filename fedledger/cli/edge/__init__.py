"""`fedledger edge`: files for a federation of real devices, and a look at them before a start."""

from .commands import edge

__all__ = ["edge"]
