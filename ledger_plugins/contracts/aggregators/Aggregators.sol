// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBeacon} from "../beacon/IBeacon.sol";
import {IBonds} from "../bonds/IBonds.sol";
import {IReports} from "../reports/IReports.sol";
import {ITrainingTask} from "../training_task/ITrainingTask.sol";
import {IAggregators} from "./IAggregators.sol";
import {Turns} from "./Turns.sol";

/// @title Several nodes that publish a task's rounds, in turns
/// @notice What it does, says and refuses is written in IAggregators.
contract Aggregators is IAggregators {
    /// @dev One slot; `turnSeconds` is 0 where there are none.
    struct Terms {
        uint64 bond;
        uint64 cost;
        uint32 turnSeconds;
    }

    /// @dev One slot; `bond` is 0 for who is no node.
    struct Node {
        uint64 bond;
        uint64 leavesAt;
    }

    struct Drawn {
        uint128 draw;
        uint32 firstRound;
        uint64 since;
        bytes32 value;
        address[] nodes;
    }

    /// @inheritdoc IAggregators
    uint256 public constant MAX_NODES = 32;

    /// @inheritdoc IAggregators
    uint64 public constant LEAVE_SECONDS = 86_400;

    /// @dev When the turns of a halted task begin.
    uint64 private constant PAUSED = type(uint64).max;

    ITrainingTask private immutable TASKS;
    IBonds private immutable BONDS;
    IBeacon private immutable BEACON;
    IReports private immutable REPORTS;

    /// @inheritdoc IAggregators
    mapping(uint256 task => Terms) public turnTerms;

    /// @inheritdoc IAggregators
    mapping(uint256 task => mapping(address node => Node)) public nodeOf;

    /// @inheritdoc IAggregators
    mapping(uint256 task => uint256) public drawsTaken;

    /// @inheritdoc IAggregators
    mapping(uint256 task => mapping(uint32 round => mapping(address node => bool))) public missed;

    mapping(uint256 task => address[]) private _nodes;
    mapping(uint256 task => address[]) private _listed;
    mapping(uint256 task => Drawn[]) private _drawn;

    /// @dev One more than the turn in which a round was published.
    mapping(uint256 task => mapping(uint32 round => uint64)) private _led;

    /// @param tasks Whose rounds are published; this contract needs the token's GOVERNOR_ROLE.
    /// @param bonds Where the nodes' bonds are; this contract needs the token's LOCKER_ROLE.
    /// @param beacon Whose draws say whose turn it is.
    /// @param reports Where nodes are accused.
    constructor(ITrainingTask tasks, IBonds bonds, IBeacon beacon, IReports reports) {
        TASKS = tasks;
        BONDS = bonds;
        BEACON = beacon;
        REPORTS = reports;
    }

    /// @inheritdoc IAggregators
    function setTurns(uint256 task, uint64 bond, uint64 cost, uint32 turnSeconds) external {
        (address owner,,) = TASKS.getRoles(task);
        if (msg.sender != owner) revert NotTurnsOwner(msg.sender);
        if (turnTerms[task].turnSeconds != 0) revert TurnsFixed(task);
        (, uint32 ended,,) = TASKS.getProgress(task);
        if (ended != 0) revert TurnsTooLate(task, ended);
        if (bond == 0) revert InvalidTurns("bond");
        if (cost > bond) revert InvalidTurns("cost");
        if (turnSeconds == 0) revert InvalidTurns("turnSeconds");
        turnTerms[task] = Terms(bond, cost, turnSeconds);

        emit TurnsSet(task, bond, cost, turnSeconds);
    }

    /// @inheritdoc IAggregators
    function joinTurns(uint256 task) external {
        _checkGoesOn(task);
        if (nodeOf[task][msg.sender].bond != 0) revert AlreadyJoined(msg.sender);
        if (_nodes[task].length == MAX_NODES) revert TooManyNodes(MAX_NODES);
        _checkAnswers(task, msg.sender);
        uint64 bond = turnTerms[task].bond;
        nodeOf[task][msg.sender] = Node(bond, 0);
        _nodes[task].push(msg.sender);

        emit NodeJoined(task, msg.sender, bond);
        BONDS.lock(msg.sender, bytes32(task), bond);
    }

    /// @inheritdoc IAggregators
    function leaveTurns(uint256 task) external {
        Node storage mine = _joined(task, msg.sender);
        uint64 leavesAt = mine.leavesAt;
        if (leavesAt == 0) {
            mine.leavesAt = uint64(block.timestamp) + LEAVE_SECONDS;
            emit NodeLeaving(task, msg.sender, mine.leavesAt);
            return;
        }
        // forge-lint: disable-next-line(block-timestamp) - delays are judged by block time (L5)
        if (block.timestamp < leavesAt) revert LeaveTooEarly(leavesAt, uint64(block.timestamp));
        uint64 bond = mine.bond;
        _remove(task, msg.sender);

        emit NodeLeft(task, msg.sender, bond);
        BONDS.release(msg.sender, bytes32(task), bond);
    }

    /// @inheritdoc IAggregators
    function listNodes(uint256 task) external {
        _checkGoesOn(task);
        uint256 draw = BEACON.drawOf(task, topicOf(drawsTaken[task] + 1));
        if (draw != 0) revert NextDrawOpened(task, draw);
        address[] memory nodes = _present(task);
        if (nodes.length == 0) revert NobodyJoined(task);
        _listed[task] = nodes;

        emit NodesListed(task, nodes);
    }

    /// @inheritdoc IAggregators
    function drawTurns(uint256 task) external {
        uint32 ended = _checkGoesOn(task);
        uint256 number = drawsTaken[task] + 1;
        uint256 draw = BEACON.drawOf(task, topicOf(number));
        if (draw == 0) revert NextDrawMissing(task, topicOf(number));
        (bytes32 value, bool void) = BEACON.valueOf(draw);
        address[] memory nodes = void ? new address[](0) : _listed[task];
        delete _listed[task];
        drawsTaken[task] = number;
        bool first = _drawn[task].length == 0;
        uint32 firstRound = 0;
        if (nodes.length != 0) {
            if (first) {
                (, address aggregator,) = TASKS.getRoles(task);
                if (aggregator == address(REPORTS)) revert TurnsHalted(task, aggregator);
            }
            firstRound = first ? ended + 1 : ended + 2;
            Drawn storage drawn = _drawn[task].push();
            // forge-lint: disable-next-line(unsafe-typecast) - there are not as many draws
            drawn.draw = uint128(draw);
            (drawn.firstRound, drawn.since) = (firstRound, uint64(block.timestamp));
            (drawn.value, drawn.nodes) = (value, nodes);
        }

        emit TurnsDrawn(task, draw, firstRound, value, nodes);
        if (first && nodes.length != 0) TASKS.appointAggregator(task, address(this));
    }

    /// @inheritdoc IAggregators
    function publishTurn(
        uint256 task,
        uint32 round,
        bytes calldata cid,
        string calldata rule,
        address[] calldata contributors,
        bytes calldata evidence,
        bytes32[2][] calldata commitments
    ) external {
        _lead(task, round);
        TASKS.publishAggregate(task, round, cid, rule, contributors, evidence, commitments);
    }

    /// @inheritdoc IAggregators
    function restartTurns(uint256 task) external {
        (uint32 rounds, uint32 ended,,) = TASKS.getProgress(task);
        if (ended == rounds) revert RoundsOver(task);
        Drawn storage drawn = _drawnFor(task, ended + 1);
        (, address aggregator,) = TASKS.getRoles(task);
        uint64 since = PAUSED;
        if (aggregator == address(this)) {
            if (drawn.since != PAUSED) revert TurnsGoOn(task);
            since = uint64(block.timestamp);
        }
        drawn.since = since;

        emit TurnsRestarted(task, ended + 1, since);
    }

    /// @inheritdoc IAggregators
    function markMissed(uint256 task, uint32 round, address node) external {
        (, uint32 ended, uint64 window, uint64 openedAt) = TASKS.getProgress(task);
        Drawn storage drawn = _drawnFor(task, round);
        if (missed[task][round][node]) revert AlreadyMissed(round, node);
        address[] memory order = _order(drawn, task, round, drawn.nodes.length);
        uint256 place = 0;
        while (place < order.length && order[place] != node) ++place;
        if (place == order.length) revert NotInOrder(node);
        uint64 reached = _led[task][round];
        if (reached != 0) {
            --reached;
        } else {
            if (round != ended + 1) revert TurnUnknown(task, round);
            (, address aggregator,) = TASKS.getRoles(task);
            if (aggregator != address(this)) revert TurnsHalted(task, aggregator);
            reached = _turnNow(_begins(drawn, window, openedAt), turnTerms[task].turnSeconds);
        }
        if (reached <= place) revert TurnNotOver(node, place, reached);
        Node storage theirs = _joined(task, node);
        uint64 cost = turnTerms[task].cost;
        uint64 lost = cost < theirs.bond ? cost : theirs.bond;
        missed[task][round][node] = true;
        theirs.bond -= lost;
        if (theirs.bond == 0) _remove(task, node);

        emit TurnMissed(task, round, node, lost);
        if (lost == 0) return;
        (address[] memory to, uint256[] memory amounts) = (new address[](1), new uint256[](1));
        (to[0], amounts[0]) = (address(BONDS), lost);
        BONDS.slash(node, bytes32(task), to, amounts);
    }

    /// @inheritdoc IAggregators
    function nodesOf(uint256 task) external view returns (address[] memory) {
        return _nodes[task];
    }

    /// @inheritdoc IAggregators
    function listedFor(uint256 task) external view returns (address[] memory) {
        return _listed[task];
    }

    /// @inheritdoc IAggregators
    function turnsOf(uint256 task, uint32 round)
        external
        view
        returns (uint256 draw, uint256 begins, address[] memory order)
    {
        (uint32 rounds, uint32 ended, uint64 window, uint64 openedAt) = TASKS.getProgress(task);
        Drawn storage drawn = _drawnFor(task, round);
        bool open = ended != rounds && round == ended + 1;
        return (
            drawn.draw,
            open ? _begins(drawn, window, openedAt) : 0,
            _order(drawn, task, round, drawn.nodes.length)
        );
    }

    /// @inheritdoc IAggregators
    function topicOf(uint256 number) public pure returns (bytes32) {
        return keccak256(abi.encode("fedledger turns", number));
    }

    /// @dev Checks that it is the sender's turn in the open round, and notes that it published it.
    function _lead(uint256 task, uint32 round) private {
        (, uint32 ended, uint64 window, uint64 openedAt) = TASKS.getProgress(task);
        Drawn storage drawn = _drawnFor(task, ended + 1);
        uint256 begins = _begins(drawn, window, openedAt);
        uint32 turnSeconds = turnTerms[task].turnSeconds;
        uint64 turn = _turnNow(begins, turnSeconds);
        uint256 place = turn % drawn.nodes.length;
        address holder = _order(drawn, task, ended + 1, place + 1)[place];
        if (msg.sender != holder) {
            revert NotItsTurn(msg.sender, holder, begins + (uint256(turn) + 1) * turnSeconds);
        }
        _joined(task, msg.sender);
        _checkAnswers(task, msg.sender);
        _led[task][round] = turn + 1;

        emit RoundLed(task, round, msg.sender, turn);
    }

    function _remove(uint256 task, address node) private {
        delete nodeOf[task][node];
        address[] storage nodes = _nodes[task];
        uint256 place = 0;
        while (nodes[place] != node) ++place;
        nodes[place] = nodes[nodes.length - 1];
        nodes.pop();
    }

    /// @dev The nodes that are there to stay, ascending.
    function _present(uint256 task) private view returns (address[] memory present) {
        address[] memory all = _nodes[task];
        uint256 number = 0;
        for (uint256 i = 0; i < all.length; ++i) {
            if (nodeOf[task][all[i]].leavesAt != 0 || REPORTS.excluded(task, all[i])) continue;
            all[number++] = all[i];
        }
        present = new address[](number);
        for (uint256 i = 0; i < number; ++i) {
            present[i] = all[i];
        }
        Turns.sort(present);
    }

    function _drawnFor(uint256 task, uint32 round) private view returns (Drawn storage drawn) {
        Drawn[] storage all = _drawn[task];
        for (uint256 i = all.length; i > 0; --i) {
            if (all[i - 1].firstRound <= round) return all[i - 1];
        }
        revert NotDrawn(task, round);
    }

    function _order(Drawn storage drawn, uint256 task, uint32 round, uint256 size)
        private
        view
        returns (address[] memory)
    {
        return Turns.order(drawn.value, task, round, drawn.nodes, size);
    }

    function _begins(Drawn storage drawn, uint64 window, uint64 openedAt)
        private
        view
        returns (uint256)
    {
        uint256 over = uint256(openedAt) + window;
        return over < drawn.since ? drawn.since : over;
    }

    function _turnNow(uint256 begins, uint32 turnSeconds) private view returns (uint64) {
        // forge-lint: disable-next-line(block-timestamp) - deadlines are judged by block time (L5)
        if (block.timestamp <= begins) return 0;
        // forge-lint: disable-next-line(unsafe-typecast) - no more than the time itself
        return uint64((block.timestamp - begins) / turnSeconds);
    }

    function _joined(uint256 task, address node) private view returns (Node storage found) {
        found = nodeOf[task][node];
        if (found.bond == 0) revert NotJoined(node);
    }

    function _checkGoesOn(uint256 task) private view returns (uint32 ended) {
        uint32 rounds;
        (rounds, ended,,) = TASKS.getProgress(task);
        if (turnTerms[task].turnSeconds == 0) revert NoTurns(task);
        if (ended == rounds) revert RoundsOver(task);
    }

    function _checkAnswers(uint256 task, address node) private view {
        (uint128 amount,,,) = REPORTS.getPledge(task, node);
        if (amount == 0) revert NoPledge(node);
        if (REPORTS.excluded(task, node)) revert ExcludedNode(node);
    }
}
