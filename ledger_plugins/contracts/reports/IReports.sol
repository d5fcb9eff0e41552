// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Accusations that somebody decides
/// @notice Accounts pledge deposits to a task. Who sees that an account of the task did wrong
/// accuses it, with evidence by CID and a fee; the accused answers; and whoever the kind of the
/// accusation names decides: the task's members, an authority, or this contract where it can see by
/// itself. What follows from a verdict stands in the table of kinds, and anyone makes it happen.
///
/// Members decide with more than half of those who were members when the report was opened, either
/// way; each votes once, the accused never, and only who was a member before the second of the
/// accusation, so that nobody appoints judges for a report that is there. A report that nobody
/// decided until its deadline expires: the fee goes back, and nothing else happens.
///
/// What a subject loses comes out of what it pledged to the task, as far as that reaches: first the
/// reporter's reward, then a compensation for each member, and the rest is the treasury's, the
/// deposits' own contract. A false accusation costs its fee, which the accused gets. An authority is
/// paid out of the fee, the same whichever way it decides.
/// @dev Table of kinds, by their names, left-aligned as text is:
///
/// name          decided by     fee  loses  reward  each member  authority  excludes  halts
/// aggregate     the members      5    100      10            5          0  yes       yes
/// update        the members      5     50      10            2          0  yes       no
/// unqualified   an authority     8     50      16            0          4  yes       no
/// equivocation  this contract    0    100      10            0          0  yes       yes
///
/// "aggregate": the subject published a round that does not replay. "update": what the subject signed
/// in a round was provably wrong. "unqualified": it is not what it says it is. "equivocation": it
/// signed two contents for one purpose, where it may sign one.
///
/// A task halts only where the subject is still its aggregator: this contract, which publishes
/// nothing, takes the place, until another account is appointed. Excluded accounts pledge no more;
/// what they publish fails the audit. Each function lists its errors in the order in which they are
/// checked; a call that is refused changes nothing.
interface IReports {
    /// @notice From now on these terms hold for `task`: a pledge is at least `minPledge`, a round missed
    /// costs `lateCost`, an aggregator is stalled after `patience` seconds (0: never), and reports
    /// are open for `reportSeconds`.
    event TermsSet(
        uint256 indexed task,
        uint64 minPledge,
        uint64 lateCost,
        uint64 patience,
        uint32 reportSeconds
    );

    /// @notice `account` pledged `amount` more to `task`; it owes an update in each round from
    /// `firstRound` on, or none when that is 0.
    event Pledged(uint256 indexed task, address indexed account, uint128 amount, uint32 firstRound);

    /// @notice `account` wants its pledge back, which it gets at `leavesAt`.
    event PledgeLeaving(uint256 indexed task, address indexed account, uint64 leavesAt);

    /// @notice `account` has its pledge of `amount` back.
    event Unpledged(uint256 indexed task, address indexed account, uint128 amount);

    /// @notice `account` submitted nothing to `round` and lost `amount` to the treasury.
    event MarkedLate(
        uint256 indexed task, uint32 indexed round, address indexed account, uint128 amount
    );

    /// @notice `round` is open longer than updates are taken; when `aggregator` has not published it
    /// at `haltsFrom`, anyone halts the task.
    event StallNoted(
        uint256 indexed task, uint32 indexed round, address indexed aggregator, uint256 haltsFrom
    );

    /// @notice `task` is halted by a verdict on `report`, or as `aggregator` stalled when that is 0.
    event TaskHalted(uint256 indexed task, bytes32 indexed report, address indexed aggregator);

    /// @notice `reporter` accused `subject`; until `deadline` the report is open for an answer and
    /// for verdicts. More than half of `members` decide, where members do. `attempt` counts the
    /// accusations of this kind, subject, task and round: from 1, one more after each that expired.
    event Accused(
        bytes32 indexed report,
        uint256 indexed task,
        address indexed subject,
        bytes32 kind,
        uint32 round,
        address reporter,
        uint32 attempt,
        uint32 members,
        uint64 deadline,
        bytes evidence
    );

    /// @notice The accused answers; its last answer counts.
    event ReportAnswered(bytes32 indexed report, bytes evidence);

    /// @notice `account` decided; so far `guilty` and `innocent` votes were cast.
    event VerdictGiven(
        bytes32 indexed report,
        address indexed account,
        bool convicts,
        uint32 guilty,
        uint32 innocent
    );

    /// @notice The subject is guilty, or it is not.
    event ReportDecided(bytes32 indexed report, bool guilty);

