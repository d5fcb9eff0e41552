// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Values that nobody knew before
/// @notice A draw is opened for a task's topic. Members of the task commit themselves to values of
/// their own, each with a stake; then what the draw is about is fixed; and only in later blocks the
/// members reveal. The draw's value is a hash over all that was revealed. Where the draw asks for
/// it, the randomness of a block goes in as well, whose number is fixed together with the subject.
/// @dev Who commits and does not reveal loses its stake to the treasury of Bonds. The last to reveal
/// chooses between two values for one stake, k members that act together among 2^k for up to k
/// stakes; the proposer of the block whose randomness is used may leave that block out, and chooses
/// between two values for a block's income. A draw that was not finished is void and gives no value;
/// a topic is drawn once, so nobody gets another draw by voiding one. Each function lists its errors
/// in the order in which they are checked; a call that is refused changes nothing.
interface IBeacon {
    /// @notice `draw` takes commitments of members of `task` until `commitUntil`.
    event DrawOpened(
        uint256 indexed draw,
        uint256 indexed task,
        bytes32 indexed topic,
        uint256 stake,
        uint32 quorum,
        uint32 lookahead,
        uint64 commitUntil,
        uint64 fixUntil,
        uint64 revealSeconds
    );

    /// @notice `member` committed itself to a value, as the one with this index from 0.
    event ValueCommitted(
        uint256 indexed draw, address indexed member, uint32 index, bytes32 commitment
    );

    /// @notice The draw is about `subject`; values are revealed in blocks after `fixedBlock`, until
    /// `revealUntil`. `randomBlock` is the block whose randomness goes in; 0: none.
    event SubjectFixed(
        uint256 indexed draw,
        bytes32 subject,
        uint256 fixedBlock,
        uint256 randomBlock,
        uint64 revealUntil
    );

    /// @notice `member` revealed its value.
    event ValueRevealed(uint256 indexed draw, address indexed member, bytes32 value);

    /// @notice The block's randomness is `randomness`.
    event RandomnessProvided(uint256 indexed draw, bytes32 randomness);

    /// @notice The draw ended, with `value`, or void.
    event DrawClosed(uint256 indexed draw, bytes32 value, bool void);

    /// @notice The stake of `member` came back to it, or was `lost`.
    event StakeSettled(uint256 indexed draw, address indexed member, bool lost);

    /// @notice Nobody opened `draw`.
    error UnknownDraw(uint256 draw);

    /// @notice `sender` is neither owner nor aggregator of the task.
    error NotDrawer(address sender);

    /// @notice The task's topic is drawn already.
    error TopicDrawn(uint256 task, bytes32 topic);

    /// @notice Terms that a draw cannot have.
    error InvalidTerms(string term);

    /// @notice This ledger's blocks have no randomness.
    error NoBlockRandomness();

    /// @notice `account` is no member of the draw's task.
    error NotTaskMember(address account);

    /// @notice Commitments were taken until `until`; it is `time` now.
    error CommitmentsClosed(uint64 until, uint64 time);

    /// @notice Commitments are taken until `until`; it is `time` now.
    error CommitmentsOpen(uint64 until, uint64 time);

    /// @notice `account` committed itself already.
    error AlreadyCommitted(address account);

    /// @notice There are `maximum` commitments already.
    error TooManyCommitted(uint256 maximum);

    /// @notice The subject is fixed already.
    error AlreadyFixed(uint256 draw);

    /// @notice The subject had to be fixed until `until`; it is `time` now.
    error FixingClosed(uint64 until, uint64 time);

    /// @notice The subject is not fixed yet.
    error NotFixed(uint256 draw);

    /// @notice Values are revealed in blocks after `fixedBlock`; this is `number`.
    error RevealTooEarly(uint256 fixedBlock, uint256 number);

    /// @notice Values were revealed until `until`; it is `time` now.
    error RevealsClosed(uint64 until, uint64 time);

    /// @notice The draw is not over before `until` has passed; it is `time` now.
    error DrawOpen(uint64 until, uint64 time);

    /// @notice `account` committed itself to nothing.
    error NotCommitted(address account);

    /// @notice `account` revealed already.
    error AlreadyRevealed(address account);

    /// @notice The value is not the one that `account` committed itself to.
    error WrongValue(address account);

