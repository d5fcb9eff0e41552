"""The server's side under Flower: `LedgerStrategy`, and what it does beside the rounds."""
