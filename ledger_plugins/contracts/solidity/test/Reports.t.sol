// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IReports} from "../../reports/IReports.sol";
import {ITrainingTask} from "../../training_task/ITrainingTask.sol";
import {Fixture, Vm, bound} from "./Fixture.sol";

contract ReportsTest is Fixture {
    bytes32 private constant KIND = "aggregate";

    function funded(address account, uint256 amount) private {
        vm.prank(ADMIN);
        token.mint(account, amount);
        vm.prank(account);
        token.transferAndCall(address(bonds), amount, "");
    }

    /// @dev A task of which the owner published a round, and pledged so much.
    function started(address[] memory members, uint128 pledged) private {
        propose(3, 0, 0);
        vm.prank(OWNER);
        tasks.appointMembers(1, members);
        publish(1, 1, list());
        funded(EVE, 50);
        if (pledged != 0) {
            funded(OWNER, pledged);
            vm.prank(OWNER);
            reports.pledge(1, pledged, false);
        }
        vm.warp(block.timestamp + 1);
    }

    function accuse() private returns (bytes32) {
        vm.prank(EVE);
        return reports.accuse(KIND, OWNER, 1, 1, CID);
    }

    function statusOf(bytes32 report) private view returns (uint8 found) {
        (found,,,,,,,) = reports.getReport(report);
    }

    function test_members_of_the_accusations_own_second_do_not_judge() public {
        started(list(ANN, BOB), 0);
        vm.prank(OWNER);
        tasks.appointMembers(1, list(ADMIN));
        bytes32 report = accuse();
        vm.expectRevert(abi.encodeWithSelector(IReports.NotEntitled.selector, ADMIN));
        vm.prank(ADMIN);
        reports.decide(report, false);
        vm.prank(ANN);
        reports.decide(report, true);
        vm.assertEq(statusOf(report), 1, "one of three is no majority");
        vm.prank(BOB);
        reports.decide(report, true);
        vm.assertEq(statusOf(report), 2, "two of three are");
    }

    function testFuzz_more_than_half_decide_and_no_fewer(uint8 size, uint8 votes, bool guilty)
        public
    {
        uint256 members = bound(size, 1, 40);
        uint256 cast = bound(votes, 0, members);
        started(crowd(members), 150);
        bytes32 report = accuse();
        for (uint256 i = 0; i < cast && statusOf(report) == 1; ++i) {
            vm.prank(crowd(members)[i]);
            reports.decide(report, guilty);
        }
        uint8 expected = cast <= members / 2 ? 1 : guilty ? 2 : 3;
        vm.assertEq(statusOf(report), expected, "status");
    }

    /// @dev Whatever it pledged: nobody gets more than it lost, and all of it goes somewhere.
    function testFuzz_a_verdict_moves_what_was_pledged_and_makes_nothing(uint8 size, uint16 pledged)
        public
    {
        uint256 members = bound(size, 1, 30);
        started(crowd(members), pledged);
        bytes32 report = accuse();
        for (uint256 i = 0; i <= members / 2; ++i) {
            vm.prank(crowd(members)[i]);
            reports.decide(report, true);
        }
        reports.settle(report);
        uint256 sum = 0;
        for (uint256 i = 0; i < members; ++i) {
            vm.prank(crowd(members)[i]);
            try reports.claim(report) {} catch {}
            uint256 got = bonds.free(crowd(members)[i]);
            vm.assertLe(got, 5, "a member's compensation");
            sum += got;
        }
        (uint128 left,,,) = reports.getPledge(1, OWNER);
        vm.assertEq(left, pledged < 100 ? 0 : pledged - 100, "what is left");
        vm.assertEq(bonds.locked(OWNER, address(reports), bytes32(uint256(1))), left, "locked");
        sum += bonds.free(EVE) - 50 + bonds.free(address(bonds));
        vm.assertEq(sum, pledged - left, "what others got");
        vm.assertEq(token.balanceOf(address(bonds)), 50 + uint256(pledged), "held");
    }

    function testFuzz_a_false_accusation_never_pays(uint8 size, bool decided) public {
        uint256 members = bound(size, 1, 30);
        started(crowd(members), 150);
        bytes32 report = accuse();
        if (decided) {
            for (uint256 i = 0; i <= members / 2; ++i) {
                vm.prank(crowd(members)[i]);
                reports.decide(report, false);
            }
            reports.settle(report);
        } else {
            vm.warp(block.timestamp + 604_801);
            reports.expire(report);
        }
        vm.assertEq(bonds.free(EVE), decided ? 45 : 50, "the reporter");
        vm.assertEq(bonds.free(OWNER), decided ? 5 : 0, "the accused");
        (, address aggregator,) = tasks.getRoles(1);
        vm.assertEq(aggregator, OWNER, "nothing halts");
    }

    function test_there_are_so_many_judges_and_no_more() public {
        started(list(ANN), 0);
        bytes memory asked = abi.encodeCall(ITrainingTask.getRoles, (1));
        vm.mockCall(address(tasks), asked, abi.encode(OWNER, OWNER, uint32(65_536)));
        vm.expectRevert(
            abi.encodeWithSelector(IReports.TooManyJudges.selector, uint32(65_536), uint32(65_535))
        );
        accuse();
        vm.mockCall(address(tasks), asked, abi.encode(OWNER, OWNER, uint32(65_535)));
        (,, uint32 members,,,) = reports.getVotes(accuse());
        vm.assertEq(members, 65_535, "members");
    }

    function test_a_halted_task_is_halted_until_somebody_is_appointed() public {
        started(list(ANN), 20);
        bytes32 report = accuse();
        vm.prank(ANN);
        reports.decide(report, true);
        vm.expectEmit(address(reports));
        emit IReports.TaskHalted(1, report, OWNER);
        vm.expectEmit(address(tasks));
        emit ITrainingTask.AggregatorAppointed(1, address(reports));
        reports.settle(report);
        vm.expectRevert(abi.encodeWithSelector(ITrainingTask.NotAggregator.selector, OWNER));
        publish(1, 2, list());
        vm.prank(OWNER);
        tasks.appointAggregator(1, BOB);
        vm.prank(BOB);
        tasks.publishAggregate(1, 2, CID2, "r", list(), CID, none());
    }
}

