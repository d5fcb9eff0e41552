"""Models that a run makes checkpoints, and who may vote to go back to one."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from flwr.app import ArrayRecord, MetricRecord

from fedledger.errors import ConfigError, ContractError

from ....ledger_plugins.contracts import Aggregate
from ..evidence import documents
from ..evidence.documents import Evidence, Measured
from ..tasks.task import LedgerTask, accounts_of
from .evaluation import EvaluateFn

__all__ = ["Checkpoints", "Keeper", "Members", "appoint_members", "members_of"]

logger = logging.getLogger(__name__)

Checkpoints = Literal["never", "best"] | int
Members = Literal["clients"] | Sequence[str]

ACCURACY = "accuracy"
_MILLION = 1_000_000
_AT_ONCE = 256


class Keeper:
    """Makes models of a task checkpoints, right after their rounds were published.

    What a model's accuracy is, the strategy's `measure` says; where it has none, the evaluation of
    the run; a model of which nobody said it has 0. Whether a round's model was made a checkpoint
    already, and how good the best one is, is asked of the ledger, so an interrupted run goes on.

    Args:
        when: "never", "best": a model more accurate than all that this account kept before, or N:
            each N-th round's.
        measures: whether `measure` is there.

    Raises:
        ConfigError: `when` is something else.
    """

    def __init__(self, when: Checkpoints, *, measures: bool) -> None:
        number = isinstance(when, int) and not isinstance(when, bool) and when >= 1
        if not number and when not in ("never", "best"):
            raise ConfigError(
                f"checkpoints: {when!r} is neither 'never' nor 'best' nor a number of rounds, "
                "at least 1"
            )
        self._when = when
        self._measures = measures
        self._evaluates = False
        self._waiting: int | None = None  # a published round that is not judged yet

    def check(self, evaluate: EvaluateFn | None) -> None:
        """Refuse a run in which nobody says how good a model is, where "best" is to be kept.

        Raises:
            ConfigError: it is so.
        """
        if self._when == "best" and not self._measures and evaluate is None:
            raise ConfigError(
                "checkpoints = 'best': nobody says how good a model is: give the strategy a "
                "measure, or start() an evaluate_fn, that reports 'accuracy'"
            )

    def begin(self, task: LedgerTask, evaluate: EvaluateFn | None) -> EvaluateFn | None:
        """Begin with a task, or go on; return the run's evaluation, which it listens to.

        Args:
            task: the task, opened.
            evaluate: the evaluation, or None.
        """
        if self._when == "never":
            return evaluate
        self._evaluates = not self._measures and evaluate is not None
        self._waiting = None
        ended = task.contract.ended(task.opened.id)
        if ended and isinstance(last := ended[-1], Aggregate):
            measured = documents.load(Evidence, last.evidence, task.store).measured
            self.published(task, last.round, measured)
        if evaluate is None or not self._evaluates:
            return evaluate

        def evaluation(number: int, arrays: ArrayRecord) -> MetricRecord | None:
            found = evaluate(number, arrays)
            waiting, self._waiting = self._waiting, None
            if waiting is not None and isinstance(found, MetricRecord):
                self._judge(task, waiting, _ppm_of(found))
            return found

        return evaluation

    def published(self, task: LedgerTask, number: int, measured: Sequence[Measured]) -> None:
        """Take note of a round that was published, with what was measured of its model."""
        if self._when == "never":
            return
        if self._evaluates:
            self._waiting = number
            return
        by = task.account.address
        found = (one.ppm for one in measured if (one.metric, one.by) == (ACCURACY, by))
        self._judge(task, number, next(found, None))

    def _judge(self, task: LedgerTask, number: int, ppm: int | None) -> None:
        if ppm is not None and not 0 <= ppm <= _MILLION:
            logger.warning("round %d is no checkpoint: its accuracy is no fraction", number)
            return
        before = task.contract.checkpoints(task.opened.id)
        if any(one.round == number for one in before):
            return
        own = [one.accuracy for one in before if one.by == task.account.address]
        if self._when == "best":
            if ppm is None:
                logger.warning("round %d is no checkpoint: nobody says its accuracy", number)
                return
            if own and ppm <= round(max(own) * _MILLION):
                return
        elif number % int(self._when):
            return
        try:
            task.contract.record_checkpoint(
                task.account,
                task=task.opened.id,
                round=number,
                accuracy=(ppm or 0) / _MILLION,
            )
        except ContractError as error:  # the task went on meanwhile, by a rollback
            logger.warning("round %d is no checkpoint: %s", number, error)


def members_of(
    members: Members | None, clients: Sequence[str], account: str, owner: str | None
) -> tuple[str, ...]:
    """Return the accounts that the owner of a task shall appoint.

    Args:
        members: "clients", or addresses; None: nobody.
        clients: the task's clients.
        account: who runs the task.
        owner: who proposed it, where that is somebody else.

    Raises:
        ConfigError: another account is the owner, or one of them is no address or there twice.
    """
    if members is None:
        return ()
    if owner is not None and owner != account:
        raise ConfigError(
            f"members: the task's owner appoints them, {owner}, and {account} is not its owner"
        )
    return accounts_of("members", clients if members == "clients" else list(members))


def appoint_members(task: LedgerTask, members: Sequence[str]) -> None:
    """Appoint a task's members, right after it was proposed; who ever was one is left alone."""
    if not members:
        return
    changes = task.contract.member_changes(task.opened.id)
    known = {one for change in changes for one in change.members}
    new = [one for one in members if one not in known]
    for start in range(0, len(new), _AT_ONCE):
        task.contract.appoint_members(
            task.account, task=task.opened.id, members=new[start : start + _AT_ONCE]
        )


def _ppm_of(metrics: Mapping[str, Any]) -> int | None:
    value = metrics.get(ACCURACY)
    if isinstance(value, int | float) and 0 <= value <= 1:
        return round(value * _MILLION)
    return None
