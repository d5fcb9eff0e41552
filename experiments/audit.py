"""The audit of a run's folder: every ledger it names, and the heads it recorded."""

import inspect
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedledger.errors import ConfigError, FedledgerError

from ..ledger_plugins import LEDGERS, Head, Ledger, open_ledger, open_store
from ..ledger_plugins.contracts import TrainingTask
from ..strategies import RoundVerdict, audit_ledger
from .rundir import RunDirectory

__all__ = ["AuditedLedger", "RunAudit", "audit_run", "audit_urls"]

logger = logging.getLogger(__name__)

OnRound = Callable[[RoundVerdict], None]


@dataclass(frozen=True, slots=True)
class AuditedLedger:
    """What the audit found on one ledger.

    Attributes:
        ledger: its URL, with {run} where a run's folder names it.
        passed: whether everything follows and the head is the recorded one.
        reason: the first failure, or None.
        head: the newest block, or None when the ledger cannot be read.
        rounds: a verdict for each round.
        head_compared: whether a recorded head was there to compare with.
    """

    ledger: str
    passed: bool
    reason: str | None
    head: Head | None
    rounds: tuple[RoundVerdict, ...]
    head_compared: bool


@dataclass(frozen=True, slots=True)
class RunAudit:
    """What the audit found.

    Attributes:
        ledgers: one entry for each ledger.
    """

    ledgers: tuple[AuditedLedger, ...]

    @property
    def passed(self) -> bool:
        """Whether every ledger passed; nothing to audit is no pass."""
        return bool(self.ledgers) and all(ledger.passed for ledger in self.ledgers)

    @property
    def reason(self) -> str | None:
        """The first failure, or None."""
        if not self.ledgers:
            return "there is no ledger to audit"
        return next((ledger.reason for ledger in self.ledgers if not ledger.passed), None)

    @property
    def verdict(self) -> str:
        """The line that ends every report: `audit: passed`, or `audit: FAILED:` and why."""
        return "audit: passed" if self.passed else f"audit: FAILED: {self.reason}"

    @property
    def rounds(self) -> int:
        """Number of rounds looked at."""
        return sum(len(ledger.rounds) for ledger in self.ledgers)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        from dataclasses import asdict  # noqa: PLC0415 - only here

        ledgers = [asdict(ledger) for ledger in self.ledgers]
        return {"passed": self.passed, "reason": self.reason, "ledgers": ledgers}


def audit_run(path: Path, *, head: str | None = None, on_round: OnRound | None = None) -> RunAudit:
    """Audit all that a run's folder names, and compare the ledgers' heads with the recorded ones.

    Args:
        path: the run's folder.
        head: hash of the newest block; what the folder recorded counts when it is None.
        on_round: called with each verdict as it is reached.

    Raises:
        RunError: it is no run's folder.
    """
    run = RunDirectory.open(path)
    audited = []
    for entry in run.manifest.evidence:
        urls = run.url(entry.ledger), run.url(entry.store)
        audited.append(_audit(entry.ledger, urls, head or entry.hash, on_round, run.owner))
    return RunAudit(tuple(audited))


def audit_urls(
    ledger: str, store: str, *, head: str | None = None, on_round: OnRound | None = None
) -> RunAudit:
    """Audit a ledger with its store, by their URLs.

    Args:
        ledger: the ledger's URL.
        store: the store's URL.
        head: hash that the newest block must have, or None.
        on_round: called with each verdict as it is reached.

    Raises:
        ConfigError: a URL that names no backend.
    """
    return RunAudit((_audit(ledger, (ledger, store), head, on_round),))


def _audit(
    name: str,
    urls: tuple[str, str],
    expected: str | None,
    on_round: OnRound | None,
    owner: str | None = None,
) -> AuditedLedger:
    """Audit a ledger; where others have tasks too, those of `owner`."""
    try:
        with _open_to_read(urls[0]) as ledger, open_store(urls[1]) as store:
            tasks = TrainingTask(ledger).of(owner) if owner and ledger.shared else None
            report = audit_ledger(ledger, store, tasks, on_round=on_round)
            there = expected is None or ledger.holds(expected)
    except ConfigError:
        raise
    except FedledgerError as error:
        logger.info("%s cannot be audited", urls[0], exc_info=True)
        return AuditedLedger(name, False, str(error), None, (), expected is not None)
    reason = report.reason if not report.passed else _compare(report.head, expected, there=there)
    return AuditedLedger(
        name, reason is None, reason, report.head, report.rounds, expected is not None
    )


def _compare(head: Head | None, expected: str | None, *, there: bool) -> str | None:
    if there:
        return None
    found = "has none" if head is None else f"is at block {head.block} {head.hash}"
    return f"the newest block should be {expected}, but the ledger {found}"


def _open_to_read(url: str) -> Ledger:
    """Open a ledger without writing to it or creating it, where its backend can."""
    opener = LEDGERS.load(url.partition(":")[0].partition("+")[0])
    known = inspect.signature(opener).parameters
    return open_ledger(url, **({"read_only": True} if "read_only" in known else {}))
