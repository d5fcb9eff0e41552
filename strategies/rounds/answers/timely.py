"""Whether what counted came in time, by the stamps that whoever ran the round put down."""

from ..arrival import ArrivalWindow
from ..evidence.checks import Checks, Witness
from ..evidence.documents import PhaseEvidence

__all__ = ["check_window"]


def check_window(
    phase: str, recorded: PhaseEvidence, window: ArrivalWindow, checks: Checks
) -> None:
    """Check that a window parts answers that counted from late ones as it says.

    Raises:
        CheckFailed: one counted and came too late, or came in time and did not count.
    """
    dropped = (entry.arrival for entry in recorded.dropped if entry.arrival is not None)
    closes = window.closes(
        [
            *(entry.arrival for entry in recorded.accepted),
            *(entry.arrival for entry in recorded.late),
            *dropped,
        ]
    )
    for entry in recorded.accepted:
        said = f"the answer of {entry.party} counted but came too late"
        where = Witness(phase, entry.party, step="window")
        checks.true("window", entry.arrival <= closes, said, where)
    for late in recorded.late:
        said = f"the answer of {late.party} came in time but did not count"
        where = Witness(phase, late.party, step="window")
        checks.true("window", late.arrival > closes, said, where)
