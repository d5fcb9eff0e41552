// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Several nodes that publish a task's rounds, in turns
/// @notice Nodes join a task with a bond. A draw of Beacon says in which order each round is theirs:
/// the first node's turn lasts until `turnSeconds` after the round can be published, then it is the
/// next one's, and so on, round about. Whose turn it is publishes, through this contract.
/// @dev This contract is the task's aggregator from the first draw on, by the token's GOVERNOR_ROLE,
/// so TrainingTask takes rounds from nobody else. What halts a task (Reports) ends that until its
/// owner or its members appoint this contract again. Who can be drawn is listed before the draw is
/// opened, and nobody joins or leaves that list afterwards. Draws are taken one after the other, each
/// once, by topicOf(1), topicOf(2), …, so nobody chooses among them. Whoever publishes has a pledge
/// in Reports, so that it can be accused, and is not excluded. Each function lists its errors in the
/// order in which they are checked; a call that is refused changes nothing.
interface IAggregators {
    /// @notice Rounds of `task` are published in turns by nodes with a bond; a missed turn costs.
    event TurnsSet(uint256 indexed task, uint64 bond, uint64 cost, uint32 turnSeconds);

    /// @notice `node` locked its bond.
    event NodeJoined(uint256 indexed task, address indexed node, uint64 bond);

    /// @notice `node` has its bond back from `leavesAt` on, and is listed no more.
    event NodeLeaving(uint256 indexed task, address indexed node, uint64 leavesAt);

    /// @notice `node` has what was left of its bond back.
    event NodeLeft(uint256 indexed task, address indexed node, uint64 bond);

    /// @notice The next draw is among `nodes`, in ascending order.
    event NodesListed(uint256 indexed task, address[] nodes);

    /// @notice From `firstRound` on rounds are drawn by `value` among `nodes`, in ascending order.
    /// Without nodes the draw changes nothing: it was void, or nobody was listed before it.
    event TurnsDrawn(
        uint256 indexed task,
        uint256 indexed draw,
        uint32 firstRound,
        bytes32 value,
        address[] nodes
    );

    /// @notice The turns of the task, which is halted, are paused (`since` is 2^64 - 1), or begin
    /// again at `since`.
    event TurnsRestarted(uint256 indexed task, uint32 round, uint64 since);

    /// @notice `node` published the round in the turn with this number from 0.
    event RoundLed(uint256 indexed task, uint32 indexed round, address indexed node, uint64 turn);

    /// @notice The first turn of `node` in the round passed, and cost it `lost`.
    event TurnMissed(uint256 indexed task, uint32 indexed round, address indexed node, uint64 lost);

    /// @notice `sender` is not the task's owner.
    error NotTurnsOwner(address sender);

    /// @notice The task's turns are set already.
    error TurnsFixed(uint256 task);

    /// @notice `ended` rounds of the task have ended.
    error TurnsTooLate(uint256 task, uint32 ended);

    /// @notice Terms that turns cannot have.
    error InvalidTurns(string term);

    /// @notice The task's rounds are not published in turns.
    error NoTurns(uint256 task);

    /// @notice The task has no more rounds.
    error RoundsOver(uint256 task);

    /// @notice `node` joined already.
    error AlreadyJoined(address node);

    /// @notice `maximum` nodes joined already.
    error TooManyNodes(uint256 maximum);

    /// @notice `node` pledged nothing to the task, and could not be accused.
    error NoPledge(address node);

    /// @notice A verdict excluded `node` from the task.
    error ExcludedNode(address node);

    /// @notice `node` is no node of the task.
    error NotJoined(address node);

    /// @notice The bond comes back from `earliest` on; it is `time` now.
    error LeaveTooEarly(uint64 earliest, uint64 time);

    /// @notice The draw with the next topic is open already: it is too late to list for it.
    error NextDrawOpened(uint256 task, uint256 draw);

    /// @notice There is nobody to list.
    error NobodyJoined(uint256 task);

    /// @notice Nobody opened a draw with the next topic.
    error NextDrawMissing(uint256 task, bytes32 topic);

    /// @notice This contract does not publish the task's rounds: `aggregator` does, or halts it.
    error TurnsHalted(uint256 task, address aggregator);

    /// @notice There was no draw for the round.
    error NotDrawn(uint256 task, uint32 round);

    /// @notice It is the turn of `holder` until `until`, and not that of `sender`.
    error NotItsTurn(address sender, address holder, uint256 until);

    /// @notice This contract publishes the task's rounds, and its turns are not paused.
    error TurnsGoOn(uint256 task);

    /// @notice `node` has no turn in the round.
    error NotInOrder(address node);

    /// @notice It was said already.
    error AlreadyMissed(uint32 round, address node);

    /// @notice Nobody knows that turns of the round passed: it is to come, or was rolled back.
    error TurnUnknown(uint256 task, uint32 round);

    /// @notice Turn `place` of the round, that of `node`, was not over in turn `reached`.
    error TurnNotOver(address node, uint256 place, uint64 reached);

