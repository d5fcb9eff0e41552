"""Answers of clients: how they are asked for, checked, and found on the ledger."""
