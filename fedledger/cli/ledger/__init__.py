"""Commands that write to a ledger: accounts, stakes, draws, reports, contracts."""
