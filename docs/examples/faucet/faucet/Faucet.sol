// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice What the faucet needs of the token. The type's name says which contract it is.
interface IStakeToken {
    function mint(address to, uint256 amount) external;
}

/// @title A faucet
/// @notice Gives every account one token, once. It holds MINTER_ROLE.
contract Faucet {
    /// @notice An account was given its token.
    event Served(address indexed account);

    /// @notice The account had its token before.
    error AlreadyServed(address account);

    IStakeToken private immutable TOKEN;
    mapping(address account => bool) private _served;

    /// @param token The token it mints.
    constructor(IStakeToken token) {
        TOKEN = token;
    }

    /// @notice Mint one token for the sender.
    function draw() external {
        if (_served[msg.sender]) revert AlreadyServed(msg.sender);
        _served[msg.sender] = true;
        TOKEN.mint(msg.sender, 1);
        emit Served(msg.sender);
    }

    /// @notice Whether an account had its token.
    function served(address account) external view returns (bool) {
        return _served[account];
    }
}