    /// @notice Nobody decided in time.
    event ReportExpired(bytes32 indexed report);

    /// @notice The subject signed contents `first` and `second` for `purpose`.
    event EquivocationProved(
        bytes32 indexed report, bytes32 purpose, bytes32 first, bytes32 second
    );

    /// @notice What follows from the verdict happened: the subject lost `lost`, of which the reporter
    /// got `reward` and each member may claim `compensation`; or it got the reporter's fee.
    event ReportSettled(
        bytes32 indexed report, bool guilty, uint128 lost, uint128 reward, uint32 compensation
    );

    /// @notice `member` got its compensation.
    event CompensationClaimed(bytes32 indexed report, address indexed member, uint32 amount);

    /// @notice `sender` is not the owner of the task whose terms these are.
    error NotTaskOwner(address sender);

    /// @notice The terms of `task` are set.
    error TermsFixed(uint256 task);

    /// @notice Rounds of `task` ended; terms are set before.
    error RoundsEnded(uint256 task);

    /// @notice The term called `term` is out of its range.
    error InvalidTerm(string term);

    /// @notice All rounds of `task` ended, or none of them can be late or stalled any more.
    error NothingDue(uint256 task);

    /// @notice A verdict excluded `account` from the task.
    error ExcludedAccount(address account);

    /// @notice The pledge would be `pledge`, the task's terms need `needed`.
    error PledgeTooSmall(uint128 pledge, uint64 needed);

    /// @notice `account` pledged nothing to `task`.
    error NotPledged(uint256 task, address account);

    /// @notice `open` reports on `account` are open, or not settled.
    error ReportsOpen(address account, uint32 open);

    /// @notice The pledge comes back from `earliest` on; it is `time` now.
    error UnpledgeTooEarly(uint256 earliest, uint64 time);

    /// @notice The terms of `task` say nothing about that.
    error NoSuchTerm(uint256 task);

    /// @notice `account` was marked late for `round` already.
    error AlreadyLate(uint32 round, address account);

    /// @notice `account` owes no update in `round`: from `firstRound` on, 0: never.
    error NothingOwed(address account, uint32 round, uint32 firstRound);

    /// @notice `contributor` has no part in what was published in `round`: it does not show that the
    /// round was published at all.
    error NoContribution(address contributor, uint32 round);

    /// @notice `account` submitted an update to `round`.
    error NotLate(address account, uint32 round);

    /// @notice `task` is halted.
    error AlreadyHalted(uint256 task);

    /// @notice The aggregator may take until `until`; it is `time` now.
    error NotStalled(uint256 until, uint64 time);

    /// @notice There is no kind `kind`.
    error UnknownKind(bytes32 kind);

    /// @notice `kind` is proved to this contract, not alleged.
    error ProofNeeded(bytes32 kind);

    /// @notice A report of this kind is about another round than `round`.
    error RoundNotReportable(uint256 task, uint32 round);

    /// @notice `evidence` is not a binary CIDv1 of 4 to 64 bytes.
    error InvalidEvidence(bytes evidence);

    /// @notice Reports on a finished task were taken until `until`; it is `time` now.
    error AccusationLate(uint256 until, uint64 time);

    /// @notice `subject` has no part in the task: no role in it, no pledge, nothing submitted to the
    /// round.
    error NotParty(address subject);

    /// @notice `account` accuses itself.
    error SelfAccused(address account);

    /// @notice There is such a report, open or decided.
    error AlreadyReported(bytes32 report);

    /// @notice `task` has no members who could decide.
    error NobodyDecides(uint256 task);

    /// @notice `given` members are more than MAX_JUDGES.
    error TooManyJudges(uint32 given, uint32 maximum);

    /// @notice The two contents are the same one.
    error SameContent(bytes32 content);

    /// @notice `signature` is not 65 bytes (r, s, and 27 or 28) of the one canonical form with s in
    /// the lower half, or no key makes it.
    error InvalidSignature(bytes signature);

    /// @notice `signer` signed that, not `subject`.
    error WrongSigner(address subject, address signer);

    /// @notice There is no report `report`.
    error UnknownReport(bytes32 report);

    /// @notice The report was decided, or expired.
    error ReportClosed(bytes32 report);

    /// @notice The report was open until `deadline`; it is `time` now.
    error ReportOverdue(uint64 deadline, uint64 time);

    /// @notice The report is open until `deadline`; it is `time` now.
    error ReportStillOpen(uint64 deadline, uint64 time);

    /// @notice `sender` is not the accused.
    error NotSubject(address sender);

    /// @notice `account` has no say in this report.
    error NotEntitled(address account);

