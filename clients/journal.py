"""What a client must remember, whatever happens to Flower's state: a file beside its keystore.

Flower's `context.state` is fresh in every run and held in memory by the SuperNode. A client that
forgot which chain it signs for, or what it signed, could be made to sign anything. So the journal
is on disk before a reply leaves; where it cannot be written, nothing is signed.
"""

import json
from collections.abc import Callable, Mapping
from copy import copy
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from fedledger.effects import Disk, OpenFile
from fedledger.errors import AccountError, CallError
from fedledger.records import CallRequest, SigningRequest

from ..ledger_plugins.ancestry import linked

__all__ = ["ANY", "MAX_FEE", "MAX_FEES", "MAX_GAS", "MAX_TIMES", "Journal"]

ANY = "any"
"""What is pinned of a task by a client that signs for every task of its chain and contract."""

MAX_GAS = 5_000_000
"""Gas limit above which a client signs no call, unless its node config says otherwise."""

MAX_FEE = 10**16
"""Wei that a call may cost at most, unless the client's node config says otherwise."""

MAX_FEES = 10**18
"""Wei that all calls of a task may cost together, unless its node config says otherwise."""

MAX_TIMES = 64
"""Answers that a client signs in a round, the repeated ones of a server that restarts included."""

_VERSION = 1
_TASKS = "TrainingTask"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Task(_Strict):
    round: int
    times: int
    answers: dict[str, dict[str, str]]
    fees: int = 0


class _Known(_Strict):
    version: Literal[1]
    pins: dict[Literal["chain-id", "contract", "task"], int | str]
    contracts: dict[str, str]
    tasks: dict[str, _Task]
    once: dict[str, str]
    seen: str = ""


