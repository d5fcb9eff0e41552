// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IStakeToken} from "../stake_token/IStakeToken.sol";
import {ITrainingTask} from "./ITrainingTask.sol";

/// @title What all of TrainingTask's parts know about tasks
abstract contract TaskBase is ITrainingTask {
    /// @dev What a call changes or checks most often lies together: rounds and times in the first
    /// slot, roles but the owner's in the second.
    struct Task {
        uint32 rounds; // 0: nobody proposed this task
        uint32 ended; // published or rolled back
        uint64 window;
        uint64 openedAt;
        uint8 reward;
        address aggregator;
        uint32 members;
        uint32 revocations; // how often members were revoked, and votes made void
        address owner;
        string modelId;
        bytes modelCid;
        bytes spec;
        bytes currentCid;
    }

    /// @inheritdoc ITrainingTask
    uint256 public constant MAX_CONTRIBUTORS = 256;

    bytes32 private constant GOVERNOR_ROLE = keccak256("GOVERNOR_ROLE");

    IStakeToken internal immutable TOKEN;

    mapping(uint256 task => Task) internal _tasks;

    constructor(IStakeToken stakeToken) {
        TOKEN = stakeToken;
    }

    /// @inheritdoc ITrainingTask
    function getProgress(uint256 task)
        external
        view
        returns (uint32 rounds, uint32 ended, uint64 window, uint64 openedAt)
    {
        Task storage about = _task(task);
        return (about.rounds, about.ended, about.window, about.openedAt);
    }

    function _task(uint256 task) internal view returns (Task storage about) {
        about = _tasks[task];
        if (about.rounds == 0) revert UnknownTask(task);
    }

    function _ownTask(uint256 task) internal view returns (Task storage about) {
        about = _task(task);
        if (msg.sender != about.owner) revert NotOwner(msg.sender);
    }

    function _isGovernor(address account) internal view returns (bool) {
        return TOKEN.hasRole(GOVERNOR_ROLE, account);
    }

    function _checkOpen(Task storage about, uint256 task, uint32 round) internal view {
        uint32 ended = about.ended;
        if (ended == about.rounds) revert TaskFinished(task);
        if (round != ended + 1) revert WrongRound(ended + 1, round);
    }

    /// @dev The last second in which a round with a window takes updates; it cannot overflow.
    function _deadline(Task storage about) internal view returns (uint256) {
        return uint256(about.openedAt) + about.window;
    }

    function _checkOver(Task storage about) internal view {
        if (about.window == 0) return;
        uint256 deadline = _deadline(about);
        // forge-lint: disable-next-line(block-timestamp) - windows are judged by block time (L5)
        if (block.timestamp <= deadline) revert WindowOpen(deadline, uint64(block.timestamp));
    }
}
