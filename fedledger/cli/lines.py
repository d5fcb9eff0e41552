"""Text from strangers, on lines of ours."""

__all__ = ["one_line"]


def one_line(text: str) -> str:
    """Return text with everything escaped that is no letter, mark or plain space."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)
