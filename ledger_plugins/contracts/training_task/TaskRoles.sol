// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ITrainingTask} from "./ITrainingTask.sol";
import {TaskBase} from "./TaskBase.sol";

/// @title Who may do what in a task
/// @notice What it does, says and refuses is written in ITrainingTask.
abstract contract TaskRoles is TaskBase {
    mapping(uint256 task => mapping(address account => bool)) internal _isMember;

    /// @inheritdoc ITrainingTask
    function appointAggregator(uint256 task, address aggregator) external {
        Task storage about = _ownTask(task);
        if (aggregator == address(0)) revert InvalidAggregator(aggregator);
        about.aggregator = aggregator;

        emit AggregatorAppointed(task, aggregator);
    }

    /// @inheritdoc ITrainingTask
    function appointMembers(uint256 task, address[] calldata members) external {
        Task storage about = _ownTask(task);
        uint32 number = _checkMembers(members);
        mapping(address account => bool) storage isOne = _isMember[task];
        for (uint256 i = 0; i < members.length; ++i) {
            if (isOne[members[i]]) revert AlreadyMember(members[i]);
            isOne[members[i]] = true;
        }
        about.members += number;

        emit MembersAppointed(task, members);
    }

    /// @inheritdoc ITrainingTask
    function revokeMembers(uint256 task, address[] calldata members) external {
        Task storage about = _ownTask(task);
        uint32 number = _checkMembers(members);
        mapping(address account => bool) storage isOne = _isMember[task];
        for (uint256 i = 0; i < members.length; ++i) {
            if (!isOne[members[i]]) revert NotMember(members[i]);
            isOne[members[i]] = false;
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
    function isMember(uint256 task, address account) external view returns (bool) {
        _task(task);
        return _isMember[task][account];
    }

    function _checkMembers(address[] calldata members) private pure returns (uint32) {
        uint256 given = members.length;
        if (given > MAX_CONTRIBUTORS) revert TooManyMembers(given, MAX_CONTRIBUTORS);
        // forge-lint: disable-next-line(unsafe-typecast) - at most MAX_CONTRIBUTORS
        return uint32(given);
    }
}
