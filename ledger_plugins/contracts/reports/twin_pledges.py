"""Pledges of a task's accounts, and what they cost whoever is late: a part of Reports' twin.

Storage: ("terms", task): the fields of `Terms`; ("pledge", task, account): those of `Pledge`;
("excluded", task, account): 1; ("late", task, round, account): 1; ("halted", task): report, or
zeros for a task that stalled, and the rounds that had ended; ("watch", task): aggregator, round,
since.
"""

# ruff: noqa: N802, N803 - the names and arguments are the ABI's

from typing import NamedTuple

from ..twin import Twin

__all__ = ["DEFAULT_SECONDS", "MAX_SECONDS", "NO_REPORT", "Pledge", "Pledges"]

DEFAULT_SECONDS = 604_800
"""For how long a report is open where the task has no terms."""

MAX_SECONDS = 15_552_000
"""The longest term."""

NO_REPORT = bytes(32)

_SUBMITTED_NOTHING, _CONTRIBUTED = 0, 2
_ARITHMETIC_OVERFLOW = 0x11  # Solidity's panic code


class Terms(NamedTuple):
    """A task's terms; `report_seconds` is 0 where none are set."""

    min_pledge: int = 0
    late_cost: int = 0
    patience: int = 0
    report_seconds: int = 0


class Pledge(NamedTuple):
    """What an account pledged to a task."""

    amount: int = 0
    first_round: int = 0
    leaves_at: int = 0
    open: int = 0


