"""What a round owes, and how the ledger pays it."""

from collections.abc import Iterable, Iterator, Sequence

from fedledger.errors import ConfigError, ContractError

from ....ledger_plugins.accounts import Account
from ....ledger_plugins.contracts import TrainingTask
from ..round import Result

__all__ = ["check_settlement", "pay", "pay_open", "payment_batches", "unpaid"]

_BATCH = 64


def check_settlement(result: Result, reward: int) -> None:
    """Check that the ledger can pay what a round owes: its reward to each contributor.

    Raises:
        ConfigError: it cannot.
    """
    if dict(result.payments) != dict.fromkeys(result.contributors, reward):
        raise ConfigError(
            f"this ledger pays {reward} to each contributor and nothing else, "
            f"the round owes {dict(result.payments)}"
        )


def pay(
    contract: TrainingTask, account: Account, task: int, number: int, clients: Sequence[str]
) -> None:
    """Pay the contributors of a published round; `account` signs.

    Anybody may pay, and so be first; then the others are paid.
    """
    for batch in payment_batches(clients):
        left = list(batch)
        while left:
            try:
                contract.pay_rewards(account, task=task, round=number, clients=left)
                break
            except ContractError as error:
                paid = {one.client for one in contract.payments(task) if one.round == number}
                if error.error != "AlreadyPaid" or paid.isdisjoint(left):
                    raise
                left = [client for client in left if client not in paid]


def pay_open(contract: TrainingTask, account: Account, task: int) -> None:
    """Pay what a killed run left unpaid; `account` signs."""
    for number, clients in unpaid(contract, task):
        pay(contract, account, task, number, clients)


def unpaid(contract: TrainingTask, task: int) -> Iterator[tuple[int, list[str]]]:
    """Yield each published round of a task that owes rewards, with who is owed."""
    paid = {(payment.round, payment.client) for payment in contract.payments(task)}
    for published in contract.aggregates(task):
        owed = [c for c in published.contributors if (published.round, c) not in paid]
        if owed:
            yield published.round, owed


def payment_batches(clients: Sequence[str]) -> Iterable[Sequence[str]]:
    """Yield `clients` in parts that one call pays."""
    for start in range(0, len(clients), _BATCH):
        yield clients[start : start + _BATCH]
