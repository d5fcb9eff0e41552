// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ITokenReceiver} from "../solidity/TokenReceiver.sol";

/// @title Deposits that can be lost
/// @notice An account deposits tokens; contracts that hold the token's LOCKER_ROLE lock parts of
/// them for a purpose, and later release what they locked or take it away. What is not locked is
/// free, and its account may withdraw it.
/// @dev The tokens that this contract holds are always the sum of what is free and what is locked,
/// over all accounts; what a slash gives to nobody in particular is free to this contract's own
/// address, the treasury, and stays there. Tokens that somebody transfers to it without depositing
/// them come on top, and belong to nobody. A contract reaches only what it locked itself. Each
/// function lists its errors in the order in which they are checked; a call that is refused changes
/// nothing.
interface IBonds is ITokenReceiver {
    /// @notice `account` deposited `amount` tokens.
    event Deposited(address indexed account, uint256 amount);

    /// @notice `account` took `amount` tokens out.
    event Withdrawn(address indexed account, uint256 amount);

    /// @notice `locker` locked `amount` of the free tokens of `account` for `purpose`.
    event Locked(
        address indexed account, address indexed locker, bytes32 indexed purpose, uint256 amount
    );

    /// @notice `locker` gave `amount` that it had locked for `purpose` back to `account`.
    event Released(
        address indexed account, address indexed locker, bytes32 indexed purpose, uint256 amount
    );

    /// @notice `locker` took what it had locked of `account` for `purpose`, and gave `amounts` of it
    /// to the accounts `to`, as free tokens.
    event Slashed(
        address indexed account,
        address indexed locker,
        bytes32 indexed purpose,
        address[] to,
        uint256[] amounts
    );

    /// @notice An amount is at least 1.
    error ZeroAmount();

    /// @notice `sender` is not the token whose deposits are kept here.
    error NotToken(address sender);

    /// @notice `sender` is no contract that may lock deposits.
    error NotLocker(address sender);

    /// @notice `account` has `free` tokens that are not locked, `needed` are wanted.
    error FreeTooSmall(address account, uint256 free, uint256 needed);

    /// @notice The sender locked `locked` tokens of `account` for `purpose`, `needed` are wanted.
    error LockedTooSmall(address account, bytes32 purpose, uint256 locked, uint256 needed);

    /// @notice The account may withdraw from `earliest` on; it is `time` now.
    error WithdrawTooEarly(uint256 earliest, uint64 time);

    /// @notice There are `to` recipients and `amounts` amounts.
    error ListsUnequal(uint256 to, uint256 amounts);

    /// @notice `given` recipients are more than MAX_RECIPIENTS.
    error TooManyRecipients(uint256 given, uint256 maximum);

    /// @notice Deposits the sender's tokens, which it allowed this contract to take. In one call:
    /// the token's transferAndCall to this contract.
    /// @dev ZeroAmount, then the token's errors. onTokenTransfer: NotToken, ZeroAmount; its `data` is
    /// ignored.
    function deposit(uint256 amount) external;

    /// @notice Takes free tokens of the sender out.
    /// @dev ZeroAmount, FreeTooSmall, WithdrawTooEarly: WITHDRAW_DELAY seconds after the account's
    /// last deposit came free again by a release, the first moment included.
    function withdraw(uint256 amount) external;

    /// @notice Locks free tokens of an account; the sender holds the token's LOCKER_ROLE.
    /// @dev NotLocker, ZeroAmount, FreeTooSmall.
    function lock(address account, bytes32 purpose, uint256 amount) external;

    /// @notice Gives back what the sender locked.
    /// @dev NotLocker, ZeroAmount, LockedTooSmall.
    function release(address account, bytes32 purpose, uint256 amount) external;

    /// @notice Takes away what the sender locked. An account may stand in `to` several times.
    /// @dev NotLocker, ListsUnequal, TooManyRecipients, Panic(0x11) where the sum exceeds 2^256 - 1,
    /// ZeroAmount where it is 0, LockedTooSmall.
    function slash(
        address account,
        bytes32 purpose,
        address[] calldata to,
        uint256[] calldata amounts
    ) external;

    /// @notice What an account deposited or was given, and is not locked.
    function free(address account) external view returns (uint256);

    /// @notice What `locker` locked of an account for a purpose.
    function locked(address account, address locker, bytes32 purpose)
        external
        view
        returns (uint256);

    /// @notice When an account may withdraw, in block time; 0: at any time.
    function withdrawableFrom(address account) external view returns (uint256);

    /// @notice Seconds between an account's last release and its withdrawals: 86,400.
    function WITHDRAW_DELAY() external view returns (uint256);

    /// @notice The most recipients of one slash: 256.
    function MAX_RECIPIENTS() external view returns (uint256);

    /// @notice The StakeToken that is deposited.
    function token() external view returns (address);
}