class Pledges(Twin):
    """Pledges, terms and punctuality."""

    def setTerms(
        self, task: int, minPledge: int, lateCost: int, patience: int, reportSeconds: int
    ) -> None:
        """Fix a task's terms, as its owner, before its first round ended."""
        tasks = self.peer("TrainingTask")
        ended = tasks.getProgress(task)[1]
        if self.sender != tasks.getRoles(task)[0]:
            self.revert("NotTaskOwner", sender=self.sender)
        if self._terms(task).report_seconds:
            self.revert("TermsFixed", task=task)
        if ended:
            self.revert("RoundsEnded", task=task)
        good = {
            "lateCost": lateCost <= minPledge,
            "patience": patience <= MAX_SECONDS,
            "reportSeconds": 0 < reportSeconds <= MAX_SECONDS,
        }
        for term, fine in good.items():
            if not fine:
                self.revert("InvalidTerm", term=term)
        self.state["terms", task] = (minPledge, lateCost, patience, reportSeconds)
        self.emit(
            "TermsSet",
            task=task,
            minPledge=minPledge,
            lateCost=lateCost,
            patience=patience,
            reportSeconds=reportSeconds,
        )

    def pledge(self, task: int, amount: int, trains: bool) -> None:  # noqa: FBT001 - the ABI's
        """Lock free deposits of the sender for a task."""
        rounds, ended, _, _ = self.peer("TrainingTask").getProgress(task)
        if ended == rounds:
            self.revert("NothingDue", task=task)
        if self.excluded(task, self.sender):
            self.revert("ExcludedAccount", account=self.sender)
        before = self._pledge(task, self.sender)
        total = before.amount + amount
        if total >= 1 << 128:
            self.revert("Panic", code=_ARITHMETIC_OVERFLOW)
        needed = self._terms(task).min_pledge
        if total < needed:
            self.revert("PledgeTooSmall", pledge=total, needed=needed)
        first = before.first_round if before.amount else 0
        if trains and not first:
            first = ended + 2  # the open round was there before
        self._put(task, self.sender, Pledge(total, first, 0, before.open))
        self.emit("Pledged", task=task, account=self.sender, amount=amount, firstRound=first)
        self.peer("Bonds").lock(self.sender, _purpose(task), amount)

    def unpledge(self, task: int) -> None:
        """Give the sender its pledge back, or say when it may have it."""
        rounds, ended, _, opened_at = self.peer("TrainingTask").getProgress(task)
        mine = self._pledged(task, self.sender)
        if mine.open:
            self.revert("ReportsOpen", account=self.sender, open=mine.open)
        seconds = self._report_seconds(task)
        earliest = mine.leaves_at
        report, after = self._halted(task)
        if report != NO_REPORT and ended == after and self._is_halted(task):
            earliest = 0
        elif ended == rounds:
            over = opened_at + seconds
            earliest = min(earliest, over) if earliest else over
        elif not earliest:
            leaves = self.now + seconds
            self._put(task, self.sender, mine._replace(leaves_at=leaves))
            self.emit("PledgeLeaving", task=task, account=self.sender, leavesAt=leaves)
            return
        if self.now < earliest:
            self.revert("UnpledgeTooEarly", earliest=earliest, time=self.now)
        del self.state["pledge", task, self.sender]
        self.emit("Unpledged", task=task, account=self.sender, amount=mine.amount)
        self.peer("Bonds").release(self.sender, _purpose(task), mine.amount)

    def markLate(self, task: int, number: int, account: str, contributor: str) -> None:
        """Say that an account which owed an update submitted none."""
        tasks = self.peer("TrainingTask")
        window, cost = tasks.getProgress(task)[2], self._terms(task).late_cost
        if not cost or not window:
            self.revert("NoSuchTerm", task=task)
        if self.late(task, number, account):
            self.revert("AlreadyLate", round=number, account=account)
        theirs = self._pledged(task, account)
        first = theirs.first_round
        if not first or number < first:
            self.revert("NothingOwed", account=account, round=number, firstRound=first)
        if tasks.getSubmission(task, number, contributor)[1] < _CONTRIBUTED:
            self.revert("NoContribution", contributor=contributor, round=number)
        if tasks.getSubmission(task, number, account)[1] != _SUBMITTED_NOTHING:
            self.revert("NotLate", account=account, round=number)
        self.state["late", task, number, account] = 1
        lost = min(cost, theirs.amount)
        self._put(task, account, theirs._replace(amount=theirs.amount - lost))
        self.emit("MarkedLate", task=task, round=number, account=account, amount=lost)
        bonds = self.peer("Bonds")
        bonds.slash(account, _purpose(task), [bonds.address], [lost])

    def markStalled(self, task: int) -> None:
        """Note that the open round is not published, or halt the task as it still is not."""
        tasks = self.peer("TrainingTask")
        rounds, ended, window, opened_at = tasks.getProgress(task)
        patience = self._terms(task).patience
        if not patience:
            self.revert("NoSuchTerm", task=task)
        if ended == rounds:
            self.revert("NothingDue", task=task)
        aggregator = tasks.getRoles(task)[1]
        if aggregator == self.address:
            self.revert("AlreadyHalted", task=task)
        until = opened_at + window
        watch = self.state.get(("watch", task), ("", 0, 0))
        noted = watch[:2] == (aggregator, ended + 1)
        if noted:
            until = watch[2] + patience
        if self.now <= until:
            self.revert("NotStalled", until=until, time=self.now)
        if noted:
            del self.state["watch", task]
            self._halt(task, NO_REPORT, aggregator)
            return
        self.state["watch", task] = (aggregator, ended + 1, self.now)
        self.emit(
            "StallNoted",
            task=task,
            round=ended + 1,
            aggregator=aggregator,
            haltsFrom=self.now + patience + 1,
        )

    def getTerms(self, task: int) -> Terms:
        """Return a task's terms; zeros without."""
        return self._terms(task)

    def getPledge(self, task: int, account: str) -> Pledge:
        """Return what an account pledged."""
        return self._pledge(task, account)

    def excluded(self, task: int, account: str) -> bool:
        """Tell whether a verdict excluded an account."""
        return ("excluded", task, account) in self.state

    def late(self, task: int, number: int, account: str) -> bool:
        """Tell whether an account was marked late."""
        return ("late", task, number, account) in self.state

    def haltedBy(self, task: int) -> bytes:
        """Return the report that halted a task; zeros: none."""
        return self._halted(task)[0]

    def bonds(self) -> str:
        """Return the address of the deposits."""
        return self.environment.addresses["Bonds"]

    def DEFAULT_SECONDS(self) -> int:
        """Return for how long reports are open without terms."""
        return DEFAULT_SECONDS

    def MAX_SECONDS(self) -> int:
        """Return the longest term."""
        return MAX_SECONDS

    def _halt(self, task: int, report: bytes, aggregator: str) -> None:
        self.state["halted", task] = (report, self.peer("TrainingTask").getProgress(task)[1])
        self.emit("TaskHalted", task=task, report=report, aggregator=aggregator)
        self.peer("TrainingTask").appointAggregator(task, self.address)

    def _halted(self, task: int) -> tuple[bytes, int]:
        report, after = self.state.get(("halted", task), (NO_REPORT, 0))
        return bytes(report), int(after)

    def _is_halted(self, task: int) -> bool:
        return bool(self.peer("TrainingTask").getRoles(task)[1] == self.address)

    def _report_seconds(self, task: int) -> int:
        return self._terms(task).report_seconds or DEFAULT_SECONDS

    def _terms(self, task: int) -> Terms:
        return Terms(*self.state.get(("terms", task), ()))

    def _pledge(self, task: int, account: str) -> Pledge:
        return Pledge(*self.state.get(("pledge", task, account), ()))

    def _pledged(self, task: int, account: str) -> Pledge:
        found = self._pledge(task, account)
        if not found.amount:
            self.revert("NotPledged", task=task, account=account)
        return found

    def _put(self, task: int, account: str, pledge: Pledge) -> None:
        self.state["pledge", task, account] = tuple(pledge)


def _purpose(task: int) -> bytes:
    return task.to_bytes(32, "big")
