"""The statement of which an account signs one for a purpose, and no second one."""

from ...signing import Statement

__all__ = ["ONLY_ONE"]

ONLY_ONE = Statement("OnlyOne", (("purpose", "bytes32"), ("content", "bytes32")))
"""For this purpose the signer says this content, in this task and round, and no other.

Who signs two loses what it pledged (`Reports.prove_equivocation`). Its fields are 32 bytes each.
"""