/// @notice Pledges, accuses, judges and leaves as anybody might.
contract ReportsHandler {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    IReports private immutable REPORTS;
    ITrainingTask private immutable TASKS;

    address public owner;
    address[] public actors;
    bytes32[] public all;
    mapping(bytes32 => uint256) public convicting; // by members, of the newest attempt
    bool public minority;

    constructor(IReports reports, ITrainingTask tasks, address[] memory people) {
        REPORTS = reports;
        TASKS = tasks;
        actors = people;
        owner = people[0];
    }

    function pledge(uint256 who, uint128 amount) external {
        vm.prank(actor(who));
        REPORTS.pledge(1, uint128(bound(amount, 1, 120)), who % 2 == 0);
    }

    function unpledge(uint256 who) external {
        vm.prank(actor(who));
        REPORTS.unpledge(1);
    }

    function accuse(uint256 who, uint256 whom, uint256 kind, uint256 round) external {
        bytes32[3] memory kinds = [bytes32("aggregate"), "update", "unqualified"];
        vm.prank(actor(who));
        bytes memory cid = hex"01551220";
        bytes32 report =
            REPORTS.accuse(kinds[kind % 3], actor(whom), 1, uint32(bound(round, 0, 3)), cid);
        all.push(report);
        convicting[report] = 0;
    }

    function decide(uint256 which, uint256 who, uint256 votes, bool guilty) external {
        bytes32 report = all[which % all.length];
        for (uint256 i = 0; i < 1 + votes % 4; ++i) {
            (uint8 status,, bytes32 kind,,,,,) = REPORTS.getReport(report);
            (,, uint32 members,,,) = REPORTS.getVotes(report);
            if (status != 1) return;
            vm.prank(actor(who + i));
            REPORTS.decide(report, guilty);
            if (guilty) ++convicting[report];
            (status,,,,,,,) = REPORTS.getReport(report);
            bool few = 2 * convicting[report] <= members;
            if (status == 2 && kind != "unqualified" && few) minority = true;
        }
    }

    function end(uint256 which, uint256 how) external {
        bytes32 report = all[which % all.length];
        if (how % 4 == 0) {
            vm.warp(block.timestamp + 604_801);
            REPORTS.expire(report);
        } else if (how % 2 == 0) {
            vm.prank(actor(how));
            REPORTS.claim(report);
        } else {
            REPORTS.settle(report);
        }
    }

    function change(uint256 who, uint256 how) external {
        address[] memory one = new address[](1);
        one[0] = actor(who);
        vm.startPrank(owner);
        if (how % 3 == 0) TASKS.appointMembers(1, one);
        else if (how % 3 == 1) TASKS.revokeMembers(1, one);
        else TASKS.appointAggregator(1, one[0]);
        vm.stopPrank();
    }

    function wait(uint256 seconds_) external {
        vm.warp(block.timestamp + bound(seconds_, 0, 700_000));
    }

    function count() external view returns (uint256) {
        return all.length;
    }

    function actor(uint256 seed) public view returns (address) {
        return actors[seed % actors.length];
    }
}

