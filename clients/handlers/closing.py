"""A client at the end of a run: it names the ledger's newest block, and sends nothing else."""

from typing import ClassVar

from flwr.app import Message, RecordDict

from ...ledger_plugins.contracts.training_task.calls import CONFIRM_HISTORY
from ..phases import Answered, Asked, PhaseHandler

__all__ = ["ClosingHandler"]


class ClosingHandler(PhaseHandler):
    """Confirms the ledger's history; the app is not asked."""

    signs: ClassVar = (CONFIRM_HISTORY,)

    def answer(self, asked: Asked) -> Answered:
        """Return an empty reply; the block to name is added where calls are signed."""
        return Answered(Message(RecordDict(), reply_to=asked.message), {CONFIRM_HISTORY.name: {}})
