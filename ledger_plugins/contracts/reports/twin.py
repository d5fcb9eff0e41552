"""Reports' twin: accusations, verdicts, and what follows from them.

Storage besides that of `twin_pledges`: ("report", id): the fields of `Report`; ("judged", id,
attempt, account): 1; ("claimed", id, account): 1; ("authority", id): who decided.
"""

# ruff: noqa: N802, N803, PLR0917 - the names and arguments are the ABI's

from typing import NamedTuple

from eth_abi.abi import encode
from eth_hash.auto import keccak

from fedledger.errors import AccountError

from ...accounts import recover_digest
from ...addresses import ZERO_ADDRESS
from ...signing import Domain
from .kinds import BY_AUTHORITY, BY_CONTRACT, BY_MEMBERS, KINDS, Kind, kind_name
from .statements import ONLY_ONE
from .twin_pledges import Pledges

__all__ = [
    "AUTHORITY_ROLE",
    "EXPIRED",
    "GUILTY",
    "INNOCENT",
    "MAX_JUDGES",
    "OPEN",
    "Reports",
    "report_id",
]

AUTHORITY_ROLE = keccak(b"AUTHORITY_ROLE")
"""The token's role that decides on accusations of the kind "unqualified"."""

OPEN, GUILTY, INNOCENT, EXPIRED = range(1, 5)
"""How a report stands."""

MAX_JUDGES = 65_535
"""The most members that a report can have."""

_FOREVER = 1 << 256
_NAMES = {kind_name(name): name for name in KINDS}


class Report(NamedTuple):
    """A report."""

    status: int
    settled: int
    kind: str
    subject: str
    task: int
    round: int
    reporter: str
    attempt: int
    accused_at: int
    deadline: int
    members: int
    guilty: int
    innocent: int
    compensation: int
    counted: int


def report_id(kind: str, subject: str, task: int, number: int) -> bytes:
    """Return the 32 bytes by which a report is known.

    Args:
        kind: the kind's name.
        subject: address of the accused.
        task: the task's number.
        number: the round.
    """
    kinds = ("bytes32", "address", "uint256", "uint32")
    return keccak(encode(kinds, (kind_name(kind), subject, task, number)))