contract ReportsInvariantsTest is Fixture {
    ReportsHandler private handler;
    address[] private people;

    function setUp() public override {
        super.setUp();
        people = [OWNER, ANN, BOB, EVE, ADMIN];
        vm.prank(ADMIN);
        token.grantRole(keccak256("AUTHORITY_ROLE"), ADMIN);
        for (uint256 i = 0; i < people.length; ++i) {
            vm.prank(ADMIN);
            token.mint(people[i], 300);
            vm.prank(people[i]);
            token.transferAndCall(address(bonds), 300, "");
        }
        propose(4, 0, 0);
        address[] memory three = new address[](3);
        (three[0], three[1], three[2]) = (ANN, BOB, EVE);
        vm.prank(OWNER);
        tasks.appointMembers(1, three);
        publish(1, 1, list());
        publish(1, 2, list());
        vm.warp(block.timestamp + 1);
        vm.prank(OWNER);
        reports.pledge(1, 120, false);
        handler = new ReportsHandler(reports, tasks, people);
        handler.accuse(1, 0, 0, 1);
    }

    function targetContracts() public view returns (address[] memory) {
        return list(address(handler));
    }

    /// @dev Σ free + Σ locked: what is held; what is pledged is locked, and what is left to claim.
    function invariant_what_is_held_is_free_or_locked() public view {
        uint256 sum = bonds.free(address(bonds));
        for (uint256 i = 0; i < people.length; ++i) {
            uint256 pledged = bonds.locked(people[i], address(reports), bytes32(uint256(1)));
            (uint128 amount,,,) = reports.getPledge(1, people[i]);
            vm.assertLe(amount, pledged, "a pledge is locked");
            sum += bonds.free(people[i]) + pledged;
            for (uint256 j = 0; j < handler.count(); ++j) {
                if (first(j)) sum += bonds.locked(people[i], address(reports), handler.all(j));
            }
        }
        vm.assertEq(token.balanceOf(address(bonds)), sum, "held");
    }

    /// @dev A report that expired and was made again stands in the list twice.
    function first(uint256 j) private view returns (bool) {
        for (uint256 i = 0; i < j; ++i) {
            if (handler.all(i) == handler.all(j)) return false;
        }
        return true;
    }

    function invariant_it_takes_more_than_half_to_convict() public view {
        vm.assertEq(handler.minority(), false, "convicted by too few");
    }

    function invariant_open_reports_are_counted() public view {
        for (uint256 i = 0; i < people.length; ++i) {
            (,,, uint32 open) = reports.getPledge(1, people[i]);
            uint256 most = 0;
            for (uint256 j = 0; j < handler.count(); ++j) {
                (uint8 status, bool settled,, address subject,,,,) =
                    reports.getReport(handler.all(j));
                bool over = settled || status == 4;
                if (subject == people[i] && !over && first(j)) ++most;
            }
            vm.assertLe(open, most, "open reports");
        }
    }
}
