// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

import {IStakeToken} from "./IStakeToken.sol";

/// @title The token that rewards training
/// @notice What it does, says and refuses is written in IStakeToken.
contract StakeToken is IStakeToken, ERC20, AccessControl {
    /// @inheritdoc IStakeToken
    bytes32 public constant MINTER_ROLE = keccak256("MINTER_ROLE");

    /// @inheritdoc IStakeToken
    bytes32 public constant PROPOSER_ROLE = keccak256("PROPOSER_ROLE");

    /// @param admin Who holds DEFAULT_ADMIN_ROLE, MINTER_ROLE and PROPOSER_ROLE from the start; the
    /// zero address: nobody, and then nobody will ever give or take a role.
    /// @param minters Who else holds MINTER_ROLE from the start: the contracts that pay rewards. Their
    /// addresses follow from the deployer and its nonce, before they are deployed.
    /// @param proposers Who else holds PROPOSER_ROLE from the start; the zero address: everybody.
    constructor(address admin, address[] memory minters, address[] memory proposers)
        ERC20("fedledger stake", "STAKE")
    {
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
    }

    /// @inheritdoc IStakeToken
    function mint(address to, uint256 amount) external onlyRole(MINTER_ROLE) {
        _mint(to, amount);
    }

    /// @notice 0: a token cannot be divided.
    function decimals() public pure override(ERC20, IERC20Metadata) returns (uint8) {
        return 0;
    }
}
