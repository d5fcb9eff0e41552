// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title A guestbook
/// @notice Keeps one note of every account.
contract Guestbook {
    /// @notice An account wrote a note.
    event Written(address indexed account, bytes32 note);

    mapping(address account => bytes32) private _notes;

    /// @notice Keep the sender's note in place of an earlier one.
    function write(bytes32 note) external {
        _notes[msg.sender] = note;
        emit Written(msg.sender, note);
    }

    /// @notice An account's note, or zeros.
    function noteOf(address account) external view returns (bytes32) {
        return _notes[account];
    }
}
