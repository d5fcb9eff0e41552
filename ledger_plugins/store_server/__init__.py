"""A store that others use over HTTP: who may write into it, how much, and what it answers."""
