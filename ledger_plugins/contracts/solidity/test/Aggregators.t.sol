// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IAggregators} from "../../aggregators/IAggregators.sol";
import {Fixture, bound} from "./Fixture.sol";

contract AggregatorsTest is Fixture {
    uint64 private constant BOND = 10;
    uint64 private constant COST = 4;
    uint32 private constant SECONDS = 100;

    uint256 private constant PUBLISH_LIMIT = 350_000;
    uint256 private constant BLOCK_LIMIT = 1 << 24; // EIP-7825

    IAggregators private turns;

    function setUp() public override {
        super.setUp();
        turns = IAggregators(deploy("aggregators", abi.encode(tasks, bonds, beacon, reports)));
        vm.startPrank(ADMIN);
        token.grantRole(keccak256("GOVERNOR_ROLE"), address(turns));
        token.grantRole(keccak256("LOCKER_ROLE"), address(turns));
        vm.stopPrank();
        propose(9, 0, 20);
        vm.startPrank(OWNER);
        turns.setTurns(1, BOND, COST, SECONDS);
        measured("setTurns");
        tasks.appointMembers(1, list(OWNER));
        vm.stopPrank();
    }

    function measured(string memory name) private returns (uint256) {
        return vm.snapshotGasLastCall("Aggregators", name);
    }

    function join(address[] memory nodes) private {
        for (uint256 i = 0; i < nodes.length; ++i) {
            vm.prank(ADMIN);
            token.mint(nodes[i], 100);
            vm.startPrank(nodes[i]);
            token.transferAndCall(address(bonds), 100, "");
            reports.pledge(1, 5, false);
            turns.joinTurns(1);
            vm.stopPrank();
        }
    }

    /// @dev Takes the draw with a number from 1, of a value that the owner alone chose.
    function draw(uint256 number, bytes32 value) private returns (uint256 found) {
        turns.listNodes(1);
        bytes32 topic = turns.topicOf(number);
        vm.startPrank(OWNER);
        found = beacon.open(1, topic, 0, 1, 0, 10, 10, 10);
        beacon.commit(found, keccak256(abi.encode(found, OWNER, value)));
        vm.warp(block.timestamp + 11);
        beacon.fix(found, bytes32(0));
        vm.roll(block.number + 1);
        beacon.reveal(found, value);
        vm.stopPrank();
        beacon.close(found);
        turns.drawTurns(1);
    }

    function test_gas() public {
        join(crowd(3));
        measured("joinTurns");
        draw(1, SALT);
        measured("drawTurns, first, among 3");
        address[] memory clients = crowd(30);
        for (uint256 i = 0; i < clients.length; ++i) {
            submit(clients[i], 1, 1);
        }
        (,, address[] memory order) = turns.turnsOf(1, 1);
        vm.prank(order[0]);
        turns.publishTurn(1, 1, CID2, "krum", clients, CID, none());
        vm.assertLe(measured("publishTurn 30, of 3 nodes"), PUBLISH_LIMIT, "publishTurn");
        (,, order) = turns.turnsOf(1, 2);
        vm.warp(block.timestamp + SECONDS);
        turns.markMissed(1, 2, order[0]);
        measured("markMissed");
        vm.prank(order[1]);
        turns.publishTurn(1, 2, CID2, "krum", list(), CID, none());
        vm.prank(order[2]);
        turns.leaveTurns(1);
        measured("leaveTurns, asked");
        vm.warp(block.timestamp + turns.LEAVE_SECONDS());
        vm.prank(order[2]);
        turns.leaveTurns(1);
        measured("leaveTurns");
    }

    function test_the_largest_list_fits_a_transaction() public {
        address[] memory nodes = crowd(32);
        join(nodes);
        join(list());
        turns.listNodes(1);
        vm.assertLe(measured("listNodes 32"), BLOCK_LIMIT, "listNodes");
        draw(1, SALT);
        vm.assertLe(measured("drawTurns, first, among 32"), BLOCK_LIMIT, "drawTurns");
        (,, address[] memory order) = turns.turnsOf(1, 1);
        vm.warp(block.timestamp + uint256(31) * SECONDS);
        vm.prank(order[31]);
        turns.publishTurn(1, 1, CID2, "krum", list(), CID, none());
        vm.assertLe(measured("publishTurn, last of 32 nodes"), BLOCK_LIMIT, "publishTurn");
        vm.startPrank(ADMIN);
        token.mint(EVE, 100);
        vm.stopPrank();
        vm.startPrank(EVE);
        token.transferAndCall(address(bonds), 100, "");
        reports.pledge(1, 5, false);
        vm.expectRevert(abi.encodeWithSelector(IAggregators.TooManyNodes.selector, 32));
        turns.joinTurns(1);
        vm.stopPrank();
    }

    /// @dev Whatever the value, and whenever it is, one node alone may publish, each in its turn.
    function testFuzz_one_node_alone_publishes(bytes32 value, uint256 size, uint256 later) public {
        size = bound(size, 1, 8);
        join(crowd(size));
        draw(1, value);
        (, uint256 begins, address[] memory order) = turns.turnsOf(1, 1);
        vm.assertEq(order.length, size, "everybody has a turn");
        later = bound(later, 0, 40 * uint256(SECONDS));
        vm.warp(begins + later);
        uint256 turn = later / SECONDS;
        address holder = order[turn % size];
        for (uint256 i = 0; i < size; ++i) {
            if (order[i] == holder) continue;
            vm.expectRevert(
                abi.encodeWithSelector(
                    IAggregators.NotItsTurn.selector,
                    order[i],
                    holder,
                    begins + (turn + 1) * SECONDS
                )
            );
            vm.prank(order[i]);
            turns.publishTurn(1, 1, CID2, "krum", list(), CID, none());
        }
        vm.prank(holder);
        turns.publishTurn(1, 1, CID2, "krum", list(), CID, none());
        for (uint256 i = 0; i < size; ++i) {
            for (uint256 j = 0; j < i; ++j) {
                require(order[i] != order[j], "somebody is there twice");
            }
        }
    }
}
