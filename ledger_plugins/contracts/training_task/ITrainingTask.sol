// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Federated training, one round after the other
/// @notice An owner proposes a task, clients submit the CIDs of their updates, the aggregator
/// publishes each round's aggregate, and the clients whose updates went into it are paid. Models
/// never reach the ledger, only their content identifiers.
///
/// Each task has three roles. The owner proposed it and appoints the others. The aggregator
/// publishes rounds; it is the owner until another account is appointed, by the owner or by a contract
/// that holds the token's GOVERNOR_ROLE. Members look after
/// the model: more than half of them together take the task back to a checkpoint, as the owner
/// alone can. Anyone may submit updates.
/// @dev Tasks are numbered from 1 and so are the rounds of a task; the open round is
/// `currentRound + 1`. A round ends when its aggregate is published or the task is rolled back, and
/// task and round together always name the same model to begin with: what somebody signed for a
/// round cannot count in another one, or for another model. A CID is binary: 4 to 64 bytes, the
/// first one 0x01 (CIDv1). Each function lists its errors in the order in which they are checked;
/// a call that is refused changes nothing.
interface ITrainingTask {
    /// @notice `owner` opened round 1 of `task`.
    event TaskProposed(
        uint256 indexed task,
        address indexed owner,
        string modelId,
        bytes modelCid,
        uint32 rounds,
        uint64 window,
        uint256 reward,
        bytes spec
    );

    /// @notice `client` submitted the update stored under `cid`; its last one in a round counts.
    /// `seal` is the hash of a salt that it may reveal, `seen` that of a block that it knew: on a
    /// chain without it the update is not meant.
    event UpdateSubmitted(
        uint256 indexed task,
        uint32 indexed round,
        address indexed client,
        bytes cid,
        uint64 samples,
        uint32 accuracy,
        bytes32 seal,
        bytes32 seen
    );

    /// @notice `client` revealed the salt of its update, for the list of updates that `list` names;
    /// its last reveal in a round counts.
    event SaltRevealed(
        uint256 indexed task,
        uint32 indexed round,
        address indexed client,
        bytes32 list,
        bytes32 salt,
        bytes32 seen
    );

    /// @notice The round ended with the model stored under `cid`, made by `rule` from the updates of
    /// `contributors`; `evidence` is the CID of what lets anyone recompute it. `commitments` are
    /// pairs of a name and a value that the aggregator commits itself to, ascending by name.
    event AggregatePublished(
        uint256 indexed task,
        uint32 indexed round,
        bytes cid,
        string rule,
        address[] contributors,
        bytes evidence,
        bytes32[2][] commitments
    );

    /// @notice `voter` scored the candidate models that `ballot` names; its last scores for a ballot
    /// count.
    event VotesSubmitted(
        uint256 indexed task,
        uint32 indexed round,
        address indexed voter,
        bytes32 ballot,
        int64[] scores,
        bytes32 seen
    );

    /// @notice `client` knew a block with the hash `seen`, and says so apart from any update.
    event HistoryConfirmed(uint256 indexed task, address indexed client, bytes32 seen);

    /// @notice `client` received `amount` tokens for its contribution to the round.
    event RewardPaid(
        uint256 indexed task, uint32 indexed round, address indexed client, uint256 amount
    );

    /// @notice From now on `aggregator` publishes the rounds of `task`.
    event AggregatorAppointed(uint256 indexed task, address indexed aggregator);

    /// @notice `members` became members of `task`.
    event MembersAppointed(uint256 indexed task, address[] members);

    /// @notice `members` are no longer members of `task`; all votes to roll it back are void.
    event MembersRevoked(uint256 indexed task, address[] members);

    /// @notice The model that `round` ended with, stored under `cid`, became a checkpoint; `by` says
    /// that it has this accuracy, in parts per million.
    event CheckpointRecorded(
        uint256 indexed task, uint32 indexed round, bytes cid, uint32 accuracy, address by
    );

    /// @notice `member` wants the open round to end with the checkpoint of `toRound`, as `votes` of
    /// the task's `members` do now.
    event RollbackVoted(
        uint256 indexed task,
        uint32 indexed round,
        address indexed member,
        uint32 toRound,
        uint32 votes,
        uint32 members
    );

