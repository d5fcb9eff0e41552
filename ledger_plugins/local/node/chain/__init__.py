"""What a node knows: blocks of all branches, the main branch, what waits; nothing here waits."""
