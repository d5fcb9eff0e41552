"""Sending calls: fees, funds, what is under way, and waiting for it."""
