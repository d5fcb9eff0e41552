"""An embedded chain's files: its blocks, the lock of its writer, the snapshot."""
