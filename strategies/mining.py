"""PoFL without a server: miners aggregate what clients put on the ledger themselves.

Bift's miners (section IV): each aggregates the open round's updates by Algorithm 2 and puts the
result into the block it makes; the others recompute it before they build on that block. Here the
account that owns the task publishes, so miners that share a task share its account; what they make
of the same block before is the same to the byte, and whose block wins does not matter.
"""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from fedledger.arrays import Arrays, Layout, from_safetensors, not_finite, to_safetensors
from fedledger.errors import (
    ConfigError,
    ContentNotFound,
    FedledgerError,
    ModelError,
    StoreError,
)

from ..ledger_plugins.accounts import Account
from ..ledger_plugins.base import Ledger, Receipt, SignedTransaction, UnsignedTransaction
from ..ledger_plugins.contracts import Submission, Task, TrainingTask
from ..ledger_plugins.contracts.abi import encode_call
from ..ledger_plugins.storage.base import Store
from ..ledger_plugins.storage.cid import cid_to_bytes
from . import documents
from .anchor import KEPT, Anchor, payment_batches, unpaid
from .arrival import LEDGER_CLOCK
from .documents import Accepted, Dropped, Evidence, Specification
from .pofl import Decision, Entry, PoFLParameters, recompute
from .selection import MIXED, Beacon, Selection
from .task_audit import pofl_parameters

__all__ = ["Aggregator", "propose_task", "submit_update"]

GRACE = 10.0
"""Seconds that an aggregator looks for a submitted content before it drops the submission."""

logger = logging.getLogger(__name__)

_Call = tuple[str, tuple[object, ...]]


class Aggregator:
    """Ends open rounds: what a miner adds to its block.

    Only tasks that `account` owns and whose clock is the ledger's (`propose_task`) are aggregated.
    A round ends when every registered client has submitted, or when the contract's window is over.

    Args:
        store: where contents are, and where model and evidence go.
        account: the tasks' owner.
        malicious: publish a wrong model, for experiments.
    """

    def __init__(self, store: Store, account: Account, *, malicious: bool = False) -> None:
        self._store = store
        self._account = account
        self._malicious = malicious
        self._made: dict[object, _Call] = {}
        self._sought: dict[str, float] = {}

    def __call__(self, ledger: Ledger, want: Callable[[str], None]) -> list[SignedTransaction]:
        """Return the calls that are due, signed, in order.

        Args:
            ledger: the ledger up to the block that is being made.
            want: takes the CID of a content that the node should fetch.
        """
        nonce = ledger.nonce(self._account.address)
        signed: list[SignedTransaction] = []
        for function, arguments in self._calls(ledger, want):
            data = encode_call("TrainingTask", function, *arguments)
            terms = ledger.terms("TrainingTask", function)
            signed.append(self._account.sign(UnsignedTransaction(terms, nonce + len(signed), data)))
        return signed

    def _calls(self, ledger: Ledger, want: Callable[[str], None]) -> Iterable[_Call]:
        contract = TrainingTask(ledger)
        for number in range(1, contract.count() + 1):
            task = contract.task(number)
            if task.owner != self._account.address:
                continue
            try:
                round_ = _Round(task, ledger, self._store)
                if round_.parameters is None:
                    continue
                yield from round_.unpaid()
                if not task.finished and round_.is_over():
                    call = self._publication(round_, want)
                    yield from [call] if call else []
            except ContentNotFound as error:
                want(error.cid)
            except FedledgerError as error:
                if isinstance(error.__cause__, ContentNotFound):
                    want(error.__cause__.cid)
                else:
                    logger.warning("task %d cannot be aggregated: %s", number, error)

    def _publication(self, round_: "_Round", want: Callable[[str], None]) -> _Call | None:
        key = round_.identity()
        if key in self._made:
            return self._made[key]
        updates, dropped, missing = round_.updates()
        for cid in missing:
            want(cid)
            self._sought.setdefault(cid, time.monotonic())
        lost = [c for c in missing if time.monotonic() - self._sought[c] > GRACE]
        assert round_.parameters is not None  # noqa: S101 - checked by _calls
        if len(lost) < len(missing) or len(lost) + len(dropped) > round_.parameters.byzantine:
            return None
        dropped += [
            Dropped(reason="unavailable", detail="nobody has the content", client=client)
            for client, submission in round_.registered.items()
            if submission.cid in lost
        ]
        evidence, model = round_.decide(updates, dropped, self._reveal(round_))
        if self._malicious and model is not None:
            model = {
                key: np.asarray(-3 * array).astype(array.dtype) for key, array in model.items()
            }
        if model is not None:
            cid = self._store.put(to_safetensors(model))
            evidence = evidence.model_copy(update={"aggregate": cid})
        call: _Call = (
            "publishAggregate",
            (
                evidence.task,
                evidence.round,
                cid_to_bytes(evidence.aggregate),
                evidence.rule,
                evidence.contributors,
                cid_to_bytes(documents.save(evidence, self._store)),
            ),
        )
        self._made[key] = call
        return call

    def _reveal(self, round_: "_Round") -> bytes | None:
        parameters, task = round_.parameters, round_.task
        if parameters is None or parameters.selection != "beacon":
            return None
        beacon = _beacon(self._account, round_.ledger, task.model_id, task.rounds)
        return beacon.reveal(round_.number)


