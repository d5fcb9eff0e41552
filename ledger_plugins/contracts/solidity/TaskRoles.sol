// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ITrainingTask} from "./ITrainingTask.sol";
import {TaskBase} from "./TaskBase.sol";

/// @title Who may do what in a task
/// @notice What it does, says and refuses is written in ITrainingTask.
abstract contract TaskRoles is TaskBase {
    mapping(uint256 task => mapping(address account => bool)) internal _isMiner;

    /// @inheritdoc ITrainingTask
    function appointAggregator(uint256 task, address aggregator) external {
        Task storage about = _ownTask(task);
        if (aggregator == address(0)) revert InvalidAggregator(aggregator);
        about.aggregator = aggregator;

        emit AggregatorAppointed(task, aggregator);
    }

    /// @inheritdoc ITrainingTask
    function appointMiners(uint256 task, address[] calldata miners) external {
        Task storage about = _ownTask(task);
        uint32 number = _checkMiners(miners);
        mapping(address account => bool) storage isOne = _isMiner[task];
        for (uint256 i = 0; i < miners.length; ++i) {
            if (isOne[miners[i]]) revert AlreadyMiner(miners[i]);
            isOne[miners[i]] = true;
        }
        about.miners += number;

        emit MinersAppointed(task, miners);
    }

    /// @inheritdoc ITrainingTask
    function revokeMiners(uint256 task, address[] calldata miners) external {
        Task storage about = _ownTask(task);
        uint32 number = _checkMiners(miners);
        mapping(address account => bool) storage isOne = _isMiner[task];
        for (uint256 i = 0; i < miners.length; ++i) {
            if (!isOne[miners[i]]) revert NotMiner(miners[i]);
            isOne[miners[i]] = false;
        }
        (about.miners, about.revocations) = (about.miners - number, about.revocations + 1);

        emit MinersRevoked(task, miners);
    }

    /// @inheritdoc ITrainingTask
    function getRoles(uint256 task)
        external
        view
        returns (address owner, address aggregator, uint32 miners)
    {
        Task storage about = _task(task);
        return (about.owner, about.aggregator, about.miners);
    }

    /// @inheritdoc ITrainingTask
    function isMiner(uint256 task, address account) external view returns (bool) {
        _task(task);
        return _isMiner[task][account];
    }

    function _checkMiners(address[] calldata miners) private pure returns (uint32) {
        uint256 given = miners.length;
        if (given > MAX_CONTRIBUTORS) revert TooManyMiners(given, MAX_CONTRIBUTORS);
        // forge-lint: disable-next-line(unsafe-typecast) - at most MAX_CONTRIBUTORS
        return uint32(given);
    }
}