    /// @notice The round ended with the checkpoint of `toRound`, stored under `cid`; what was
    /// submitted to it is void. `votes` members decided it, or the owner when it is 0.
    event RolledBack(
        uint256 indexed task,
        uint32 indexed round,
        uint32 toRound,
        bytes cid,
        uint32 accuracy,
        uint32 votes
    );

    /// @notice Nobody proposed `task`.
    error UnknownTask(uint256 task);

    /// @notice All rounds of `task` ended.
    error TaskFinished(uint256 task);

    /// @notice The open round is `expected`, not `given`.
    error WrongRound(uint32 expected, uint32 given);

    /// @notice Updates were taken until `deadline`; it is `time` now.
    error WindowClosed(uint64 deadline, uint64 time);

    /// @notice Updates are taken until `deadline`, this second included; it is `time` now.
    error WindowOpen(uint256 deadline, uint64 time);

    /// @notice `sender` may not propose tasks that pay rewards.
    error NotProposer(address sender);

    /// @notice `sender` is not the owner of the task, and where a contract may call too, no such one.
    error NotOwner(address sender);

    /// @notice `sender` is not the aggregator of the task.
    error NotAggregator(address sender);

    /// @notice `sender` is neither the owner nor the aggregator of the task, nor a contract that may
    /// record checkpoints.
    error NotOwnerOrAggregator(address sender);

    /// @notice `account` is not a member of the task.
    error NotMember(address account);

    /// @notice `account` is a member of the task already, or listed twice.
    error AlreadyMember(address account);

    /// @notice `aggregator` is the zero address, which could publish nothing.
    error InvalidAggregator(address aggregator);

    /// @notice `given` members are more than MAX_CONTRIBUTORS.
    error TooManyMembers(uint256 given, uint256 maximum);

    /// @notice The newest model is that of round `newest`, not of `given`.
    error NotNewestRound(uint32 newest, uint32 given);

    /// @notice The model of `round` is a checkpoint already.
    error CheckpointExists(uint256 task, uint32 round);

    /// @notice The model of `round` is not a checkpoint.
    error UnknownCheckpoint(uint256 task, uint32 round);

    /// @notice The checkpoint of `toRound` is the model that the open round began with.
    error ModelUnchanged(uint32 toRound);

    /// @notice `member` votes for the checkpoint of `toRound` already.
    error AlreadyVoted(address member, uint32 toRound);

    /// @notice A model id has 1 to 64 bytes of well-formed UTF-8.
    error InvalidModelId(string modelId);

    /// @notice `cid` is not a binary CIDv1 of 4 to 64 bytes.
    error InvalidCid(bytes cid);

    /// @notice A task has at least one round.
    error InvalidRounds(uint32 rounds);

    /// @notice `reward` is above MAX_REWARD.
    error RewardTooHigh(uint256 reward, uint256 maximum);

    /// @notice `accuracy` is above one million parts per million.
    error InvalidAccuracy(uint32 accuracy);

    /// @notice `given` scores are more than MAX_SCORES.
    error TooManyScores(uint256 given, uint256 maximum);

    /// @notice A rule's name has 1 to 32 bytes of well-formed UTF-8.
    error InvalidRule(string rule);

    /// @notice `given` clients are more than MAX_CONTRIBUTORS.
    error TooManyContributors(uint256 given, uint256 maximum);

    /// @notice `given` commitments are more than MAX_COMMITMENTS.
    error TooManyCommitments(uint256 given, uint256 maximum);

    /// @notice The commitment `name` does not come after the one before it, or is empty: each name
    /// stands once, in ascending order.
    error CommitmentsNotAscending(bytes32 name);

    /// @notice `client` is listed twice.
    error DuplicateContributor(address client);

    /// @notice `client` submitted nothing in this round.
    error NotSubmitted(address client);

    /// @notice `round` is still open, or is none of the task's.
    error RoundNotPublished(uint256 task, uint32 round);