class Journal:
    """A client's memory.

    It pins chain, contract and task of the first request it signs for, and signs for no other; a
    call goes to that contract, or to the address that the first call of another contract went to.
    Of each task it keeps the newest round, and signs for no earlier one. And it keeps the block
    that it named last, and names no block that does not stand on it.

    Args:
        path: the file; made when something is first remembered.
        disk: where it is.
        durable: whether each entry is flushed to disk. A simulation's clients live and die with
            their server, so theirs are not.
        max_fee: wei that a call may cost at most.
        max_fees: wei that the calls of a task may cost together, if all are executed.
        max_gas: gas that a call may have at most.
        pins: names to values that are pinned from the start: "chain-id", "contract", "task" (`ANY`:
            none is); they hold before what the journal has.
        unchecked: whether the server is believed where headers cannot be checked from outside.
        holds: of a client that reads the ledger itself: tells whether it has a block, by its hash.
            No headers are looked at then.
    """

    def __init__(
        self,
        path: Path,
        disk: Disk,
        *,
        durable: bool = True,
        max_fee: int = MAX_FEE,
        max_fees: int = MAX_FEES,
        max_gas: int = MAX_GAS,
        pins: Mapping[str, Any] | None = None,
        unchecked: bool = False,
        holds: Callable[[str], bool] | None = None,
    ) -> None:
        self.path = path
        self._disk = disk
        self._durable = durable
        self._max_fee = max_fee
        self._max_fees = max_fees
        self._max_gas = max_gas
        self._pins = dict(pins or {})
        self._unchecked = unchecked
        self._holds = holds

    def reading(self, holds: Callable[[str], bool]) -> "Journal":
        """Return this journal for a client that reads the ledger itself; see `holds`."""
        found = copy(self)
        found._holds = holds  # noqa: SLF001 - it is one of these
        return found

    def check(self, request: SigningRequest) -> None:
        """Make sure that a request is one that this client may sign; remembers nothing.

        Raises:
            AccountError: another chain, contract or task than pinned, an earlier round than signed
                for already, another history, a call that could cost too much, or a journal that
                cannot be read.
        """
        self._check(request, self._read())

    def remember(self, request: SigningRequest, signed: Mapping[str, str]) -> None:
        """Put down what is signed, before it leaves.

        Args:
            request: what was asked.
            signed: name of each call and statement to the hash of what is signed.

        Raises:
            AccountError: as of `check`, or the journal cannot be written.
        """
        with self._locked():
            known = self._read()
            self._check(request, known)
            known["pins"] = {
                "chain-id": request.chain_id,
                "contract": request.contract,
                "task": request.task,
                **known["pins"],
            }
            for call in request.calls:
                known["contracts"].setdefault(_contract_of(call), call.contract)
            task = known["tasks"].setdefault(str(request.task), _new_task())
            if task["round"] != request.round:
                task |= {"round": request.round, "times": 0, "answers": {}}
            task["times"] += 1
            task["fees"] += _cost(request)
            task["answers"][request.phase] = dict(signed)
            known["seen"] = request.seen or known["seen"]
            self._write(known)

    def once(self, request: SigningRequest, name: str, digest: str) -> None:
        """Bind the client to one digest under a name in this round: of two lists it signs one.

        Raises:
            AccountError: it is bound to another one already, or in a later round; or the journal
                cannot be written.
        """
        there = self.first(request, name, digest)
        if there != digest:
            raise AccountError(
                f"journal {self.path}: {name} of round {request.round} is {there} already, "
                f"{digest} is not signed"
            )

    def first(self, request: SigningRequest, name: str, digest: str) -> str:
        """Return the digest that the client is bound to under a name in this round: the first one.

        Raises:
            AccountError: it is bound in a later round, or the journal cannot be written.
        """
        with self._locked():
            known = self._read()
            bound = _rounds(known["once"], request, name)
            newest = max(bound, default=0)
            if request.round < newest:  # or two later rounds would make it forget this one
                raise AccountError(
                    f"round {request.round} of task {request.task} is over: this client has a "
                    f"{name} of round {newest} ({self.path})"
                )
            if request.round in bound:
                return bound[request.round]
            for number in sorted(bound)[:-1]:  # nobody asks about rounds before the last one
                del known["once"][_key(request, number, name)]
            known["once"][_key(request, request.round, name)] = digest
            self._write(known)
        return digest

    def before(self, request: SigningRequest, name: str) -> tuple[int, str]:
        """Return the newest earlier round in which it was bound under a name, and to what.

        Returns:
            Round and digest; 0 and "" where there is none.
        """
        bound = _rounds(self._read()["once"], request, name)
        newest = max((number for number in bound if number < request.round), default=0)
        return newest, bound.get(newest, "")

    def answers(self, task: int) -> tuple[int, Mapping[str, Mapping[str, str]]]:
        """Return the newest round that was signed for in a task, and what, by phase."""
        found = self._read()["tasks"].get(str(task), _new_task())
        return found["round"], found["answers"]

    # Inside --------------------------------------------------------------------------------

    def _check(self, request: SigningRequest, known: Mapping[str, Any]) -> None:
        given = {
            "chain-id": request.chain_id,
            "contract": request.contract,
            "task": request.task,
        }
        for name, pinned in {**known["pins"], **self._pins}.items():
            if pinned not in (given[name], ANY):
                raise AccountError(
                    f"this client signs for {name} {pinned}, the server asks for {given[name]}: if "
                    f"that is right, set ledger-{name} in its node config, or remove {self.path}"
                )
        if request.seen:
            self._check_history(request, known["seen"])
        task = known["tasks"].get(str(request.task), _new_task())
        newest = task["round"]
        if request.round < newest:
            raise AccountError(
                f"round {request.round} of task {request.task} is over: this client has signed "
                f"for round {newest} ({self.path})"
            )
        if request.round == newest and task["times"] >= MAX_TIMES:
            raise AccountError(
                f"this client has signed {MAX_TIMES} times for round {newest} of task "
                f"{request.task} already ({self.path})"
            )
        self._check_calls(request, known, task["fees"])

    def _check_calls(self, request: SigningRequest, known: Mapping[str, Any], before: int) -> None:
        """The calls go where they went before, and cost no more than they may."""
        total = before + _cost(request)
        if total > self._max_fees:
            raise AccountError(
                f"the calls of task {request.task} could cost {total} wei together, this client "
                f"pays at most {self._max_fees}: set max-fees in its node config if that is right"
            )
        for call in request.calls:
            pinned = {_TASKS: request.contract, **known["contracts"]}.get(_contract_of(call))
            if call.contract != (pinned or call.contract):
                raise AccountError(
                    f"this client signs {call.name} for the contract {pinned}, the server asks for "
                    f"{call.contract}: if that is right, remove {self.path}"
                )
            cost = call.gas * call.max_fee_per_gas
            if call.gas > self._max_gas:
                raise AccountError(
                    f"{call.name} with {call.gas} gas could cost {cost} wei, this client signs for "
                    f"at most {self._max_gas} gas: set max-gas in its node config if that is right"
                )
            if cost > self._max_fee:
                raise AccountError(
                    f"{call.name} with {call.gas} gas could cost {cost} wei, this client pays at "
                    f"most {self._max_fee}: set max-fee in its node config if that is right"
                )

    def _check_history(self, request: SigningRequest, seen: str) -> None:
        """The chain that the server speaks of contains the block that was signed for last."""
        if not seen or seen == request.seen:
            return
        if self._holds is not None:
            if not self._holds(seen):
                raise AccountError(
                    f"this client has signed for block {seen}, which its ledger does not have (any "
                    "more): it signs for no other history; if another one is right, remove "
                    f"{self.path}"
                )
            return
        if not request.header_form:
            if self._unchecked:
                return
            raise AccountError(
                "the chain's headers cannot be checked from outside, so this client cannot tell "
                f"whether it contains block {seen}, for which it has signed: set "
                'ledger-headers="unchecked" in its node config to believe the server'
            )
        try:
            chain = linked(request.header_form, request.headers)
        except CallError as error:
            raise AccountError(f"the server's headers prove nothing: {error}") from error
        if not chain or chain[-1] != request.seen or seen not in chain:
            raise AccountError(
                f"this client has signed for block {seen}, and the {len(request.headers)} headers "
                f"of the server do not lead from it to {request.seen}: it signs for no other "
                f"history; if another one is right, remove {self.path}"
            )

    def _read(self) -> dict[str, Any]:
        try:
            text = self._disk.read_small(self.path).decode()
        except FileNotFoundError:
            empty: dict[str, Any] = {name: {} for name in ("pins", "contracts", "tasks", "once")}
            return {"version": _VERSION, **empty, "seen": ""}
        except (OSError, UnicodeDecodeError) as error:
            raise AccountError(f"journal {self.path} cannot be read: {error}") from error
        try:
            return _Known.model_validate_json(text).model_dump(by_alias=True)
        except ValidationError as error:
            raise AccountError(
                f"journal {self.path} is damaged: {error.errors()[0]['msg']}"
            ) from error

    def _write(self, known: Mapping[str, Any]) -> None:
        content, disk = json.dumps(known).encode(), self._disk
        try:
            if self._durable or not disk.exists(self.path):
                disk.write(self.path, content, private=True, durable=self._durable)
                return
            with disk.open(self.path, private=True) as file:
                # In place, in one piece that nothing but a power failure tears.
                file.write(0, content.ljust(file.size()))
        except OSError as error:
            raise self._unwritable(error) from error

    def _locked(self) -> OpenFile:
        """One process at a time: Flower may let two messages of a client run at once."""
        try:
            self._disk.make_folder(self.path.parent, private=True)
            lock = self.path.with_name(f".{self.path.name}.lock")
            return self._disk.lock(lock, wait=True, private=True)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> AccountError:
        return AccountError(
            f"journal {self.path} cannot be written, so nothing is signed: {error.strerror}"
        )


def _new_task() -> dict[str, Any]:
    return {"round": 0, "times": 0, "answers": {}, "fees": 0}


def _cost(request: SigningRequest) -> int:
    """Return the wei that a request's calls may cost."""
    return sum(call.gas * call.max_fee_per_gas for call in request.calls)


def _task_of(request: SigningRequest) -> str:
    return f"{request.chain_id}/{request.contract}/{request.task}/"


def _key(request: SigningRequest, number: int, name: str) -> str:
    return f"{_task_of(request)}{number}/{name}"


def _rounds(once: Mapping[str, str], request: SigningRequest, name: str) -> dict[int, str]:
    """Return what a client was bound to under a name in a task, by round."""
    task = _task_of(request)
    found = {}
    for key, digest in once.items():
        number, _, rest = key.removeprefix(task).partition("/")
        if key.startswith(task) and rest == name and number.isdigit():
            found[int(number)] = digest
    return found


def _contract_of(call: CallRequest) -> str:
    return call.name.partition(".")[0]
