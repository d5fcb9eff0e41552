// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IMembership} from "../../membership/IMembership.sol";
import {Fixture} from "./Fixture.sol";

contract MembershipTest is Fixture {
    uint8 private constant ASKED = 1;
    uint8 private constant ADMITTED = 2;
    uint8 private constant REMOVED = 4;

    uint256 private constant VOTE_LIMIT = 150_000;
    uint256 private constant BLOCK_LIMIT = 1 << 24; // EIP-7825

    IMembership private membership;

    /// @dev Task 1 goes by its owner, task 2 by its members Ann, Bob and Eve.
    function setUp() public override {
        super.setUp();
        membership = IMembership(deploy("membership", abi.encode(tasks)));
        vm.prank(ADMIN);
        token.grantRole(keccak256("GOVERNOR_ROLE"), address(membership));
        for (uint256 task = 1; task <= 2; ++task) {
            propose(3, 0, 0);
            vm.startPrank(OWNER);
            tasks.appointMembers(task, list(ANN, BOB));
            tasks.appointMembers(task, list(EVE));
            membership.openMembership(task, task == 2);
            measured("openMembership");
            vm.stopPrank();
        }
    }

    function measured(string memory name) private returns (uint256) {
        return vm.snapshotGasLastCall("Membership", name);
    }

    function test_gas() public {
        vm.prank(LOCKER);
        membership.join(1);
        measured("join");
        vm.prank(OWNER);
        membership.admit(1, LOCKER);
        measured("admit");
        vm.prank(LOCKER);
        membership.leaveTask(1);
        measured("leaveTask");
        vm.prank(LOCKER);
        membership.acceptPlace(1, ANN);
        measured("acceptPlace");
        vm.prank(ANN);
        membership.replace(1, ANN, LOCKER);
        measured("replace");
        vm.prank(OWNER);
        membership.remove(1, LOCKER);
        measured("remove");
        vm.prank(LOCKER);
        membership.join(2);
        vm.prank(ANN);
        membership.voteAdmit(2, LOCKER);
        vm.assertLe(measured("voteAdmit, first"), VOTE_LIMIT, "voteAdmit");
        vm.prank(BOB);
        membership.voteAdmit(2, LOCKER);
        measured("voteAdmit that decides");
        vm.prank(ANN);
        membership.voteCheckpoint(2, 0, 500_000);
        vm.assertLe(measured("voteCheckpoint, first"), VOTE_LIMIT, "voteCheckpoint");
        vm.prank(BOB);
        membership.voteCheckpoint(2, 0, 500_000);
        measured("voteCheckpoint that decides");
        vm.prank(OWNER);
        tasks.appointAggregator(2, GOVERNOR);
        vm.prank(ANN);
        membership.elect(2, BOB);
        measured("elect, first");
        vm.prank(EVE);
        membership.elect(2, BOB);
        measured("elect that decides");
    }

    function test_a_change_has_at_most_256_votes_and_they_are_counted_in_one_call() public {
        address[] memory members = crowd(256);
        vm.startPrank(OWNER);
        tasks.appointMembers(2, members);
        tasks.revokeMembers(2, list(ANN, BOB));
        vm.stopPrank();
        for (uint256 i = 0; i < 129; ++i) {
            vm.prank(members[i]);
            membership.voteRemove(2, ANN);
        }
        vm.assertLe(measured("voteRemove that decides with 129"), BLOCK_LIMIT, "counted");
        vm.assertEq(membership.standingOf(2, ANN), REMOVED, "129 of 257 decided");
        vm.prank(OWNER);
        tasks.appointMembers(2, more(256));
        for (uint256 i = 0; i < 256; ++i) {
            vm.prank(members[i]);
            membership.voteRemove(2, BOB);
        }
        vm.expectRevert(abi.encodeWithSelector(IMembership.TooManyInFavour.selector, 256));
        vm.prank(EVE);
        membership.voteRemove(2, BOB);
    }

    function more(uint256 size) private pure returns (address[] memory clients) {
        clients = new address[](size);
        for (uint256 i = 0; i < size; ++i) {
            clients[i] = address(uint160(uint256(keccak256(abi.encode("another", i)))));
        }
    }

    /// @dev Nobody but itself brings an account on the way to a place.
    function test_nobody_is_admitted_without_having_asked(address account, uint256 who) public {
        address[5] memory people = [OWNER, ANN, BOB, EVE, LOCKER];
        address sender = people[who % 5];
        for (uint256 task = 1; task <= 2; ++task) {
            vm.prank(sender);
            try membership.admit(task, account) {} catch {}
            vm.prank(sender);
            try membership.voteAdmit(task, account) {} catch {}
            vm.prank(sender);
            try membership.replace(task, sender, account) {} catch {}
            vm.prank(sender);
            try membership.replace(task, address(0), account) {} catch {}
            vm.prank(sender);
            try membership.voteReplace(task, address(0), account) {} catch {}
            vm.assertEq(membership.standingOf(task, account), 0, "untouched");
        }
    }

    function test_asking_is_all_that_an_account_can_do_alone(uint256 calls) public {
        for (uint256 i = 0; i < 8; ++i) {
            uint256 call = (calls >> (i * 8)) % 4;
            vm.startPrank(LOCKER);
            if (call == 0) try membership.join(1) {} catch {}
            if (call == 1) try membership.leaveTask(1) {} catch {}
            if (call == 2) try membership.acceptPlace(1, ANN) {} catch {}
            if (call == 3) try membership.replace(1, ANN, LOCKER) {} catch {}
            vm.stopPrank();
            vm.assertEq(membership.standingOf(1, LOCKER) == ADMITTED, false, "not in");
            vm.assertEq(membership.standingOf(1, ANN), 0, "Ann is not touched");
        }
    }
}