class _Round:
    """The open round of a task as the ledger has it."""

    def __init__(self, task: Task, ledger: Ledger, store: Store) -> None:
        self.task = task
        self.ledger = ledger
        self.number = task.current_round + 1
        self._store = store
        self._contract = TrainingTask(ledger)
        self._specification = documents.load(Specification, task.spec, store)
        self.parameters = _mined(self._specification)
        self._layout = Layout.from_json(self._specification.layout)
        self._opened = self._contract.opened_in(task.id, self._contract.ended(task.id))
        self._submissions = self._contract.submissions(task.id, self.number)
        self.registered: dict[str, Submission] = {
            client: self._submissions[client]
            for client in self._specification.clients
            if client in self._submissions
        }

    def is_over(self) -> bool:
        """Tell whether all have submitted, or the contract takes no more."""
        if len(self.registered) == len(self._specification.clients):
            return True
        closes = self.task.opened_at + self.task.window
        return bool(self.task.window) and self.ledger.head().timestamp > closes

    def identity(self) -> object:
        """Return what the round's result depends on."""
        seen = tuple((one.client, one.transaction, one.block) for one in self.registered.values())
        return (self.task.id, self.number, self.task.current_cid, self._opened, seen)

    def unpaid(self) -> Iterable[_Call]:
        """Yield the calls that pay what published rounds owe."""
        for number, clients in unpaid(self._contract, self.task.id):
            for batch in payment_batches(clients):
                yield "payRewards", (self.task.id, number, batch)

    def updates(self) -> tuple[dict[str, Arrays], list[Dropped], list[str]]:
        """Return the usable updates by client, what is dropped, and CIDs of missing contents."""
        layout, cap = self._layout.as_float32(), self._specification.max_update_bytes
        found: dict[str, Arrays] = {}
        dropped = [
            Dropped(reason="unregistered", detail="not on the task's list", client=client)
            for client in self._submissions
            if client not in self.registered
        ]
        missing = []
        for client, submission in self.registered.items():
            try:
                content = self._store.get(submission.cid, max_bytes=cap)
                found[client] = _finite(from_safetensors(content, layout=layout, max_bytes=cap))
            except ContentNotFound:
                missing.append(submission.cid)
            except (ModelError, StoreError) as error:
                detail = str(error)[:400]
                dropped.append(Dropped(reason="malformed", detail=detail, client=client))
        return found, dropped, missing

    def decide(
        self, updates: dict[str, Arrays], dropped: Sequence[Dropped], reveal: bytes | None
    ) -> tuple[Evidence, Arrays | None]:
        """Return the round's evidence, and its model unless it keeps the old one."""
        parameters, clients = self.parameters, self._specification.clients
        assert parameters is not None  # noqa: S101 - checked by Aggregator
        opened, flat = self._opened, self._layout.as_float32()
        accepted = [self.registered[client] for client in clients if client in updates]
        entries = [
            Entry(
                clients.index(one.client),
                one.cid,
                flat.flatten(updates[one.client]),
                one.block - opened,
            )
            for one in accepted
        ]
        decision: Decision = recompute(
            parameters, entries, task=self.task.id, server_round=self.number, reveal=reveal
        )
        model = None
        if decision.update is not None:
            cap = self._specification.max_update_bytes
            content = self._store.get(self.task.current_cid, max_bytes=cap)
            base = from_safetensors(content, layout=self._layout, max_bytes=cap)
            model = self._layout.add(base, decision.update)
        evidence = Evidence(
            task=self.task.id,
            round=self.number,
            base=self.task.current_cid,
            aggregate=self.task.current_cid,
            accepted=[
                Accepted(
                    client=one.client,
                    cid=one.cid,
                    transaction=one.transaction,
                    arrival=one.block - opened,
                )
                for one in accepted
            ],
            late=[],
            dropped=list(dropped),
            rule=decision.rule if decision.kept is None else KEPT,
            kept=decision.kept[:400] if decision.kept else None,
            contributors=[clients[position] for position in decision.selected],
            reveal=reveal.hex() if reveal else None,
        )
        return evidence, model