    /// @notice `client` did not contribute to this round.
    error NotContributor(address client);

    /// @notice `client` has had its reward for this round.
    error AlreadyPaid(address client);

    /// @notice Opens a task; the sender becomes its owner and aggregator. Who proposes a task that
    /// pays rewards needs the token's PROPOSER_ROLE, unless the zero address has it.
    /// @dev InvalidModelId, InvalidCid (of the model, then of the specification), InvalidRounds,
    /// RewardTooHigh, NotProposer.
    /// @param modelId A name for people, 1 to 64 bytes of UTF-8.
    /// @param modelCid CID of the initial model.
    /// @param rounds Number of rounds, at least 1.
    /// @param window Seconds after a round opened during which updates are taken, the last second
    /// included; until they are over nobody publishes the round, so that it lasts at least as long.
    /// 0: until the aggregate is published.
    /// @param reward Tokens for each contribution, at most MAX_REWARD.
    /// @param spec CID of the document that specifies the task.
    /// @return task The number of the task.
    function propose(
        string calldata modelId,
        bytes calldata modelCid,
        uint32 rounds,
        uint64 window,
        uint256 reward,
        bytes calldata spec
    ) external returns (uint256 task);

    /// @notice Submits the sender's update to the open round, in place of an earlier one.
    /// @dev UnknownTask, TaskFinished, WrongRound, WindowClosed, InvalidCid, InvalidAccuracy. Stores
    /// the first 31 bytes of keccak256(abi.encode(cid, samples, accuracy)) and a status byte. The
    /// deadline is computed in 256 bits and cannot overflow.
    /// @param samples Training examples behind the update, as the client says.
    /// @param accuracy Accuracy in parts per million, as the client says.
    /// @param seal Hash of a salt that the client may reveal once the window has closed; 0 where the
    /// task asks for none. It is said and not stored.
    /// @param seen Hash of a block that the client knows. Whether this chain has it is for whoever
    /// counts updates: a contract sees the newest 256 blocks at most.
    function submitUpdate(
        uint256 task,
        uint32 round,
        bytes calldata cid,
        uint64 samples,
        uint32 accuracy,
        bytes32 seal,
        bytes32 seen
    ) external;

    /// @notice Says the salt of the sender's update to the open round, once updates are no longer
    /// taken (with window 0 at any time), and again: a client's last reveal in a round counts.
    /// @dev UnknownTask, TaskFinished, WrongRound, WindowOpen. Stores nothing; anyone may say it:
    /// who has a seal, and whether the salt is its own, is for whoever counts reveals.
    /// @param list Hash of the list of updates that the client reveals its salt for.
    /// @param salt 32 bytes whose hash is the seal of its update.
    /// @param seen Hash of a block that the client knows, as of submitUpdate.
    function revealSalt(uint256 task, uint32 round, bytes32 list, bytes32 salt, bytes32 seen)
        external;

    /// @notice Says how the sender scores candidate models of the open round; anyone may vote, also
    /// after the window, and again: a voter's last scores for a ballot count.
    /// @dev UnknownTask, TaskFinished, WrongRound, TooManyScores. Stores nothing: who may vote and
    /// how votes are counted is the specification's business.
    /// @param ballot A hash that names what was scored.
    /// @param scores The change of the loss that each candidate brings, in millionths; at most
    /// MAX_SCORES.
    /// @param seen Hash of a block that the voter knows, as of submitUpdate.
    function submitVotes(
        uint256 task,
        uint32 round,
        bytes32 ballot,
        int64[] calldata scores,
        bytes32 seen
    ) external;

    /// @notice Says that the sender knows a block, also after the last round: what it signed before
    /// holds only what came before.
    /// @dev UnknownTask. Stores nothing; anyone may say it, and readers know whose word matters.
    /// @param seen Hash of the block, as of submitUpdate.
    function confirmHistory(uint256 task, bytes32 seen) external;

