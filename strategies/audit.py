"""The audit: recompute every round from the ledger and the store alone.

It trusts neither the aggregator nor the clients nor the files. A round passes when its aggregate,
its rule, its contributors and its rewards follow from signed submissions and stored contents by the
settings that were fixed before the first round.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from pydantic import ValidationError

from fedledger.arrays import Arrays, Layout, from_safetensors, to_safetensors
from fedledger.errors import AuditError, FedledgerError

from ..ledger_plugins.accounts import decode_transaction
from ..ledger_plugins.base import Head, Ledger
from ..ledger_plugins.contracts import Aggregate, Submission, Task, TrainingTask, read_update
from ..ledger_plugins.contracts.stake_token import StakeToken
from ..ledger_plugins.storage.base import Store
from ..ledger_plugins.storage.cid import cid_of
from . import documents
from .anchor import KEPT, counted_votes
from .arrival import LEDGER_CLOCK, ArrivalWindow
from .documents import Evidence, Specification
from .election import ballot_of
from .pofl import Decision, Entry, PoFLParameters, elected, proposals, recompute
from .selection import check_reveal

__all__ = ["AuditReport", "RoundVerdict", "audit_ledger", "verify_round"]

logger = logging.getLogger(__name__)

ATTESTED = "attested"
PROVED = "proved"


@dataclass(frozen=True, slots=True)
class RoundVerdict:
    """What the audit found in one round.

    Attributes:
        task: the task's id.
        model_id: the task's name.
        round: the round, from 1; 0 stands for the task as a whole.
        passed: whether everything follows.
        aggregate: "proved" when the aggregate was recomputed, "attested" when the strategy keeps
            state that an auditor does not have and the aggregator's signature must do.
        rule: the rule used.
        accepted: number of updates that counted.
        contributors: number of clients rewarded.
        late: number of updates that came too late.
        dropped: number of replies that did not count, late ones aside.
        reason: why it failed, or None.
    """

    task: int
    model_id: str
    round: int
    passed: bool
    aggregate: str
    rule: str
    accepted: int
    contributors: int
    late: int
    dropped: int
    reason: str | None


@dataclass(frozen=True, slots=True)
class AuditReport:
    """The audit's result.

    Attributes:
        passed: whether the ledger verifies and every round passed.
        reason: the first failure, or None.
        head: the ledger's newest block, or None when the ledger itself does not verify.
        rounds: a verdict for each round.
    """

    passed: bool
    reason: str | None
    head: Head | None
    rounds: tuple[RoundVerdict, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        return asdict(self)


def audit_ledger(
    ledger: Ledger,
    store: Store,
    tasks: Iterable[int] | None = None,
    *,
    on_round: Callable[[RoundVerdict], None] | None = None,
) -> AuditReport:
    """Recompute every round of every task.

    Args:
        ledger: an open ledger.
        store: the store with the contents.
        tasks: ids of the tasks to audit; default: all.
        on_round: called with each verdict as it is reached.
    """
    verdicts: list[RoundVerdict] = []

    def note(verdict: RoundVerdict) -> None:
        verdicts.append(verdict)
        if on_round is not None:
            on_round(verdict)

    try:
        ledger.verify()
        contract = TrainingTask(ledger)
        chosen = list(tasks) if tasks is not None else list(range(1, contract.count() + 1))
        for task in chosen:
            _audit_task(contract.task(task), ledger, store, note)
        if tasks is None:
            _check_supply(ledger, contract, chosen)
    except FedledgerError as error:
        return AuditReport(False, str(error), _head(ledger), tuple(verdicts))
    failed = next((verdict for verdict in verdicts if not verdict.passed), None)
    reason = None
    if failed is not None:
        where = f"task {failed.task} ({failed.model_id})"
        reason = (
            f"{where}, round {failed.round}: {failed.reason}"
            if failed.round
            else (f"{where}: {failed.reason}")
        )
    return AuditReport(failed is None, reason, _head(ledger), tuple(verdicts))


def verify_round(ledger: Ledger, store: Store, task: int, number: int) -> None:
    """Check one published round as the audit does, its rewards aside: they come later.

    Miners call it for each block that publishes a round, before they build on it.

    Args:
        ledger: a ledger whose newest block published the round.
        store: the store with the contents.
        task: the task's id.
        number: the round, from 1.

    Raises:
        AuditError: the round does not follow from what is on the ledger and in the store.
        StoreError: a content is missing or damaged; AuditError caused by one, for documents.
    """
    _TaskAudit(TrainingTask(ledger).task(task), ledger, store).check_only(number)


def _head(ledger: Ledger) -> Head | None:
    try:
        return ledger.head()
    except FedledgerError as error:
        logger.warning("the ledger's head cannot be read: %s", error)
        return None


def _audit_task(
    task: Task, ledger: Ledger, store: Store, note: Callable[[RoundVerdict], None]
) -> None:
    try:
        rounds = _TaskAudit(task, ledger, store)
    except FedledgerError as error:
        note(RoundVerdict(task.id, task.model_id, 0, False, ATTESTED, "", 0, 0, 0, 0, str(error)))
        return
    for aggregate in rounds.aggregates:
        note(rounds.verdict(aggregate))


class _TaskAudit:
    """One task's audit; its rounds are checked in order, each on the model of the one before."""

    def __init__(self, task: Task, ledger: Ledger, store: Store) -> None:
        self.task = task
        self.ledger = ledger
        self.store = store
        self.contract = TrainingTask(ledger)
        self.specification = documents.load(Specification, task.spec, store)
        self.layout = Layout.from_json(self.specification.layout)
        self.positions = {
            client: position for position, client in enumerate(self.specification.clients)
        }
        if len(self.positions) != len(self.specification.clients):
            raise AuditError("the specification lists a client twice")
        self.parameters = _pofl_parameters(self.specification)
        commitment = self.parameters.commitment if self.parameters else None
        self.revealed = bytes.fromhex(commitment) if commitment else None
        self.base_cid = task.model_cid
        self.base = self._model(task.model_cid)
        self.payments = self.contract.payments(task.id)
        self.aggregates = self.contract.aggregates(task.id)
        if [aggregate.round for aggregate in self.aggregates] != list(
            range(1, task.current_round + 1)
        ):
            raise AuditError("the published rounds are not 1, 2, 3, …")

    def verdict(self, published: Aggregate) -> RoundVerdict:
        evidence: Evidence | None = None
        reason: str | None = None
        try:
            evidence = documents.load(Evidence, published.evidence, self.store)
            self._check_round(published, evidence)
        except FedledgerError as error:
            reason = str(error)
        return RoundVerdict(
            task=self.task.id,
            model_id=self.task.model_id,
            round=published.round,
            passed=reason is None,
            aggregate=PROVED if self.parameters else ATTESTED,
            rule=published.rule,
            accepted=len(evidence.accepted) if evidence else 0,
            contributors=len(published.contributors),
            late=len(evidence.late) if evidence else 0,
            dropped=len(evidence.dropped) if evidence else 0,
            reason=reason,
        )

    def check_only(self, number: int) -> None:
        """Check round `number` on what the round before published; AuditError when it is wrong."""
        published = self.aggregates[number - 1]
        if number > 1:
            before = self.aggregates[number - 2]
            self.base_cid, self.base = before.cid, self._model(before.cid)
            if self.parameters and self.parameters.selection == "beacon":
                reveal = documents.load(Evidence, before.evidence, self.store).reveal
                self.revealed = bytes.fromhex(reveal) if reveal else None
        self._check_content(published, documents.load(Evidence, published.evidence, self.store))

    def _check_round(self, published: Aggregate, evidence: Evidence) -> None:
        self._check_content(published, evidence)
        self._check_rewards(published)

    def _check_content(self, published: Aggregate, evidence: Evidence) -> None:
        base, base_cid = self.base, self.base_cid
        # Later rounds are judged on what was published, so that one bad round is named once.
        self.base_cid = published.cid
        self.base = self._model(published.cid)
        self._check_statement(published, evidence, base_cid)
        submissions = self.contract.submissions(self.task.id, published.round)
        self._check_submissions(submissions, evidence)
        updates = {
            entry.client: self._update(submissions[entry.client]) for entry in evidence.accepted
        }
        if self.parameters is not None:
            if self.parameters.clock == LEDGER_CLOCK:
                self._check_ledger_clock(self.parameters, published, evidence, submissions)
            else:
                self._check_window(self.parameters, evidence)
            self._check_decision(self.parameters, published, evidence, updates, base)
        elif evidence.kept is None:
            accepted = [entry.client for entry in evidence.accepted]
            _equal("contributors", list(published.contributors), accepted)

    def _check_statement(self, published: Aggregate, evidence: Evidence, base_cid: str) -> None:
        """The evidence speaks of this round, and the ledger says the same as the evidence."""
        _equal("task of the evidence", evidence.task, self.task.id)
        _equal("round of the evidence", evidence.round, published.round)
        _equal("base model", evidence.base, base_cid)
        _equal("aggregate", evidence.aggregate, published.cid)
        _equal("rule", evidence.rule, published.rule)
        _equal("contributors", evidence.contributors, list(published.contributors))
        _equal("'kept' and the rule", evidence.kept is not None, published.rule == KEPT)
        if evidence.kept is not None:
            _equal("model of a round that kept it", published.cid, base_cid)
            _equal("contributors of a round that kept its model", list(published.contributors), [])

    def _check_submissions(self, submissions: Mapping[str, Submission], evidence: Evidence) -> None:
        """What counted was submitted and signed; what was submitted counted or has a reason."""
        accepted = [entry.client for entry in evidence.accepted]
        for client in accepted:
            if client not in self.positions:
                raise AuditError(f"{client} counted but is no registered client")
        order = sorted(set(accepted), key=self.positions.__getitem__)
        _equal("accepted updates (in the order of the clients, each once)", accepted, order)
        explained = {entry.client for entry in evidence.dropped}
        unexplained = set(submissions) - set(accepted) - explained
        if unexplained:
            raise AuditError(
                f"the update of {min(unexplained)} is on the ledger, "
                "but the evidence neither counts nor drops it"
            )
        for entry in evidence.accepted:
            found = submissions.get(entry.client)
            if found is None:
                raise AuditError(f"the update of {entry.client} counted but is not on the ledger")
            _equal(f"update of {entry.client}", entry.cid, found.cid)
            _equal(f"transaction of {entry.client}", entry.transaction, found.transaction)
            self._check_signature(found)

    def _check_signature(self, submission: Submission) -> None:
        raw = self.ledger.transaction(submission.transaction).raw
        transaction = decode_transaction(raw)
        terms = self.ledger.terms("TrainingTask", "submitUpdate")
        call = read_update(transaction, terms.to)
        _equal("hash of a transaction", transaction.hash, submission.transaction)
        _equal("chain id signed", transaction.unsigned.terms.chain_id, self.ledger.chain_id)
        _equal("signer of an update", transaction.sender, submission.client)
        _equal("CID signed", call.cid, submission.cid)
        _equal("task signed", call.task, self.task.id)

    def _check_decision(
        self,
        parameters: PoFLParameters,
        published: Aggregate,
        evidence: Evidence,
        updates: Mapping[str, Arrays],
        base: Arrays,
    ) -> None:
        """Beacon, rule, aggregate and contributors follow from the accepted updates."""
        reveal = self._check_beacon(parameters, evidence)
        entries = [
            Entry(
                self.positions[entry.client],
                entry.cid,
                self.layout.as_float32().flatten(updates[entry.client]),
                entry.arrival,
            )
            for entry in evidence.accepted
        ]
        if parameters.selection == "election":
            decision = self._election(parameters, entries, published, evidence, base)
        else:
            decision = recompute(
                parameters,
                entries,
                task=self.task.id,
                server_round=published.round,
                reveal=reveal,
            )
        _equal("rule", published.rule, decision.rule)
        clients = [self.specification.clients[position] for position in decision.selected]
        _equal("contributors", list(published.contributors), clients)
        if decision.update is not None:
            model = to_safetensors(self.layout.add(base, decision.update))
            _equal("aggregate", published.cid, cid_of(model))

    def _election(
        self,
        parameters: PoFLParameters,
        entries: Sequence[Entry],
        published: Aggregate,
        evidence: Evidence,
        base: Arrays,
    ) -> Decision:
        """Make the candidates again, and count the votes that the ledger has on them."""
        proposed = proposals(parameters, entries)
        cids = [
            cid_of(to_safetensors(self.layout.add(base, decision.update)))
            for decision in proposed
            if decision.update is not None
        ]
        made = list(zip((decision.rule for decision in proposed), cids, strict=True))
        _equal("candidates", [(one.rule, one.cid) for one in evidence.candidates], made)
        ballot = ballot_of(self.task.id, published.round, evidence.base, cids)
        for vote in self.contract.votes(self.task.id, published.round):
            signed = decode_transaction(self.ledger.transaction(vote.transaction).raw)
            _equal("signer of a vote", signed.sender, vote.miner)
        votes = counted_votes(
            self.contract,
            self.task.id,
            published.round,
            ballot,
            len(cids),
            self.specification.clients,
        )
        return elected(parameters, proposed, votes)

    def _check_window(self, parameters: PoFLParameters, evidence: Evidence) -> None:
        valid: Sequence[int] = [
            *(entry.arrival for entry in evidence.accepted),
            *(entry.arrival for entry in evidence.late),
            *(entry.arrival for entry in evidence.dropped if entry.arrival is not None),
        ]
        closes = ArrivalWindow(parameters.window, parameters.quiet).closes(valid)
        for accepted in evidence.accepted:
            if accepted.arrival > closes:
                raise AuditError(f"the update of {accepted.client} counted but came too late")
        for late in evidence.late:
            if late.arrival <= closes:
                raise AuditError(f"the update of {late.client} came in time but did not count")

    def _check_ledger_clock(
        self,
        parameters: PoFLParameters,
        published: Aggregate,
        evidence: Evidence,
        submissions: Mapping[str, Submission],
    ) -> None:
        """Arrivals are what the ledger says; nothing is late, and few submissions are dropped.

        An update that nobody can fetch, or that is no update, has to be dropped. At most
        `byzantine` clients do that; an aggregator that drops more leaves out honest ones.
        """
        _equal("late updates under the ledger's clock", len(evidence.late), 0)
        opened = self._opened(published.round)
        for entry in evidence.accepted:
            arrival = submissions[entry.client].block - opened
            _equal(f"arrival of {entry.client}", entry.arrival, arrival)
        counted = {entry.client for entry in evidence.accepted}
        dropped = len((set(submissions) & set(self.positions)) - counted)
        if dropped > parameters.byzantine:
            raise AuditError(
                f"{dropped} submitted updates were dropped, at most {parameters.byzantine} may be"
            )

    def _opened(self, number: int) -> int:
        """Return the index of the block that opened a round."""
        if number > 1:
            return self.aggregates[number - 2].block
        proposed = self.ledger.events("TrainingTask", "TaskProposed")
        return next(one.block for one in proposed if one.arguments["task"] == self.task.id)

    def _check_beacon(self, parameters: PoFLParameters, evidence: Evidence) -> bytes | None:
        if parameters.selection != "beacon":
            return None
        if evidence.reveal is None or self.revealed is None:
            raise AuditError("the beacon's value is missing")
        try:
            reveal = bytes.fromhex(evidence.reveal)
        except ValueError as error:
            raise AuditError("the beacon's value is not hexadecimal") from error
        previous, self.revealed = self.revealed, reveal
        check_reveal(reveal, previous)
        return reveal

    def _check_rewards(self, published: Aggregate) -> None:
        paid = [
            (payment.client, payment.amount)
            for payment in self.payments
            if payment.round == published.round
        ]
        due = [(client, self.task.reward) for client in published.contributors]
        for client, amount in sorted(set(paid) ^ set(due)):
            verb = "was paid" if (client, amount) in paid else "was not paid"
            raise AuditError(f"reward: {client} {verb} {amount} for this round")
        _equal("number of rewards", len(paid), len(due))

    def _update(self, submission: Submission) -> Arrays:
        layout = self.layout.as_float32() if self.specification.form == "update" else self.layout
        return self._arrays(submission.cid, layout, self.specification.max_update_bytes)

    def _model(self, cid: str) -> Arrays:
        return self._arrays(cid, self.layout, self.specification.max_update_bytes)

    def _arrays(self, cid: str, layout: Layout, max_bytes: int) -> Arrays:
        arrays = from_safetensors(
            self.store.get(cid, max_bytes=max_bytes), layout=layout, max_bytes=max_bytes
        )
        for key, array in arrays.items():
            if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
                raise AuditError(f"array {key!r} of {cid} holds NaN or infinity")
        return arrays


def _pofl_parameters(specification: Specification) -> PoFLParameters | None:
    """Return PoFL's settings; None for a strategy whose aggregate cannot be recomputed."""
    if specification.strategy != "PoFL":
        return None
    try:
        return PoFLParameters.model_validate(specification.parameters)
    except ValidationError as error:
        raise AuditError(f"the specification's parameters are not PoFL's: {error}") from error


def _check_supply(ledger: Ledger, contract: TrainingTask, tasks: Sequence[int]) -> None:
    """Every token that the tasks minted is a reward that a round explains."""
    zero, own = "0x" + "0" * 40, ledger.terms("TrainingTask", "submitUpdate").to
    minted = sum(
        transfer.amount
        for transfer in StakeToken(ledger).transfers()
        if (transfer.sender, transfer.recipient) == (zero, own)
    )
    due = sum(
        contract.task(task).reward * len(aggregate.contributors)
        for task in tasks
        for aggregate in contract.aggregates(task)
    )
    _equal("stake minted by the tasks", minted, due)


def _equal(what: str, found: Any, expected: Any) -> None:
    if found != expected:
        raise AuditError(f"{what}: {_short(found)} stands there, {_short(expected)} follows")


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 160 else text[:157] + "..."