    /// @notice `account` gave its verdict already.
    error AlreadyJudged(address account);

    /// @notice Nobody decided the report.
    error ReportUndecided(bytes32 report);

    /// @notice What follows from the verdict happened already.
    error AlreadySettled(bytes32 report);

    /// @notice The report leaves nothing for its members, or not yet.
    error NothingToClaim(bytes32 report);

    /// @notice `account` had its compensation.
    error AlreadyClaimed(address account);

    /// @notice Fixes a task's terms, once, before its first round ended; the owner calls. A task
    /// without has none, and reports on it are open for DEFAULT_SECONDS.
    /// @dev UnknownTask, NotTaskOwner, TermsFixed, RoundsEnded, InvalidTerm: lateCost above minPledge,
    /// patience above MAX_SECONDS, reportSeconds 0 or above MAX_SECONDS.
    /// @param minPledge The least that an account pledges.
    /// @param lateCost What a round missed costs an account that owes updates; 0: nothing.
    /// @param patience Seconds after StallNoted in which the aggregator still may publish; 0: it may
    /// take as long as it wants.
    /// @param reportSeconds For how long a report is open, a pledge is kept after its account wants
    /// it back, and a finished task's accounts can be accused.
    function setTerms(
        uint256 task,
        uint64 minPledge,
        uint64 lateCost,
        uint64 patience,
        uint32 reportSeconds
    ) external;

    /// @notice Locks free deposits of the sender for a task; more of them any time.
    /// @dev UnknownTask, NothingDue (of a finished task), ExcludedAccount, PledgeTooSmall,
    /// Panic(0x11) above 2^128 - 1, then Bonds.lock's ZeroAmount, FreeTooSmall.
    /// @param trains Whether the account owes an update in each round that opens from now on. What
    /// was owed before stays owed.
    function pledge(uint256 task, uint128 amount, bool trains) external;

    /// @notice Gives the sender its pledge back: at once where a verdict halted the task and no
    /// round ended since; else the first call says when, and one from then on does it. Of a finished
    /// task that is as long as its accounts can be accused. Pledging more takes the wish back.
    /// @dev UnknownTask, NotPledged, ReportsOpen, UnpledgeTooEarly.
    function unpledge(uint256 task) external;

    /// @notice Says that an account which owed an update submitted none to a round with a window,
    /// which was published; anyone, once. Where an aggregator relays updates, it could have kept one
    /// back: who owes updates submits them to the ledger itself.
    /// @dev UnknownTask, NoSuchTerm (no lateCost, or no window), AlreadyLate, NotPledged, NothingOwed,
    /// NoContribution, NotLate. Costs lateCost, or what is left of the pledge.
    /// @param contributor An account that contributed to the round: it was published, and not ended
    /// by a rollback.
    function markLate(uint256 task, uint32 round, address account, address contributor) external;

    /// @notice Says that the open round is not published although updates are no longer taken, and a
    /// second time, `patience` seconds later, halts the task; anyone. A round or an aggregator that
    /// is new meanwhile has the whole time again.
    /// @dev UnknownTask, NoSuchTerm (no patience), NothingDue (of a finished task), AlreadyHalted,
    /// NotStalled.
    function markStalled(uint256 task) external;

    /// @notice Accuses an account; the fee is locked from the sender's free deposits.
    /// @dev UnknownKind, ProofNeeded, UnknownTask, RoundNotReportable (rounds that ended, of kind
    /// "aggregate"; up to the open one, of others), InvalidEvidence, AccusationLate, NotParty,
    /// SelfAccused, AlreadyReported, NobodyDecides, TooManyJudges, then Bonds.lock's FreeTooSmall.
    /// @param kind One of the table.
    /// @param evidence CID of what shows it.
    /// @return report Its id: keccak256(abi.encode(kind, subject, task, round)).
    function accuse(
        bytes32 kind,
        address subject,
        uint256 task,
        uint32 round,
        bytes calldata evidence
    ) external returns (bytes32 report);

    /// @notice Proves that an account signed two contents of `OnlyOne(bytes32 purpose,bytes32
    /// content)` (EIP-712; domain: fedledger, version 1, this chain, the TrainingTask contract, and as
    /// its salt the task in the upper and the round in the lower 16 bytes). It is guilty at once.
    /// @dev SameContent, UnknownTask, RoundNotReportable, AccusationLate, NotParty, SelfAccused,
    /// AlreadyReported, TooManyJudges, then for each signature InvalidSignature, WrongSigner.
    /// @return report As of accuse.
    function proveEquivocation(
        address subject,
        uint256 task,
        uint32 round,
        bytes32 purpose,
        bytes32 first,
        bytes calldata firstSignature,
        bytes32 second,
        bytes calldata secondSignature
    ) external returns (bytes32 report);

