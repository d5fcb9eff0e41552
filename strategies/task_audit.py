"""One task's audit: every round follows from the ledger and the store, or it is named."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from fedledger.arrays import Arrays, Layout, from_safetensors, not_finite, to_safetensors
from fedledger.errors import AuditError, FedledgerError

from ..ledger_plugins.accounts import decode_transaction
from ..ledger_plugins.base import Ledger
from ..ledger_plugins.contracts import (
    Aggregate,
    Rollback,
    Submission,
    Task,
    TrainingTask,
    read_update,
)
from ..ledger_plugins.storage.base import Store
from ..ledger_plugins.storage.cid import cid_of
from . import documents
from .anchor import KEPT, counted_votes, past_votes
from .arrival import LEDGER_CLOCK, ArrivalWindow
from .documents import Evidence, Specification
from .election import Electorate, ballot_of
from .pofl import Decision, Entry, PoFLParameters, elected, proposals, recompute
from .recount import Recount
from .selection import check_reveal
from .verdicts import ATTESTED, PROVED, RoundVerdict

__all__ = ["TaskAudit", "equal"]

logger = logging.getLogger(__name__)


class TaskAudit:
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
        self.parameters = pofl_parameters(self.specification)
        commitment = self.parameters.commitment if self.parameters else None
        self.revealed = bytes.fromhex(commitment) if commitment else None
        self.base_cid = task.model_cid
        self.base = self._model(task.model_cid)
        self.skipped = 0
        self.payments = self.contract.payments(task.id)
        self.electorate: Electorate | None = None
        self.ended = self.contract.ended(task.id)
        if [ended.round for ended in self.ended] != list(range(1, task.current_round + 1)):
            raise AuditError("the rounds that ended are not 1, 2, 3, …")
        self.models = {0: task.model_cid, **{ended.round: ended.cid for ended in self.ended}}
        rolled_back = any(isinstance(ended, Rollback) for ended in self.ended)
        self.recount = Recount(self.contract, task) if rolled_back else None

    def rolled_back(self, ended: Rollback) -> RoundVerdict:
        """Check a round that ended by a rollback."""
        reason: str | None = None
        before = self.base_cid
        self.skipped += 1  # the round revealed nothing
        try:
            self._go_on_from(ended.cid)
            if self.recount is not None:
                self.recount.check(ended, self.models, before)
            self._check_rewards(ended.round, ())
        except FedledgerError as error:
            reason = str(error)
        return RoundVerdict(
            task=self.task.id,
            model_id=self.task.model_id,
            round=ended.round,
            passed=reason is None,
            aggregate=PROVED,
            rule=f"rollback to {ended.to_round}",
            accepted=0,
            contributors=0,
            late=0,
            dropped=0,
            reason=reason,
        )

    def verdict(self, published: Aggregate) -> RoundVerdict:
        """Check a round that was published."""
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
        """Check round `number` on what the ledger says of those before, which are not checked.

        Raises:
            AuditError: it does not follow from what is on the ledger and in the store.
            StoreError: a content is missing or damaged.
        """
        *before, last = self.ended[:number]
        for ended in before:
            self.base_cid = ended.cid
            if isinstance(ended, Rollback):
                self.skipped += 1
            elif self.parameters and self.parameters.selection == "beacon":
                reveal = documents.load(Evidence, ended.evidence, self.store).reveal
                self.revealed, self.skipped = bytes.fromhex(reveal or ""), 0
        self.base = self._model(self.base_cid)
        if isinstance(last, Rollback):
            if self.recount is not None:
                self.recount.check(last, self.models, self.base_cid)
            return
        if self.parameters and self.parameters.selection == "election":
            self.electorate = Electorate(self.parameters.byzantine)
            clients = self.specification.clients
            for votes in past_votes(self.contract, self.store, self.task.id, clients, number):
                self.electorate.hold(votes)
        self._check_content(last, documents.load(Evidence, last.evidence, self.store))

    def _check_round(self, published: Aggregate, evidence: Evidence) -> None:
        self._check_content(published, evidence)
        self._check_rewards(published.round, published.contributors)

    def _check_content(self, published: Aggregate, evidence: Evidence) -> None:
        base, base_cid = self.base, self.base_cid
        self._go_on_from(published.cid)
        self._check_statement(published, evidence, base_cid)
        submitted = self.contract.submitted(self.task.id, published.round)
        counted = self._counted(submitted, evidence)
        updates = {client: self._update(submission) for client, submission in counted.items()}
        if self.parameters is not None:
            if self.parameters.clock == LEDGER_CLOCK:
                self._check_ledger_clock(self.parameters, published, evidence, submitted)
            else:
                self._check_window(self.parameters, evidence)
            self._check_decision(self.parameters, published, evidence, updates, base)
        elif evidence.kept is None:
            accepted = [entry.client for entry in evidence.accepted]
            equal("contributors", list(published.contributors), accepted)

    def _go_on_from(self, cid: str) -> None:
        """Judge later rounds on what the ledger says, so that one bad round is named once."""
        self.base_cid = cid
        self.base = self._model(cid)

    def _check_statement(self, published: Aggregate, evidence: Evidence, base_cid: str) -> None:
        """The evidence speaks of this round, and the ledger says the same as the evidence."""
        equal("task of the evidence", evidence.task, self.task.id)
        equal("round of the evidence", evidence.round, published.round)
        equal("base model", evidence.base, base_cid)
        equal("aggregate", evidence.aggregate, published.cid)
        equal("rule", evidence.rule, published.rule)
        equal("contributors", evidence.contributors, list(published.contributors))
        equal("'kept' and the rule", evidence.kept is not None, published.rule == KEPT)
        if evidence.kept is not None:
            equal("model of a round that kept it", published.cid, base_cid)
            equal("contributors of a round that kept its model", list(published.contributors), [])

    def _counted(
        self, submitted: Sequence[Submission], evidence: Evidence
    ) -> dict[str, Submission]:
        """Return what counted: it was submitted and signed, and the rest counted or has a reason.

        A client may submit again until the round is published, also when the aggregator has looked
        already, so any of its own submissions may be the one that counted. And who submitted for
        the first time after all that counted needs no reason: the aggregator could have published
        before that. So no client can make an honest round fail.
        """
        accepted = [entry.client for entry in evidence.accepted]
        for client in accepted:
            if client not in self.positions:
                raise AuditError(f"{client} counted but is no registered client")
        order = sorted(set(accepted), key=self.positions.__getitem__)
        equal("accepted updates (in the order of the clients, each once)", accepted, order)
        last = {submission.client: submission for submission in submitted}
        known = {(one.client, one.cid, one.transaction): one for one in submitted}
        counted: dict[str, Submission] = {}
        for entry in evidence.accepted:
            if entry.client not in last:
                raise AuditError(f"the update of {entry.client} counted but is not on the ledger")
            found = known.get((entry.client, entry.cid, entry.transaction), last[entry.client])
            equal(f"update of {entry.client}", entry.cid, found.cid)
            equal(f"transaction of {entry.client}", entry.transaction, found.transaction)
            self._check_signature(found)
            counted[entry.client] = found
        explained = set(accepted) | {entry.client for entry in evidence.dropped}
        end = max((one.place for one in counted.values()), default=None)
        for one in submitted:
            if one.client not in explained and (end is None or one.place < end):
                raise AuditError(
                    f"the update of {one.client} is on the ledger, "
                    "but the evidence neither counts nor drops it"
                )
        return counted

    def _check_signature(self, submission: Submission) -> None:
        raw = self.ledger.transaction(submission.transaction).raw
        transaction = decode_transaction(raw)
        terms = self.ledger.terms("TrainingTask", "submitUpdate")
        call = read_update(transaction, terms.to)
        equal("hash of a transaction", transaction.hash, submission.transaction)
        equal("chain id signed", transaction.unsigned.terms.chain_id, self.ledger.chain_id)
        equal("signer of an update", transaction.sender, submission.client)
        equal("CID signed", call.cid, submission.cid)
        equal("task signed", call.task, self.task.id)

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
        equal("rule", published.rule, decision.rule)
        clients = [self.specification.clients[position] for position in decision.selected]
        equal("contributors", list(published.contributors), clients)
        if decision.update is not None:
            model = to_safetensors(self.layout.add(base, decision.update))
            equal("aggregate", published.cid, cid_of(model))

    def _election(
        self,
        parameters: PoFLParameters,
        entries: Sequence[Entry],
        published: Aggregate,
        evidence: Evidence,
        base: Arrays,
    ) -> Decision:
        """Make the candidates again, and count the votes that the ledger has on them."""
        if self.electorate is None:
            self.electorate = Electorate(parameters.byzantine)
        proposed = proposals(parameters, entries, self.electorate)
        cids = [
            cid_of(to_safetensors(self.layout.add(base, decision.update)))
            for decision in proposed
            if decision.update is not None
        ]
        made = list(zip((decision.rule for decision in proposed), cids, strict=True))
        equal("candidates", [(one.rule, one.cid) for one in evidence.candidates], made)
        ballot = ballot_of(self.task.id, published.round, evidence.base, cids)
        for vote in self.contract.votes(self.task.id, published.round):
            signed = decode_transaction(self.ledger.transaction(vote.transaction).raw)
            equal("signer of a vote", signed.sender, vote.miner)
        votes = counted_votes(
            self.contract,
            self.task.id,
            published.round,
            ballot,
            len(cids),
            self.specification.clients,
        )
        return elected(self.electorate, proposed, votes)

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
        submitted: Sequence[Submission],
    ) -> None:
        """Arrivals are what the ledger says; nothing is late, and few submissions are dropped.

        Who publishes sees the ledger up to the publication itself: a client's last submission is
        the one that counts.

        An update that nobody can fetch, or that is no update, has to be dropped. At most
        `byzantine` clients do that; an aggregator that drops more leaves out honest ones.
        """
        equal("late updates under the ledger's clock", len(evidence.late), 0)
        opened = self._opened(published.round)
        last = {submission.client: submission for submission in submitted}
        for entry in evidence.accepted:
            equal(f"last update of {entry.client}", entry.cid, last[entry.client].cid)
            arrival = last[entry.client].block - opened
            equal(f"arrival of {entry.client}", entry.arrival, arrival)
        counted = {entry.client for entry in evidence.accepted}
        dropped = len((set(last) & set(self.positions)) - counted)
        if dropped > parameters.byzantine:
            raise AuditError(
                f"{dropped} submitted updates were dropped, at most {parameters.byzantine} may be"
            )

    def _opened(self, number: int) -> int:
        """Return the index of the block that opened a round."""
        return self.contract.opened_in(self.task.id, self.ended[: number - 1])

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
        skipped, self.skipped = self.skipped, 0
        check_reveal(reveal, previous, skipped)
        return reveal

    def _check_rewards(self, server_round: int, contributors: Sequence[str]) -> None:
        paid = [
            (payment.client, payment.amount)
            for payment in self.payments
            if payment.round == server_round
        ]
        due = [(client, self.task.reward) for client in contributors]
        for client, amount in sorted(set(paid) ^ set(due)):
            verb = "was paid" if (client, amount) in paid else "was not paid"
            raise AuditError(f"reward: {client} {verb} {amount} for this round")
        equal("number of rewards", len(paid), len(due))

    def _update(self, submission: Submission) -> Arrays:
        layout = self.layout.as_float32() if self.specification.form == "update" else self.layout
        return self._arrays(submission.cid, layout, self.specification.max_update_bytes)

    def _model(self, cid: str) -> Arrays:
        return self._arrays(cid, self.layout, self.specification.max_update_bytes)

    def _arrays(self, cid: str, layout: Layout, max_bytes: int) -> Arrays:
        arrays = from_safetensors(
            self.store.get(cid, max_bytes=max_bytes), layout=layout, max_bytes=max_bytes
        )
        if (key := not_finite(arrays)) is not None:
            raise AuditError(f"array {key!r} of {cid} holds NaN or infinity")
        return arrays


def pofl_parameters(specification: Specification) -> PoFLParameters | None:
    """Return PoFL's settings; None for a strategy whose aggregate cannot be recomputed.

    Raises:
        AuditError: it says to be PoFL's, and is not.
    """
    if specification.strategy != "PoFL":
        return None
    try:
        return PoFLParameters.model_validate(specification.parameters)
    except ValidationError as error:
        raise AuditError(f"the specification's parameters are not PoFL's: {error}") from error


def equal(what: str, found: Any, expected: Any) -> None:
    """Raise AuditError unless what was found is what has to be there."""
    if found != expected:
        raise AuditError(f"{what}: {_short(found)} stands there, {_short(expected)} follows")


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 160 else text[:157] + "..."
