"""Commands that run a node, a client or a store, and those that speak to one."""
