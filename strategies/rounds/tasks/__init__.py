"""A training task: its life on the ledger, its clients, its aggregator, and what it pays."""
