"""The audit of a run's folder: every ledger it names, and the heads it recorded."""

import logging
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from fedledger.errors import ConfigError, FedledgerError, RunError
from fedledger.urls import mask_url

from ...ledger_plugins import Head, open_ledger, open_store
from ...ledger_plugins.addresses import checksum_address
from ...ledger_plugins.contracts import TrainingTask
from ...strategies import RoundVerdict, audit_ledger
from ...strategies.audit import AuditSummary, ReportVerdict
from ...strategies.audit.money import Money
from ...strategies.audit.spot import Spot, spot_of
from ...strategies.audit.travelling import places_in
from ...strategies.rounds.evidence.checks import Outcome, outcome_of
from ..run.rundir import RunDirectory

__all__ = ["AuditedLedger", "RunAudit", "audit_run", "audit_urls"]

logger = logging.getLogger(__name__)

OnRound = Callable[[RoundVerdict], None]


@dataclass(frozen=True, slots=True)
class AuditedLedger:
    """What the audit found on one ledger.

    Attributes:
        ledger: its URL without what is secret in it, with {run} where a run's folder names it.
        outcome: whether everything follows and the head is the recorded one.
        reason: the first failure, or None.
        head: the newest block, or None when the ledger cannot be read.
        rounds: a verdict for each round.
        head_compared: whether a recorded head was there to compare with.
        skipped: tasks on the ledger that were not looked at. Where there are any, it was checked of
            their rewards that rounds of theirs explain the amounts, and not these rounds.
        caveat: what could not be checked about the ledger itself, or None.
        money: the ledger's tokens, or None where they could not be followed.
        spot: which rounds were drawn, where not all were replayed.
        reports: what was found about reports that were decided.
        named: who alone says where the contracts are, and where that is, or None.
    """

    ledger: str
    outcome: Outcome
    reason: str | None
    head: Head | None
    rounds: tuple[RoundVerdict, ...]
    head_compared: bool
    skipped: tuple[int, ...] = ()
    caveat: str | None = None
    money: Money | None = None
    spot: Spot | None = None
    reports: tuple[ReportVerdict, ...] = ()
    named: str | None = None

    @property
    def passed(self) -> bool:
        """Whether everything was checked, and follows."""
        return self.outcome is Outcome.PASSED

    @property
    def unchecked(self) -> list[str]:
        """What was not checked and why, besides rounds: a sentence each."""
        found = []
        if self.outcome is Outcome.UNCHECKED and not self.rounds:
            found.append(f"{self.ledger}: {self.reason}")
        if self.skipped:
            some = ", ".join(map(str, self.skipped[:8])) + (", …" if len(self.skipped) > 8 else "")
            others = (
                "1 other task" if len(self.skipped) == 1 else f"{len(self.skipped)} other tasks"
            )
            paid = self.money.unaudited if self.money else 0
            rewards = f", and whether {paid} tokens of rewards in them were earned" if paid else ""
            found.append(f"{others} ({some}){rewards}")
        found += self.spot.unchecked if self.spot else []
        if self.money and not self.money.compared:
            found.append(f"{self.ledger}: balances, since blocks came faster than they were read")
        found += [one for one in (self.named, self.caveat) if one]
        return found

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        plain = {name: getattr(self, name) for name in ("ledger", "reason", "head_compared")}
        return {
            **plain,
            "passed": self.passed,
            "outcome": self.outcome.value,
            "head": asdict(self.head) if self.head else None,
            "rounds": [verdict.to_json() for verdict in self.rounds],
            "skipped": list(self.skipped),
            "caveat": self.caveat,
            "contracts_named_by": self.named,
            "money": self.money.to_json() if self.money else None,
            "spot": self.spot.to_json() if self.spot else None,
            "reports": [one.to_json() for one in self.reports],
        }


