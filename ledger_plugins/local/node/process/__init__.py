"""A node's process: gossip and miner in one event loop, from start to SIGTERM."""
