// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBonds} from "../bonds/IBonds.sol";
import {ITrainingTask} from "../training_task/ITrainingTask.sol";
import {IBeacon} from "./IBeacon.sol";

/// @title Values that nobody knew before
/// @notice What it does, says and refuses is written in IBeacon.
contract Beacon is IBeacon {
    struct Draw {
        uint256 task;
        uint256 stake;
        uint64 commitUntil;
        uint64 fixUntil;
        uint64 revealUntil; // 0: the subject is not fixed
        uint32 revealSeconds;
        uint32 quorum;
        uint32 lookahead;
        uint32 committed;
        uint32 revealed;
        bool ended;
        uint256 fixedBlock;
        bytes32 subject;
        bytes32 randomness;
        bytes32 value;
    }

    struct Member {
        bytes32 commitment;
        uint32 index;
        uint8 status; // of the constants below
    }

    /// @inheritdoc IBeacon
    uint256 public constant MAX_COMMITTED = 256;

    uint256 private constant MAX_LOOKAHEAD = 8_000;
    address private constant HISTORY = 0x0000F90827F1C53a10cb7A02335B175320002935; // EIP-2935

    uint8 private constant NONE = 0;
    uint8 private constant COMMITTED = 1;
    uint8 private constant REVEALED = 2;
    uint8 private constant SETTLED = 3;

    ITrainingTask private immutable TASKS;
    IBonds private immutable BONDS;

    /// @inheritdoc IBeacon
    uint256 public drawCount;

    /// @inheritdoc IBeacon
    mapping(uint256 task => mapping(bytes32 topic => uint256)) public drawOf;

    mapping(uint256 draw => Draw) private _draws;
    mapping(uint256 draw => mapping(address account => Member)) private _members;
    mapping(uint256 draw => mapping(uint256 index => bytes32)) private _values;
    mapping(uint256 draw => mapping(uint256 index => bool)) private _said;

    /// @param tasks Whose members commit themselves.
    /// @param bonds Where their stakes are; this contract needs the token's LOCKER_ROLE.
    constructor(ITrainingTask tasks, IBonds bonds) {
        TASKS = tasks;
        BONDS = bonds;
    }

    /// @inheritdoc IBeacon
    function open(
        uint256 task,
        bytes32 topic,
        uint256 stake,
        uint32 quorum,
        uint32 lookahead,
        uint32 commitSeconds,
        uint32 fixSeconds,
        uint32 revealSeconds
    ) external returns (uint256 draw) {
        _checkDrawer(task);
        if (drawOf[task][topic] != 0) revert TopicDrawn(task, topic);
        if (commitSeconds == 0) revert InvalidTerms("commitSeconds");
        if (fixSeconds == 0) revert InvalidTerms("fixSeconds");
        if (revealSeconds == 0) revert InvalidTerms("revealSeconds");
        if (quorum == 0 || quorum > MAX_COMMITTED) revert InvalidTerms("quorum");
        if (lookahead > MAX_LOOKAHEAD) revert InvalidTerms("lookahead");

        draw = ++drawCount;
        drawOf[task][topic] = draw;
        Draw storage opened = _draws[draw];
        opened.task = task;
        opened.stake = stake;
        opened.commitUntil = uint64(block.timestamp) + commitSeconds;
        opened.fixUntil = opened.commitUntil + fixSeconds;
        opened.revealSeconds = revealSeconds;
        opened.quorum = quorum;
        opened.lookahead = lookahead;

        emit DrawOpened(
            draw,
            task,
            topic,
            stake,
            quorum,
            lookahead,
            opened.commitUntil,
            opened.fixUntil,
            revealSeconds
        );
    }

    /// @inheritdoc IBeacon
    function commit(uint256 draw, bytes32 commitment) external {
        Draw storage about = _draw(draw);
        // forge-lint: disable-next-line(block-timestamp) - deadlines are judged by block time (L5)
        if (block.timestamp > about.commitUntil) {
            revert CommitmentsClosed(about.commitUntil, uint64(block.timestamp));
        }
        (bool isOne,) = TASKS.isMember(about.task, msg.sender);
        if (!isOne) revert NotTaskMember(msg.sender);
        Member storage member = _members[draw][msg.sender];
        if (member.status != NONE) revert AlreadyCommitted(msg.sender);
        uint32 index = about.committed;
        if (index == MAX_COMMITTED) revert TooManyCommitted(MAX_COMMITTED);
        about.committed = index + 1;
        (member.commitment, member.index, member.status) = (commitment, index, COMMITTED);

        emit ValueCommitted(draw, msg.sender, index, commitment);
        if (about.stake != 0) BONDS.lock(msg.sender, bytes32(draw), about.stake);
    }

    /// @inheritdoc IBeacon
    function fix(uint256 draw, bytes32 subject) external {
        Draw storage about = _draw(draw);
        _checkDrawer(about.task);
        if (about.revealUntil != 0) revert AlreadyFixed(draw);
        // forge-lint: disable-next-line(block-timestamp) - deadlines are judged by block time (L5)
        if (block.timestamp <= about.commitUntil) {
            revert CommitmentsOpen(about.commitUntil, uint64(block.timestamp));
        }
        // forge-lint: disable-next-line(block-timestamp) - the same
        if (block.timestamp > about.fixUntil) {
            revert FixingClosed(about.fixUntil, uint64(block.timestamp));
        }
        about.subject = subject;
        about.fixedBlock = block.number;
        about.revealUntil = uint64(block.timestamp) + about.revealSeconds;

        emit SubjectFixed(draw, subject, block.number, _randomBlock(about), about.revealUntil);
    }

    /// @inheritdoc IBeacon
    function reveal(uint256 draw, bytes32 value) external {
        Draw storage about = _checkRevealing(draw);
        Member storage member = _members[draw][msg.sender];
        if (member.status == NONE) revert NotCommitted(msg.sender);
        if (member.status != COMMITTED) revert AlreadyRevealed(msg.sender);
        if (keccak256(abi.encode(draw, msg.sender, value)) != member.commitment) {
            revert WrongValue(msg.sender);
        }
        member.status = REVEALED;
        _values[draw][member.index] = value;
        _said[draw][member.index] = true;
        ++about.revealed;

        emit ValueRevealed(draw, msg.sender, value);
    }

    /// @inheritdoc IBeacon
    function provide(uint256 draw, bytes calldata header) external {
        Draw storage about = _checkRevealing(draw);
        uint256 number = _randomBlock(about);
        if (number == 0 || about.randomness != 0) revert RandomnessUnwanted(draw);
        bytes32 hash = _hashOf(number);
        if (hash == 0) revert BlockUnknown(number);
        if (keccak256(header) != hash) revert WrongHeader(number);
        about.randomness = _mixHash(header, number);

        emit RandomnessProvided(draw, about.randomness);
    }

    /// @inheritdoc IBeacon
    function close(uint256 draw) external {
        Draw storage about = _draw(draw);
        if (about.ended) revert DrawEnded(draw);
        bool wanting = about.lookahead != 0 && about.randomness == 0;
        bool whole = about.revealUntil != 0 && about.revealed == about.committed && !wanting;
        uint64 until = about.revealUntil == 0 ? about.fixUntil : about.revealUntil;
        // forge-lint: disable-next-line(block-timestamp) - deadlines are judged by block time (L5)
        if (!whole && block.timestamp <= until) revert DrawOpen(until, uint64(block.timestamp));
        about.ended = true;
        if (about.revealed >= about.quorum && !wanting) about.value = _value(draw, about);

        emit DrawClosed(draw, about.value, about.value == 0);
    }

    /// @inheritdoc IBeacon
    function settle(uint256 draw, address member) external {
        Draw storage about = _draw(draw);
        if (!about.ended) revert DrawNotEnded(draw);
        uint8 status = _members[draw][member].status;
        if (about.stake == 0 || status == NONE || status == SETTLED) revert NothingStaked(member);
        bool lost = status == COMMITTED && about.revealUntil != 0;
        _members[draw][member].status = SETTLED;

        emit StakeSettled(draw, member, lost);
        if (lost) {
            address[] memory to = new address[](1);
            uint256[] memory amounts = new uint256[](1);
            (to[0], amounts[0]) = (address(BONDS), about.stake);
            BONDS.slash(member, bytes32(draw), to, amounts);
        } else {
            BONDS.release(member, bytes32(draw), about.stake);
        }
    }

    /// @inheritdoc IBeacon
    function valueOf(uint256 draw) external view returns (bytes32 value, bool void) {
        Draw storage about = _draw(draw);
        if (!about.ended) revert DrawNotEnded(draw);
        return (about.value, about.value == 0);
    }

    function _value(uint256 draw, Draw storage about) private view returns (bytes32) {
        bytes32[] memory parts = new bytes32[](3 + about.revealed);
        (parts[0], parts[1], parts[2]) = (bytes32(draw), about.subject, about.randomness);
        uint256 next = 3;
        for (uint256 index = 0; index < about.committed; ++index) {
            if (_said[draw][index]) parts[next++] = _values[draw][index];
        }
        return sha256(abi.encodePacked(parts));
    }

    function _draw(uint256 draw) private view returns (Draw storage about) {
        about = _draws[draw];
        if (about.commitUntil == 0) revert UnknownDraw(draw);
    }

    function _checkDrawer(uint256 task) private view {
        (address owner, address aggregator,) = TASKS.getRoles(task);
        if (msg.sender != owner && msg.sender != aggregator) revert NotDrawer(msg.sender);
    }

    function _checkRevealing(uint256 draw) private view returns (Draw storage about) {
        about = _draw(draw);
        if (about.revealUntil == 0) revert NotFixed(draw);
        if (block.number <= about.fixedBlock) {
            revert RevealTooEarly(about.fixedBlock, block.number);
        }
        // forge-lint: disable-next-line(block-timestamp) - deadlines are judged by block time (L5)
        if (block.timestamp > about.revealUntil) {
            revert RevealsClosed(about.revealUntil, uint64(block.timestamp));
        }
    }

    function _randomBlock(Draw storage about) private view returns (uint256) {
        return about.lookahead == 0 ? 0 : about.fixedBlock + about.lookahead;
    }

    function _hashOf(uint256 number) private view returns (bytes32 hash) {
        hash = blockhash(number);
        if (hash != 0 || number >= block.number) return hash;
        (bool known, bytes memory answer) = HISTORY.staticcall(abi.encode(number));
        if (known && answer.length == 32) hash = abi.decode(answer, (bytes32));
    }

    /// @dev The header's 14th field. Its hash was checked, so it is well-formed: a list with a
    /// length of two bytes; seven fields of fixed sizes, up to the logs' bloom filter; six short
    /// ones, each with its length in its first byte unless it is one byte below 0x80. Where one is
    /// longer, as the extra data of chains whose blocks are signed, no randomness stands there.
    function _mixHash(bytes calldata header, uint256 number) private pure returns (bytes32) {
        uint256 next = 3 + 33 + 33 + 21 + 33 + 33 + 33 + 259;
        for (uint256 field = 0; field < 6; ++field) {
            uint8 first = uint8(header[next]);
            if (first > 0xb7) revert WrongHeader(number);
            next += first < 0x80 ? 1 : first - 0x80 + 1;
        }
        return bytes32(header[next + 1:next + 33]);
    }
}