@dataclass(frozen=True, slots=True)
class RunAudit:
    """What the audit found.

    Attributes:
        ledgers: one entry for each ledger.
        just_run: whether the rounds were made by this process: no head was there to compare with.
    """

    ledgers: tuple[AuditedLedger, ...]
    just_run: bool = False

    @property
    def outcome(self) -> Outcome:
        """The worst of the ledgers'; nothing to audit is no pass."""
        found = {ledger.outcome for ledger in self.ledgers}
        for worst in (Outcome.FAILED, Outcome.UNCHECKED):
            if worst in found:
                return worst
        return Outcome.PASSED if found else Outcome.UNCHECKED

    @property
    def passed(self) -> bool:
        """Whether everything was checked, and follows."""
        return self.outcome is Outcome.PASSED

    @property
    def reason(self) -> str | None:
        """The first failure, else the first thing that could not be checked, or None."""
        if not self.ledgers:
            return "there is no ledger to audit"
        worst = (ledger.reason for ledger in self.ledgers if ledger.outcome is self.outcome)
        return None if self.passed else next(worst)

    @property
    def verdict(self) -> str:
        """The line that ends every report: passed, FAILED and why, or what cannot be checked."""
        words = {Outcome.PASSED: "passed", Outcome.FAILED: "FAILED"}
        said = f"audit: {words.get(self.outcome, 'could not check')}"
        drawn = [ledger.spot for ledger in self.ledgers if ledger.spot]
        if drawn and self.passed:
            looked = sum(len(one.drawn) for one in drawn)
            others = sum(len(one.others) + len(one.later) for one in drawn)
            return f"audit: spot check passed: {looked} rounds were replayed, {others} not checked"
        return said if self.passed else f"{said}: {self.reason}"

    @property
    def rounds(self) -> int:
        """Number of rounds looked at."""
        return sum(len(ledger.rounds) for ledger in self.ledgers)

    @property
    def summary(self) -> AuditSummary:
        """Rounds, answers and accounts in numbers, and what was not checked and why."""
        away = dict.fromkeys(one for ledger in self.ledgers for one in ledger.unchecked)
        if not self.just_run and any(one.rounds and not one.head_compared for one in self.ledgers):
            away["whether newer blocks were taken away: no head was noted (--head HASH)"] = None
        rounds = [one for ledger in self.ledgers for one in ledger.rounds]
        money = [ledger.money for ledger in self.ledgers if ledger.money]
        reports = [one for ledger in self.ledgers for one in ledger.reports]
        return AuditSummary.of(rounds, away, money, reports)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "passed": self.passed,
            "outcome": self.outcome.value,
            "reason": self.reason,
            "summary": self.summary.to_json(),
            "ledgers": [ledger.to_json() for ledger in self.ledgers],
        }


def audit_run(
    path: Path,
    *,
    head: str | None = None,
    on_round: OnRound | None = None,
    just_run: bool = False,
) -> RunAudit:
    """Audit all that a run's folder names, and compare the ledgers' heads with the recorded ones.

    Args:
        path: the run's folder.
        head: hash of the newest block; what the folder recorded counts when it is None.
        on_round: called with each verdict as it is reached.
        just_run: whether this process has made the rounds.

    Raises:
        RunError: it is no run's folder.
    """
    run = RunDirectory.open(path)
    audited = []

    def own_tasks(contract: TrainingTask) -> list[int] | None:  # others use a shared ledger too
        return contract.of(owner) if contract.ledger.shared and (owner := run.owner) else None

    for entry in run.manifest.evidence:
        noted = head or entry.hash
        try:
            urls = run.url(entry.ledger), run.url(entry.store)
            places = run.places(entry.ledger)
            found = _audit(entry.ledger, urls, noted, on_round, own_tasks, places=places)
        except (ConfigError, RunError) as error:  # the others' evidence can be looked at
            found = _unread(entry.ledger, error, Outcome.UNCHECKED, noted)
        audited.append(found)
    return RunAudit(tuple(audited), just_run)


