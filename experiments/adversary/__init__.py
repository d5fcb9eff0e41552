"""What malicious clients do: attacks, how colluders carry them out, lies in an election."""
