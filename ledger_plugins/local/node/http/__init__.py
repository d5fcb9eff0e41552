"""How nodes and clients talk: HTTP that cannot be held, on both sides."""