    /// @notice Ends the open round and opens the next one; the rewards of the contributors are
    /// minted to this contract, which holds them until payRewards. Not while updates are taken: a
    /// round of a task with a window lasts at least as long as the window, and nobody can cut it
    /// short by publishing. With window 0 a round lasts until it is published.
    /// @dev UnknownTask, NotAggregator, TaskFinished, WrongRound, WindowOpen, InvalidCid (of the
    /// model, then of the evidence), InvalidRule, TooManyContributors, TooManyCommitments, then for
    /// each commitment CommitmentsNotAscending, then for each contributor NotSubmitted,
    /// DuplicateContributor. The deadline is that of submitUpdate. AggregatePublished comes before the token's Transfer; nothing is minted
    /// when the sum is 0. Commitments are said and not stored: a new kind of them needs a new name
    /// and nothing else.
    /// @param cid CID of the aggregate, the model of the next round.
    /// @param rule Name of the rule that made it, 1 to 32 bytes of UTF-8.
    /// @param contributors Clients whose updates went into it; none when the round kept its model.
    /// @param evidence CID of the round's evidence.
    /// @param commitments Pairs of a name, left-aligned as text is, and a value; ascending by name,
    /// each name once, at most MAX_COMMITMENTS.
    function publishAggregate(
        uint256 task,
        uint32 round,
        bytes calldata cid,
        string calldata rule,
        address[] calldata contributors,
        bytes calldata evidence,
        bytes32[2][] calldata commitments
    ) external;

    /// @notice Pays contributors of a published round; anyone may call.
    /// @dev UnknownTask, RoundNotPublished, TooManyContributors, then for each client
    /// NotContributor, AlreadyPaid (a client listed twice is already paid the second time). All are
    /// checked first; then comes RewardPaid and the token's Transfer for one client after the other,
    /// without the Transfer when the reward is 0.
    function payRewards(uint256 task, uint32 round, address[] calldata clients) external;

    /// @notice Makes an account the task's aggregator, in place of the one before; to publish rounds
    /// by itself again, the owner names itself. The owner calls, or a contract that holds the
    /// token's GOVERNOR_ROLE. While such a contract is the aggregator itself, the task is halted:
    /// contracts publish nothing.
    /// @dev UnknownTask, NotOwner, InvalidAggregator.
    function appointAggregator(uint256 task, address aggregator) external;

    /// @notice Makes accounts members of the task, at most MAX_CONTRIBUTORS in a call; the owner
    /// calls. Votes cast before stand, and more are needed from now on.
    /// @dev UnknownTask, NotOwner, TooManyMembers, then for each account AlreadyMember.
    function appointMembers(uint256 task, address[] calldata members) external;

    /// @notice Takes accounts off the task's members, at most MAX_CONTRIBUTORS in a call; the owner
    /// calls. Voting on rollbacks begins anew, so that nobody's vote outlives its role.
    /// @dev UnknownTask, NotOwner, TooManyMembers, then for each account NotMember.
    function revokeMembers(uint256 task, address[] calldata members) external;

    /// @notice Makes the task's newest model a checkpoint; the owner or the aggregator calls, or a
    /// contract that holds the token's GOVERNOR_ROLE. The contract itself knows the model's CID; the
    /// accuracy is the caller's word.
    /// @dev UnknownTask, NotOwnerOrAggregator, NotNewestRound, InvalidAccuracy, CheckpointExists. A
    /// finished task's last model can be a checkpoint too.
    /// @param round The newest round that ended; 0 for the initial model before any did.
    /// @param accuracy Accuracy in parts per million.
    function recordCheckpoint(uint256 task, uint32 round, uint32 accuracy) external;

    /// @notice Ends the open round with the model of a checkpoint; the owner calls. The next round
    /// begins with that model. What was submitted to the ended round is void, as it was made for the
    /// model before; the round counts as one of the task's rounds. Earlier rounds' rewards stay. A
    /// rollback need not wait for the window.
    /// @dev UnknownTask, NotOwner, TaskFinished, WrongRound, UnknownCheckpoint, ModelUnchanged.
    /// @param round The open round.
    /// @param toRound The round whose model became the checkpoint.
    function rollback(uint256 task, uint32 round, uint32 toRound) external;

