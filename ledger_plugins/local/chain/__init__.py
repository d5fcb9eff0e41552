"""The chain itself: blocks, the state they lead to, and what it has said, in memory."""
