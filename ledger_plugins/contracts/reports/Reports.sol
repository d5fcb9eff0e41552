// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBonds} from "../bonds/IBonds.sol";
import {IStakeToken} from "../stake_token/IStakeToken.sol";
import {ITrainingTask} from "../training_task/ITrainingTask.sol";
import {IReports} from "./IReports.sol";
import {Kinds} from "./Kinds.sol";
import {Pledges} from "./Pledges.sol";

/// @title Accusations that somebody decides
/// @notice What it does, says and refuses is written in IReports.
contract Reports is Pledges, Kinds {
    /// @dev Three slots; accusations and verdicts write two of them.
    struct Report {
        address subject;
        uint32 task; // no chain has room for more
        uint32 round;
        uint24 duration; // from the accusation to the deadline
        bool counted; // among the open reports of the subject's pledge
        address reporter;
        uint32 accusedAt; // until the year 2106
        uint16 members;
        uint16 guilty;
        uint16 innocent;
        uint8 kind;
        uint8 status; // of the constants below; 0: there is none
        uint32 expiries; // earlier attempts
        uint32 compensation;
        bool settled;
        uint32 haltedAfter; // rounds that had ended when it halted the task
    }

    /// @inheritdoc IReports
    uint32 public constant MAX_JUDGES = 65_535;

    uint8 private constant OPEN = 1;
    uint8 private constant GUILTY = 2;
    uint8 private constant INNOCENT = 3;
    uint8 private constant EXPIRED = 4;

    bytes32 private constant AUTHORITY_ROLE = keccak256("AUTHORITY_ROLE");
    bytes32 private constant DOMAIN = keccak256(
        "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract,bytes32 salt)"
    );
    bytes32 private constant ONLY_ONE = keccak256("OnlyOne(bytes32 purpose,bytes32 content)");
    uint256 private constant HALF_ORDER =
        0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0; // of secp256k1

    IStakeToken private immutable TOKEN;

    mapping(bytes32 report => Report) private _reports;
    mapping(bytes32 report => mapping(uint32 attempt => mapping(address account => bool))) private
        _judged;
    mapping(bytes32 report => mapping(address account => bool)) private _claimed;
    mapping(bytes32 report => address) private _authorities;

    /// @param tasks Whose accounts are accused; this contract needs the token's GOVERNOR_ROLE.
    /// @param bonds Where pledges and fees are; this contract needs the token's LOCKER_ROLE.
    constructor(ITrainingTask tasks, IBonds bonds) Pledges(tasks, bonds) {
        TOKEN = IStakeToken(bonds.token());
    }

    /// @inheritdoc IReports
    function accuse(
        bytes32 kind,
        address subject,
        uint256 task,
        uint32 round,
        bytes calldata evidence
    ) external returns (bytes32 report) {
        Kind memory about = _kind(kind);
        if (about.decides == BY_CONTRACT) revert ProofNeeded(kind);
        uint256 until = _checkRound(about, task, round);
        if (evidence.length < 4 || evidence.length > 64 || evidence[0] != 0x01) {
            revert InvalidEvidence(evidence);
        }
        report = _open(about, subject, task, round, until, evidence);
        BONDS.lock(msg.sender, report, about.fee);
    }

    /// @inheritdoc IReports
    function proveEquivocation(
        address subject,
        uint256 task,
        uint32 round,
        bytes32 purpose,
        bytes32 first,
        bytes calldata firstSignature,
        bytes32 second,
        bytes calldata secondSignature
    ) external returns (bytes32 report) {
        if (first == second) revert SameContent(first);
        Kind memory about = _kind("equivocation");
        report = _open(about, subject, task, round, _checkRound(about, task, round), "");
        bytes32 domain = _domain(task, round);
        _checkSigned(domain, purpose, first, firstSignature, subject);
        _checkSigned(domain, purpose, second, secondSignature, subject);
        _reports[report].status = GUILTY;

        emit EquivocationProved(report, purpose, first, second);
        emit ReportDecided(report, true);
    }

    /// @inheritdoc IReports
    function answer(bytes32 report, bytes calldata evidence) external {
        Report storage about = _undecided(report);
        if (msg.sender != about.subject) revert NotSubject(msg.sender);
        if (evidence.length < 4 || evidence.length > 64 || evidence[0] != 0x01) {
            revert InvalidEvidence(evidence);
        }

        emit ReportAnswered(report, evidence);
    }

    /// @inheritdoc IReports
    function decide(bytes32 report, bool guilty) external {
        Report storage about = _undecided(report);
        bool byAuthority = about.kind == UNQUALIFIED;
        if (byAuthority ? !_isAuthority(about) : !_isJuror(about)) revert NotEntitled(msg.sender);
        mapping(address account => bool) storage judgedHere = _judged[report][about.expiries];
        if (judgedHere[msg.sender]) revert AlreadyJudged(msg.sender);
        judgedHere[msg.sender] = true;
        uint16 votes = guilty ? ++about.guilty : ++about.innocent;

        emit VerdictGiven(report, msg.sender, guilty, about.guilty, about.innocent);
        if (byAuthority) _authorities[report] = msg.sender;
        if (!byAuthority && votes <= about.members / 2) return;
        about.status = guilty ? GUILTY : INNOCENT;
        emit ReportDecided(report, guilty);
    }

    /// @inheritdoc IReports
    function expire(bytes32 report) external {
        Report storage about = _report(report);
        if (about.status != OPEN) revert ReportClosed(report);
        // forge-lint: disable-next-line(block-timestamp) - deadlines are judged by block time (L5)
        if (block.timestamp <= _deadline(about)) {
            revert ReportStillOpen(_deadline(about), uint64(block.timestamp));
        }
        about.status = EXPIRED;
        ++about.expiries;
        _uncount(about);

        emit ReportExpired(report);
        BONDS.release(about.reporter, report, _kindAt(about.kind).fee);
    }

    /// @inheritdoc IReports
    function settle(bytes32 report) external {
        Report storage about = _report(report);
        if (about.status == OPEN) revert ReportUndecided(report);
        if (about.status == EXPIRED) revert ReportClosed(report);
        if (about.settled) revert AlreadySettled(report);
        about.settled = true;
        _uncount(about);
        Kind memory kind = _kindAt(about.kind);
        address authority = kind.authority == 0 ? address(0) : _authorities[report];
        if (about.status == INNOCENT) {
            emit ReportSettled(report, false, 0, 0, 0);
            _slash(
                about.reporter,
                report,
                about.subject,
                kind.fee - kind.authority,
                authority,
                kind.authority
            );
            return;
        }
        _punish(report, about, kind);
        if (kind.fee != 0) {
            BONDS.release(about.reporter, report, kind.fee - kind.authority);
            if (kind.authority != 0) {
                _slash(about.reporter, report, authority, kind.authority, address(0), 0);
            }
        }
        if (!kind.halts) return;
        (, address aggregator,) = TASKS.getRoles(about.task);
        if (aggregator != about.subject) return;
        (, about.haltedAfter,,) = TASKS.getProgress(about.task);
        _halt(about.task, report, aggregator);
    }

    /// @inheritdoc IReports
    function claim(bytes32 report) external {
        Report storage about = _report(report);
        uint32 amount = about.compensation;
        if (amount == 0) revert NothingToClaim(report);
        if (!_isJuror(about)) revert NotEntitled(msg.sender);
        if (_claimed[report][msg.sender]) revert AlreadyClaimed(msg.sender);
        _claimed[report][msg.sender] = true;

        emit CompensationClaimed(report, msg.sender, amount);
        _slash(about.subject, bytes32(uint256(about.task)), msg.sender, amount, address(0), 0);
    }

    /// @inheritdoc IReports
    function getKind(bytes32 kind)
        external
        pure
        returns (
            uint8 decides,
            uint32 fee,
            uint32 loses,
            uint32 reward,
            uint32 compensation,
            uint32 authority,
            bool excludes,
            bool halts
        )
    {
        Kind memory row = _kind(kind);
        return (
            row.decides,
            row.fee,
            row.loses,
            row.reward,
            row.compensation,
            row.authority,
            row.excludes,
            row.halts
        );
    }

    /// @inheritdoc IReports
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
        )
    {
        Report storage about = _report(report);
        return (
            about.status,
            about.settled,
            _kindAt(about.kind).name,
            about.subject,
            about.task,
            about.round,
            about.reporter,
            _deadline(about)
        );
    }

    /// @inheritdoc IReports
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
        )
    {
        Report storage about = _report(report);
        return (
            about.status == EXPIRED ? about.expiries : about.expiries + 1,
            about.accusedAt,
            about.members,
            about.guilty,
            about.innocent,
            about.compensation
        );
    }

    /// @inheritdoc IReports
    function judged(bytes32 report, address account) external view returns (bool) {
        return _judged[report][_reports[report].expiries][account];
    }

    /// @inheritdoc Pledges
    function _haltedAfter(bytes32 report) internal view override returns (uint32) {
        return _reports[report].haltedAfter;
    }

    function _open(
        Kind memory kind,
        address subject,
        uint256 task,
        uint32 round,
        uint256 until,
        bytes memory evidence
    ) private returns (bytes32 report) {
        // forge-lint: disable-next-line(block-timestamp) - deadlines are judged by block time (L5)
        if (block.timestamp > until) revert AccusationLate(until, uint64(block.timestamp));
        Pledge storage theirs = getPledge[task][subject];
        (uint32 members, bool isMember) = _checkParty(subject, task, round, theirs.amount != 0);
        if (subject == msg.sender) revert SelfAccused(subject);
        report = keccak256(abi.encode(kind.name, subject, task, round));
        Report storage about = _reports[report];
        if (about.status != 0 && about.status != EXPIRED) revert AlreadyReported(report);
        if (isMember) --members;
        if (kind.decides == BY_MEMBERS && members == 0) revert NobodyDecides(task);
        if (members > MAX_JUDGES) revert TooManyJudges(members, MAX_JUDGES);

        bool counted = theirs.amount != 0;
        if (counted) ++theirs.open;
        // forge-lint: disable-next-line(unsafe-typecast) - the task is there
        (about.subject, about.task, about.round) = (subject, uint32(task), round);
        // forge-lint: disable-next-line(unsafe-typecast) - at most MAX_SECONDS
        (about.duration, about.counted) = (uint24(_reportSeconds(task)), counted);
        // forge-lint: disable-next-line(unsafe-typecast) - for a long time
        (about.reporter, about.accusedAt) = (msg.sender, uint32(block.timestamp));
        // forge-lint: disable-next-line(unsafe-typecast) - at most MAX_JUDGES
        (about.members, about.guilty, about.innocent) = (uint16(members), 0, 0);
        (about.kind, about.status) = (kind.index, OPEN);

        emit Accused(
            report,
            task,
            subject,
            kind.name,
            round,
            msg.sender,
            about.expiries + 1,
            members,
            _deadline(about),
            evidence
        );
    }

    /// @dev What the subject loses: the reporter's reward first, then as much for each member as there
    /// is, the rest for the treasury. The members' part stays locked until they claim it.
    function _punish(bytes32 report, Report storage about, Kind memory kind) private {
        uint256 task = about.task;
        Pledge storage theirs = getPledge[task][about.subject];
        uint128 lost = theirs.amount < kind.loses ? theirs.amount : kind.loses;
        uint128 reward = lost < kind.reward ? lost : kind.reward;
        uint32 compensation = 0;
        if (kind.compensation != 0) {
            uint128 each = (lost - reward) / about.members;
            // forge-lint: disable-next-line(unsafe-typecast) - less than what the kind says
            compensation = each < kind.compensation ? uint32(each) : kind.compensation;
        }
        theirs.amount -= lost;
        about.compensation = compensation;
        if (kind.excludes) excluded[task][about.subject] = true;

        emit ReportSettled(report, true, lost, reward, compensation);
        uint256 rest = lost - reward - uint256(compensation) * about.members;
        if (lost != 0) {
            _slash(about.subject, bytes32(task), about.reporter, reward, address(BONDS), rest);
        }
    }

    function _uncount(Report storage about) private {
        if (about.counted) --getPledge[about.task][about.subject].open;
    }

    /// @dev Takes what is locked of an account, for one other or two.
    function _slash(
        address account,
        bytes32 purpose,
        address first,
        uint256 firstAmount,
        address second,
        uint256 secondAmount
    ) private {
        uint256 size = secondAmount == 0 ? 1 : 2;
        (address[] memory to, uint256[] memory amounts) = (new address[](size), new uint256[](size));
        (to[0], amounts[0]) = (first, firstAmount);
        if (size == 2) (to[1], amounts[1]) = (second, secondAmount);
        BONDS.slash(account, purpose, to, amounts);
    }

    /// @dev Whether the round can be reported; until when, is returned.
    function _checkRound(Kind memory kind, uint256 task, uint32 round)
        private
        view
        returns (uint256)
    {
        (uint32 rounds, uint32 ended,, uint64 openedAt) = TASKS.getProgress(task);
        bool fits = kind.index == AGGREGATE ? round != 0 && round <= ended : round <= ended + 1;
        if (!fits) revert RoundNotReportable(task, round);
        if (ended != rounds) return type(uint256).max;
        return uint256(openedAt) + _reportSeconds(task);
    }

    /// @dev Returns the task's members, and whether the subject is one.
    function _checkParty(address subject, uint256 task, uint32 round, bool pledged)
        private
        view
        returns (uint32 members, bool isMember)
    {
        address owner;
        address aggregator;
        (owner, aggregator, members) = TASKS.getRoles(task);
        (isMember,) = TASKS.isMember(task, subject);
        bool known = pledged || isMember || subject == owner || subject == aggregator;
        if (!known) {
            (, uint8 status) = TASKS.getSubmission(task, round, subject);
            known = status != 0;
        }
        if (!known || subject == address(this)) revert NotParty(subject);
    }

    function _report(bytes32 report) private view returns (Report storage about) {
        about = _reports[report];
        if (about.status == 0) revert UnknownReport(report);
    }

    function _undecided(bytes32 report) private view returns (Report storage about) {
        about = _report(report);
        if (about.status != OPEN) revert ReportClosed(report);
        // forge-lint: disable-next-line(block-timestamp) - deadlines are judged by block time (L5)
        if (block.timestamp > _deadline(about)) {
            revert ReportOverdue(_deadline(about), uint64(block.timestamp));
        }
    }

    function _deadline(Report storage about) private view returns (uint64) {
        return uint64(about.accusedAt) + about.duration;
    }

    /// @dev A member since before the second of the accusation, and not the accused.
    function _isJuror(Report storage about) private view returns (bool) {
        (bool member, uint64 since) = TASKS.isMember(about.task, msg.sender);
        return member && since < about.accusedAt && msg.sender != about.subject;
    }

    function _isAuthority(Report storage about) private view returns (bool) {
        return TOKEN.hasRole(AUTHORITY_ROLE, msg.sender) && msg.sender != about.subject
            && msg.sender != about.reporter;
    }

    function _domain(uint256 task, uint32 round) private view returns (bytes32) {
        return keccak256(
            abi.encode(
                DOMAIN,
                keccak256("fedledger"),
                keccak256("1"),
                block.chainid,
                address(TASKS),
                bytes32((task << 128) | round)
            )
        );
    }

    function _checkSigned(
        bytes32 domain,
        bytes32 purpose,
        bytes32 content,
        bytes calldata signature,
        address subject
    ) private pure {
        bytes32 struct_ = keccak256(abi.encode(ONLY_ONE, purpose, content));
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", domain, struct_));
        if (signature.length != 65) revert InvalidSignature(signature);
        (bytes32 r, bytes32 s) = (bytes32(signature[:32]), bytes32(signature[32:64]));
        uint8 v = uint8(signature[64]);
        if ((v != 27 && v != 28) || uint256(s) > HALF_ORDER) revert InvalidSignature(signature);
        address signer = ecrecover(digest, v, r, s);
        if (signer == address(0)) revert InvalidSignature(signature);
        if (signer != subject) revert WrongSigner(subject, signer);
    }
}
