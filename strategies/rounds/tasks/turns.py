"""Rounds that several nodes publish in turns: whose turn it is, and waiting for one's own."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from fedledger.effects import Clock
from fedledger.errors import ConfigError, ContractError

from ....ledger_plugins.base import Ledger, Receipt
from ....ledger_plugins.contracts import Aggregators, Reports, TrainingTask
from ....ledger_plugins.contracts.aggregators.facade import PAUSED

if TYPE_CHECKING:
    from .task import LedgerTask

__all__ = ["await_turn", "check_node", "has_turns", "is_missed", "publication_of", "turn_at"]

logger = logging.getLogger(__name__)

_LOOKS = 2.0  # seconds between two looks whether the round ended, or its task was halted


def has_turns(ledger: Ledger, aggregator: str) -> bool:
    """Tell whether a task whose aggregator is this account is published in turns."""
    there = ledger.contracts()
    return Aggregators.contract in there and aggregator == there[Aggregators.contract].address


def check_node(ledger: Ledger, task: int, account: str) -> None:
    """Check that an account is a node of a task that is published in turns.

    Raises:
        ConfigError: it has no bond, or no pledge, or was excluded.
    """
    where = f"task {task} is published in turns by nodes with a bond"
    if not Aggregators(ledger).node(task, account).bond:
        raise ConfigError(f"{where}, and {account} has none: `fedledger task aggregators join`")
    reports = Reports(ledger)
    if reports.excluded(task, account):
        raise ConfigError(f"{where}, and a verdict excluded {account} from it")
    if not reports.pledged(task, account).amount:
        raise ConfigError(
            f"{where} and a pledge, and {account} has no pledge: `fedledger report pledge`"
        )


def publication_of(contract: TrainingTask, task: int) -> Callable[..., Receipt]:
    """Return the call that publishes a task's rounds: the task's own, or that for turns."""
    if has_turns(contract.ledger, contract.roles(task).aggregator):
        return Aggregators(contract.ledger).publish_turn
    return contract.publish_aggregate


def turn_at(now: int, begins: int, seconds: int) -> int:
    """Return the number of the turn at a time, from 0, as the contract computes it.

    Args:
        now: the time, in whole seconds of block time.
        begins: when the turns begin, as `Aggregators.turns` says.
        seconds: how long a turn lasts.
    """
    return max(0, now - begins) // seconds


def await_turn(task: "LedgerTask", number: int, time: Clock) -> bool:
    """Wait until the open round is the account's to publish.

    Args:
        task: the task; one that is not published in turns is the account's at once.
        number: the open round.
        time: waits.

    Returns:
        False where the round ended meanwhile; `task.opened` is then the task as it is now.

    Raises:
        ConfigError: the account publishes none of the task's rounds, or the task is halted.
    """
    contract, ledger = task.contract, task.ledger
    said = False
    while has_turns(ledger, contract.roles(task.opened.id).aggregator):
        if task.ended_otherwise(number):
            return False
        turns = Aggregators(ledger).turns(task.opened.id, number)
        if turns.begins == PAUSED:
            _restart(task)
            continue
        seconds = Aggregators(ledger).terms(task.opened.id).turn_seconds
        now = max(time.wall(), ledger.head().timestamp)
        turn = turn_at(int(now), turns.begins, seconds)
        if turns.order[turn % len(turns.order)] == task.account.address:
            return True
        left = turns.begins + (turn + 1) * seconds - now
        if not said:
            holder = turns.order[turn % len(turns.order)]
            logger.info("round %d is the turn of %s for %.0f seconds", number, holder, left)
            said = True
        time.sleep(max(0.05, min(left, _LOOKS)))
        task.check_aggregator()
    return True


def _restart(task: "LedgerTask") -> None:
    """Let turns that were paused begin again, unless another node was first."""
    try:
        Aggregators(task.ledger).restart_turns(task.account, task=task.opened.id)
    except ContractError as error:
        if error.error != "TurnsGoOn":
            raise


def is_missed(error: Exception) -> bool:
    """Tell whether a publication was refused as its node's turn was over."""
    return isinstance(error, ContractError) and error.error == "NotItsTurn"
