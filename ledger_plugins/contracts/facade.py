"""What all façades share: sending a contract's calls, and reading what it says."""

from collections.abc import Callable
from functools import lru_cache, wraps
from inspect import signature
from typing import Any, ClassVar, Concatenate, ParamSpec, TypeVar, get_type_hints

from fedledger.errors import CallError, ConfigError, TransactionRefused

from ..accounts import Account
from ..base import Ledger, Receipt
from .interface import find
from .meanings import Field, abi_name, fields_of
from .records import EventRecord, read_result

__all__ = ["Facade", "OfLedger", "call_fields", "sends", "sends_then"]

TRIES = 3
"""How often a call is signed whose nonce another one of the account has taken meanwhile."""

T = TypeVar("T")
P = ParamSpec("P")
FacadeT = TypeVar("FacadeT", bound="Facade")
RecordT = TypeVar("RecordT", bound=EventRecord)


class Facade:
    """A contract on a ledger.

    Writing methods take the account that signs first and return a receipt; besides what they name
    they raise CallError (an argument that does not fit, clause L10), ContractError (the contract
    refused, clause L2), TransactionRefused and LedgerUnavailable. A writing method is a declaration
    under `@sends`; a reading one says what `_call` or `_events` gives.

    Args:
        ledger: where the contract is.
    """

    contract: ClassVar[str]
    """The contract's name."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def _call(self, gives: type[T], function: str, *args: Any) -> T:
        """Return what a view says: a plain value, or a record (`records.read_result`)."""
        result = self.ledger.call(self.contract, function, *args)
        return read_result(gives, self.contract, function, args, result)

    def _events(
        self, record: type[RecordT], *, since: int = 0, until: int | None = None, **equal: Any
    ) -> list[RecordT]:
        """Return the records of a contract's events, in ledger order.

        Args:
            record: the event's record.
            since: first block to look at.
            until: last block to look at (default: the head).
            equal: arguments that the events have to have, as the ABI types them.

        Raises:
            CallError: an argument in `equal` that the event does not have.
        """
        wanted = {abi_name(name): value for name, value in equal.items()}
        item = find(self.contract, "event", record.event)
        if strange := wanted.keys() - {one.name for one in item.inputs}:
            raise CallError(f"{item.where} has no {min(strange)!r}")
        return [
            record.read(event)
            for event in self.ledger.matching(
                self.contract, record.event, wanted, since=since, until=until
            )
        ]

    def _send(self, account: Account, function: str, *args: Any) -> Receipt:
        """Sign and send a call whose arguments are as the ABI has them.

        Where another process of the account has taken the nonce meanwhile, it is signed anew.
        """
        for left in reversed(range(TRIES)):
            unsigned = self.ledger.prepare(account.address, self.contract, function, *args)
            try:
                return self.ledger.transact(account.sign(unsigned))
            except TransactionRefused as error:
                if error.reason != "nonce" or not left:
                    raise
        raise AssertionError("the last try returns or raises")


class OfLedger:
    """A parameter's default that the ledger says when the call is sent.

    Args:
        ask: returns it.
    """

    def __init__(self, ask: Callable[[Ledger], Any]) -> None:
        self._ask = ask

    def __call__(self, ledger: Ledger) -> Any:
        """Return the value for a call to a ledger."""
        return self._ask(ledger)


def sends(
    method: Callable[Concatenate[FacadeT, Account, P], None],
) -> Callable[Concatenate[FacadeT, Account, P], Receipt]:
    """Make a method of a façade send the call that it declares; it returns the receipt.

    The call is named as the method (`submit_update` sends `submitUpdate`), and the method's
    parameters, after the account that signs, are the call's arguments by name and type
    (`meanings`); a default may be one `OfLedger`. They are compared with the ABI when the method is
    first called. The method itself is never executed.
    """

    def receipt(given: Receipt) -> Receipt:
        return given

    return sends_then(receipt)(method)


def sends_then(
    read: Callable[[Receipt], T],
) -> Callable[
    [Callable[Concatenate[FacadeT, Account, P], None]],
    Callable[Concatenate[FacadeT, Account, P], T],
]:
    """Do as `sends` does, and return what `read` makes of the receipt."""

    def declare(
        method: Callable[Concatenate[FacadeT, Account, P], None],
    ) -> Callable[Concatenate[FacadeT, Account, P], T]:
        parameters = signature(method)

        @wraps(method)
        def send(self: FacadeT, account: Account, /, *args: P.args, **kwargs: P.kwargs) -> T:
            bound = parameters.bind(self, account, *args, **kwargs)
            bound.apply_defaults()
            for name, value in bound.arguments.items():
                if isinstance(value, OfLedger):
                    bound.arguments[name] = value(self.ledger)
            function = abi_name(method.__name__)
            values = {}
            for field in call_fields(method, self.contract):
                try:
                    values[field.key] = field.meaning.write(bound.arguments[field.name])
                except CallError as error:
                    where = f"{self.contract}.{function}: {field.key}"
                    raise CallError(f"{where}: {error}") from None
            inputs = find(self.contract, "function", function).inputs
            return read(self._send(account, function, *(values[one.name] for one in inputs)))

        returned = signature(read).return_annotation
        send.__dict__["__signature__"] = parameters.replace(return_annotation=returned)
        return send

    return declare


@lru_cache(maxsize=256)
def call_fields(method: Callable[..., Any], contract: str) -> tuple[Field, ...]:
    """Return the arguments of the call that a method declares under `sends`.

    Raises:
        CallError: the contract has no function of the method's name.
        ConfigError: the function has no argument of a parameter's name, has it as another type, or
            has one more.
    """
    item = find(contract, "function", abi_name(method.__name__))
    hints = get_type_hints(method, include_extras=True)
    _, _, *names = signature(method).parameters
    found = fields_of(
        {name: hints[name] for name in names}, item.inputs, method.__name__, item.where
    )
    missing = [one.name for one in item.inputs if one.name not in {one.key for one in found}]
    if missing:
        raise ConfigError(f"{method.__name__}: {item.where} takes {missing[0]!r} as well")
    return found
