"""Bift's vehicles: clients that follow the ledger themselves, without a Flower server."""
