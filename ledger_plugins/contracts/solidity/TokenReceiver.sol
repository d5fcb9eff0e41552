// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title A contract that takes tokens by the token's transferAndCall (ERC-677)
interface ITokenReceiver {
    /// @notice `sender` has transferred `value` tokens to this contract; the token calls.
    function onTokenTransfer(address sender, uint256 value, bytes calldata data) external;
}
