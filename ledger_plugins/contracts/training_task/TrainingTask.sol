// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IStakeToken} from "../stake_token/IStakeToken.sol";
import {ITrainingTask} from "./ITrainingTask.sol";
import {TaskBase} from "./TaskBase.sol";
import {TaskCheckpoints} from "./TaskCheckpoints.sol";
import {Utf8} from "../solidity/Utf8.sol";

/// @title Federated training, one round after the other
/// @notice What it does, says and refuses is written in ITrainingTask.
contract TrainingTask is TaskCheckpoints {
    /// @inheritdoc ITrainingTask
    uint256 public constant MAX_REWARD = 20;

    /// @inheritdoc ITrainingTask
    uint256 public constant MAX_SCORES = 32;

    /// @inheritdoc ITrainingTask
    uint256 public constant MAX_COMMITMENTS = 16;

    uint8 private constant NONE = 0;
    uint8 private constant SUBMITTED = 1;
    uint8 private constant CONTRIBUTED = 2;
    uint8 private constant PAID = 3;

    bytes32 private constant PROPOSER_ROLE = keccak256("PROPOSER_ROLE");

    /// @inheritdoc ITrainingTask
    uint256 public taskCount;

    /// @dev The commitment, and in the last byte the status.
    mapping(uint256 task => mapping(uint32 round => mapping(address client => bytes32))) private
        _submissions;

    /// @param stakeToken The token that pays the rewards; this contract needs its MINTER_ROLE.
    constructor(IStakeToken stakeToken) TaskBase(stakeToken) {}

    /// @inheritdoc ITrainingTask
    function propose(
        string calldata modelId,
        bytes calldata modelCid,
        uint32 rounds,
        uint64 window,
        uint256 reward,
        bytes calldata spec
    ) external returns (uint256 task) {
        if (!_isText(modelId, 64)) revert InvalidModelId(modelId);
        _checkCid(modelCid);
        _checkCid(spec);
        if (rounds == 0) revert InvalidRounds(rounds);
        if (reward > MAX_REWARD) revert RewardTooHigh(reward, MAX_REWARD);
        if (reward != 0 && !_mayPropose(msg.sender)) revert NotProposer(msg.sender);

        task = ++taskCount;
        Task storage proposed = _tasks[task];
        proposed.rounds = rounds;
        proposed.window = window;
        proposed.openedAt = uint64(block.timestamp);
        // forge-lint: disable-next-line(unsafe-typecast) - at most MAX_REWARD
        proposed.reward = uint8(reward);
        proposed.aggregator = msg.sender;
        proposed.owner = msg.sender;
        proposed.modelId = modelId;
        proposed.modelCid = modelCid;
        proposed.spec = spec;
        proposed.currentCid = modelCid;

        emit TaskProposed(task, msg.sender, modelId, modelCid, rounds, window, reward, spec);
    }

    /// @inheritdoc ITrainingTask
    function submitUpdate(
        uint256 task,
        uint32 round,
        bytes calldata cid,
        uint64 samples,
        uint32 accuracy,
        bytes32 seal,
        bytes32 seen
    ) external {
        Task storage about = _task(task);
        _checkOpen(about, task, round);
        uint256 deadline = _deadline(about);
        // forge-lint: disable-next-line(block-timestamp) - windows are judged by block time (L5)
        if (about.window != 0 && block.timestamp > deadline) {
            // forge-lint: disable-next-line(unsafe-typecast) - before now, and now fits
            revert WindowClosed(uint64(deadline), uint64(block.timestamp));
        }
        _checkCid(cid);
        if (accuracy > 1_000_000) revert InvalidAccuracy(accuracy);

        bytes32 commitment = keccak256(abi.encode(cid, samples, accuracy));
        _submissions[task][round][msg.sender] = _withStatus(commitment, SUBMITTED);

        emit UpdateSubmitted(task, round, msg.sender, cid, samples, accuracy, seal, seen);
    }

    /// @inheritdoc ITrainingTask
    function revealSalt(uint256 task, uint32 round, bytes32 list, bytes32 salt, bytes32 seen)
        external
    {
        Task storage about = _task(task);
        _checkOpen(about, task, round);
        _checkOver(about);

        emit SaltRevealed(task, round, msg.sender, list, salt, seen);
    }

    /// @inheritdoc ITrainingTask
    function submitVotes(
        uint256 task,
        uint32 round,
        bytes32 ballot,
        int64[] calldata scores,
        bytes32 seen
    ) external {
        _checkOpen(_task(task), task, round);
        if (scores.length > MAX_SCORES) revert TooManyScores(scores.length, MAX_SCORES);

        emit VotesSubmitted(task, round, msg.sender, ballot, scores, seen);
    }

    /// @inheritdoc ITrainingTask
    function confirmHistory(uint256 task, bytes32 seen) external {
        _task(task);

        emit HistoryConfirmed(task, msg.sender, seen);
    }

    /// @inheritdoc ITrainingTask
    function publishAggregate(
        uint256 task,
        uint32 round,
        bytes calldata cid,
        string calldata rule,
        address[] calldata contributors,
        bytes calldata evidence,
        bytes32[2][] calldata commitments
    ) external {
        Task storage about = _task(task);
        if (msg.sender != about.aggregator) revert NotAggregator(msg.sender);
        _checkOpen(about, task, round);
        _checkOver(about);
        _checkCid(cid);
        _checkCid(evidence);
        if (!_isText(rule, 32)) revert InvalidRule(rule);
        _checkNumber(contributors.length);
        _checkCommitments(commitments);

        mapping(address client => bytes32) storage submissions = _submissions[task][round];
        for (uint256 i = 0; i < contributors.length; ++i) {
            address client = contributors[i];
            bytes32 submission = submissions[client];
            uint8 status = _status(submission);
            if (status != SUBMITTED) {
                if (status == NONE) revert NotSubmitted(client);
                // While a round is open, only this loop marks contributors.
                revert DuplicateContributor(client);
            }
            submissions[client] = _withStatus(submission, CONTRIBUTED);
        }
        (about.ended, about.openedAt) = (round, uint64(block.timestamp));
        about.currentCid = cid;

        emit AggregatePublished(task, round, cid, rule, contributors, evidence, commitments);

        uint256 escrow = about.reward * contributors.length;
        if (escrow != 0) TOKEN.mint(address(this), escrow);
    }

    /// @inheritdoc ITrainingTask
    function payRewards(uint256 task, uint32 round, address[] calldata clients) external {
        Task storage about = _task(task);
        if (round == 0 || round > about.ended) revert RoundNotPublished(task, round);
        _checkNumber(clients.length);

        mapping(address client => bytes32) storage submissions = _submissions[task][round];
        for (uint256 i = 0; i < clients.length; ++i) {
            address client = clients[i];
            bytes32 submission = submissions[client];
            uint8 status = _status(submission);
            if (status != CONTRIBUTED) {
                if (status != PAID) revert NotContributor(client);
                revert AlreadyPaid(client);
            }
            submissions[client] = _withStatus(submission, PAID);
        }

        uint256 reward = about.reward;
        for (uint256 i = 0; i < clients.length; ++i) {
            emit RewardPaid(task, round, clients[i], reward);
            if (reward != 0) assert(TOKEN.transfer(clients[i], reward)); // true, or it has reverted
        }
    }

    /// @inheritdoc ITrainingTask
    function getTask(uint256 task)
        external
        view
        returns (
            address owner,
            string memory modelId,
            bytes memory modelCid,
            uint32 rounds,
            uint32 currentRound,
            uint64 window,
            uint256 reward,
            bytes memory spec,
            bytes memory currentCid,
            uint64 openedAt,
            bool finished
        )
    {
        Task storage about = _task(task);
        return (
            about.owner,
            about.modelId,
            about.modelCid,
            about.rounds,
            about.ended,
            about.window,
            about.reward,
            about.spec,
            about.currentCid,
            about.openedAt,
            about.ended == about.rounds
        );
    }

    /// @inheritdoc ITrainingTask
    function getSubmission(uint256 task, uint32 round, address client)
        external
        view
        returns (bytes31 commitment, uint8 status)
    {
        _task(task);
        bytes32 submission = _submissions[task][round][client];
        return (bytes31(submission), _status(submission));
    }

    /// @inheritdoc ITrainingTask
    function token() external view returns (address) {
        return address(TOKEN);
    }

    /// @dev Who gives the role to the zero address gives it to everybody.
    function _mayPropose(address account) private view returns (bool) {
        return TOKEN.hasRole(PROPOSER_ROLE, address(0)) || TOKEN.hasRole(PROPOSER_ROLE, account);
    }

    function _checkCid(bytes calldata cid) private pure {
        if (cid.length < 4 || cid.length > 64 || cid[0] != 0x01) revert InvalidCid(cid);
    }

    function _checkNumber(uint256 given) private pure {
        if (given > MAX_CONTRIBUTORS) revert TooManyContributors(given, MAX_CONTRIBUTORS);
    }

    function _status(bytes32 submission) private pure returns (uint8) {
        // forge-lint: disable-next-line(unsafe-typecast) - the last byte is what is wanted
        return uint8(uint256(submission));
    }

    function _withStatus(bytes32 submission, uint8 status) private pure returns (bytes32) {
        return bytes31(submission) | bytes32(uint256(status));
    }

    /// @dev Above 0 and ascending, so that each name is one, and stands once.
    function _checkCommitments(bytes32[2][] calldata commitments) private pure {
        uint256 given = commitments.length;
        if (given > MAX_COMMITMENTS) revert TooManyCommitments(given, MAX_COMMITMENTS);
        bytes32 before = 0;
        for (uint256 i = 0; i < given; ++i) {
            bytes32 name = commitments[i][0];
            if (name <= before) revert CommitmentsNotAscending(name);
            before = name;
        }
    }

    function _isText(string calldata text, uint256 most) private pure returns (bool) {
        bytes calldata raw = bytes(text);
        return raw.length != 0 && raw.length <= most && Utf8.isWellFormed(raw);
    }
}