    /// @notice Lets a task's rounds be published in turns, once the first draw is taken; the sender
    /// is its owner. Once, before the first round ended.
    /// @dev UnknownTask (of TrainingTask), NotTurnsOwner, TurnsFixed, TurnsTooLate, InvalidTurns
    /// ("bond": at least 1; "cost": at most the bond; "turnSeconds": at least 1).
    /// @param bond Tokens that each node locks.
    /// @param cost What a missed turn costs; 0: nothing.
    /// @param turnSeconds How long a turn lasts.
    function setTurns(uint256 task, uint64 bond, uint64 cost, uint32 turnSeconds) external;

    /// @notice Locks the bond out of the sender's free deposits, for the turns of later draws.
    /// @dev UnknownTask, NoTurns, RoundsOver, AlreadyJoined, TooManyNodes, NoPledge, ExcludedNode,
    /// then the errors of Bonds.lock.
    function joinTurns(uint256 task) external;

    /// @notice Says that the sender leaves, and LEAVE_SECONDS later gives it its bond back: until
    /// then it can be charged for the turns that it missed. Turns that it still has pass.
    /// @dev NotJoined, LeaveTooEarly.
    function leaveTurns(uint256 task) external;

    /// @notice Lists the nodes that are there, but for those that leave or were excluded, for the
    /// next draw: of Beacon, for the task, with topicOf(drawsTaken + 1). Anyone may, and again, until
    /// that draw is opened.
    /// @dev UnknownTask, NoTurns, RoundsOver, NextDrawOpened, NobodyJoined.
    function listNodes(uint256 task) external;

    /// @notice Takes the next draw, once it ended; anyone may. The first one that is not void makes
    /// this contract the task's aggregator, and is for the open round; others are for the rounds
    /// after the open one.
    /// @dev UnknownTask, NoTurns, RoundsOver, NextDrawMissing, DrawNotEnded (of Beacon); for the
    /// first one TurnsHalted.
    function drawTurns(uint256 task) external;

    /// @notice Publishes the open round, as TrainingTask.publishAggregate does; the sender is the
    /// node whose turn it is.
    /// @dev UnknownTask, NotDrawn, NotItsTurn, NotJoined, NoPledge, ExcludedNode, then the errors of
    /// TrainingTask.publishAggregate; of these NotAggregator where the task is halted.
    function publishTurn(
        uint256 task,
        uint32 round,
        bytes calldata cid,
        string calldata rule,
        address[] calldata contributors,
        bytes calldata evidence,
        bytes32[2][] calldata commitments
    ) external;

    /// @notice Pauses turns while this contract is not the task's aggregator; and lets them begin
    /// again, once it is. Anyone may. So nobody is charged for turns in which nobody could publish.
    /// While turns are paused each round is its first node's.
    /// @dev UnknownTask, RoundsOver, NotDrawn, TurnsGoOn.
    function restartTurns(uint256 task) external;

    /// @notice Charges a node whose first turn in a round passed while the round was open. Anyone
    /// may: in the round itself, or once another turn's node published it.
    /// @dev UnknownTask, NotDrawn, AlreadyMissed, NotInOrder, TurnUnknown, TurnsHalted (in the open
    /// round), TurnNotOver, NotJoined, then the errors of Bonds.slash.
    function markMissed(uint256 task, uint32 round, address node) external;

    /// @notice A task's terms; zeros where its rounds are not published in turns.
    function turnTerms(uint256 task)
        external
        view
        returns (uint64 bond, uint64 cost, uint32 turnSeconds);

    /// @notice The nodes of a task, in no order that means anything.
    function nodesOf(uint256 task) external view returns (address[] memory nodes);

    /// @notice What is known of a node; zeros where it is none.
    /// @return bond What is left of its bond.
    /// @return leavesAt When it may have it back; 0: it did not say that it leaves.
    function nodeOf(uint256 task, address node) external view returns (uint64 bond, uint64 leavesAt);

    /// @notice The nodes that are listed for the next draw, in ascending order.
    function listedFor(uint256 task) external view returns (address[] memory nodes);

    /// @notice Whose turns a round has; reverts with UnknownTask, NotDrawn.
    /// @return draw The draw.
    /// @return begins Turn k lasts until `begins` + (k + 1) turnSeconds, that moment not included; 0
    /// for rounds that are not open.
    /// @return order The nodes, turn by turn; then it is the first one's again.
    function turnsOf(uint256 task, uint32 round)
        external
        view
        returns (uint256 draw, uint256 begins, address[] memory order);

    /// @notice How many draws were taken, those that changed nothing included.
    function drawsTaken(uint256 task) external view returns (uint256);

    /// @notice The topic of a task's draw with a number from 1: keccak256(abi.encode("fedledger
    /// turns", number)).
    function topicOf(uint256 number) external pure returns (bytes32);

    /// @notice Whether a node was charged for a round.
    function missed(uint256 task, uint32 round, address node) external view returns (bool);

    /// @notice The most nodes of a task: 32.
    function MAX_NODES() external view returns (uint256);

    /// @notice Seconds between a node's word that it leaves, and its bond: 86,400.
    function LEAVE_SECONDS() external view returns (uint64);
}
