"""What a node says, recomputed: headers, receipts, logs."""
