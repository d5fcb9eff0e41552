// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IStakeToken} from "../../stake_token/IStakeToken.sol";
import {ITrainingTask} from "../../training_task/ITrainingTask.sol";
import {Fixture, Vm, bound, isMember} from "./Fixture.sol";

/// @notice Calls the contracts as anybody might; remembers what was allowed.
contract Handler {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    bytes private constant CID = hex"01551220aabb";

    IStakeToken private immutable TOKEN;
    ITrainingTask private immutable TASKS;

    address[] public actors;
    uint256 public minted;
    uint256 public published;
    uint256 public paid;
    bool public strangerPublished;
    bool public cutShort;
    bool public paidTwice;
    bool public minorityRolledBack;

    /// @dev What each task's model should be, now and as a checkpoint, and what each member wants.
    mapping(uint256 task => bytes) public model;
    mapping(uint256 task => mapping(uint256 round => bytes)) public kept;
    mapping(uint256 task => mapping(uint256 round => mapping(address member => uint256))) private
        _wish;

    mapping(bytes32 reward => bool) private _hadReward;

    constructor(IStakeToken token, ITrainingTask tasks, address[] memory people) {
        TOKEN = token;
        TASKS = tasks;
        actors = people;
    }

    function propose(uint256 sender, uint256 rounds, uint256 window, uint256 reward) external {
        if (TASKS.taskCount() == 3) return;
        vm.prank(actor(sender));
        uint256 task = TASKS.propose(
            "m",
            CID,
            uint32(bound(rounds, 1, 6)),
            uint64(bound(window, 0, 2) * 60),
            bound(reward, 0, 20),
            CID
        );
        model[task] = CID;
    }

    function submit(uint256 sender, uint256 task, uint256 round) external {
        (task, round) = open(task, round);
        vm.prank(actor(sender));
        TASKS.submitUpdate(task, uint32(round), CID, 1, 1, "seal", "a block");
    }

    /// @dev By the aggregator three times in four; with everybody who submitted, or with anybody.
    function publish(uint256 sender, uint256 task, uint256 round, uint256 who) external {
        (task, round) = open(task, round);
        (, address aggregator,) = TASKS.getRoles(task);
        address caller = sender % 4 == 0 ? actor(sender / 4) : aggregator;
        address[] memory clients = chosen(who, task, uint32(round), 1);
        bytes memory cid = abi.encodePacked(bytes4(0x01551220), published % 8);
        bool early = updatesAreTaken(task);
        vm.prank(caller);
        TASKS.publishAggregate(task, uint32(round), cid, "r", clients, CID, new bytes32[2][](0));
        ++published;
        model[task] = cid;
        if (caller != aggregator) strangerPublished = true;
        if (early) cutShort = true;
    }

    /// @dev By anybody; while updates are taken it has to be refused.
    function reveal(uint256 sender, uint256 task, uint256 round) external {
        (task, round) = open(task, round);
        bool early = updatesAreTaken(task);
        vm.prank(actor(sender));
        TASKS.revealSalt(task, uint32(round), "a list", "a salt", "a block");
        if (early) cutShort = true;
    }

    /// @dev By the owner, like everything that only the owner may do, seven times in eight.
    function appoint(uint256 sender, uint256 task, uint256 who) external {
        task = bound(task, 1, TASKS.taskCount());
        address[] memory one = new address[](1);
        one[0] = actor(who);
        address owner = ownerOr(sender, task);
        if (sender % 5 == 0) {
            vm.prank(owner);
            TASKS.appointAggregator(task, one[0]);
        }
        if (!isMember(TASKS, task, one[0])) {
            vm.prank(owner);
            TASKS.appointMembers(task, one);
        } else if (who % 3 == 0) {
            vm.prank(owner);
            TASKS.revokeMembers(task, one);
            (, uint256 round) = open(task, 1);
            for (uint256 i = 0; i < actors.length; ++i) {
                delete _wish[task][round][actors[i]];
            }
        }
    }

    function keep(uint256 sender, uint256 task, uint256 accuracy) external {
        task = bound(task, 1, TASKS.taskCount());
        (, uint256 round) = open(task, 1);
        vm.prank(ownerOr(sender, task));
        TASKS.recordCheckpoint(task, uint32(round - 1), uint32(bound(accuracy, 0, 1_000_001)));
        kept[task][round - 1] = model[task];
    }

    function goBack(uint256 sender, uint256 task, uint256 round, uint256 toRound) external {
        (task, round) = open(task, round);
        toRound = target(toRound, task, round);
        vm.prank(ownerOr(sender, task));
        TASKS.rollback(task, uint32(round), uint32(toRound));
        model[task] = kept[task][toRound];
    }

    /// @dev Several members in a row, or sometimes somebody who is none.
    function vote(uint256 sender, uint256 task, uint256 round, uint256 toRound) external {
        (task, round) = open(task, round);
        toRound = target(toRound, task, round);
        (,, uint32 members) = TASKS.getRoles(task);
        bool ended = false;
        for (uint256 i = 0; i < 1 + sender % 4 && !ended; ++i) {
            address member = actor(sender / 4 + i);
            if (sender % 9 != 0 && !isMember(TASKS, task, member)) continue;
            vm.prank(member);
            TASKS.voteRollback(task, uint32(round), uint32(toRound));
            _wish[task][round][member] = toRound + 1;
            (, uint256 next) = open(task, 1);
            ended = next != round;
            if (ended != (2 * wishes(task, round, toRound + 1) > members)) {
                minorityRolledBack = true;
            }
        }
        if (ended) model[task] = kept[task][toRound];
    }

    function pay(uint256 sender, uint256 task, uint256 round, uint256 who) external {
        task = bound(task, 1, TASKS.taskCount());
        round = bound(round, 1, 6);
        address[] memory clients = chosen(who, task, uint32(round), 2);
        vm.prank(actor(sender));
        TASKS.payRewards(task, uint32(round), clients);
        for (uint256 i = 0; i < clients.length; ++i) {
            bytes32 reward = keccak256(abi.encode(task, round, clients[i]));
            if (_hadReward[reward]) paidTwice = true;
            _hadReward[reward] = true;
            ++paid;
        }
    }

    function mint(uint256 to, uint256 amount) external {
        amount = bound(amount, 0, 1000);
        vm.prank(actors[0]);
        TOKEN.mint(actor(to), amount);
        minted += amount;
    }

    function transfer(uint256 sender, uint256 to, uint256 amount) external {
        address from = actor(sender);
        amount = bound(amount, 0, TOKEN.balanceOf(from));
        vm.prank(from);
        TOKEN.transfer(actor(to), amount);
    }

    function wait(uint256 seconds_) external {
        vm.warp(block.timestamp + bound(seconds_, 0, 90));
    }

    function count() external view returns (uint256) {
        return actors.length;
    }

    function actor(uint256 seed) private view returns (address) {
        return actors[seed % actors.length];
    }

    function wishes(uint256 task, uint256 round, uint256 wish) private view returns (uint256 same) {
        for (uint256 i = 0; i < actors.length; ++i) {
            if (_wish[task][round][actors[i]] == wish) ++same;
        }
    }

    /// @dev A round below `round`; seven times in eight the next one down that is a checkpoint.
    function target(uint256 seed, uint256 task, uint256 round) private view returns (uint256) {
        uint256 first = seed % 8 == 0 ? bound(seed / 8, 0, 6) : round;
        while (seed % 8 != 0 && first != 0 && kept[task][--first].length == 0) {}
        return first;
    }

    function updatesAreTaken(uint256 task) private view returns (bool) {
        (,,,,, uint64 window,,,, uint64 openedAt,) = TASKS.getTask(task);
        return window != 0 && block.timestamp <= uint256(openedAt) + window;
    }

    function ownerOr(uint256 seed, uint256 task) private view returns (address owner) {
        (owner,,) = TASKS.getRoles(task);
        if (seed % 8 == 0) owner = actor(seed / 8);
    }

    /// @dev A task, and its open round seven times in eight.
    function open(uint256 task, uint256 round) private view returns (uint256, uint256) {
        task = bound(task, 1, TASKS.taskCount());
        (,,,, uint32 done,,,,,,) = TASKS.getTask(task);
        return (task, round % 8 == 0 ? bound(round, 0, 4) : done + 1);
    }

    /// @dev Those with this status; sometimes one more, whoever it is.
    function chosen(uint256 who, uint256 task, uint32 round, uint8 wanted)
        private
        view
        returns (address[] memory clients)
    {
        bool more = who % 4 == 0;
        uint256 size = more ? 1 : 0;
        for (uint256 pass = 0; pass < 2; ++pass) {
            for (uint256 i = 0; i < actors.length; ++i) {
                (, uint8 status) = TASKS.getSubmission(task, round, actors[i]);
                if (status != wanted) continue;
                if (pass == 0) ++size;
                else clients[--size] = actors[i];
            }
            if (pass == 0) clients = new address[](size);
        }
        if (more) clients[0] = actor(who / 4);
    }
}

