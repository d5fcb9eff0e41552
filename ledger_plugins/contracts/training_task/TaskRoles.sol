// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ITrainingTask} from "./ITrainingTask.sol";
import {TaskBase} from "./TaskBase.sol";

/// @title Who may do what in a task
/// @notice What it does, says and refuses is written in ITrainingTask.
abstract contract TaskRoles is TaskBase {
    /// @dev 0: no member.
    mapping(uint256 task => mapping(address account => uint64)) internal _memberSince;

    /// @inheritdoc ITrainingTask
    function appointAggregator(uint256 task, address aggregator) external {
        Task storage about = _task(task);
        if (msg.sender != about.owner && !_isGovernor(msg.sender)) revert NotOwner(msg.sender);
        if (aggregator == address(0)) revert InvalidAggregator(aggregator);
        about.aggregator = aggregator;

        emit AggregatorAppointed(task, aggregator);
    }

    /// @inheritdoc ITrainingTask
    function appointMembers(uint256 task, address[] calldata members) external {
        Task storage about = _ownTask(task);
        uint32 number = _checkMembers(members);
        mapping(address account => uint64) storage since = _memberSince[task];
        for (uint256 i = 0; i < members.length; ++i) {
            if (since[members[i]] != 0) revert AlreadyMember(members[i]);
            since[members[i]] = uint64(block.timestamp);
        }
        about.members += number;

        emit MembersAppointed(task, members);
    }

    /// @inheritdoc ITrainingTask
    function revokeMembers(uint256 task, address[] calldata members) external {
        Task storage about = _ownTask(task);
        uint32 number = _checkMembers(members);
        mapping(address account => uint64) storage since = _memberSince[task];
        for (uint256 i = 0; i < members.length; ++i) {
            if (since[members[i]] == 0) revert NotMember(members[i]);
            since[members[i]] = 0;
        }
        (about.members, about.revocations) = (about.members - number, about.revocations + 1);

        emit MembersRevoked(task, members);
    }

    /// @inheritdoc ITrainingTask
    function getRoles(uint256 task)
        external
        view
        returns (address owner, address aggregator, uint32 members)
    {
        Task storage about = _task(task);
        return (about.owner, about.aggregator, about.members);
    }

    /// @inheritdoc ITrainingTask
    function isMember(uint256 task, address account)
        external
        view
        returns (bool member, uint64 since)
    {
        _task(task);
        since = _memberSince[task][account];
        return (since != 0, since);
    }

    function _checkMembers(address[] calldata members) private pure returns (uint32) {
        uint256 given = members.length;
        if (given > MAX_CONTRIBUTORS) revert TooManyMembers(given, MAX_CONTRIBUTORS);
        // forge-lint: disable-next-line(unsafe-typecast) - at most MAX_CONTRIBUTORS
        return uint32(given);
    }
}
