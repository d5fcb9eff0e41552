// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IStakeToken} from "../stake_token/IStakeToken.sol";
import {ITrainingTask} from "../training_task/ITrainingTask.sol";
import {IMembership} from "./IMembership.sol";

/// @title Who takes part in a task, from round to round
/// @notice What it does, says and refuses is written in IMembership.
contract Membership is IMembership {
    /// @dev Who is for a change, and since when.
    struct Ballot {
        address[] voters;
        mapping(address member => uint64) since;
    }

    /// @inheritdoc IMembership
    uint256 public constant MAX_VOTES = 256;

    uint8 private constant OWNER = 1;
    uint8 private constant MEMBERS = 2;

    uint8 private constant ASKED = 1;
    uint8 private constant ADMITTED = 2;
    uint8 private constant LEFT = 3;
    uint8 private constant REMOVED = 4;

    uint8 private constant ADMIT = 1;
    uint8 private constant REMOVE = 2;
    uint8 private constant REPLACE = 3;
    uint8 private constant ELECT = 4;
    uint8 private constant RECORD = 5;

    bytes32 private constant GOVERNOR_ROLE = keccak256("GOVERNOR_ROLE");

    ITrainingTask private immutable TASKS;
    IStakeToken private immutable TOKEN;

    mapping(uint256 task => uint8) private _rules;
    mapping(uint256 task => mapping(address account => uint8)) private _standing;
    mapping(uint256 task => mapping(address account => address)) private _accepted;

    /// @dev Removed or replaced by others, and not admitted since.
    mapping(uint256 task => mapping(address account => bool)) private _barred;

    /// @dev How often a change was decided, so that votes for it count once.
    mapping(bytes32 change => uint256) private _decided;
    mapping(bytes32 ballot => Ballot) private _ballots;

    /// @param tasks Whose clients change; this contract needs the token's GOVERNOR_ROLE.
    constructor(ITrainingTask tasks) {
        TASKS = tasks;
        TOKEN = IStakeToken(tasks.token());
    }

    /// @inheritdoc IMembership
    function openMembership(uint256 task, bool byMembers) external {
        _checkOwner(task);
        if (_rules[task] != 0) revert MembershipAlreadyOpen(task);
        uint32 ended = _ended(task);
        if (ended != 0) revert FirstRoundEnded(task, ended);
        _rules[task] = byMembers ? MEMBERS : OWNER;

        emit MembershipOpened(task, byMembers);
    }

    /// @inheritdoc IMembership
    function join(uint256 task) external {
        _checkOpen(task);
        uint8 before = _standing[task][msg.sender];
        if (before == ASKED) revert AlreadyAsked(msg.sender);
        if (before == ADMITTED) revert AlreadyAdmitted(msg.sender);
        _standing[task][msg.sender] = ASKED;

        emit JoinAsked(task, msg.sender);
    }

    /// @inheritdoc IMembership
    function admit(uint256 task, address account) external {
        _checkOwnerDecides(task);
        _checkAsked(task, account);
        _admit(task, account, 0);
    }

    /// @inheritdoc IMembership
    function voteAdmit(uint256 task, address account) external {
        _checkMembersDecide(task);
        _checkAsked(task, account);
        (bool decided, uint32 votes) = _voteChange(task, ADMIT, account, address(0));
        if (decided) _admit(task, account, votes);
    }

    /// @inheritdoc IMembership
    function leaveTask(uint256 task) external {
        _checkOpen(task);
        _checkThere(task, msg.sender);
        _standing[task][msg.sender] = LEFT;
        delete _accepted[task][msg.sender];

        emit ClientLeft(task, msg.sender);
    }

    /// @inheritdoc IMembership
    function remove(uint256 task, address account) external {
        _checkOwnerDecides(task);
        _checkThere(task, account);
        _remove(task, account, 0);
    }

    /// @inheritdoc IMembership
    function voteRemove(uint256 task, address account) external {
        _checkMembersDecide(task);
        _checkThere(task, account);
        (bool decided, uint32 votes) = _voteChange(task, REMOVE, account, address(0));
        if (decided) _remove(task, account, votes);
    }

    /// @inheritdoc IMembership
    function acceptPlace(uint256 task, address account) external {
        _checkOpen(task);
        if (account == address(0) || account == msg.sender) revert NoPlace(account);
        if (_standing[task][msg.sender] == ADMITTED) revert AlreadyAdmitted(msg.sender);
        _accepted[task][msg.sender] = account;

        emit PlaceAccepted(task, account, msg.sender);
    }

    /// @inheritdoc IMembership
    function replace(uint256 task, address account, address by) external {
        if (msg.sender == account) _checkOpen(task);
        else _checkOwnerDecides(task);
        _checkReplacement(task, account, by);
        _replace(task, account, by, 0);
    }

    /// @inheritdoc IMembership
    function voteReplace(uint256 task, address account, address by) external {
        _checkMembersDecide(task);
        _checkReplacement(task, account, by);
        (bool decided, uint32 votes) = _voteChange(task, REPLACE, account, by);
        if (decided) _replace(task, account, by, votes);
    }

    /// @inheritdoc IMembership
    function elect(uint256 task, address aggregator) external {
        (, address current,) = TASKS.getRoles(task);
        if (!TOKEN.hasRole(GOVERNOR_ROLE, current)) revert NotHalted(task);
        (bool decided,) = _voteChange(task, ELECT, aggregator, address(0));
        if (decided) TASKS.appointAggregator(task, aggregator);
    }

    /// @inheritdoc IMembership
    function voteCheckpoint(uint256 task, uint32 round, uint32 accuracy) external {
        uint32 ended = _ended(task);
        if (round != ended) revert NotNewestModel(ended, round);
        if (accuracy > 1_000_000) revert AccuracyTooHigh(accuracy);
        bytes32 change = keccak256(abi.encode(task, RECORD, round, accuracy));
        (bool decided, uint32 votes, uint32 members) = _vote(task, change);

        emit CheckpointVoted(task, msg.sender, round, accuracy, votes, members);
        if (decided) TASKS.recordCheckpoint(task, round, accuracy);
    }

    /// @inheritdoc IMembership
    function ruleOf(uint256 task) external view returns (uint8) {
        TASKS.getRoles(task);
        return _rules[task];
    }

    /// @inheritdoc IMembership
    function standingOf(uint256 task, address account) external view returns (uint8) {
        TASKS.getRoles(task);
        return _standing[task][account];
    }

    /// @inheritdoc IMembership
    function acceptedBy(uint256 task, address account) external view returns (address) {
        TASKS.getRoles(task);
        return _accepted[task][account];
    }

    function _admit(uint256 task, address account, uint32 votes) private {
        _standing[task][account] = ADMITTED;
        delete _barred[task][account];

        emit ClientAdmitted(task, account, votes);
    }

    function _remove(uint256 task, address account, uint32 votes) private {
        _standing[task][account] = REMOVED;
        _barred[task][account] = true;
        delete _accepted[task][account];

        emit ClientRemoved(task, account, votes);
    }

    /// @dev Who hands its place over by itself has left; else its key may be somebody else's now.
    function _replace(uint256 task, address account, address by, uint32 votes) private {
        bool own = msg.sender == account && votes == 0;
        _standing[task][account] = own ? LEFT : REMOVED;
        if (!own) _barred[task][account] = true;
        _standing[task][by] = ADMITTED;
        delete _accepted[task][account];
        delete _accepted[task][by];

        emit ClientReplaced(task, account, by, votes);
    }

    function _voteChange(uint256 task, uint8 change, address account, address by)
        private
        returns (bool decided, uint32 votes)
    {
        uint32 members;
        (decided, votes, members) = _vote(task, keccak256(abi.encode(task, change, account, by)));

        emit ChangeVoted(task, msg.sender, change, account, by, votes, members);
    }

    /// @dev Votes of those who are no members any more are looked for only when they could decide.
    function _vote(uint256 task, bytes32 change)
        private
        returns (bool decided, uint32 votes, uint32 members)
    {
        (bool isOne, uint64 from) = TASKS.isMember(task, msg.sender);
        if (!isOne) revert NotVoter(msg.sender);
        Ballot storage ballot =
            _ballots[keccak256(abi.encode(change, _ended(task), _decided[change]))];
        uint64 before = ballot.since[msg.sender];
        // forge-lint: disable-next-line(block-timestamp) - both are block times
        if (before != 0 && before >= from) revert AlreadyInFavour(msg.sender);
        if (before == 0) {
            if (ballot.voters.length == MAX_VOTES) revert TooManyInFavour(MAX_VOTES);
            ballot.voters.push(msg.sender);
        }
        ballot.since[msg.sender] = uint64(block.timestamp);
        // forge-lint: disable-next-line(unsafe-typecast) - at most MAX_VOTES
        votes = uint32(ballot.voters.length);
        (,, members) = TASKS.getRoles(task);
        if (votes > members / 2) votes = _standingVotes(task, ballot);
        decided = votes > members / 2;
        if (decided) ++_decided[change];
    }

    function _standingVotes(uint256 task, Ballot storage ballot)
        private
        view
        returns (uint32 votes)
    {
        uint256 number = ballot.voters.length;
        for (uint256 i = 0; i < number; ++i) {
            address voter = ballot.voters[i];
            (bool isOne, uint64 from) = TASKS.isMember(task, voter);
            // forge-lint: disable-next-line(block-timestamp) - both are block times
            if (isOne && from <= ballot.since[voter]) ++votes;
        }
    }

    function _ended(uint256 task) private view returns (uint32 ended) {
        (, ended,,) = TASKS.getProgress(task);
    }

    function _checkOwner(uint256 task) private view {
        (address owner,,) = TASKS.getRoles(task);
        if (msg.sender != owner) revert OwnerOnly(msg.sender);
    }

    function _checkOpen(uint256 task) private view returns (uint8 rule) {
        TASKS.getRoles(task);
        rule = _rules[task];
        if (rule == 0) revert MembershipFixed(task);
    }

    function _checkOwnerDecides(uint256 task) private view {
        uint8 rule = _checkOpen(task);
        _checkOwner(task);
        if (rule != OWNER) revert MembersDecide(task);
    }

    function _checkMembersDecide(uint256 task) private view {
        if (_checkOpen(task) != MEMBERS) revert OwnerDecides(task);
    }

    function _checkAsked(uint256 task, address account) private view {
        if (_standing[task][account] != ASKED) revert NotAsked(account);
    }

    function _checkThere(uint256 task, address account) private view {
        if (_standing[task][account] >= LEFT) revert AlreadyGone(account);
    }

    function _checkReplacement(uint256 task, address account, address by) private view {
        _checkThere(task, account);
        if (account == address(0) || _accepted[task][by] != account) {
            revert PlaceNotAccepted(account, by);
        }
        if (_standing[task][by] == ADMITTED) revert AlreadyAdmitted(by);
        if (_barred[task][by]) revert RemovedBefore(by);
    }
}
