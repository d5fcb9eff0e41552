// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ITrainingTask} from "./ITrainingTask.sol";
import {TaskRoles} from "./TaskRoles.sol";

/// @title Models to come back to, and how a task comes back to one
/// @notice What it does, says and refuses is written in ITrainingTask.
abstract contract TaskCheckpoints is TaskRoles {
    struct Checkpoint {
        bytes cid; // empty: none
        uint32 accuracy;
    }

    /// @dev One slot.
    struct Choice {
        bool made;
        uint32 toRound;
    }

    /// @dev Votes of one set of members in one round.
    struct Ballot {
        mapping(uint32 toRound => uint32) votes;
        mapping(address member => Choice) choices;
    }

    /// @dev By the round whose model it is.
    mapping(uint256 task => mapping(uint32 round => Checkpoint)) private _checkpoints;

    /// @dev By the number of rounds that ended and of revocations: when either changes, all votes
    /// are out of reach, and nobody has to delete them.
    mapping(uint256 task => mapping(uint32 ended => mapping(uint32 revocations => Ballot))) private
        _ballots;

    /// @inheritdoc ITrainingTask
    function recordCheckpoint(uint256 task, uint32 round, uint32 accuracy) external {
        Task storage about = _task(task);
        bool may = msg.sender == about.owner || msg.sender == about.aggregator;
        if (!may && !_isGovernor(msg.sender)) revert NotOwnerOrAggregator(msg.sender);
        if (round != about.ended) revert NotNewestRound(about.ended, round);
        if (accuracy > 1_000_000) revert InvalidAccuracy(accuracy);
        Checkpoint storage checkpoint = _checkpoints[task][round];
        if (checkpoint.cid.length != 0) revert CheckpointExists(task, round);
        bytes memory cid = about.currentCid;
        (checkpoint.cid, checkpoint.accuracy) = (cid, accuracy);

        emit CheckpointRecorded(task, round, cid, accuracy, msg.sender);
    }

    /// @inheritdoc ITrainingTask
    function rollback(uint256 task, uint32 round, uint32 toRound) external {
        Task storage about = _ownTask(task);
        _checkOpen(about, task, round);
        _rollBack(about, _target(about, task, toRound), task, round, toRound, 0);
    }

    /// @inheritdoc ITrainingTask
    function voteRollback(uint256 task, uint32 round, uint32 toRound) external {
        Task storage about = _task(task);
        if (_memberSince[task][msg.sender] == 0) revert NotMember(msg.sender);
        _checkOpen(about, task, round);
        Checkpoint storage checkpoint = _target(about, task, toRound);

        Ballot storage ballot = _ballots[task][about.ended][about.revocations];
        Choice storage choice = ballot.choices[msg.sender];
        if (choice.made) {
            uint32 before = choice.toRound;
            if (before == toRound) revert AlreadyVoted(msg.sender, toRound);
            --ballot.votes[before];
        }
        (choice.made, choice.toRound) = (true, toRound);
        uint32 votes = ++ballot.votes[toRound];
        uint32 members = about.members;

        emit RollbackVoted(task, round, msg.sender, toRound, votes, members);

        if (votes > members / 2) _rollBack(about, checkpoint, task, round, toRound, votes);
    }

    /// @inheritdoc ITrainingTask
    function getCheckpoint(uint256 task, uint32 round)
        external
        view
        returns (bytes memory cid, uint32 accuracy)
    {
        _task(task);
        Checkpoint storage checkpoint = _checkpoints[task][round];
        if (checkpoint.cid.length == 0) revert UnknownCheckpoint(task, round);
        return (checkpoint.cid, checkpoint.accuracy);
    }

    /// @inheritdoc ITrainingTask
    function getRollbackVotes(uint256 task, uint32 toRound) external view returns (uint32) {
        Task storage about = _task(task);
        return _ballots[task][about.ended][about.revocations].votes[toRound];
    }

    /// @dev The checkpoint, which is another model than the task has now.
    function _target(Task storage about, uint256 task, uint32 toRound)
        private
        view
        returns (Checkpoint storage checkpoint)
    {
        checkpoint = _checkpoints[task][toRound];
        bytes memory cid = checkpoint.cid;
        if (cid.length == 0) revert UnknownCheckpoint(task, toRound);
        if (keccak256(cid) == keccak256(about.currentCid)) revert ModelUnchanged(toRound);
    }

    function _rollBack(
        Task storage about,
        Checkpoint storage checkpoint,
        uint256 task,
        uint32 round,
        uint32 toRound,
        uint32 votes
    ) private {
        bytes memory cid = checkpoint.cid;
        (about.ended, about.openedAt) = (round, uint64(block.timestamp));
        about.currentCid = cid;

        emit RolledBack(task, round, toRound, cid, checkpoint.accuracy, votes);
    }
}
