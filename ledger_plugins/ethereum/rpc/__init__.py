"""JSON-RPC to a node: HTTP, IPC or in this process, and what its answers mean."""
