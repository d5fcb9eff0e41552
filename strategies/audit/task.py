"""One task's audit: every round is replayed, or what is wrong with it is named."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel

from fedledger.arrays import Arrays, to_safetensors
from fedledger.errors import AuditError, ContentNotFound, FedledgerError, NotChecked
from fedledger.formats import canonical_json
from fedledger.guards import guarded

from ...ledger_plugins.base import Ledger
from ...ledger_plugins.contracts import Aggregate, Rollback, Task, TrainingTask
from ...ledger_plugins.contracts.training_task.calls import CONFIRM_HISTORY
from ...ledger_plugins.storage.base import Store
from ...ledger_plugins.storage.cid import cid_of
from ..rounds.answers.faults import ProvedFault
from ..rounds.answers.history import History, others
from ..rounds.evidence import documents
from ..rounds.evidence.carriers import decoded_transaction
from ..rounds.evidence.checks import Check, CheckFailed, Checks, Outcome, Witness, outcome_of
from ..rounds.evidence.documents import Evidence, Specification
from ..rounds.evidence.record import RoundRecord, record_of, statuses
from ..rounds.kinds.recorded import RecordedRound
from ..rounds.protocol import Protocol, run_round
from ..rounds.round import KEPT
from ..rounds.tasks.membership import Changes
from ..rounds.tasks.task import model_of, read_task, state_after
from .recount import Recount
from .reports import TaskReports
from .turns import TaskTurns
from .verdicts import ATTESTED, PROVED, ReportVerdict, RoundVerdict

__all__ = ["TaskAudit"]

logger = logging.getLogger(__name__)


class TaskAudit:
    """One task's audit; its rounds are replayed in order, each on the model of the one before.

    Raises:
        NotChecked: a document is missing, or the task's protocol is not installed.
        AuditError: the specification, or the list of the task's rounds, is none.
        FedledgerError: ledger or store.
    """

    def __init__(self, task: Task, ledger: Ledger, store: Store) -> None:
        self._task = task
        self._ledger = ledger
        self._store = store
        self._contract = TrainingTask(ledger)
        self._terms, self._protocol = read_task(task, ledger, store)
        self._changes = Changes(
            ledger, task.id, self._terms.parties["clients"], self._terms.membership
        )
        self.ended: Sequence[Aggregate | Rollback] = self._contract.ended(task.id)
        if [ended.round for ended in self.ended] != list(range(1, task.current_round + 1)):
            raise AuditError("the rounds that ended are not 1, 2, 3, …")
        self._payments = self._contract.payments(task.id)
        self._statuses = statuses(self.ended)
        self._cids = {0: task.model_cid, **{ended.round: ended.cid for ended in self.ended}}
        self._states: dict[int, BaseModel | None] = {0: None}
        self._unstated: dict[int, FedledgerError] = {}
        rolled_back = any(isinstance(ended, Rollback) for ended in self.ended)
        self._recount = Recount(self._contract, task) if rolled_back else None
        self._base: tuple[str, Arrays] | None = None
        self._faults: dict[int, list[ProvedFault]] = {}
        self._turns = TaskTurns(self._contract, task)
        self._reports = TaskReports(self._contract, task, store)
        self._reports.check_terms(documents.load(Specification, task.spec, store).terms)

    def reports(self, found: Mapping[int, RoundVerdict]) -> list[ReportVerdict]:
        """Return what is to be said about reports on the task; `found` are its rounds' verdicts."""
        return self._reports.judge(self.ended, found)

    def verdict(self, number: int) -> RoundVerdict:
        """Check a round that ended; they come in order."""
        ended, checks = self.ended[number - 1], Checks()
        evidence: Evidence | None = None
        proved = PROVED
        try:
            if isinstance(ended, Rollback):
                self._check_rollback(ended)
                self._check_payments(number, (), checks)
            else:
                proved = ""
                evidence = documents.load(Evidence, ended.evidence, self._store)
                unit = f"the replay of task {self._task.id}, round {number}"
                with guarded(unit, self._unfit, logger):  # a protocol from outside can do anything
                    proved = self._replay(ended, evidence, checks)
                self._check_payments(number, ended.contributors, checks)
            if number == self._task.rounds:
                self._check_confirmations(checks)
        except FedledgerError as error:
            if number not in self._states:
                self._take_state(number)
            failed = error.check if isinstance(error, CheckFailed) else None
            outcome, said = outcome_of(error), str(error)
            if isinstance(error, ContentNotFound):
                said = f"{error}: {_holder(error.cid, evidence)} was erased, or never kept"
            last = failed or Check(said, "", outcome)
            return RoundVerdict(
                record=self._record(ended, evidence),
                outcome=outcome,
                aggregate=proved or (ATTESTED if self._protocol.attests else PROVED),
                checks=(*checks.all(), last),
                reason=said,
                witness=error.witness if isinstance(error, CheckFailed) else None,
                faults=self.faults(number),
            )
        return RoundVerdict(
            self._record(ended, evidence),
            Outcome.PASSED,
            proved,
            checks.all(),
            faults=self.faults(number),
        )

    def faults(self, number: int) -> tuple[ProvedFault, ...]:
        """Return which answers of a round that was checked are provably wrong.

        Each was refused again by what its own party signed, so it is, also where the round does not
        replay further on.
        """
        return tuple(self._faults.get(number, ()))

    def skip(self, number: int) -> None:
        """Leave out a round; later ones are judged on what the ledger says of it."""
        self._take_state(number)

    def check_only(self, number: int) -> None:
        """Check round `number` on what the ledger says of those before, which are not checked.

        Raises:
            AuditError: it does not follow from what is on the ledger and in the store.
            NotChecked: what is needed is not there.
            StoreError: a content is missing or damaged.
        """
        ended = self.ended[number - 1]
        if isinstance(ended, Rollback):
            self._check_rollback(ended)
            return
        before = state_after(self.ended, number - 1, self._protocol, self._store)
        self._states[number - 1] = before
        evidence = documents.load(Evidence, ended.evidence, self._store)
        self._replay(ended, evidence, Checks())

    # Inside --------------------------------------------------------------------------------

    def _unfit(self, what: str) -> NotChecked:
        return NotChecked(f"protocol {self._protocol.name!r} fails in the replay: {what}")

    def _replay(self, published: Aggregate, evidence: Evidence, checks: Checks) -> str:
        number = published.round
        if (missing := self._unstated.get(number - 1)) is not None:
            raise NotChecked(
                f"it goes on from the state after round {number - 1}, and that cannot be read: "
                f"{missing}"
            ) from missing
        base_cid = self._cids[number - 1]
        self._reports.check_publisher(published)
        self._check_statement(published, evidence, base_cid, checks)
        opened = self._opened(number)
        self._turns.check(published, opened, checks)
        recorded = RecordedRound(
            self._changes.terms(self._terms, self.ended[: number - 1]),
            lambda: self._model(base_cid),
            base_cid,
            self._protocol,
            self._ledger,
            self._store,
            published,
            evidence,
            opened,
            checks,
        )
        self._faults[number] = recorded.faults
        result, state = run_round(self._protocol, recorded, self._states[number - 1])
        checks.equal("rule", published.rule, result.rule if result.kept is None else KEPT)
        contributors = list(published.contributors)
        checks.equal("contributors", contributors, list(result.contributors))
        checks.equal("number of phases", len(evidence.phases), len(recorded.phases))
        recorded.check_accounts()
        if result.model is not None and not recorded.attested:
            self._check_model(published, result.model, checks)
        elif result.model is None:
            checks.equal("aggregate", published.cid, base_cid)
        self._model(published.cid)  # the store has it, undamaged
        replayed = recorded.evidence(result, published.cid, state)
        for name in ("payments", "commitments", "reveals", "notes", "state"):
            # As text: in Python 1 equals 1.0 and True, which are no such state.
            found, expected = (_text(getattr(one, name)) for one in (evidence, replayed))
            checks.equal(name, found, expected)
        checks.equal("'kept'", evidence.kept is None, result.kept is None)
        self._states[number] = state
        return ATTESTED if recorded.attested else PROVED

    def _check_statement(
        self, published: Aggregate, evidence: Evidence, base_cid: str, checks: Checks
    ) -> None:
        """The evidence speaks of this round, and the ledger says the same as the evidence."""
        checks.equal("task of the evidence", evidence.task, self._task.id)
        checks.equal("round of the evidence", evidence.round, published.round)
        checks.equal("base model", evidence.base, base_cid)
        checks.equal("aggregate", evidence.aggregate, published.cid)
        checks.equal("rule", evidence.rule, published.rule)
        named = {name: value.hex() for name, value in published.commitments.items()}
        checks.equal("commitments", named, evidence.commitments)
        checks.equal("contributors", evidence.contributors, list(published.contributors))
        if evidence.measured:
            publisher = decoded_transaction(self._ledger, published.transaction).sender
            for one in evidence.measured:
                checks.equal(f"who measured {one.metric}", one.by, publisher)
        checks.equal("'kept' and the rule", evidence.kept is not None, published.rule == KEPT)

    def _check_model(self, published: Aggregate, model: Arrays, checks: Checks) -> None:
        content = to_safetensors(model)
        found = published.cid
        if cid_of(content) == found:
            checks.passed["aggregate"] += 1
            return
        coordinate: int | None = None
        try:
            flat = self._terms.layout
            there = flat.flatten(model_of(self._store, found, flat))
            differs = np.flatnonzero(there != flat.flatten(model))
            coordinate = int(differs[0]) if len(differs) else None
        except FedledgerError as error:
            logger.debug("the published model cannot be compared: %s", error)
        where = Witness(step="aggregate", coordinate=coordinate)
        checks.equal("aggregate", found, cid_of(content), where)

    def _check_rollback(self, ended: Rollback) -> None:
        number = ended.round
        if ended.to_round in self._unstated:
            self._unstated[number] = self._unstated[ended.to_round]
        self._states[number] = self._states.get(ended.to_round)
        if self._recount is not None:
            self._recount.check(ended, self._cids, self._cids[number - 1])
        self._model(ended.cid)

    def _check_payments(self, number: int, contributors: Sequence[str], checks: Checks) -> None:
        paid = [(one.client, one.amount) for one in self._payments if one.round == number]
        due = [(client, self._task.reward) for client in contributors]
        for client, amount in sorted(set(paid) ^ set(due)):
            verb = "was paid" if (client, amount) in paid else "was not paid"
            said = f"reward: {client} {verb} {amount} for this round"
            checks.fail("rewards", said, Witness(answer=client, step="payment"))
        checks.equal("number of rewards", len(paid), len(due))

    def _check_confirmations(self, checks: Checks) -> None:
        """Clients that confirmed the ledger's history at the end mean this one.

        Who confirmed nothing proves nothing: it may have been away.
        """
        terms = self._changes.terms(self._terms, self.ended[: self._task.rounds - 1])
        clients = terms.parties["clients"]
        said = [
            event
            for event in self._ledger.events(CONFIRM_HISTORY.contract, CONFIRM_HISTORY.event)
            if event.arguments["task"] == self._task.id
        ]
        strange = others(History(self._ledger), said, CONFIRM_HISTORY.party, clients)
        most = self._protocol.tolerated(len(clients))
        checks.true(
            "history confirmed",
            len(strange) <= most,
            f"{len(strange)} of {len(clients)} clients confirmed another history of this ledger "
            f"at the end, at most {most} may be wrong",
            Witness(step="history"),
        )

    def _model(self, cid: str) -> Arrays:
        """Return a model; the last one is kept, since most rounds begin with it."""
        if self._base is None or self._base[0] != cid:
            self._base = cid, model_of(self._store, cid, self._terms.layout)
        return self._base[1]

    def _opened(self, number: int) -> int:
        """Return the index of the block that opened a round."""
        return self._contract.opened_in(self._task.id, self.ended[: number - 1])

    def _take_state(self, number: int) -> None:
        """Take the state that the ledger says: later rounds are judged on it, not on a replay."""
        kind = self._protocol.State
        try:
            self._states[number] = state_after(self.ended, number, self._protocol, self._store)
        except FedledgerError as error:
            if kind.model_fields:
                self._unstated[number] = error
            else:  # there is but one
                self._states[number] = kind()

    def _record(self, ended: Aggregate | Rollback, evidence: Evidence | None) -> RoundRecord:
        protocol: Protocol[Any, Any] = self._protocol
        return record_of(
            ended,
            evidence,
            model_id=self._task.model_id,
            protocol=f"{protocol.name}/{protocol.version}",
            status=self._statuses[ended.round],
            base=self._cids[ended.round - 1],
            opened=self._opened(ended.round),
            paid=self._payments,
        )


def _text(value: Any) -> str:
    return canonical_json(value).decode()


def _holder(cid: str, evidence: Evidence | None) -> str:
    """Return what a content is, for people."""
    for phase in evidence.phases if evidence else ():
        for one in phase.accepted:
            if one.content == cid:
                return f"what {one.party} answered in phase {phase.name!r}"
    return "it"
