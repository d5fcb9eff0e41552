// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

import {IStakeToken} from "./IStakeToken.sol";
import {ITokenReceiver} from "../solidity/TokenReceiver.sol";

/// @title The token that rewards training
/// @notice What it does, says and refuses is written in IStakeToken.
contract StakeToken is IStakeToken, ERC20, AccessControl {
    /// @inheritdoc IStakeToken
    bytes32 public constant MINTER_ROLE = keccak256("MINTER_ROLE");

    /// @inheritdoc IStakeToken
    bytes32 public constant PROPOSER_ROLE = keccak256("PROPOSER_ROLE");

    /// @inheritdoc IStakeToken
    bytes32 public constant LOCKER_ROLE = keccak256("LOCKER_ROLE");

    /// @inheritdoc IStakeToken
    bytes32 public constant GOVERNOR_ROLE = keccak256("GOVERNOR_ROLE");

    /// @param admin Who holds DEFAULT_ADMIN_ROLE, MINTER_ROLE and PROPOSER_ROLE from the start; the
    /// zero address: nobody, and then nobody will ever give or take a role.
    /// @param minters Who else holds MINTER_ROLE from the start: the contracts that pay rewards. Their
    /// addresses follow from the deployer and its nonce, before they are deployed.
    /// @param proposers Who else holds PROPOSER_ROLE from the start; the zero address: everybody.
    /// @param lockers Who holds LOCKER_ROLE from the start: the contracts that lock deposits.
    /// @param governors Who holds GOVERNOR_ROLE from the start: the contracts that replace a task's
    /// aggregator and record checkpoints.
    constructor(
        address admin,
        address[] memory minters,
        address[] memory proposers,
        address[] memory lockers,
        address[] memory governors
    ) ERC20("fedledger stake", "STAKE") {
        if (admin != address(0)) {
            _grantRole(DEFAULT_ADMIN_ROLE, admin);
            _grantRole(MINTER_ROLE, admin);
            _grantRole(PROPOSER_ROLE, admin);
        }
        for (uint256 i = 0; i < minters.length; ++i) {
            _grantRole(MINTER_ROLE, minters[i]);
        }
        for (uint256 i = 0; i < proposers.length; ++i) {
            _grantRole(PROPOSER_ROLE, proposers[i]);
        }
        for (uint256 i = 0; i < lockers.length; ++i) {
            _grantRole(LOCKER_ROLE, lockers[i]);
        }
        for (uint256 i = 0; i < governors.length; ++i) {
            _grantRole(GOVERNOR_ROLE, governors[i]);
        }
    }

    /// @inheritdoc IStakeToken
    function mint(address to, uint256 amount) external onlyRole(MINTER_ROLE) {
        _mint(to, amount);
    }

    /// @inheritdoc IStakeToken
    function transferAndCall(address to, uint256 value, bytes calldata data)
        external
        returns (bool)
    {
        _transfer(msg.sender, to, value);
        if (to.code.length == 0) revert NotReceiver(to);
        try ITokenReceiver(to).onTokenTransfer(msg.sender, value, data) {
            return true;
        } catch (bytes memory reason) {
            if (reason.length == 0) revert NotReceiver(to);
            assembly ("memory-safe") {
                revert(add(reason, 0x20), mload(reason))
            }
        }
    }

    /// @notice 0: a token cannot be divided.
    function decimals() public pure override(ERC20, IERC20Metadata) returns (uint8) {
        return 0;
    }
}
