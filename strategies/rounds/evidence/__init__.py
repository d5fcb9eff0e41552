"""What a round leaves behind: its documents, anchors of signatures, reasons, checks, record."""
