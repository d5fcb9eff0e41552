"""What malicious clients say as voters, when candidates are elected."""

from typing import Literal

__all__ = ["Lies", "told"]

Lies = Literal["none", "reverse", "block", "wave"]
""""none": the truth of their own data; "reverse": the opposite of it; "block": every candidate is
bad; "wave": every candidate is good."""

_FAR = 1e6  # a loss that no honest voter reports


def told(lies: Lies, loss: float, *, candidate: bool) -> float:
    """Return the loss that a malicious client tells.

    Args:
        lies: how it lies.
        loss: the loss it measured.
        candidate: whether it was asked about a candidate, not about the model as it is.
    """
    if lies == "reverse":
        return -loss
    if lies in ("block", "wave") and candidate:
        return _FAR if lies == "block" else -_FAR
    return loss