class Reports(Pledges):
    """Accusations that somebody decides."""

    contract = "Reports"

    def accuse(self, kind: bytes, subject: str, task: int, number: int, evidence: bytes) -> bytes:
        """Accuse an account of the task."""
        name = self._kind(kind)
        if KINDS[name].decides == BY_CONTRACT:
            self.revert("ProofNeeded", kind=kind)
        until = self._check_round(name, task, number)
        self._check_cid(evidence)
        report = self._open(name, subject, task, number, until, evidence)
        self.peer("Bonds").lock(self.sender, report, KINDS[name].fee)
        return report

    def proveEquivocation(
        self,
        subject: str,
        task: int,
        number: int,
        purpose: bytes,
        first: bytes,
        firstSignature: bytes,
        second: bytes,
        secondSignature: bytes,
    ) -> bytes:
        """Prove that an account signed two contents where it may sign one."""
        if first == second:
            self.revert("SameContent", content=first)
        until = self._check_round("equivocation", task, number)
        report = self._open("equivocation", subject, task, number, until, b"")
        for content, signature in ((first, firstSignature), (second, secondSignature)):
            self._check_signed(subject, task, number, purpose, content, signature)
        self._put_report(report, self._report(report)._replace(status=GUILTY))
        self.emit("EquivocationProved", report=report, purpose=purpose, first=first, second=second)
        self.emit("ReportDecided", report=report, guilty=True)
        return report

    def answer(self, report: bytes, evidence: bytes) -> None:
        """Answer, as the accused."""
        if self.sender != self._undecided(report).subject:
            self.revert("NotSubject", sender=self.sender)
        self._check_cid(evidence)
        self.emit("ReportAnswered", report=report, evidence=evidence)

    def decide(self, report: bytes, guilty: bool) -> None:  # noqa: FBT001 - the ABI's
        """Give the sender's verdict."""
        about = self._undecided(report)
        by_authority = KINDS[about.kind].decides == BY_AUTHORITY
        if not (self._is_authority(about) if by_authority else self._is_juror(about)):
            self.revert("NotEntitled", account=self.sender)
        if self.judged(report, self.sender):
            self.revert("AlreadyJudged", account=self.sender)
        self.state["judged", report, about.attempt, self.sender] = 1
        about = about._replace(guilty=about.guilty + guilty, innocent=about.innocent + (not guilty))
        self.emit(
            "VerdictGiven",
            report=report,
            account=self.sender,
            convicts=guilty,
            guilty=about.guilty,
            innocent=about.innocent,
        )
        votes = about.guilty if guilty else about.innocent
        decided = by_authority or votes > about.members // 2
        if by_authority:
            self.state["authority", report] = self.sender
        if decided:
            about = about._replace(status=GUILTY if guilty else INNOCENT)
            self.emit("ReportDecided", report=report, guilty=guilty)
        self._put_report(report, about)

    def expire(self, report: bytes) -> None:
        """End a report that nobody decided in time."""
        about = self._report(report)
        if about.status != OPEN:
            self.revert("ReportClosed", report=report)
        if self.now <= about.deadline:
            self.revert("ReportStillOpen", deadline=about.deadline, time=self.now)
        self._put_report(report, about._replace(status=EXPIRED))
        self._uncount(about)
        self.emit("ReportExpired", report=report)
        self.peer("Bonds").release(about.reporter, report, KINDS[about.kind].fee)

    def settle(self, report: bytes) -> None:
        """Make happen what follows from a verdict."""
        about = self._report(report)
        if about.status == OPEN:
            self.revert("ReportUndecided", report=report)
        if about.status == EXPIRED:
            self.revert("ReportClosed", report=report)
        if about.settled:
            self.revert("AlreadySettled", report=report)
        about = about._replace(settled=1)
        self._put_report(report, about)
        self._uncount(about)
        kind, bonds = KINDS[about.kind], self.peer("Bonds")
        authority = self.state["authority", report] if kind.authority else ZERO_ADDRESS
        left = kind.fee - kind.authority
        if about.status == INNOCENT:
            self.emit(
                "ReportSettled", report=report, guilty=False, lost=0, reward=0, compensation=0
            )
            self._slash(about.reporter, report, (about.subject, left), (authority, kind.authority))
            return
        self._punish(report, about, kind)
        if kind.fee:
            bonds.release(about.reporter, report, left)
            if kind.authority:
                self._slash(about.reporter, report, (authority, kind.authority))
        if not kind.halts:
            return
        aggregator = self.peer("TrainingTask").getRoles(about.task)[1]
        if aggregator == about.subject:
            self._halt(about.task, report, aggregator)

    def claim(self, report: bytes) -> None:
        """Give the sender its compensation."""
        about = self._report(report)
        if not about.compensation:
            self.revert("NothingToClaim", report=report)
        if not self._is_juror(about):
            self.revert("NotEntitled", account=self.sender)
        if ("claimed", report, self.sender) in self.state:
            self.revert("AlreadyClaimed", account=self.sender)
        self.state["claimed", report, self.sender] = 1
        amount = about.compensation
        self.emit("CompensationClaimed", report=report, member=self.sender, amount=amount)
        self._slash(about.subject, about.task.to_bytes(32, "big"), (self.sender, amount))

    def getKind(self, kind: bytes) -> Kind:
        """Return what the table of kinds says."""
        return KINDS[self._kind(kind)]

    def getReport(self, report: bytes) -> tuple[object, ...]:
        """Return a report, in the ABI's order."""
        about = self._report(report)
        return (
            about.status,
            bool(about.settled),
            kind_name(about.kind),
            about.subject,
            about.task,
            about.round,
            about.reporter,
            about.deadline,
        )

    def getVotes(self, report: bytes) -> tuple[int, ...]:
        """Return how a report goes, in the ABI's order."""
        about = self._report(report)
        return (
            about.attempt,
            about.accused_at,
            about.members,
            about.guilty,
            about.innocent,
            about.compensation,
        )

    def judged(self, report: bytes, account: str) -> bool:
        """Tell whether an account gave its verdict."""
        found = self.state.get(("report", report))
        if found is None or Report(*found).status == EXPIRED:
            return False  # the next attempt begins anew
        return ("judged", report, Report(*found).attempt, account) in self.state

    def MAX_JUDGES(self) -> int:
        """Return how many members a report can have."""
        return MAX_JUDGES

    def _open(
        self, kind: str, subject: str, task: int, number: int, until: int, evidence: bytes
    ) -> bytes:
        if self.now > until:
            self.revert("AccusationLate", until=until, time=self.now)
        theirs = self._pledge(task, subject)
        members, is_member = self._check_party(subject, task, number)
        if subject == self.sender:
            self.revert("SelfAccused", account=subject)
        report = report_id(kind, subject, task, number)
        before = self.state.get(("report", report))
        attempt = Report(*before).attempt + 1 if before else 1
        if before and Report(*before).status != EXPIRED:
            self.revert("AlreadyReported", report=report)
        members -= is_member
        if KINDS[kind].decides == BY_MEMBERS and not members:
            self.revert("NobodyDecides", task=task)
        if members > MAX_JUDGES:
            self.revert("TooManyJudges", given=members, maximum=MAX_JUDGES)
        deadline = self.now + self._report_seconds(task)
        about = Report(
            status=OPEN,
            settled=0,
            kind=kind,
            subject=subject,
            task=task,
            round=number,
            reporter=self.sender,
            attempt=attempt,
            accused_at=self.now,
            deadline=deadline,
            members=members,
            guilty=0,
            innocent=0,
            compensation=0,
            counted=int(theirs.amount > 0),
        )
        self._put_report(report, about)
        if about.counted:
            self._put(task, subject, theirs._replace(open=theirs.open + 1))
        self.emit(
            "Accused",
            report=report,
            task=task,
            subject=subject,
            kind=kind_name(kind),
            round=number,
            reporter=self.sender,
            attempt=attempt,
            members=members,
            deadline=deadline,
            evidence=evidence,
        )
        return report

    def _punish(self, report: bytes, about: Report, kind: Kind) -> None:
        theirs = self._pledge(about.task, about.subject)
        lost = min(theirs.amount, kind.loses)
        reward = min(lost, kind.reward)
        each = 0
        if kind.compensation:
            each = min((lost - reward) // about.members, kind.compensation)
        if theirs != (0, 0, 0, 0):
            self._put(about.task, about.subject, theirs._replace(amount=theirs.amount - lost))
        self._put_report(report, about._replace(compensation=each))
        if kind.excludes:
            self.state["excluded", about.task, about.subject] = 1
        self.emit(
            "ReportSettled",
            report=report,
            guilty=True,
            lost=lost,
            reward=reward,
            compensation=each,
        )
        if lost:
            rest = lost - reward - each * about.members
            purpose = about.task.to_bytes(32, "big")
            self._slash(about.subject, purpose, (about.reporter, reward), (self.bonds(), rest))

    def _uncount(self, about: Report) -> None:
        if about.counted:
            theirs = self._pledge(about.task, about.subject)
            self._put(about.task, about.subject, theirs._replace(open=theirs.open - 1))

    def _slash(self, account: str, purpose: bytes, *shares: tuple[str, int]) -> None:
        """Take what is locked of an account; a second share of 0 is none."""
        shares = shares[:1] + tuple(share for share in shares[1:] if share[1])
        to, amounts = zip(*shares, strict=True)
        self.peer("Bonds").slash(account, purpose, to, amounts)

    def _check_round(self, kind: str, task: int, number: int) -> int:
        """Return until when a round can be reported."""
        rounds, ended, _, opened_at = self.peer("TrainingTask").getProgress(task)
        fits = 0 < number <= ended if kind == "aggregate" else number <= ended + 1
        if not fits:
            self.revert("RoundNotReportable", task=task, round=number)
        if ended != rounds:
            return _FOREVER
        return int(opened_at + self._report_seconds(task))

    def _check_party(self, subject: str, task: int, number: int) -> tuple[int, bool]:
        """Return the task's members, and whether the subject is one."""
        tasks = self.peer("TrainingTask")
        owner, aggregator, members = tasks.getRoles(task)
        is_member = tasks.isMember(task, subject)[0]
        pledged = self._pledge(task, subject).amount
        known = pledged or is_member or subject in (owner, aggregator)
        if not known:
            known = tasks.getSubmission(task, number, subject)[1] != 0
        if not known or subject == self.address:
            self.revert("NotParty", subject=subject)
        return members, is_member

    def _check_signed(
        self,
        subject: str,
        task: int,
        number: int,
        purpose: bytes,
        content: bytes,
        signature: bytes,
    ) -> None:
        tasks = self.environment.addresses["TrainingTask"]
        domain = Domain(self.environment.chain_id, tasks, task, number)
        digest = ONLY_ONE.digest(domain, {"purpose": purpose, "content": content})
        try:
            signer = recover_digest(digest, signature)
        except AccountError:
            self.revert("InvalidSignature", signature=signature)
        if signer != subject:
            self.revert("WrongSigner", subject=subject, signer=signer)

    def _check_cid(self, evidence: bytes) -> None:
        if not 4 <= len(evidence) <= 64 or evidence[0] != 1:
            self.revert("InvalidEvidence", evidence=evidence)

    def _kind(self, kind: bytes) -> str:
        if kind not in _NAMES:
            self.revert("UnknownKind", kind=kind)
        return _NAMES[kind]

    def _report(self, report: bytes) -> Report:
        found = self.state.get(("report", report))
        if found is None:
            self.revert("UnknownReport", report=report)
        return Report(*found)

    def _put_report(self, report: bytes, about: Report) -> None:
        self.state["report", report] = tuple(about)

    def _undecided(self, report: bytes) -> Report:
        about = self._report(report)
        if about.status != OPEN:
            self.revert("ReportClosed", report=report)
        if self.now > about.deadline:
            self.revert("ReportOverdue", deadline=about.deadline, time=self.now)
        return about

    def _is_juror(self, about: Report) -> bool:
        """Tell whether the sender is a member since before the accusation, and not the accused."""
        member, since = self.peer("TrainingTask").isMember(about.task, self.sender)
        return bool(member and since < about.accused_at and self.sender != about.subject)

    def _is_authority(self, about: Report) -> bool:
        may = self.peer("StakeToken").hasRole(AUTHORITY_ROLE, self.sender)
        return bool(may and self.sender not in (about.subject, about.reporter))
