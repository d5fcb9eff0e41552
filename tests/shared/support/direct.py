"""Clients that submit by themselves, for tests: the mod, the strategy, and what came of it."""

from fedledger.strategies import LedgerClock, audit_ledger

__all__ = ["WINDOW", "audit", "by_ledger", "directly", "senders"]

WINDOW = 600


def directly(network, partitions, **changes):
    """Return a mod by which clients of these partitions submit by themselves."""

    def mod(message, context, call_next):
        if int(context.node_config["partition-id"]) in partitions:
            own = f"file://{network.federation.path}/store"
            context.node_config |= {"submit": "direct", "ledger": network.url, "store": own}
            context.node_config |= changes
        return call_next(message, context)

    return mod


def by_ledger(network, **options):
    """Return a strategy by the ledger's clock."""
    sealed = options.pop("sealed", False)
    defaults = {
        "clock": LedgerClock(sealed=sealed),
        "window": None,
        "ledger_window": WINDOW,
        "rules": ("median",),
        "effects": network.effects,
    }
    return network.federation.pofl(**defaults | options)


def audit(federation):
    return audit_ledger(federation.ledger, federation.store)


def senders(federation, event="UpdateSubmitted"):
    """Return the transactions of each client's calls, by its partition."""
    found = {}
    for one in federation.ledger.events("TrainingTask", event):
        client = one.arguments.get("client") or one.arguments.get("voter")
        if client in federation.clients:
            found.setdefault(federation.clients.index(client), []).append(one.transaction)
    return found
