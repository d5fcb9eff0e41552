"""How tasks, transactions and deposits look: text for people, whose lists are cut, or JSON."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .lines import date_of
from .options import Format
from .render import show_record, show_rows, show_value

if TYPE_CHECKING:
    from fedledger.ledger_plugins import Receipt

__all__ = [
    "show_checkpoints",
    "show_deposits",
    "show_draw",
    "show_receipts",
    "show_task",
    "show_transaction",
]

_SHOWN = 6  # entries of a list that people see
_LETTERS = 120  # of a value


def show_receipts(receipts: "Sequence[Receipt]", empty: str, form: Format) -> None:
    """Print where transactions are, one a line."""
    rows = [
        {"transaction": one.transaction, "block": one.block, "position": one.position}
        for one in receipts
    ]
    if form is Format.json:
        show_value(rows)
        return
    show_rows(("transaction", "block", "position"), rows, empty)


def show_deposits(deposits: Sequence[Mapping[str, Any]], form: Format) -> None:
    """Print deposits, one a line."""
    if form is Format.json:
        show_value([dict(one) for one in deposits])
        return
    rows = [
        {
            **one,
            "withdrawable": date_of(1000 * one["withdrawable_from"])
            if one["withdrawable_from"]
            else "at any time",
            "locked by": ", ".join(f"{lock['by']} {lock['amount']}" for lock in one["locks"]),
        }
        for one in deposits
    ]
    columns = ("address", "free", "locked", "withdrawable", "locked by")
    show_rows(columns, rows, "nobody has a deposit")


def show_checkpoints(checkpoints: Sequence[Mapping[str, Any]], form: Format) -> None:
    """Print checkpoints, one a line."""
    columns = ("round", "accuracy", "by", "votes", "model")
    if form is Format.json:
        show_value([dict(one) for one in checkpoints])
        return
    show_rows(columns, checkpoints, "the task has no checkpoint")


def show_task(task: Mapping[str, Any], form: Format) -> None:
    """Print a task."""
    if form is Format.json:
        show_value(dict(task))
        return
    specification = task["specification"]
    plain: dict[str, Any] = {
        name: _cut(value)
        for name, value in task.items()
        if name not in ("specification", "history", "checkpoints")
    }
    plain["opened_at"] = date_of(1000 * task["opened_at"])
    for name, value in specification.items():
        if name == "parties":
            plain |= {party: _cut(accounts) for party, accounts in value.items()}
        elif name == "settings":
            plain |= {f"setting {key}": _cut(one) for key, one in value.items()}
        else:
            plain["specification" if name == "cid" else name] = _cut(value)
    for name in ("history", "checkpoints"):
        entries = task[name]
        plain[name] = [dict(one) for one in entries[-_SHOWN:]]
        if len(entries) > _SHOWN:
            plain[f"earlier {name}"] = f"{len(entries) - _SHOWN} more, listed by --format json"
    show_record(plain, form)


def show_transaction(transaction: Mapping[str, Any], form: Format) -> None:
    """Print a call and its events."""
    if form is Format.json:
        show_value(dict(transaction))
        return
    plain: dict[str, Any] = {
        name: _cut(value) for name, value in transaction.items() if not _long(value)
    }
    for name, value in transaction["arguments"].items():
        plain[f"argument {name}"] = _cut(value)
    events = transaction["events"]
    plain["events"] = [
        {
            "event": f"{one['contract']}.{one['event']}",
            **{name: _cut(value) for name, value in one["arguments"].items()},
        }
        for one in events[:_SHOWN]
    ]
    if len(events) > _SHOWN:
        plain["more events"] = f"{len(events) - _SHOWN}, listed by --format json"
    show_record(plain, form)


def show_draw(draw: Mapping[str, Any], form: Format) -> None:
    """Print a draw of the beacon."""
    show_record(draw if form is Format.json else {k: _cut(v) for k, v in draw.items()}, form)


def _long(value: Any) -> bool:
    return isinstance(value, list | Mapping)


def _cut(value: Any) -> str:
    """Return a value for people: the first of a list, and a long text's beginning."""
    if isinstance(value, list):
        more = f", … {len(value) - _SHOWN} more" if len(value) > _SHOWN else ""
        return ", ".join(_pieces(value[:_SHOWN])) + more if value else "none"
    text = str(value)
    return text if len(text) <= _LETTERS else f"{text[:_LETTERS]}… {len(text)} letters"


def _pieces(values: Sequence[Any]) -> Iterator[str]:
    return (_cut(one) for one in values)