    /// @notice What the accused says to it; its last answer counts.
    /// @dev UnknownReport, ReportClosed, ReportOverdue, NotSubject, InvalidEvidence.
    /// @param evidence CID of its answer.
    function answer(bytes32 report, bytes calldata evidence) external;

    /// @notice The sender's verdict. A member's counts towards more than half of the members; an
    /// authority's decides. An authority holds the token's AUTHORITY_ROLE and judges neither itself
    /// nor what it reported itself.
    /// @dev UnknownReport, ReportClosed, ReportOverdue, NotEntitled, AlreadyJudged.
    function decide(bytes32 report, bool guilty) external;

    /// @notice Ends a report that nobody decided in time; anyone. The reporter gets its fee back.
    /// @dev UnknownReport, ReportClosed, ReportStillOpen.
    function expire(bytes32 report) external;

    /// @notice Makes happen what follows from a verdict; anyone, once.
    /// @dev UnknownReport, ReportUndecided, ReportClosed (it expired), AlreadySettled.
    function settle(bytes32 report) external;

    /// @notice Gives the sender, who could have decided, its compensation.
    /// @dev UnknownReport, NothingToClaim, NotEntitled, AlreadyClaimed.
    function claim(bytes32 report) external;

    /// @notice What the table of kinds says; reverts with UnknownKind.
    /// @dev `decides` is 0 the contract, 1 the members, 2 an authority.
    function getKind(bytes32 kind)
        external
        view
        returns (
            uint8 decides,
            uint32 fee,
            uint32 loses,
            uint32 reward,
            uint32 compensation,
            uint32 authority,
            bool excludes,
            bool halts
        );

    /// @notice A task's terms; all 0 where none are set.
    function getTerms(uint256 task)
        external
        view
        returns (uint64 minPledge, uint64 lateCost, uint64 patience, uint32 reportSeconds);

    /// @notice What an account pledged to a task.
    /// @return amount How much of it is left.
    /// @return firstRound The first round in which it owes an update; 0: it owes none.
    /// @return leavesAt When it may have it back, once it said that it wants it; 0: it did not.
    /// @return open Reports on it that are not settled and were opened while it was pledged.
    function getPledge(uint256 task, address account)
        external
        view
        returns (uint128 amount, uint32 firstRound, uint64 leavesAt, uint32 open);

    /// @notice A report; reverts with UnknownReport.
    /// @dev `status` is 1 open, 2 guilty, 3 innocent, 4 expired; `settled` says whether what follows
    /// from the verdict happened.
    function getReport(bytes32 report)
        external
        view
        returns (
            uint8 status,
            bool settled,
            bytes32 kind,
            address subject,
            uint256 task,
            uint32 round,
            address reporter,
            uint64 deadline
        );

    /// @notice How the newest attempt of a report goes; reverts with UnknownReport.
    /// @return attempt From 1; one more after each that expired.
    /// @return accusedAt Block time of the accusation.
    /// @return members More than half of so many decide, where members do.
    /// @return guilty Verdicts against the subject.
    /// @return innocent Verdicts for it.
    /// @return compensation What each member may claim.
    function getVotes(bytes32 report)
        external
        view
        returns (
            uint32 attempt,
            uint64 accusedAt,
            uint32 members,
            uint32 guilty,
            uint32 innocent,
            uint32 compensation
        );

    /// @notice Whether an account gave its verdict on a report, in its newest attempt.
    function judged(bytes32 report, address account) external view returns (bool);

    /// @notice Whether a verdict excluded an account from a task.
    function excluded(uint256 task, address account) external view returns (bool);

    /// @notice Whether an account was marked late for a round.
    function late(uint256 task, uint32 round, address account) external view returns (bool);

    /// @notice The newest report whose verdict halted a task; 0: none, or it stalled since.
    function haltedBy(uint256 task) external view returns (bytes32);

    /// @notice For how long a report is open where the task has no terms: 604,800 seconds.
    function DEFAULT_SECONDS() external view returns (uint32);

    /// @notice The longest term: 15,552,000 seconds.
    function MAX_SECONDS() external view returns (uint32);

    /// @notice The most members that a report can have: 65,535.
    function MAX_JUDGES() external view returns (uint32);

    /// @notice The Bonds whose deposits are pledged.
    function bonds() external view returns (address);
}
