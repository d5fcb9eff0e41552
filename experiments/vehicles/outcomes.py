"""What became of a vehicle's rounds: it says so, and who was paid."""

from collections.abc import Callable

from fedledger.errors import AuditError, NotChecked, StoreError

from ...ledger_plugins.contracts import Aggregate, Rollback, Task, TrainingTask
from ...ledger_plugins.storage.base import Store
from ...strategies.rounds.evidence import documents
from ...strategies.rounds.evidence.documents import Evidence
from ...strategies.rounds.tasks.halting import halted_by

__all__ = ["Outcomes"]


class Outcomes:
    """Says what came of each round.

    Attributes:
        told: how many rounds were told of; None: none is told of yet.
        unpaid: rounds whose rewards are owed, and how much.

    Args:
        contract: the tasks.
        store: where the evidence is.
        account: the client's account.
        note: takes an event, a sentence, and fields.
    """

    def __init__(
        self, contract: TrainingTask, store: Store, account: str, note: Callable[..., None]
    ) -> None:
        self.told: int | None = None
        self.unpaid: dict[int, int] = {}
        self._contract = contract
        self._store = store
        self._account = account
        self._note = note
        self._halted: str | None = None

    def tell(self, task: Task) -> bool:
        """Say what came of each round that ended since; tell whether there were any."""
        told = self.told
        if told is None or (task.current_round <= told and not self.unpaid):
            return False
        ended = self._contract.ended(task.id)
        for one in ended[told:]:
            self._tell_round(one, task)
        self.told = max(told, len(ended))
        if self.unpaid:
            for payment in self._contract.payments(task.id):
                if payment.client == self._account and payment.round in self.unpaid:
                    del self.unpaid[payment.round]
                    text = f"round {payment.round}: {payment.amount} tokens are paid"
                    self._note("paid", text, round=payment.round, amount=payment.amount)
        return self.told > told

    def tell_halt(self, task: Task) -> None:
        """Say once that nobody publishes the task's rounds and why, and once that it goes on."""
        aggregator = self._contract.roles(task.id).aggregator
        halted = halted_by(self._contract.ledger, task.id, aggregator)
        if halted == self._halted:
            return
        self._halted, number = halted, task.current_round + 1
        if halted is None:
            text = f"round {number}: {aggregator} publishes the task's rounds from now on"
            self._note("again", text, round=number)
            return
        text = f"the task is halted {halted}: it waits for another aggregator"
        self._note("halted", text, round=number)

    def _tell_round(self, one: Aggregate | Rollback, task: Task) -> None:
        if isinstance(one, Rollback):
            text = f"round {one.round}: rolled back to the model of round {one.to_round}"
            self._note("rolled-back", text, round=one.round, to=one.to_round)
            return
        contributed = self._account in one.contributors
        if contributed and task.reward:
            self.unpaid[one.round] = task.reward
        fate = "contributed" if contributed else self._fate(one)
        self._note(
            "round",
            f"round {one.round} of {task.rounds}: {one.rule}, {len(one.contributors)} contributors,"
            f" you: {fate}",
            round=one.round,
            rule=one.rule,
            contributed=contributed,
            fate=fate,
            cid=one.cid,
        )

    def _fate(self, one: Aggregate) -> str:
        """Return what the evidence says of this client's update, where the store has it."""
        try:
            evidence = documents.load(Evidence, one.evidence, self._store)
        except (NotChecked, StoreError, AuditError) as error:
            return f"unknown, the evidence cannot be read ({type(error).__name__})"
        who = self._account
        for phase in evidence.phases[:1]:
            for dropped in phase.dropped:
                if dropped.party == who:
                    return f"dropped ({dropped.reason})"
            if any(late.party == who for late in phase.late):
                return "late"
            if any(counted.party == who for counted in phase.accepted):
                return "counted, without weight in the aggregate"
        return "not named in the evidence"
