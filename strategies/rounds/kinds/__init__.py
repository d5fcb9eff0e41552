"""The kinds of rounds: live, by the ledger's clock, recorded, mined."""
