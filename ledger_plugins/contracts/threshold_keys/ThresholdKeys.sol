// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IThresholdKeys} from "./IThresholdKeys.sol";

/// @title Threshold keys, and the trainers that accept them
/// @notice What it does, says and refuses is written in IThresholdKeys.
contract ThresholdKeys is IThresholdKeys {
    struct Keys {
        address dealer;
        uint16 threshold;
        uint16 trainers;
        uint64 published;
        bytes32 digest;
    }

    /// @dev `id` is that of the keys.
    struct Acceptance {
        bytes32 id;
        uint256 round;
    }

    /// @inheritdoc IThresholdKeys
    uint256 public constant MAX_TRAINERS = 64;

    /// @inheritdoc IThresholdKeys
    uint256 public constant MAX_KEYS = 1 << 16;

    mapping(bytes32 id => Keys) private _keys;
    mapping(bytes32 id => mapping(address trainer => uint16)) private _numbers;
    mapping(uint256 task => mapping(address trainer => Acceptance)) private _acceptances;

    /// @dev For which task a trainer accepted keys, if its acceptance for that task says so too.
    mapping(bytes32 id => mapping(address trainer => uint256)) private _tasks;

    /// @inheritdoc IThresholdKeys
    function publishKeys(address[] calldata trainers, uint16 threshold, bytes calldata keys)
        external
    {
        uint256 number = trainers.length;
        if (number < 2 || number > MAX_TRAINERS) revert TrainersOutOfRange(number);
        for (uint256 i = 0; i < number; ++i) {
            address trainer = trainers[i];
            if (trainer == address(0)) revert InvalidTrainer(trainer);
            for (uint256 j = 0; j < i; ++j) {
                if (trainers[j] == trainer) revert InvalidTrainer(trainer);
            }
        }
        if (threshold > number || uint256(threshold) * 2 <= number) {
            revert InvalidThreshold(threshold, number);
        }
        if (keys.length == 0 || keys.length > MAX_KEYS) revert InvalidKeysLength(keys.length);
        bytes32 digest = sha256(keys);
        bytes32 id = _idOf(msg.sender, digest);
        if (_keys[id].published != 0) revert KeysAlreadyPublished(msg.sender, digest);

        // forge-lint: disable-next-line(unsafe-typecast) - at most MAX_TRAINERS, and a block's number
        _keys[id] = Keys(msg.sender, threshold, uint16(number), uint64(block.number), digest);
        for (uint256 i = 0; i < number; ++i) {
            // forge-lint: disable-next-line(unsafe-typecast) - at most MAX_TRAINERS
            _numbers[id][trainers[i]] = uint16(i + 1);
        }

        emit KeysPublished(msg.sender, digest, trainers, threshold, keys);
    }

    /// @inheritdoc IThresholdKeys
    function acceptKeys(uint256 task, uint256 round, address dealer, bytes32 digest) external {
        bytes32 id = _idOf(dealer, digest);
        if (_keys[id].published == 0) revert UnknownKeys(dealer, digest);
        if (_numbers[id][msg.sender] == 0) revert NotTrainer(msg.sender);
        Acceptance storage own = _acceptances[task][msg.sender];
        bytes32 before = own.id;
        if (before != 0) {
            if (before != id) {
                Keys storage others = _keys[before];
                revert OtherKeysAccepted(others.dealer, others.digest);
            }
            if (round <= own.round) revert AlreadyAccepted(own.round);
        } else {
            uint256 served = _tasks[id][msg.sender];
            if (_acceptances[served][msg.sender].id == id) revert KeysServeAnotherTask(served);
            own.id = id;
            _tasks[id][msg.sender] = task;
        }
        own.round = round;

        emit KeysAccepted(task, round, msg.sender, dealer, digest);
    }

    /// @inheritdoc IThresholdKeys
    function keysOf(address dealer, bytes32 digest)
        external
        view
        returns (uint16 threshold, uint16 trainers, uint64 published)
    {
        Keys storage keys = _keys[_idOf(dealer, digest)];
        return (keys.threshold, keys.trainers, keys.published);
    }

    /// @inheritdoc IThresholdKeys
    function trainerNumber(address dealer, bytes32 digest, address account)
        external
        view
        returns (uint16 number)
    {
        return _numbers[_idOf(dealer, digest)][account];
    }

    /// @inheritdoc IThresholdKeys
    function acceptance(uint256 task, address trainer)
        external
        view
        returns (address dealer, bytes32 digest, uint256 round)
    {
        Acceptance storage own = _acceptances[task][trainer];
        Keys storage keys = _keys[own.id];
        return (keys.dealer, keys.digest, own.round);
    }

    function _idOf(address dealer, bytes32 digest) private pure returns (bytes32) {
        return keccak256(abi.encode(dealer, digest));
    }
}
