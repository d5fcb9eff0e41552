// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBonds} from "../bonds/IBonds.sol";
import {ITrainingTask} from "../training_task/ITrainingTask.sol";
import {IReports} from "./IReports.sol";

/// @title Pledges of a task's accounts, and what they cost whoever is late
/// @notice What it does, says and refuses is written in IReports.
abstract contract Pledges is IReports {
    /// @dev One slot.
    struct Terms {
        uint64 minPledge;
        uint64 lateCost;
        uint64 patience;
        uint32 reportSeconds; // 0: no terms are set
    }

    /// @dev One slot.
    struct Pledge {
        uint128 amount;
        uint32 firstRound;
        uint64 leavesAt;
        uint32 open;
    }

    /// @dev One slot: the round that somebody saw unpublished, who had to publish it, and since when.
    struct Watch {
        address aggregator;
        uint32 round;
        uint64 since;
    }

    /// @inheritdoc IReports
    uint32 public constant DEFAULT_SECONDS = 604_800;

    /// @inheritdoc IReports
    uint32 public constant MAX_SECONDS = 15_552_000;

    uint8 private constant SUBMITTED_NOTHING = 0;
    uint8 private constant CONTRIBUTED = 2; // or more, when it was paid

    ITrainingTask internal immutable TASKS;
    IBonds internal immutable BONDS;

    /// @inheritdoc IReports
    mapping(uint256 task => Terms) public getTerms;

    /// @inheritdoc IReports
    mapping(uint256 task => mapping(address account => bool)) public excluded;

    /// @inheritdoc IReports
    mapping(uint256 task => mapping(uint32 round => mapping(address account => bool))) public late;

    /// @inheritdoc IReports
    mapping(uint256 task => bytes32) public haltedBy;

    /// @inheritdoc IReports
    mapping(uint256 task => mapping(address account => Pledge)) public getPledge;

    mapping(uint256 task => Watch) private _watches;

    constructor(ITrainingTask tasks, IBonds bonds_) {
        TASKS = tasks;
        BONDS = bonds_;
    }

    /// @inheritdoc IReports
    function setTerms(
        uint256 task,
        uint64 minPledge,
        uint64 lateCost,
        uint64 patience,
        uint32 reportSeconds
    ) external {
        (, uint32 ended,,) = TASKS.getProgress(task);
        (address owner,,) = TASKS.getRoles(task);
        if (msg.sender != owner) revert NotTaskOwner(msg.sender);
        if (getTerms[task].reportSeconds != 0) revert TermsFixed(task);
        if (ended != 0) revert RoundsEnded(task);
        if (lateCost > minPledge) revert InvalidTerm("lateCost");
        if (patience > MAX_SECONDS) revert InvalidTerm("patience");
        if (reportSeconds == 0 || reportSeconds > MAX_SECONDS) revert InvalidTerm("reportSeconds");
        getTerms[task] = Terms(minPledge, lateCost, patience, reportSeconds);

        emit TermsSet(task, minPledge, lateCost, patience, reportSeconds);
    }

    /// @inheritdoc IReports
    function pledge(uint256 task, uint128 amount, bool trains) external {
        (uint32 rounds, uint32 ended,,) = TASKS.getProgress(task);
        if (ended == rounds) revert NothingDue(task);
        if (excluded[task][msg.sender]) revert ExcludedAccount(msg.sender);
        Pledge storage mine = getPledge[task][msg.sender];
        uint128 before = mine.amount;
        uint128 total = before + amount;
        uint64 needed = getTerms[task].minPledge;
        if (total < needed) revert PledgeTooSmall(total, needed);
        uint32 firstRound = before == 0 ? 0 : mine.firstRound;
        // The open round was there before; the one after it is the first that begins with a pledge.
        if (trains && firstRound == 0) firstRound = ended + 2;
        (mine.amount, mine.firstRound, mine.leavesAt) = (total, firstRound, 0);

        emit Pledged(task, msg.sender, amount, firstRound);
        BONDS.lock(msg.sender, bytes32(task), amount);
    }

    /// @inheritdoc IReports
    function unpledge(uint256 task) external {
        (uint32 rounds, uint32 ended,, uint64 openedAt) = TASKS.getProgress(task);
        Pledge storage mine = _pledged(task, msg.sender);
        if (mine.open != 0) revert ReportsOpen(msg.sender, mine.open);
        uint64 leavesAt = mine.leavesAt;
        uint256 earliest = leavesAt;
        bytes32 report = haltedBy[task];
        if (report != 0 && _isHalted(task) && ended == _haltedAfter(report)) {
            earliest = 0;
        } else if (ended == rounds) {
            uint256 over = uint256(openedAt) + _reportSeconds(task);
            if (leavesAt == 0 || over < leavesAt) earliest = over;
        } else if (leavesAt == 0) {
            mine.leavesAt = uint64(block.timestamp) + _reportSeconds(task);
            emit PledgeLeaving(task, msg.sender, mine.leavesAt);
            return;
        }
        // forge-lint: disable-next-line(block-timestamp) - delays are judged by block time (L5)
        if (block.timestamp < earliest) {
            revert UnpledgeTooEarly(earliest, uint64(block.timestamp));
        }
        uint128 amount = mine.amount;
        delete getPledge[task][msg.sender];

        emit Unpledged(task, msg.sender, amount);
        BONDS.release(msg.sender, bytes32(task), amount);
    }

    /// @inheritdoc IReports
    function markLate(uint256 task, uint32 round, address account, address contributor) external {
        (,, uint64 window,) = TASKS.getProgress(task);
        uint64 cost = getTerms[task].lateCost;
        if (cost == 0 || window == 0) revert NoSuchTerm(task);
        if (late[task][round][account]) revert AlreadyLate(round, account);
        Pledge storage theirs = _pledged(task, account);
        uint32 first = theirs.firstRound;
        if (first == 0 || round < first) revert NothingOwed(account, round, first);
        (, uint8 status) = TASKS.getSubmission(task, round, contributor);
        if (status < CONTRIBUTED) revert NoContribution(contributor, round);
        (, status) = TASKS.getSubmission(task, round, account);
        if (status != SUBMITTED_NOTHING) revert NotLate(account, round);

        late[task][round][account] = true;
        uint128 lost = cost < theirs.amount ? cost : theirs.amount;
        theirs.amount -= lost;

        emit MarkedLate(task, round, account, lost);
        (address[] memory to, uint256[] memory amounts) = (new address[](1), new uint256[](1));
        (to[0], amounts[0]) = (address(BONDS), lost);
        BONDS.slash(account, bytes32(task), to, amounts);
    }

    /// @inheritdoc IReports
    function markStalled(uint256 task) external {
        (uint32 rounds, uint32 ended, uint64 window, uint64 openedAt) = TASKS.getProgress(task);
        uint64 patience = getTerms[task].patience;
        if (patience == 0) revert NoSuchTerm(task);
        if (ended == rounds) revert NothingDue(task);
        (, address aggregator,) = TASKS.getRoles(task);
        if (aggregator == address(this)) revert AlreadyHalted(task);
        uint256 until = uint256(openedAt) + window;
        Watch storage watch = _watches[task];
        bool noted = watch.round == ended + 1 && watch.aggregator == aggregator;
        if (noted) until = uint256(watch.since) + patience;
        // forge-lint: disable-next-line(block-timestamp) - deadlines are judged by block time (L5)
        if (block.timestamp <= until) revert NotStalled(until, uint64(block.timestamp));

        if (noted) {
            delete _watches[task];
            _halt(task, 0, aggregator);
        } else {
            _watches[task] = Watch(aggregator, ended + 1, uint64(block.timestamp));
            emit StallNoted(task, ended + 1, aggregator, block.timestamp + patience + 1);
        }
    }

    /// @inheritdoc IReports
    function bonds() external view returns (address) {
        return address(BONDS);
    }

    /// @dev This contract publishes nothing, so nobody does until another account is appointed.
    function _halt(uint256 task, bytes32 report, address aggregator) internal {
        haltedBy[task] = report;

        emit TaskHalted(task, report, aggregator);
        TASKS.appointAggregator(task, address(this));
    }

    /// @dev Afterwards a halt is the owner's, who can appoint this contract.
    function _haltedAfter(bytes32 report) internal view virtual returns (uint32);

    function _isHalted(uint256 task) internal view returns (bool) {
        (, address aggregator,) = TASKS.getRoles(task);
        return aggregator == address(this);
    }

    function _reportSeconds(uint256 task) internal view returns (uint32) {
        uint32 found = getTerms[task].reportSeconds;
        return found == 0 ? DEFAULT_SECONDS : found;
    }

    function _pledged(uint256 task, address account) private view returns (Pledge storage found) {
        found = getPledge[task][account];
        if (found.amount == 0) revert NotPledged(task, account);
    }
}