def propose_task(
    ledger: Ledger,
    store: Store,
    account: Account,
    model: Path,
    *,
    model_id: str,
    clients: Sequence[str],
    rounds: int,
    byzantine: int,
    rules: Sequence[str] = MIXED,
    selection: Selection = "beacon",
    window: int = 0,
    reward: int = 20,
) -> int:
    """Propose a task that miners aggregate, with an initial model; return its number.

    Args:
        ledger: an open ledger.
        store: the store of the node that the proposer uses.
        account: the owner; the miners that aggregate hold it, too.
        model: a safetensors file.
        model_id: the task's name.
        clients: registered accounts.
        rounds: number of rounds.
        byzantine: number of malicious clients to tolerate.
        rules: the rules to choose from.
        selection: "beacon" or "timestamp"; an election needs Flower.
        window: seconds in which a round takes updates; 0 waits for all clients.
        reward: tokens for each contribution.

    Raises:
        ConfigError: a setting is wrong, or the name is taken by another task.
        ModelError: the file is no model.
    """
    if selection == "election":
        raise ConfigError("selection 'election' needs a Flower server: use beacon or timestamp")
    least = 2 * byzantine + 3
    if least > len(clients):
        raise ConfigError(
            f"{byzantine} malicious clients need at least {least} clients, not {len(clients)}"
        )
    initial = from_safetensors(_read(model))
    secret = _beacon(account, ledger, model_id, rounds) if selection == "beacon" else None
    parameters = PoFLParameters(
        byzantine=byzantine,
        rules=tuple(rules),
        selection=selection,
        strict=False,
        min_submissions=least,
        window=float(window),
        quiet=None,
        clock=LEDGER_CLOCK,
        commitment=secret.commitment.hex() if secret else None,
    )
    anchor = Anchor(
        ledger,
        store,
        account=account,
        clients=list(clients),
        model_id=model_id,
        reward=reward,
        form="update",
        samples_key="num-examples",
        window=window,
    )
    anchor.open(initial, rounds, "PoFL", parameters.model_dump(mode="json"))
    return anchor.opened.id


def submit_update(
    ledger: Ledger,
    store: Store,
    account: Account,
    model: Path,
    *,
    task: int,
    samples: int,
    accuracy: float,
) -> Receipt:
    """Submit a trained model to the open round of a task: its difference to the current one.

    Args:
        ledger: an open ledger.
        store: the store of the node that the client uses.
        account: a registered client.
        model: a safetensors file with the task's layout.
        task: the task's number.
        samples: training examples behind it.
        accuracy: a fraction from 0 to 1.

    Raises:
        ModelError: the file is no model of the task's layout.
        StoreError: the current model is not in the store.
    """
    contract = TrainingTask(ledger)
    now = contract.task(task)
    specification = documents.load(Specification, now.spec, store)
    layout = Layout.from_json(specification.layout)
    base = from_safetensors(store.get(now.current_cid), layout=layout)
    trained = from_safetensors(_read(model), layout=layout)
    update = layout.as_float32().unflatten(layout.difference(trained, base))
    cid = store.put(to_safetensors(update))
    number = now.current_round + 1
    return contract.submit_update(
        account, task=task, round=number, cid=cid, samples=samples, accuracy=accuracy
    )


def _beacon(account: Account, ledger: Ledger, model_id: str, rounds: int) -> Beacon:
    purpose = f"beacon/{ledger.chain_id}/{model_id}".encode()
    return Beacon(account.secret(purpose), rounds)


def _mined(specification: Specification) -> PoFLParameters | None:
    """Return PoFL's settings of a task that miners aggregate, None for other tasks."""
    parameters = pofl_parameters(specification)
    mined = parameters is not None and parameters.clock == LEDGER_CLOCK
    return parameters if mined else None


def _finite(arrays: Arrays) -> Arrays:
    if (key := not_finite(arrays)) is not None:
        raise ModelError(f"array {key!r} holds NaN or infinity")
    return arrays


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
