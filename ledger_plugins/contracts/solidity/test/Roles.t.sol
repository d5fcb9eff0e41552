// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ITrainingTask} from "../../training_task/ITrainingTask.sol";
import {Fixture, bound, isMember} from "./Fixture.sol";

contract RolesTest is Fixture {
    bytes32 private constant PROPOSER = keccak256("PROPOSER_ROLE");

    function refused(bytes memory reason) private {
        vm.expectRevert(reason);
    }

    function appoint(address[] memory members) private {
        vm.prank(OWNER);
        tasks.appointMembers(1, members);
    }

    function revoke(address[] memory members) private {
        vm.prank(OWNER);
        tasks.revokeMembers(1, members);
    }

    function roles(address aggregator, uint32 members) private view {
        (address owner, address found, uint32 number) = tasks.getRoles(1);
        vm.assertEq(owner, OWNER, "owner");
        vm.assertEq(found, aggregator, "aggregator");
        vm.assertEq(number, members, "members");
    }

    function test_the_owner_aggregates_until_it_appoints_somebody() public {
        propose(3, 0, 20);
        roles(OWNER, 0);
        publish(1, 1, list());
        vm.expectEmit(address(tasks));
        emit ITrainingTask.AggregatorAppointed(1, BOB);
        vm.prank(OWNER);
        tasks.appointAggregator(1, BOB);
        roles(BOB, 0);
        refused(abi.encodeWithSelector(ITrainingTask.NotAggregator.selector, OWNER));
        publish(1, 2, list());
        vm.prank(BOB);
        tasks.publishAggregate(1, 2, CID2, "r", list(), CID, none());
        vm.prank(OWNER);
        tasks.appointAggregator(1, OWNER);
        publish(1, 3, list());
    }

    function test_members_come_and_go() public {
        propose(3, 0, 20);
        vm.expectEmit(address(tasks));
        emit ITrainingTask.MembersAppointed(1, list(ANN, BOB));
        appoint(list(ANN, BOB));
        roles(OWNER, 2);
        vm.assertEq(isMember(tasks, 1, ANN), true, "Ann");
        vm.assertEq(isMember(tasks, 1, OWNER), false, "the owner");
        vm.expectEmit(address(tasks));
        emit ITrainingTask.MembersRevoked(1, list(ANN));
        revoke(list(ANN));
        roles(OWNER, 1);
        vm.assertEq(isMember(tasks, 1, ANN), false, "Ann is out");
        vm.assertEq(isMember(tasks, 1, BOB), true, "Bob stays");
        propose(3, 0, 20);
        vm.assertEq(isMember(tasks, 2, BOB), false, "another task");
    }

    function test_progress_is_what_the_task_says() public {
        propose(3, 7, 20);
        vm.warp(START + 9);
        publish(1, 1, list());
        (uint32 rounds, uint32 ended, uint64 window, uint64 openedAt) = tasks.getProgress(1);
        vm.assertEq(rounds, 3, "rounds");
        vm.assertEq(ended, 1, "ended");
        vm.assertEq(window, 7, "window");
        vm.assertEq(openedAt, START + 9, "opened");
    }

    function test_members_have_the_time_since_which_they_are() public {
        propose(3, 0, 20);
        appoint(list(ANN));
        vm.warp(START + 5);
        appoint(list(BOB));
        revoke(list(ANN));
        since(ANN, 0);
        since(BOB, START + 5);
        since(EVE, 0);
        vm.warp(START + 9);
        appoint(list(ANN));
        since(ANN, START + 9);
        since(BOB, START + 5);
    }

    function since(address account, uint256 expected) private view {
        (bool member, uint64 from) = tasks.isMember(1, account);
        vm.assertEq(from, expected, "since");
        vm.assertEq(member, expected != 0, "member");
    }

    function test_a_governor_appoints_aggregators_and_records_checkpoints_and_nothing_else()
        public
    {
        propose(3, 0, 20);
        vm.expectEmit(address(tasks));
        emit ITrainingTask.AggregatorAppointed(1, GOVERNOR);
        vm.prank(GOVERNOR);
        tasks.appointAggregator(1, GOVERNOR);
        roles(GOVERNOR, 0);
        refused(abi.encodeWithSelector(ITrainingTask.NotAggregator.selector, OWNER));
        publish(1, 1, list());
        vm.prank(GOVERNOR);
        tasks.appointAggregator(1, BOB);
        roles(BOB, 0);
        vm.expectEmit(address(tasks));
        emit ITrainingTask.CheckpointRecorded(1, 0, CID, 500_000, GOVERNOR);
        vm.startPrank(GOVERNOR);
        tasks.recordCheckpoint(1, 0, 500_000);
        refused(abi.encodeWithSelector(ITrainingTask.InvalidAggregator.selector, address(0)));
        tasks.appointAggregator(1, address(0));
        bytes memory reason = abi.encodeWithSelector(ITrainingTask.NotOwner.selector, GOVERNOR);
        refused(reason);
        tasks.appointMembers(1, list(ANN));
        refused(reason);
        tasks.revokeMembers(1, list(ANN));
        refused(reason);
        tasks.rollback(1, 1, 0);
        vm.stopPrank();
        vm.prank(ADMIN);
        token.revokeRole(keccak256("GOVERNOR_ROLE"), GOVERNOR);
        vm.startPrank(GOVERNOR);
        refused(reason);
        tasks.appointAggregator(1, GOVERNOR);
        refused(abi.encodeWithSelector(ITrainingTask.NotOwnerOrAggregator.selector, GOVERNOR));
        tasks.recordCheckpoint(1, 0, 500_000);
        vm.stopPrank();
    }

    function test_roles_refuse() public {
        address[] memory many = crowd(257);
        refused(abi.encodeWithSelector(ITrainingTask.UnknownTask.selector, 1));
        appoint(many);
        refused(abi.encodeWithSelector(ITrainingTask.UnknownTask.selector, 1));
        revoke(many);
        refused(abi.encodeWithSelector(ITrainingTask.UnknownTask.selector, 1));
        tasks.appointAggregator(1, address(0));
        refused(abi.encodeWithSelector(ITrainingTask.UnknownTask.selector, 1));
        tasks.getRoles(1);
        refused(abi.encodeWithSelector(ITrainingTask.UnknownTask.selector, 1));
        tasks.getProgress(1);
        refused(abi.encodeWithSelector(ITrainingTask.UnknownTask.selector, 1));
        tasks.isMember(1, ANN);
        propose(3, 0, 20);
        refused(abi.encodeWithSelector(ITrainingTask.InvalidAggregator.selector, address(0)));
        vm.prank(OWNER);
        tasks.appointAggregator(1, address(0));
        refused(abi.encodeWithSelector(ITrainingTask.TooManyMembers.selector, 257, 256));
        appoint(many);
        refused(abi.encodeWithSelector(ITrainingTask.TooManyMembers.selector, 257, 256));
        revoke(many);
        refused(abi.encodeWithSelector(ITrainingTask.AlreadyMember.selector, ANN));
        appoint(list(ANN, ANN));
        roles(OWNER, 0);
        appoint(list(ANN));
        refused(abi.encodeWithSelector(ITrainingTask.AlreadyMember.selector, ANN));
        appoint(list(BOB, ANN));
        vm.assertEq(isMember(tasks, 1, BOB), false, "a refused call appoints nobody");
        refused(abi.encodeWithSelector(ITrainingTask.NotMember.selector, BOB));
        revoke(list(ANN, BOB));
        refused(abi.encodeWithSelector(ITrainingTask.NotMember.selector, ANN));
        revoke(list(ANN, ANN));
        roles(OWNER, 1);
    }

    function testFuzz_only_the_owner_appoints(address sender) public {
        vm.assume(sender != OWNER);
        propose(3, 0, 20);
        vm.prank(OWNER);
        tasks.appointAggregator(1, ANN);
        appoint(list(BOB));
        bytes memory reason = abi.encodeWithSelector(ITrainingTask.NotOwner.selector, sender);
        vm.startPrank(sender);
        refused(reason);
        tasks.appointAggregator(1, sender);
        refused(reason);
        tasks.appointMembers(1, list(sender));
        refused(reason);
        tasks.revokeMembers(1, list(BOB));
        vm.stopPrank();
        roles(ANN, 1);
    }

    function testFuzz_only_the_aggregator_publishes(address sender, address aggregator) public {
        vm.assume(aggregator != address(0));
        propose(3, 0, 20);
        vm.prank(OWNER);
        tasks.appointAggregator(1, aggregator);
        bool right = sender == aggregator;
        if (!right) {
            refused(abi.encodeWithSelector(ITrainingTask.NotAggregator.selector, sender));
        }
        vm.prank(sender);
        tasks.publishAggregate(1, 1, CID2, "r", list(), CID, none());
        (,,,, uint32 ended,,,,,,) = tasks.getTask(1);
        vm.assertEq(ended, right ? 1 : 0, "rounds that ended");
    }

    function testFuzz_the_number_of_members_is_how_many_are_left(uint8 size, uint8 gone) public {
        propose(3, 0, 20);
        uint256 number = bound(size, 0, 40);
        uint256 fewer = bound(gone, 0, number);
        appoint(crowd(number));
        revoke(crowd(fewer));
        // forge-lint: disable-next-line(unsafe-typecast) - at most 40
        roles(OWNER, uint32(number - fewer));
        for (uint256 i = 0; i < number; ++i) {
            vm.assertEq(isMember(tasks, 1, crowd(number)[i]), i >= fewer, "member");
        }
    }

    function test_the_admin_decides_who_proposes_tasks_with_rewards() public {
        vm.assertEq(token.PROPOSER_ROLE(), PROPOSER, "role");
        vm.assertEq(token.hasRole(PROPOSER, address(0)), true, "open at first");
        vm.assertEq(token.hasRole(PROPOSER, ADMIN), true, "the admin");
        vm.prank(ADMIN);
        token.revokeRole(PROPOSER, address(0));
        refused(abi.encodeWithSelector(ITrainingTask.NotProposer.selector, EVE));
        vm.prank(EVE);
        tasks.propose("m", CID, 1, 0, 1, CID);
        vm.prank(EVE);
        tasks.propose("m", CID, 1, 0, 0, CID);
        vm.prank(ADMIN);
        token.grantRole(PROPOSER, OWNER);
        propose(1, 0, 20);
        vm.assertEq(tasks.taskCount(), 2, "tasks");
    }
}