def audit_urls(
    ledger: str,
    store: str,
    *,
    owner: str | None = None,
    tasks: Collection[int] = (),
    spot: tuple[int, int] | None = None,
    head: str | None = None,
    on_round: OnRound | None = None,
) -> RunAudit:
    """Audit a ledger with its store, by their URLs.

    Args:
        ledger: the ledger's URL.
        store: the store's URL. A CAR that says where the ledger's contracts are is believed, where
            the ledger's URL does not say it; that this is its word alone is in the summary.
        owner: address of the account whose tasks are audited; default: everybody's.
        tasks: ids of the tasks to audit; default: all (of the owner).
        spot: a draw and a probability in parts per million: only rounds that it names are replayed.
        head: hash that the newest block must have, or None.
        on_round: called with each verdict as it is reached.

    Raises:
        ConfigError: a URL that names no backend, an owner without a task, a task that there is not
            or that is another owner's.
        CallError: `owner` is no address.
    """
    who = checksum_address(owner) if owner is not None else None

    def choose(contract: TrainingTask) -> list[int] | None:
        if spot is not None:
            return [spot_of(contract.ledger, *spot).task]
        return _chosen(contract, who, tasks) if who is not None or tasks else None

    travelled = store.startswith("car:") and "deployment" not in parse_qs(urlsplit(ledger).query)
    found = _audit(
        mask_url(ledger),
        (ledger, store),
        head,
        on_round,
        choose,
        by=mask_url(store) if travelled else None,
        spot=spot,
    )
    return RunAudit((found,))


def _audit(
    name: str,
    urls: tuple[str, str],
    expected: str | None,
    on_round: OnRound | None,
    choose: Callable[[TrainingTask], list[int] | None],
    *,
    places: dict[str, Any] | None = None,
    by: str | None = None,
    spot: tuple[int, int] | None = None,
) -> AuditedLedger:
    """Audit a ledger: the tasks that `choose` returns, or all for None.

    `by` is a store, a file from somebody, which may say where the contracts are.
    """
    options = {} if places is None else {"places": places}
    try:
        told = places_in(urls[1]) if by is not None else None
        hints = {} if told is None else {"places": told}
        with (
            open_ledger(urls[0], read_only=True, hints=hints, **options) as ledger,
            open_store(urls[1], read_only=True) as store,
        ):
            contract = TrainingTask(ledger)
            tasks = choose(contract)
            report = audit_ledger(ledger, store, tasks, spot=spot, on_round=on_round)
            there = expected is None or ledger.holds(expected)
            everything = range(1, contract.count() + 1) if tasks is not None else ()
            skipped = tuple(task for task in everything if task not in set(tasks or ()))
            named = None
            if told is not None and ledger.places is not None:
                where = ledger.contracts()["TrainingTask"].address
                named = f"whether the contracts are those you mean: {by} alone says where they are"
                named += f" (TrainingTask at {where}); ?deployment=FILE in the ledger's URL says it"
    except (ConfigError, RunError):
        raise
    except FedledgerError as error:
        return _unread(name, error, outcome_of(error), expected)
    outcome, reason = report.outcome, report.reason
    if outcome is not Outcome.FAILED and not there:
        outcome, reason = Outcome.FAILED, _other_head(report.head, expected)
    return AuditedLedger(
        name,
        outcome,
        reason,
        report.head,
        report.rounds,
        expected is not None,
        skipped,
        report.caveat,
        report.money,
        report.spot,
        report.reports,
        named,
    )


def _unread(
    name: str, error: FedledgerError, outcome: Outcome, expected: str | None
) -> AuditedLedger:
    logger.info("%s cannot be audited", name, exc_info=error)
    return AuditedLedger(name, outcome, str(error), None, (), expected is not None)


def _chosen(contract: TrainingTask, owner: str | None, tasks: Collection[int]) -> list[int]:
    """Return the tasks that were asked for; ConfigError when there are no such tasks."""
    count = contract.count()
    for task in sorted(tasks):
        if not 1 <= task <= count:
            there = f"its tasks are 1 to {count}" if count else "it has none"
            raise ConfigError(f"there is no task {task} on this ledger: {there}")
    if owner is None:
        return sorted(set(tasks))
    own = contract.of(owner)
    if not own:
        raise ConfigError(f"{owner} has proposed no task on this ledger")
    for task in sorted(tasks):
        if task not in own:
            proposer = contract.task(task).owner
            raise ConfigError(f"task {task} is not {owner}'s: {proposer} proposed it")
    return sorted(set(tasks)) or own


def _other_head(head: Head | None, expected: str | None) -> str:
    found = "has none" if head is None else f"is at block {head.block} {head.hash}"
    return f"the newest block should be {expected}, but the ledger {found}"
