"""Commands that only read: the audit, and what there is to see and to choose from."""