    /// @notice The draw wants no block's randomness, or has it already.
    error RandomnessUnwanted(uint256 draw);

    /// @notice The hash of block `number` is not known: it is to come, or too long ago.
    error BlockUnknown(uint256 number);

    /// @notice The header is not that of block `number`, or has no randomness.
    error WrongHeader(uint256 number);

    /// @notice The draw ended already.
    error DrawEnded(uint256 draw);

    /// @notice The draw has not ended.
    error DrawNotEnded(uint256 draw);

    /// @notice `account` has no stake in the draw any more, or never had.
    error NothingStaked(address account);

    /// @notice Opens a draw; the sender is the task's owner or aggregator.
    /// @dev UnknownTask (of TrainingTask), NotDrawer, TopicDrawn, InvalidTerms ("commitSeconds",
    /// "fixSeconds", "revealSeconds": 1 to 2^32 - 1; "quorum": 1 to MAX_COMMITTED; "lookahead": at
    /// most 8,000), NoBlockRandomness.
    /// @param topic What is drawn, as the protocol names it: a hash over its purpose and round.
    /// @param stake Tokens that each member locks with its commitment; 0: none.
    /// @param quorum Fewer revealed values than this make the draw void.
    /// @param lookahead Blocks between the one that fixes the subject and the one whose randomness
    /// goes in; 0: no block's.
    /// @param commitSeconds For how long commitments are taken, from now on.
    /// @param fixSeconds For how long after that the subject may be fixed.
    /// @param revealSeconds For how long after that values are revealed.
    function open(
        uint256 task,
        bytes32 topic,
        uint256 stake,
        uint32 quorum,
        uint32 lookahead,
        uint32 commitSeconds,
        uint32 fixSeconds,
        uint32 revealSeconds
    ) external returns (uint256 draw);

    /// @notice Commits the sender, a member of the task, to a value.
    /// @dev UnknownDraw, CommitmentsClosed, NotTaskMember, AlreadyCommitted, TooManyCommitted, then
    /// the errors of Bonds.lock.
    /// @param commitment keccak256(abi.encode(draw, sender, value)).
    function commit(uint256 draw, bytes32 commitment) external;

    /// @notice Says what the draw is about, once; the sender is the task's owner or aggregator.
    /// @dev UnknownDraw, NotDrawer, AlreadyFixed, CommitmentsOpen, FixingClosed.
    function fix(uint256 draw, bytes32 subject) external;

    /// @notice Reveals the sender's value.
    /// @dev UnknownDraw, NotFixed, RevealTooEarly, RevealsClosed, NotCommitted, AlreadyRevealed,
    /// WrongValue.
    function reveal(uint256 draw, bytes32 value) external;

    /// @notice Gives the randomness of the block that the draw names; anyone may.
    /// @dev UnknownDraw, NotFixed, RevealsClosed, RandomnessUnwanted, BlockUnknown, WrongHeader. The
    /// block's hash is known for 256 blocks, and for 8,191 where the chain has EIP-2935.
    /// @param header The block's header, as RLP.
    function provide(uint256 draw, bytes calldata header) external;

    /// @notice Ends a draw; anyone may, once nothing can change it any more.
    /// @dev UnknownDraw, DrawEnded, DrawOpen.
    function close(uint256 draw) external;

    /// @notice Gives a member its stake back, or takes it: of a draw that ended, from who committed
    /// and did not reveal, where revealing was possible. Anyone may.
    /// @dev UnknownDraw, DrawNotEnded, NothingStaked.
    function settle(uint256 draw, address member) external;

    /// @notice Number of draws so far, which is also the newest draw's number.
    function drawCount() external view returns (uint256);

    /// @notice The draw of a task's topic; 0: none.
    function drawOf(uint256 task, bytes32 topic) external view returns (uint256);

    /// @notice A draw's value; reverts with UnknownDraw, DrawNotEnded.
    /// @return value sha256 over draw, subject and the block's randomness (or zero), 32 bytes each,
    /// and the revealed values in the order of their commitments; zero where it is void.
    function valueOf(uint256 draw) external view returns (bytes32 value, bool void);

    /// @notice The most commitments of one draw: 256.
    function MAX_COMMITTED() external view returns (uint256);
}