    /// @notice Says that the sender, a member, wants such a rollback. With the vote that makes them
    /// more than half of the task's members it happens. A member may change its vote; all votes are
    /// void when the round ends or a member is revoked.
    /// @dev UnknownTask, NotMember, TaskFinished, WrongRound, UnknownCheckpoint, ModelUnchanged,
    /// AlreadyVoted. RollbackVoted comes before RolledBack.
    /// @param round The open round.
    /// @param toRound The round whose model became the checkpoint.
    function voteRollback(uint256 task, uint32 round, uint32 toRound) external;

    /// @notice Number of tasks proposed so far, which is also the newest task's number.
    function taskCount() external view returns (uint256);

    /// @notice Everything about a task; reverts with UnknownTask.
    /// @return owner Who proposed it.
    /// @return modelId The model's name.
    /// @return modelCid CID of the initial model.
    /// @return rounds Number of rounds.
    /// @return currentRound Number of rounds that ended, published or rolled back.
    /// @return window Seconds during which a round takes updates and is not published; 0: it takes
    /// them until it is published.
    /// @return reward Tokens for each contribution.
    /// @return spec CID of the specification.
    /// @return currentCid CID of the model that the open round began with, or of the final one.
    /// @return openedAt Block time at which the newest round opened (or the task finished).
    /// @return finished Whether all rounds ended.
    function getTask(uint256 task)
        external
        view
        returns (
            address owner,
            string memory modelId,
            bytes memory modelCid,
            uint32 rounds,
            uint32 currentRound,
            uint64 window,
            uint256 reward,
            bytes memory spec,
            bytes memory currentCid,
            uint64 openedAt,
            bool finished
        );

    /// @notice How far a task is, for contracts: getTask without its texts; reverts with UnknownTask.
    /// @return rounds Number of rounds.
    /// @return ended Number of rounds that ended, published or rolled back.
    /// @return window Seconds during which a round takes updates; 0: until it is published.
    /// @return openedAt Block time at which the newest round opened (or the task finished).
    function getProgress(uint256 task)
        external
        view
        returns (uint32 rounds, uint32 ended, uint64 window, uint64 openedAt);

    /// @notice What a client submitted to a round; reverts with UnknownTask.
    /// @return commitment First 31 bytes of keccak256(abi.encode(cid, samples, accuracy)).
    /// @return status 0 nothing, 1 submitted, 2 contributed, 3 paid.
    function getSubmission(uint256 task, uint32 round, address client)
        external
        view
        returns (bytes31 commitment, uint8 status);

    /// @notice Who may do what in a task; reverts with UnknownTask.
    /// @return owner Who proposed it.
    /// @return aggregator Who publishes its rounds.
    /// @return members Number of its members.
    function getRoles(uint256 task)
        external
        view
        returns (address owner, address aggregator, uint32 members);

    /// @notice Whether an account is a member of a task; reverts with UnknownTask.
    /// @return member Whether it is.
    /// @return since Block time at which it became one; 0: it is none.
    function isMember(uint256 task, address account)
        external
        view
        returns (bool member, uint64 since);

    /// @notice A checkpoint; reverts with UnknownTask, UnknownCheckpoint.
    /// @return cid CID of the model.
    /// @return accuracy Its accuracy in parts per million, as said when it was recorded.
    function getCheckpoint(uint256 task, uint32 round)
        external
        view
        returns (bytes memory cid, uint32 accuracy);

    /// @notice How many members want the open round to end with the checkpoint of `toRound`;
    /// reverts with UnknownTask.
    function getRollbackVotes(uint256 task, uint32 toRound) external view returns (uint32);

    /// @notice The highest reward for one contribution: 20.
    function MAX_REWARD() external view returns (uint256);

    /// @notice The most clients or members that one call may list: 256.
    function MAX_CONTRIBUTORS() external view returns (uint256);

    /// @notice The most scores that one vote may have: 32.
    function MAX_SCORES() external view returns (uint256);

    /// @notice The most commitments that one publication may have: 16.
    function MAX_COMMITMENTS() external view returns (uint256);

    /// @notice The StakeToken that pays the rewards.
    function token() external view returns (address);
}