contract InvariantsTest is Fixture {
    Handler private handler;

    function setUp() public override {
        super.setUp();
        address[] memory people = new address[](5);
        (people[0], people[1], people[2], people[3], people[4]) = (ADMIN, OWNER, ANN, BOB, EVE);
        handler = new Handler(token, tasks, people);
        handler.propose(1, 6, 0, 20); // by OWNER
        handler.keep(1, 1, 0);
        for (uint256 i = 1; i < people.length; ++i) {
            handler.appoint(1, 1, i);
        }
    }

    function targetContracts() public view returns (address[] memory) {
        return list(address(handler));
    }

    /// @dev Rewards of published rounds: those that are paid, and those in escrow.
    function rewards() private view returns (uint256 paid, uint256 owed) {
        for (uint256 task = 1; task <= tasks.taskCount(); ++task) {
            (,,, uint32 rounds,,, uint256 reward,,,,) = tasks.getTask(task);
            for (uint32 round = 1; round <= rounds; ++round) {
                for (uint256 i = 0; i < handler.count(); ++i) {
                    uint8 found = status(task, round, handler.actors(i));
                    if (found == 2) owed += reward;
                    if (found == 3) paid += reward;
                }
            }
        }
    }

    function invariant_minted_is_held_and_locked() public view {
        (uint256 paid, uint256 owed) = rewards();
        uint256 held = 0;
        for (uint256 i = 0; i < handler.count(); ++i) {
            held += token.balanceOf(handler.actors(i));
        }
        vm.assertEq(token.balanceOf(address(tasks)), owed, "escrow");
        vm.assertEq(held, handler.minted() + paid, "held");
        vm.assertEq(token.totalSupply(), held + owed, "supply");
    }

    function invariant_nobody_is_paid_twice() public view {
        vm.assertEq(handler.paidTwice(), false, "paid twice");
    }

    function invariant_only_the_aggregator_publishes() public view {
        vm.assertEq(handler.strangerPublished(), false, "published by a stranger");
    }

    function invariant_no_window_is_cut_short() public view {
        vm.assertEq(handler.cutShort(), false, "published or revealed while updates are taken");
    }

    function invariant_it_takes_the_owner_or_more_than_half_of_the_members() public view {
        vm.assertEq(handler.minorityRolledBack(), false, "rolled back by too few, or not by enough");
        for (uint256 task = 1; task <= tasks.taskCount(); ++task) {
            (,, uint32 members) = tasks.getRoles(task);
            uint256 found = 0;
            for (uint256 i = 0; i < handler.count(); ++i) {
                if (isMember(tasks, task, handler.actors(i))) ++found;
            }
            vm.assertEq(found, members, "number of members");
            for (uint32 toRound = 0; toRound <= 6; ++toRound) {
                uint256 votes = tasks.getRollbackVotes(task, toRound);
                vm.assertLe(2 * votes, members, "votes that decided nothing");
            }
        }
    }

    function invariant_the_model_is_the_last_one_published_or_gone_back_to() public view {
        for (uint256 task = 1; task <= tasks.taskCount(); ++task) {
            (,,,,,,,, bytes memory cid,,) = tasks.getTask(task);
            vm.assertEq(cid, handler.model(task), "model");
        }
    }
}
