// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";

/// @title The token that rewards training
/// @notice An ERC-20 without decimals. Whoever holds MINTER_ROLE creates tokens; nobody destroys
/// them, so the sum of all balances is the total supply (clause L7).
/// @dev What is not declared here comes from ERC-20, ERC-6093 and role-based access control, so that
/// wallets and explorers know it:
///
/// - transfer, approve and transferFrom return true or revert. An allowance of 2^256 - 1 never runs
///   out. transferFrom emits no Approval for what is left of an allowance.
/// - DEFAULT_ADMIN_ROLE (32 zero bytes) gives and takes all roles; no function changes a role's
///   admin role, so RoleAdminChanged is never emitted.
/// - A supply above 2^256 - 1 reverts with Panic(0x11).
interface IStakeToken is IERC20Metadata, IERC20Errors, IAccessControl {
    /// @notice Creates `amount` tokens for `to`; the sender holds MINTER_ROLE.
    /// @dev AccessControlUnauthorizedAccount, ERC20InvalidReceiver, Panic(0x11).
    function mint(address to, uint256 amount) external;

    /// @notice `to` is no contract that takes tokens by transferAndCall.
    error NotReceiver(address to);

    /// @notice Transfers `value` tokens to a contract and tells it so, in one call: ERC-677, without
    /// that standard's second Transfer event.
    /// @dev The errors of transfer, NotReceiver, then those of the receiver's
    /// onTokenTransfer(address sender, uint256 value, bytes data).
    function transferAndCall(address to, uint256 value, bytes calldata data) external returns (bool);

    /// @notice The role that mints: keccak256("MINTER_ROLE").
    function MINTER_ROLE() external view returns (bytes32);

    /// @notice The role that proposes training tasks whose rewards are minted:
    /// keccak256("PROPOSER_ROLE"). Where the zero address holds it, everybody does.
    function PROPOSER_ROLE() external view returns (bytes32);

    /// @notice The role that locks deposits, held by contracts: keccak256("LOCKER_ROLE").
    function LOCKER_ROLE() external view returns (bytes32);

    /// @notice The role that decides in training tasks besides their owners, held by contracts:
    /// keccak256("GOVERNOR_ROLE").
    function GOVERNOR_ROLE() external view returns (bytes32);
}
