"""What there is to know about a task, as plain values: who may do what, and how far it is."""

from typing import Any

from fedledger.errors import FedledgerError

from ....ledger_plugins.base import Ledger
from ....ledger_plugins.contracts import Aggregate, Membership, TrainingTask
from ....ledger_plugins.storage.base import Store
from ..evidence import documents
from ..evidence.documents import Specification
from ..evidence.record import statuses

__all__ = ["about_task"]

_RULES = ("fixed", "the owner decides", "the members decide")
"""Of `Membership.rule_of`, in words."""


def about_task(ledger: Ledger, number: int, store: Store | None = None) -> dict[str, Any]:
    """Return what ledger and store say about a task; nothing of it is checked.

    Args:
        ledger: the ledger.
        number: the task's number.
        store: the store with its specification; without it protocol and clients are not known.

    Returns:
        Plain JSON values.

    Raises:
        ContractError: `UnknownTask`.
        LedgerError: the ledger cannot be read.
    """
    contract = TrainingTask(ledger)
    task, roles = contract.task(number), contract.roles(number)
    ended = contract.ended(number)
    status = statuses(ended)
    members: dict[str, None] = {}
    for change in contract.member_changes(number):
        for member in change.members:
            if change.appointed:
                members[member] = None
            else:
                members.pop(member, None)
    return {
        "task": task.id,
        "name": task.model_id,
        "owner": task.owner,
        "aggregator": roles.aggregator,
        "members": list(members),
        "membership": _rule(ledger, number),
        "window": task.window,
        "reward": task.reward,
        "rounds": task.rounds,
        "ended": task.current_round,
        "open_round": None if task.finished else task.current_round + 1,
        "finished": task.finished,
        "opened_at": task.opened_at,
        "initial_model": task.model_cid,
        "current_model": task.current_cid,
        "specification": _specification(task.spec, store),
        "history": [
            {
                "round": one.round,
                "status": status[one.round],
                "how": one.rule
                if isinstance(one, Aggregate)
                else f"rolled back to round {one.to_round}",
                "rewarded": len(one.contributors) if isinstance(one, Aggregate) else 0,
                "model": one.cid,
                "block": one.block,
            }
            for one in ended
        ],
        "checkpoints": [
            {"round": one.round, "model": one.cid, "accuracy": one.accuracy, "by": one.by}
            for one in contract.checkpoints(number)
        ],
    }


def _rule(ledger: Ledger, number: int) -> str:
    """Return who decides on the task's clients after its proposal."""
    if Membership.contract not in ledger.contracts():
        return _RULES[0]
    return _RULES[Membership(ledger).rule_of(number)]


def _specification(cid: str, store: Store | None) -> dict[str, Any]:
    found: dict[str, Any] = {"cid": cid}
    if store is None:
        return found | {"unread": "no store was given"}
    try:
        said = documents.load(Specification, cid, store)
    except FedledgerError as error:
        return found | {"unread": str(error)}
    return found | {
        "protocol": f"{said.protocol}/{said.protocol_version}",
        "settings": said.settings,
        "clock": said.clock,
        "parties": said.parties,
    }
