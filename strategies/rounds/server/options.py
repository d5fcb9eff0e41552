"""What every strategy on a ledger may be told; `LedgerStrategy` says what each of them is."""

from collections.abc import Mapping, Sequence
from typing import TypedDict

from fedledger.effects import Effects

from ..tasks.membership import Binding, MembershipRule
from ..transport.options import Transport
from .checkpoints import Checkpoints, Members
from .evaluation import MeasureFn
from .observers import Observer

__all__ = ["Options"]


class Options(TypedDict, total=False):
    """Keywords of `LedgerStrategy` that strategies built on it pass on as they are."""

    reward: int
    ledger_window: int
    owner: str | None
    membership: MembershipRule | None
    binding: Binding
    terms: Mapping[str, int] | None
    observers: Sequence[Observer]
    measure: MeasureFn | None
    checkpoints: Checkpoints
    members: Members | None
    transport: Transport
    content_seconds: float
    effects: Effects | None
