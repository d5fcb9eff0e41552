// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Who takes part in a task, from round to round
/// @notice The owner of a task opens its membership once, before a round ended, and says who decides:
/// the owner, or more than half of the task's members in TrainingTask. Then accounts ask to join,
/// and are admitted; they leave, or are removed; and one hands its place to another, or is given a new
/// key. Nobody is enrolled who did not ask for it. Members also elect the aggregator of a halted
/// task, and record checkpoints.
/// @dev The clients a task begins with stand in its specification, which a contract cannot read. So
/// this one keeps what each account was told, and says it in events; who is a client follows from the
/// specification and the events before the round opened. Whoever leaves or is removed here need
/// never have been a client, and nothing comes of it.
///
/// A vote is for one change, while one round is open. It counts as long as its member has been one
/// without a break, and is void when the round ends. Each function lists its errors in the order in
/// which they are checked; every one begins with TrainingTask's UnknownTask.
interface IMembership {
    /// @notice From now on the clients of a task can change; its members decide, or else its owner.
    event MembershipOpened(uint256 indexed task, bool byMembers);

    /// @notice `account` asks to be a client.
    event JoinAsked(uint256 indexed task, address indexed account);

    /// @notice `account` is a client from the next round on. `votes` members decided it; 0: the owner.
    event ClientAdmitted(uint256 indexed task, address indexed account, uint32 votes);

    /// @notice `account` is no client from the next round on, as it wishes.
    event ClientLeft(uint256 indexed task, address indexed account);

    /// @notice `account` is no client from the next round on. `votes` members decided it; 0: the owner.
    event ClientRemoved(uint256 indexed task, address indexed account, uint32 votes);

    /// @notice `by` agrees to have the place of `account`.
    event PlaceAccepted(uint256 indexed task, address indexed account, address indexed by);

    /// @notice `by` has the place of `account` from the next round on. `votes` members decided it; 0:
    /// the account itself or the owner.
    event ClientReplaced(
        uint256 indexed task, address indexed account, address indexed by, uint32 votes
    );

    /// @notice `member` is for a change: 1 to admit `account`, 2 to remove it, 3 to give its place to
    /// `by`, 4 to let it aggregate. `votes` of `members` are now.
    event ChangeVoted(
        uint256 indexed task,
        address indexed member,
        uint8 change,
        address account,
        address by,
        uint32 votes,
        uint32 members
    );

    /// @notice `member` is for recording the newest model as a checkpoint with this accuracy. `votes`
    /// of `members` are now.
    event CheckpointVoted(
        uint256 indexed task,
        address indexed member,
        uint32 round,
        uint32 accuracy,
        uint32 votes,
        uint32 members
    );

    /// @notice The clients of `task` are those of its specification for ever.
    error MembershipFixed(uint256 task);

    /// @notice The membership of `task` is open already.
    error MembershipAlreadyOpen(uint256 task);

    /// @notice `rounds` of the task have ended: it is too late to open its membership.
    error FirstRoundEnded(uint256 task, uint32 rounds);

    /// @notice `sender` is not the owner of the task.
    error OwnerOnly(address sender);

    /// @notice Who takes part in `task` is decided by its members.
    error MembersDecide(uint256 task);

    /// @notice Who takes part in `task` is decided by its owner.
    error OwnerDecides(uint256 task);

    /// @notice `account` is not a member of the task.
    error NotVoter(address account);

    /// @notice `account` has asked already.
    error AlreadyAsked(address account);

    /// @notice `account` has been admitted already.
    error AlreadyAdmitted(address account);

    /// @notice `account` has not asked to join.
    error NotAsked(address account);

    /// @notice `account` has left, or was removed or replaced.
    error AlreadyGone(address account);

    /// @notice `account` was removed, or replaced by others: it has to ask to join, and be admitted.
    error RemovedBefore(address account);

    /// @notice `account` has no place that the sender could get: it is nobody, or the sender itself.
    error NoPlace(address account);

    /// @notice `by` has not agreed to have the place of `account`.
    error PlaceNotAccepted(address account, address by);

    /// @notice `member` is for this already.
    error AlreadyInFavour(address member);

    /// @notice A change that needs more than `maximum` votes cannot be decided here.
    error TooManyInFavour(uint256 maximum);

    /// @notice The aggregator of `task` is an account: members elect one only while it is halted.
    error NotHalted(uint256 task);

