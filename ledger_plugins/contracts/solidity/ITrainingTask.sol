// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Federated training, one round after the other
/// @notice An owner proposes a task, clients submit the CIDs of their updates, the owner (who is the
/// aggregator) publishes each round's aggregate, and the clients whose updates went into it are
/// paid. Models never reach the ledger, only their content identifiers.
/// @dev Tasks are numbered from 1 and so are the rounds of a task; the open round is
/// `currentRound + 1`. A CID is binary: 4 to 64 bytes, the first one 0x01 (CIDv1). Each function
/// lists its errors in the order in which they are checked; everything is checked before anything
/// changes.
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
    event UpdateSubmitted(
        uint256 indexed task,
        uint32 indexed round,
        address indexed client,
        bytes cid,
        uint64 samples,
        uint32 accuracy
    );

    /// @notice The round ended with the model stored under `cid`, made by `rule` from the updates of
    /// `contributors`; `evidence` is the CID of what lets anyone recompute it.
    event AggregatePublished(
        uint256 indexed task,
        uint32 indexed round,
        bytes cid,
        string rule,
        address[] contributors,
        bytes evidence
    );

    /// @notice `miner` scored the candidate models that `ballot` names; its last scores for a ballot
    /// count.
    event VotesSubmitted(
        uint256 indexed task,
        uint32 indexed round,
        address indexed miner,
        bytes32 ballot,
        int64[] scores
    );

    /// @notice `client` received `amount` tokens for its contribution to the round.
    event RewardPaid(
        uint256 indexed task, uint32 indexed round, address indexed client, uint256 amount
    );

    /// @notice Nobody proposed `task`.
    error UnknownTask(uint256 task);

    /// @notice All rounds of `task` are published.
    error TaskFinished(uint256 task);

    /// @notice The open round is `expected`, not `given`.
    error WrongRound(uint32 expected, uint32 given);

    /// @notice Updates were taken until `deadline`; it is `time` now.
    error WindowClosed(uint64 deadline, uint64 time);

    /// @notice `sender` is not the aggregator of the task.
    error NotAggregator(address sender);

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

    /// @notice `client` is listed twice.
    error DuplicateContributor(address client);

    /// @notice `client` submitted nothing in this round.
    error NotSubmitted(address client);

    /// @notice The aggregate of `round` is not published.
    error RoundNotPublished(uint256 task, uint32 round);

    /// @notice `client` did not contribute to this round.
    error NotContributor(address client);

    /// @notice `client` has had its reward for this round.
    error AlreadyPaid(address client);

    /// @notice Opens a task; the sender becomes its owner and aggregator.
    /// @dev InvalidModelId, InvalidCid (of the model, then of the specification), InvalidRounds,
    /// RewardTooHigh.
    /// @param modelId A name for people, 1 to 64 bytes of UTF-8.
    /// @param modelCid CID of the initial model.
    /// @param rounds Number of rounds, at least 1.
    /// @param window Seconds after a round opened during which updates are taken, the last second
    /// included; 0: until the aggregate is published.
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
    function submitUpdate(
        uint256 task,
        uint32 round,
        bytes calldata cid,
        uint64 samples,
        uint32 accuracy
    ) external;

    /// @notice Says how the sender, a miner, scores candidate models of the open round; anyone may
    /// call, also after the window. A miner may vote again: its last scores for a ballot count.
    /// @dev UnknownTask, TaskFinished, WrongRound, TooManyScores. Stores nothing: who may vote and
    /// how votes are counted is the specification's business.
    /// @param ballot A hash that names what was scored.
    /// @param scores The change of the loss that each candidate brings, in millionths; at most
    /// MAX_SCORES.
    function submitVotes(uint256 task, uint32 round, bytes32 ballot, int64[] calldata scores)
        external;

    /// @notice Ends the open round and opens the next one; the rewards of the contributors are
    /// minted to this contract, which holds them until payRewards.
    /// @dev UnknownTask, NotAggregator, TaskFinished, WrongRound, InvalidCid (of the model, then of
    /// the evidence), InvalidRule, TooManyContributors, then for each contributor NotSubmitted,
    /// DuplicateContributor. AggregatePublished comes before the token's Transfer; nothing is minted
    /// when the sum is 0.
    /// @param cid CID of the aggregate, the model of the next round.
    /// @param rule Name of the rule that made it, 1 to 32 bytes of UTF-8.
    /// @param contributors Clients whose updates went into it; none when the round kept its model.
    /// @param evidence CID of the round's evidence.
    function publishAggregate(
        uint256 task,
        uint32 round,
        bytes calldata cid,
        string calldata rule,
        address[] calldata contributors,
        bytes calldata evidence
    ) external;

    /// @notice Pays contributors of a published round; anyone may call.
    /// @dev UnknownTask, RoundNotPublished, TooManyContributors, then for each client
    /// NotContributor, AlreadyPaid (a client listed twice is already paid the second time). All are
    /// checked first; then comes RewardPaid and the token's Transfer for one client after the other,
    /// without the Transfer when the reward is 0.
    function payRewards(uint256 task, uint32 round, address[] calldata clients) external;

    /// @notice Number of tasks proposed so far, which is also the newest task's number.
    function taskCount() external view returns (uint256);

    /// @notice Everything about a task; reverts with UnknownTask.
    /// @return owner Who proposed it and aggregates.
    /// @return modelId The model's name.
    /// @return modelCid CID of the initial model.
    /// @return rounds Number of rounds.
    /// @return currentRound Number of published rounds.
    /// @return window Seconds during which a round takes updates; 0: until it is published.
    /// @return reward Tokens for each contribution.
    /// @return spec CID of the specification.
    /// @return currentCid CID of the newest model.
    /// @return openedAt Block time at which the newest round opened (or the task finished).
    /// @return finished Whether all rounds are published.
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

    /// @notice What a client submitted to a round; reverts with UnknownTask.
    /// @return commitment First 31 bytes of keccak256(abi.encode(cid, samples, accuracy)).
    /// @return status 0 nothing, 1 submitted, 2 contributed, 3 paid.
    function getSubmission(uint256 task, uint32 round, address client)
        external
        view
        returns (bytes31 commitment, uint8 status);

    /// @notice The highest reward for one contribution: 20.
    function MAX_REWARD() external view returns (uint256);

    /// @notice The most clients that one call may list: 256.
    function MAX_CONTRIBUTORS() external view returns (uint256);

    /// @notice The most scores that one vote may have: 32.
    function MAX_SCORES() external view returns (uint256);

    /// @notice The StakeToken that pays the rewards.
    function token() external view returns (address);
}
