"""A network of nodes and a federation in one process, all of whose world is drawn from one seed.

The nodes are the real ones (`ledger_plugins.local.node`: core, gossip, miner, service, file), the
clients and the audit are the real ones too. Only the five effects are not: time is an event loop's
that never waits, messages are delayed and lost, disks lose what was not flushed, and nothing else
decides. So a run is a function of its seed, and what it found once it finds again.
"""

from fedledger.registry import check_installed

check_installed("a simulated network", "node", "apsw", "numba")

from .simulation import Failure, Report, simulate  # noqa: E402 - what it needs is asked for first

__all__ = ["Failure", "Report", "simulate"]
