"""A network node of the embedded chain: gossip, fork choice, mining, and a ledger over HTTP."""