    /// @notice The newest round that ended is `newest`.
    error NotNewestModel(uint32 newest, uint32 given);

    /// @notice An accuracy is at most 1,000,000 parts per million.
    error AccuracyTooHigh(uint32 accuracy);

    /// @notice Lets the clients of a task change; its owner calls, once, before a round ended.
    /// @dev OwnerOnly, MembershipAlreadyOpen, FirstRoundEnded.
    /// @param byMembers Whether more than half of the task's members decide; else its owner does.
    function openMembership(uint256 task, bool byMembers) external;

    /// @notice Asks to be a client of a task.
    /// @dev MembershipFixed, AlreadyAsked, AlreadyAdmitted.
    function join(uint256 task) external;

    /// @notice Makes an account that asked for it a client, from the next round on; the owner calls.
    /// @dev MembershipFixed, OwnerOnly, MembersDecide, NotAsked.
    function admit(uint256 task, address account) external;

    /// @notice The same by a member's vote; it happens with the vote that decides.
    /// @dev MembershipFixed, OwnerDecides, NotAsked, NotVoter, AlreadyInFavour, TooManyInFavour.
    function voteAdmit(uint256 task, address account) external;

    /// @notice Ceases to be a client from the next round on, and takes back what the sender asked for
    /// or agreed to.
    /// @dev MembershipFixed, AlreadyGone.
    function leaveTask(uint256 task) external;

    /// @notice Takes an account off the clients, from the next round on; the owner calls.
    /// @dev MembershipFixed, OwnerOnly, MembersDecide, AlreadyGone.
    function remove(uint256 task, address account) external;

    /// @notice The same by a member's vote; it happens with the vote that decides.
    /// @dev MembershipFixed, OwnerDecides, AlreadyGone, NotVoter, AlreadyInFavour, TooManyInFavour.
    function voteRemove(uint256 task, address account) external;

    /// @notice Agrees to have the place of an account; a later agreement counts instead.
    /// @dev MembershipFixed, NoPlace, AlreadyAdmitted.
    function acceptPlace(uint256 task, address account) external;

    /// @notice Gives the place of an account to one that agreed to have it, from the next round on.
    /// The account itself calls, or the owner: when its key is lost, say.
    /// @dev MembershipFixed, OwnerOnly, MembersDecide, AlreadyGone, PlaceNotAccepted,
    /// AlreadyAdmitted, RemovedBefore.
    function replace(uint256 task, address account, address by) external;

    /// @notice The same by a member's vote; it happens with the vote that decides.
    /// @dev MembershipFixed, OwnerDecides, AlreadyGone, PlaceNotAccepted, AlreadyAdmitted,
    /// RemovedBefore, NotVoter, AlreadyInFavour, TooManyInFavour.
    function voteReplace(uint256 task, address account, address by) external;

    /// @notice Votes for an aggregator of a halted task, whose aggregator is a contract that holds the
    /// token's GOVERNOR_ROLE; the vote that decides appoints it. This needs that role as well.
    /// @dev NotHalted, NotVoter, AlreadyInFavour, TooManyInFavour, and of TrainingTask
    /// InvalidAggregator.
    function elect(uint256 task, address aggregator) external;

    /// @notice Votes for the newest model to become a checkpoint with this accuracy; the vote that
    /// decides records it. This contract needs the token's GOVERNOR_ROLE.
    /// @dev NotNewestModel, AccuracyTooHigh, NotVoter, AlreadyInFavour, TooManyInFavour, and of
    /// TrainingTask CheckpointExists.
    /// @param round The newest round that ended; 0 for the initial model.
    /// @param accuracy In parts per million.
    function voteCheckpoint(uint256 task, uint32 round, uint32 accuracy) external;

    /// @notice Votes that one change can have.
    function MAX_VOTES() external view returns (uint256);

    /// @notice Who decides: 0 nobody, as the clients are fixed; 1 the owner; 2 the members.
    function ruleOf(uint256 task) external view returns (uint8);

    /// @notice What an account was told: 0 nothing; 1 it asked; 2 it was admitted; 3 it left; 4 it was
    /// removed, or replaced by others.
    function standingOf(uint256 task, address account) external view returns (uint8);

    /// @notice Whose place an account agreed to have; zero: nobody's.
    function acceptedBy(uint256 task, address account) external view returns (address);
}
