"""Handlers of phases: a client trains, gives its salt, votes, and closes a run."""
