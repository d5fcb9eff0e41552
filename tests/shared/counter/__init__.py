"""A contract from outside, in two versions: what an installed package would have."""

from fedledger.ledger_plugins.contracts.registry import Contract, Version

__all__ = ["CONTRACT", "FIRST"]

_VERSIONS = {
    1: Version("counter:first.json", "counter.first:Counter"),
    2: Version("counter:second.json", "counter.second:Counter"),
}
FIRST = Contract("Counter", {1: _VERSIONS[1]})
CONTRACT = Contract("Counter", _VERSIONS)
