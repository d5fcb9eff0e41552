"""After the last round: every client names the ledger's newest block once more.

The calls of the last round name a block before it. Only a call that comes after the round's
publication holds that, too, against whoever keeps the ledger.
"""

import logging
from collections.abc import Collection, Iterable, Sequence
from typing import Any, ClassVar

from flwr.app import ConfigRecord, Message, RecordDict
from flwr.common import log

from fedledger.errors import FedledgerError
from fedledger.records import CONFIG

from ....ledger_plugins.base import Ledger
from ....ledger_plugins.contracts import TrainingTask
from ....ledger_plugins.contracts.training_task.calls import CONFIRM_HISTORY
from ....ledger_plugins.storage.base import Store
from ..evidence.record import read_rounds
from ..evidence.tally import Tally
from ..kinds.live import LiveRound
from ..phase import Given, Phase
from ..round import Round

__all__ = ["ClosingPhase", "closing_messages", "confirm_history", "confirmed", "say_trouble"]

SECONDS = 60.0
"""How long the end of a run waits for confirmations."""

logger = logging.getLogger(__name__)


class ClosingPhase(Phase[None]):
    """Clients confirm the history of the ledger."""

    name: ClassVar[str] = "closing"
    signs: ClassVar = (CONFIRM_HISTORY,)

    def parse(self, given: Given, round: Round, subject: Any) -> None:
        """Take it: what it says was checked for every call that names a block."""


def confirm_history(round: LiveRound) -> Sequence[str]:
    """Ask for the confirmations and relay them; return the accounts that gave one.

    Nobody is waited for longer than `SECONDS`: what is missing proves nothing, and harms nothing;
    so a ledger that fails now does not take the run's result away.
    """
    try:
        answers = round.ask(ClosingPhase())
    except FedledgerError as error:
        logger.warning("the clients could not confirm the ledger's history: %s", error)
        return ()
    missing = len(round.positions("clients")) - len(answers)
    if missing:
        logger.warning("%d clients have not confirmed the ledger's history at the end", missing)
    return answers.parties


def confirmed(ledger: Ledger, task: int, clients: Collection[str]) -> set[str]:
    """Return the clients that have confirmed a task's history since its last round ended."""
    tasks = TrainingTask(ledger)
    ended = tasks.opened_in(task, tasks.ended(task))
    wanted = {"task": task, CONFIRM_HISTORY.party: list(clients)}
    said = ledger.matching(CONFIRM_HISTORY.contract, CONFIRM_HISTORY.event, wanted, since=ended)
    return {event.arguments[CONFIRM_HISTORY.party] for event in said}


def say_trouble(ledger: Ledger, store: Store, task: int) -> None:
    """Log it, in Flower's own log, when no update of a task was used or most were lost."""
    try:
        tally = Tally.of(read_rounds(ledger, store, task))
    except FedledgerError as error:
        logger.warning("what became of the updates cannot be read: %s", error)
        return
    if tally.trouble is not None:
        log(logging.ERROR if tally.unused else logging.WARNING, tally.trouble)


def closing_messages(nodes: Iterable[int], config: ConfigRecord) -> list[Message]:
    """Return the messages that ask nodes."""
    return [
        Message(RecordDict({CONFIG: config}), dst_node_id=node, message_type=ClosingPhase.kind)
        for node in sorted(nodes)
    ]
