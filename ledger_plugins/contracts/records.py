"""Records of what a contract's events and views say, derived from its ABI.

A record is a frozen dataclass, or a named tuple, that declares what it wants by name and type
(`meanings`). What it declares is compared with the ABI when it is first read.
"""

from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import lru_cache
from typing import Any, ClassVar, Self, TypeVar, get_type_hints

from fedledger.errors import CallError

from ..base import Event, Placed
from .interface import Item, find
from .meanings import Field, fields_of, meaning_of

__all__ = ["EventRecord", "event_fields", "read_result", "view_fields"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord(Placed):
    """What an event says, and where on the ledger it stands.

    A subclass names its event and declares the arguments that it wants. One that events of an older
    version of the contract do not have needs a default.

    Attributes:
        transaction: hash of the transaction.
        block: index of its block.
        position: position among all events of the block.
    """

    event: ClassVar[str]
    """The event's name in the ABI."""

    transaction: str
    block: int
    position: int

    @classmethod
    def read(cls, event: Event) -> Self:
        """Return what an event says.

        Raises:
            CallError: another event, or one without an argument that has no default.
            ConfigError: the record does not fit the ABI.
        """
        if event.name != cls.event:
            raise CallError(f"{cls.__name__} says what {cls.event} says, not {event.name}")
        record: Any = cls
        said, values = event.arguments, {}
        for field in event_fields(record, event.contract):
            if field.key in said:
                values[field.name] = field.meaning.read(said[field.key])
            elif field.name not in _optional(record):
                raise CallError(
                    f"{event.contract}.{event.name} in block {event.block} has no {field.key!r}"
                )
        return cls(
            **values, transaction=event.transaction, block=event.block, position=event.position
        )


@lru_cache(maxsize=256)
def event_fields(record: type[EventRecord], contract: str) -> tuple[Field, ...]:
    """Return the arguments of an event that its record wants.

    Raises:
        CallError: the contract has no such event.
        ConfigError: the event has no argument of a field's name, or has it as another type.
    """
    item = find(contract, "event", record.event)
    place = {one.name for one in fields(EventRecord)}
    hints = {name: hint for name, hint in _hints(record).items() if name not in place}
    return fields_of(hints, item.inputs, record.__name__, item.where)


def read_result(
    gives: type[T], contract: str, function: str, arguments: Sequence[Any], result: Any
) -> T:
    """Return what a view said.

    Args:
        gives: a dataclass or named tuple, whose fields are results of the view or what it was
            asked; or, for a view with one result, its type.
        contract: the contract's name.
        function: the view's name.
        arguments: what it was asked, in the ABI's order.
        result: what it answered, as `Ledger.call` returns it.

    Raises:
        CallError: the contract has no such function.
        ConfigError: `gives` does not fit the ABI.
    """
    record: Any = gives
    item = find(contract, "function", function)
    results = (result,) if len(item.outputs) == 1 else result
    if _is_record(record):
        names = [one.name for one in (*item.inputs, *item.outputs)]
        said = dict(zip(names, (*arguments, *results), strict=True))
        values = {one.name: one.meaning.read(said[one.key]) for one in view_fields(record, item)}
        return gives(**values)
    kind = ",".join(one.kind for one in item.outputs)
    value: T = meaning_of(record, kind, f"the result of {item.where}").read(result)
    return value


@lru_cache(maxsize=256)
def view_fields(record: Any, item: Item) -> tuple[Field, ...]:
    """Return what a view's record wants of it: of its results, and of what it was asked.

    Raises:
        ConfigError: the view has nothing of a field's name, or has it as another type.
    """
    return fields_of(_hints(record), (*item.inputs, *item.outputs), record.__name__, item.where)


def _is_record(record: Any) -> bool:
    return is_dataclass(record) or hasattr(record, "_fields")


def _hints(record: Any) -> dict[str, Any]:
    hints = get_type_hints(record, include_extras=True)
    names = [one.name for one in fields(record)] if is_dataclass(record) else record._fields
    return {name: hints[name] for name in names}


@lru_cache(maxsize=256)
def _optional(record: type[EventRecord]) -> frozenset[str]:
    return frozenset(
        one.name
        for one in fields(record)
        if (one.default, one.default_factory) != (MISSING, MISSING)
    )
