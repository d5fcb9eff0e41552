// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Threshold keys, and the trainers that accept them
/// @notice A dealer publishes the public half of a key that a threshold of trainers use together.
/// Each trainer says, for one task, that its own share fits.
/// @dev The contract checks who, how many and how long, and computes a digest. It does not look into
/// the keys: whether they are a threshold key at all, and of these trainers and this threshold, is
/// checked by everybody who uses them. Keys are a dealer's: whoever publishes another's bytes has
/// keys of its own, and keeps nobody from anything. Whether a task exists, what round it is in, and
/// whether it wants these keys is in its specification, and for its readers. Each function lists its
/// errors in the order in which they are checked.
interface IThresholdKeys {
    /// @notice `dealer` dealt these keys to the trainers; the trainer at place i has number i + 1.
    event KeysPublished(
        address indexed dealer,
        bytes32 indexed digest,
        address[] trainers,
        uint16 threshold,
        bytes keys
    );

    /// @notice A trainer has its share of these keys, and uses it for this task alone.
    event KeysAccepted(
        uint256 indexed task,
        uint256 indexed round,
        address indexed trainer,
        address dealer,
        bytes32 digest
    );

    /// @notice Keys are dealt to 2 to MAX_TRAINERS trainers, and not to `given`.
    error TrainersOutOfRange(uint256 given);

    /// @notice `trainer` stands twice on the list, or is the zero address.
    error InvalidTrainer(address trainer);

    /// @notice More than half of the trainers open together, and at most all.
    error InvalidThreshold(uint16 threshold, uint256 trainers);

    /// @notice Keys have 1 to MAX_KEYS bytes, and not `given`.
    error InvalidKeysLength(uint256 given);

    /// @notice The dealer published keys with this digest already.
    error KeysAlreadyPublished(address dealer, bytes32 digest);

    /// @notice The dealer published no keys with this digest.
    error UnknownKeys(address dealer, bytes32 digest);

    /// @notice `account` is none of these keys' trainers.
    error NotTrainer(address account);

    /// @notice The sender accepted these keys for the task, and uses no others there.
    error OtherKeysAccepted(address dealer, bytes32 digest);

    /// @notice The sender accepted the keys for `task`, and uses them nowhere else.
    error KeysServeAnotherTask(uint256 task);

    /// @notice The sender accepted the keys in `round`; it does so again only in a later one.
    error AlreadyAccepted(uint256 round);

    /// @notice Publishes keys; the sender is their dealer.
    /// @dev TrainersOutOfRange, InvalidTrainer, InvalidThreshold, InvalidKeysLength,
    /// KeysAlreadyPublished. The digest is the SHA-256 of `keys`.
    /// @param trainers Who holds a share, in their order.
    /// @param threshold How many of them open together.
    /// @param keys Their encoding, of which the contract checks nothing.
    function publishKeys(address[] calldata trainers, uint16 threshold, bytes calldata keys)
        external;

    /// @notice Says that the sender, a trainer, has its share of these keys and uses it for a task.
    /// @dev UnknownKeys, NotTrainer, OtherKeysAccepted, KeysServeAnotherTask, AlreadyAccepted.
    /// @param round The round in which it says so; a later one when the first had too few.
    function acceptKeys(uint256 task, uint256 round, address dealer, bytes32 digest) external;

    /// @notice Most trainers that keys are dealt to.
    function MAX_TRAINERS() external view returns (uint256);

    /// @notice Most bytes that keys have: those of 64 trainers with a modulus of 7,680 bits.
    function MAX_KEYS() external view returns (uint256);

    /// @notice What is known of a dealer's keys.
    /// @return threshold How many trainers open together.
    /// @return trainers How many there are.
    /// @return published Number of the block in which they were published; 0: there are none.
    function keysOf(address dealer, bytes32 digest)
        external
        view
        returns (uint16 threshold, uint16 trainers, uint64 published);

    /// @notice The number that an account has among the keys' trainers, from 1; 0: it is none.
    function trainerNumber(address dealer, bytes32 digest, address account)
        external
        view
        returns (uint16 number);

    /// @notice Which keys a trainer accepted for a task.
    /// @return dealer Zero: it accepted none.
    /// @return digest SHA-256 of the keys.
    /// @return round In which it did so last.
    function acceptance(uint256 task, address trainer)
        external
        view
        returns (address dealer, bytes32 digest, uint256 round);
}
