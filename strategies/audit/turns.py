"""The audit of turns: each round was published by the node whose turn it was.

All is computed again from the ledger's events: the list of nodes before the draw was opened, the
draw's value, the order of each round, and by the blocks' times which turn it was.
"""

from ...ledger_plugins.contracts import Aggregate, Aggregators, Beacon, Task, TrainingTask
from ...ledger_plugins.contracts.aggregators.facade import PAUSED, TurnsDrawn, topic_of
from ...ledger_plugins.contracts.beacon.draws import panel, round_party
from ..rounds.evidence.carriers import decoded_transaction
from ..rounds.evidence.checks import Checks
from ..rounds.tasks.turns import turn_at

__all__ = ["TaskTurns"]


class TaskTurns:
    """The turns in which a task's rounds are published; without any, nothing is checked.

    Args:
        contract: the contract on its ledger.
        task: the task.
    """

    def __init__(self, contract: TrainingTask, task: Task) -> None:
        self._ledger, self._task = contract.ledger, task
        self._turns = Aggregators(self._ledger)
        there = Aggregators.contract in self._ledger.contracts()
        self._seconds = self._turns.terms(task.id).turn_seconds if there else 0
        self._taken = self._turns.draws(task.id) if self._seconds else []
        self._led = {one.round: one for one in self._turns.led(task.id)} if self._taken else {}

    def check(self, published: Aggregate, opened: int, checks: Checks) -> None:
        """Check that a round was published by whose turn it was.

        Args:
            published: the publication.
            opened: index of the block that opened its round.
            checks: take note.

        Raises:
            CheckFailed: it was not, or the draw does not follow.
        """
        before = [one for one in self._taken if one.nodes and one.place < published.place]
        drawn = next((one for one in reversed(before) if one.first_round <= published.round), None)
        if drawn is None:
            return
        number = published.round
        led = self._led.get(number)
        if led is None or led.transaction != published.transaction:
            checks.fail("turns", f"turns: round {number} was published by who had no turn")
        self._check_draw(drawn, checks)
        signer = decoded_transaction(self._ledger, published.transaction).sender
        checks.equal("who published in its turn", led.node, signer)
        begins = max(self._time(opened) + self._task.window, self._since(drawn, published))
        turn = turn_at(self._time(published.block), begins, self._seconds)
        checks.equal("turn", led.turn, turn)
        order = panel(
            drawn.value, round_party(self._task.id, number), drawn.nodes, len(drawn.nodes)
        )
        checks.equal("whose turn it was", led.node, order[turn % len(order)])

    # Inside --------------------------------------------------------------------------------

    def _check_draw(self, drawn: TurnsDrawn, checks: Checks) -> None:
        """The draw is the one that was next, and its nodes were listed before it was opened."""
        beacon, number = Beacon(self._ledger), self._taken.index(drawn)
        about, closed = beacon.terms(drawn.draw), beacon.closed(drawn.draw)
        checks.equal("task of the draw of turns", about.task, self._task.id)
        checks.equal("topic of the draw of turns", about.topic.hex(), topic_of(number + 1).hex())
        value = closed.value.hex() if closed is not None else "none"
        checks.equal("value of the draw of turns", drawn.value.hex(), value)
        since = self._taken[number - 1].place if number else (0, 0)
        lists = [
            one.nodes
            for one in self._turns.lists(self._task.id)
            if since <= one.place < about.place
        ]
        checks.equal("nodes drawn among", list(drawn.nodes), list(lists[-1]) if lists else [])

    def _since(self, drawn: TurnsDrawn, published: Aggregate) -> int:
        """Return the time before which no turn of a round began: of its draw, or of a restart."""
        restarts = [
            one
            for one in self._turns.restarts(self._task.id)
            if drawn.place < one.place < published.place and one.round >= drawn.first_round
        ]
        if restarts and restarts[-1].since == PAUSED:
            return PAUSED
        return self._time(restarts[-1].block if restarts else drawn.block)

    def _time(self, block: int) -> int:
        return self._ledger.block(block).timestamp
