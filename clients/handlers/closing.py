"""A client at the end of a run: it names the ledger's newest block, and forgets the run's keys."""

import logging
from typing import ClassVar

from flwr.app import Message, RecordDict

from fedledger.errors import FedledgerError

from ...ledger_plugins.contracts import TrainingTask
from ...ledger_plugins.contracts.training_task.calls import CONFIRM_HISTORY
from ..direct import ledger_of
from ..phases import Answered, Asked, PhaseHandler

__all__ = ["ClosingHandler"]

logger = logging.getLogger(__name__)


class ClosingHandler(PhaseHandler):
    """Confirms the ledger's history; the app is not asked."""

    signs: ClassVar = (CONFIRM_HISTORY,)

    def answer(self, asked: Asked) -> Answered:
        """Return an empty reply; the block to name is added where calls are signed."""
        try:
            _forget_keys(asked)
        except FedledgerError as error:  # the history is confirmed all the same
            logger.warning("the task's threshold keys stay, see `fedledger keys forget`: %s", error)
        return Answered(Message(RecordDict(), reply_to=asked.message), {CONFIRM_HISTORY.name: {}})


def _forget_keys(asked: Asked) -> None:
    """Forget threshold keys that were dealt for the task, once it has ended.

    That it has ended the client's own ledger says, and no server: who has forgotten its share opens
    nothing more. A simulation's client, whose key lies with the server's, takes its word.
    """
    if not asked.keyring.public_keys():
        return  # it has never been a trainer
    with ledger_of(asked.context) as ledger:
        if ledger is not None:
            ended = TrainingTask(ledger).task(asked.task).finished
        else:
            ended = asked.context.node_config.get("account") is None
    if ended:
        for digest in asked.keyring.forget_place(asked.place):
            logger.info(
                "task %d has ended: its threshold keys %s are gone", asked.task, digest.hex()
            )
