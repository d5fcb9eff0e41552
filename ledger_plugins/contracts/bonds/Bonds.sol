// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IStakeToken} from "../stake_token/IStakeToken.sol";
import {ITokenReceiver} from "../solidity/TokenReceiver.sol";
import {IBonds} from "./IBonds.sol";

/// @title Deposits that can be lost
/// @notice What it does, says and refuses is written in IBonds.
contract Bonds is IBonds {
    /// @inheritdoc IBonds
    uint256 public constant WITHDRAW_DELAY = 86_400;

    /// @inheritdoc IBonds
    uint256 public constant MAX_RECIPIENTS = 256;

    bytes32 private constant LOCKER_ROLE = keccak256("LOCKER_ROLE");

    IStakeToken private immutable TOKEN;

    /// @inheritdoc IBonds
    mapping(address account => uint256) public free;

    /// @inheritdoc IBonds
    mapping(address account => mapping(address locker => mapping(bytes32 purpose => uint256)))
        public locked;

    mapping(address account => uint256) private _releasedAt;

    /// @param stakeToken The token that is deposited, and that says who may lock.
    constructor(IStakeToken stakeToken) {
        TOKEN = stakeToken;
    }

    /// @inheritdoc IBonds
    function deposit(uint256 amount) external {
        _add(msg.sender, amount);
        // It returns true or reverts.
        // forge-lint: disable-next-line(erc20-unchecked-transfer)
        TOKEN.transferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc ITokenReceiver
    function onTokenTransfer(address sender, uint256 value, bytes calldata) external {
        if (msg.sender != address(TOKEN)) revert NotToken(msg.sender);
        _add(sender, value);
    }

    /// @inheritdoc IBonds
    function withdraw(uint256 amount) external {
        _take(msg.sender, amount);
        uint256 earliest = withdrawableFrom(msg.sender);
        // forge-lint: disable-next-line(block-timestamp) - delays are judged by block time (L5)
        if (block.timestamp < earliest) {
            revert WithdrawTooEarly(earliest, uint64(block.timestamp));
        }

        emit Withdrawn(msg.sender, amount);
        // forge-lint: disable-next-line(erc20-unchecked-transfer)
        TOKEN.transfer(msg.sender, amount);
    }

    /// @inheritdoc IBonds
    function lock(address account, bytes32 purpose, uint256 amount) external {
        _checkLocker();
        _take(account, amount);
        locked[account][msg.sender][purpose] += amount;

        emit Locked(account, msg.sender, purpose, amount);
    }

    /// @inheritdoc IBonds
    function release(address account, bytes32 purpose, uint256 amount) external {
        _checkLocker();
        if (amount == 0) revert ZeroAmount();
        _unlock(account, purpose, amount);
        free[account] += amount;
        _releasedAt[account] = block.timestamp;

        emit Released(account, msg.sender, purpose, amount);
    }

    /// @inheritdoc IBonds
    function slash(
        address account,
        bytes32 purpose,
        address[] calldata to,
        uint256[] calldata amounts
    ) external {
        _checkLocker();
        if (to.length != amounts.length) revert ListsUnequal(to.length, amounts.length);
        if (to.length > MAX_RECIPIENTS) revert TooManyRecipients(to.length, MAX_RECIPIENTS);
        uint256 sum = 0;
        for (uint256 i = 0; i < to.length; ++i) {
            sum += amounts[i];
        }
        if (sum == 0) revert ZeroAmount();
        _unlock(account, purpose, sum);
        for (uint256 i = 0; i < to.length; ++i) {
            free[to[i]] += amounts[i];
        }

        emit Slashed(account, msg.sender, purpose, to, amounts);
    }

    /// @inheritdoc IBonds
    function withdrawableFrom(address account) public view returns (uint256) {
        uint256 releasedAt = _releasedAt[account];
        return releasedAt == 0 ? 0 : releasedAt + WITHDRAW_DELAY;
    }

    /// @inheritdoc IBonds
    function token() external view returns (address) {
        return address(TOKEN);
    }

    function _add(address account, uint256 amount) private {
        if (amount == 0) revert ZeroAmount();
        free[account] += amount;

        emit Deposited(account, amount);
    }

    function _take(address account, uint256 amount) private {
        if (amount == 0) revert ZeroAmount();
        uint256 has = free[account];
        if (has < amount) revert FreeTooSmall(account, has, amount);
        free[account] = has - amount;
    }

    function _unlock(address account, bytes32 purpose, uint256 amount) private {
        uint256 has = locked[account][msg.sender][purpose];
        if (has < amount) revert LockedTooSmall(account, purpose, has, amount);
        locked[account][msg.sender][purpose] = has - amount;
    }

    function _checkLocker() private view {
        if (!TOKEN.hasRole(LOCKER_ROLE, msg.sender)) revert NotLocker(msg.sender);
    }
}
