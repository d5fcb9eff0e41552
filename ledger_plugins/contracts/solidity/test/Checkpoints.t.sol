// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ITrainingTask} from "../../training_task/ITrainingTask.sol";
import {Fixture, bound} from "./Fixture.sol";

contract CheckpointsTest is Fixture {
    bytes private constant CID3 = hex"0155122033";

    function refused(bytes memory reason) private {
        vm.expectRevert(reason);
    }

    function keep(uint32 round) private {
        vm.prank(OWNER);
        tasks.recordCheckpoint(1, round, 900_000);
    }

    function publishModel(uint32 round, bytes memory cid) private {
        vm.prank(OWNER);
        tasks.publishAggregate(1, round, cid, "r", list(), CID, none());
    }

    /// @dev Rounds 1 and 2 are published, the initial model and round 1's are checkpoints.
    function started() private {
        propose(9, 0, 20);
        keep(0);
        publishModel(1, CID2);
        keep(1);
        publishModel(2, CID3);
    }

    function appoint(address[] memory members) private {
        vm.prank(OWNER);
        tasks.appointMembers(1, members);
    }

    function vote(address member, uint32 round, uint32 toRound) private {
        vm.prank(member);
        tasks.voteRollback(1, round, toRound);
    }

    function state() private view returns (uint32 ended, bytes memory cid, uint64 openedAt) {
        (,,,, ended,,,, cid, openedAt,) = tasks.getTask(1);
    }

    function stands(uint32 ended, bytes memory cid) private view {
        (uint32 found, bytes memory model,) = state();
        vm.assertEq(found, ended, "rounds that ended");
        vm.assertEq(model, cid, "model");
    }

    function test_a_checkpoint_is_the_newest_model() public {
        propose(9, 0, 20);
        vm.expectEmit(address(tasks));
        emit ITrainingTask.CheckpointRecorded(1, 0, CID, 900_000, OWNER);
        keep(0);
        publishModel(1, CID2);
        vm.prank(OWNER);
        tasks.appointAggregator(1, BOB);
        vm.expectEmit(address(tasks));
        emit ITrainingTask.CheckpointRecorded(1, 1, CID2, 1_000_000, BOB);
        vm.prank(BOB);
        tasks.recordCheckpoint(1, 1, 1_000_000);
        (bytes memory cid, uint32 accuracy) = tasks.getCheckpoint(1, 0);
        vm.assertEq(cid, CID, "initial model");
        vm.assertEq(accuracy, 900_000, "accuracy");
        (cid, accuracy) = tasks.getCheckpoint(1, 1);
        vm.assertEq(cid, CID2, "model of round 1");
        vm.assertEq(accuracy, 1_000_000, "accuracy");
    }

    function test_recordCheckpoint_refuses() public {
        refused(abi.encodeWithSelector(ITrainingTask.UnknownTask.selector, 1));
        tasks.recordCheckpoint(1, 9, 1_000_001);
        propose(1, 0, 20);
        refused(abi.encodeWithSelector(ITrainingTask.NotOwnerOrAggregator.selector, EVE));
        vm.prank(EVE);
        tasks.recordCheckpoint(1, 9, 1_000_001);
        refused(abi.encodeWithSelector(ITrainingTask.NotNewestRound.selector, 0, 9));
        vm.prank(OWNER);
        tasks.recordCheckpoint(1, 9, 1_000_001);
        refused(abi.encodeWithSelector(ITrainingTask.InvalidAccuracy.selector, 1_000_001));
        vm.prank(OWNER);
        tasks.recordCheckpoint(1, 0, 1_000_001);
        keep(0);
        refused(abi.encodeWithSelector(ITrainingTask.CheckpointExists.selector, 1, 0));
        keep(0);
        publishModel(1, CID2);
        refused(abi.encodeWithSelector(ITrainingTask.NotNewestRound.selector, 1, 0));
        keep(0);
        keep(1); // the last model of a finished task
        refused(abi.encodeWithSelector(ITrainingTask.UnknownCheckpoint.selector, 1, 2));
        tasks.getCheckpoint(1, 2);
        refused(abi.encodeWithSelector(ITrainingTask.UnknownTask.selector, 2));
        tasks.getCheckpoint(2, 0);
        refused(abi.encodeWithSelector(ITrainingTask.UnknownTask.selector, 2));
        tasks.getRollbackVotes(2, 0);
    }

    function test_the_owner_rolls_back() public {
        started();
        submit(ANN, 1, 3);
        vm.warp(START + 7);
        vm.expectEmit(address(tasks));
        emit ITrainingTask.RolledBack(1, 3, 1, CID2, 900_000, 0);
        vm.prank(OWNER);
        tasks.rollback(1, 3, 1);
        stands(3, CID2);
        (,, uint64 openedAt) = state();
        vm.assertEq(openedAt, START + 7, "openedAt");
        refused(abi.encodeWithSelector(ITrainingTask.WrongRound.selector, 4, 3));
        submit(BOB, 1, 3);
        refused(abi.encodeWithSelector(ITrainingTask.NotContributor.selector, ANN));
        tasks.payRewards(1, 3, list(ANN));
        refused(abi.encodeWithSelector(ITrainingTask.NotSubmitted.selector, ANN));
        publish(1, 4, list(ANN));
        submit(ANN, 1, 4);
        publish(1, 4, list(ANN));
        vm.assertEq(token.totalSupply(), 20, "one contribution counted");
    }

    function test_a_rollback_can_end_the_last_round() public {
        propose(2, 0, 20);
        keep(0);
        publishModel(1, CID2);
        vm.prank(OWNER);
        tasks.rollback(1, 2, 0);
        (,,,,,,,, bytes memory cid,, bool finished) = tasks.getTask(1);
        vm.assertEq(finished, true, "finished");
        vm.assertEq(cid, CID, "final model");
        refused(abi.encodeWithSelector(ITrainingTask.TaskFinished.selector, 1));
        vm.prank(OWNER);
        tasks.rollback(1, 3, 0);
    }

    function test_rollback_refuses() public {
        refused(abi.encodeWithSelector(ITrainingTask.UnknownTask.selector, 1));
        tasks.rollback(1, 9, 9);
        started();
        refused(abi.encodeWithSelector(ITrainingTask.NotOwner.selector, EVE));
        vm.prank(EVE);
        tasks.rollback(1, 9, 9);
        vm.startPrank(OWNER);
        refused(abi.encodeWithSelector(ITrainingTask.WrongRound.selector, 3, 9));
        tasks.rollback(1, 9, 9);
        refused(abi.encodeWithSelector(ITrainingTask.UnknownCheckpoint.selector, 1, 2));
        tasks.rollback(1, 3, 2);
        tasks.recordCheckpoint(1, 2, 0);
        refused(abi.encodeWithSelector(ITrainingTask.ModelUnchanged.selector, 2));
        tasks.rollback(1, 3, 2);
        tasks.rollback(1, 3, 1);
        refused(abi.encodeWithSelector(ITrainingTask.ModelUnchanged.selector, 1));
        tasks.rollback(1, 4, 1);
        vm.stopPrank();
        stands(3, CID2);
    }

    function test_more_than_half_of_the_members_roll_back() public {
        started();
        appoint(crowd(4));
        address[] memory members = crowd(4);
        vm.expectEmit(address(tasks));
        emit ITrainingTask.RollbackVoted(1, 3, members[0], 0, 1, 4);
        vote(members[0], 3, 0);
        vote(members[1], 3, 0);
        vm.assertEq(tasks.getRollbackVotes(1, 0), 2, "half is not enough");
        stands(2, CID3);
        vm.expectEmit(address(tasks));
        emit ITrainingTask.RollbackVoted(1, 3, members[2], 0, 3, 4);
        vm.expectEmit(address(tasks));
        emit ITrainingTask.RolledBack(1, 3, 0, CID, 900_000, 3);
        vote(members[2], 3, 0);
        stands(3, CID);
        vm.assertEq(tasks.getRollbackVotes(1, 0), 0, "votes of the next round");
        refused(abi.encodeWithSelector(ITrainingTask.WrongRound.selector, 4, 3));
        vote(members[3], 3, 0);
    }

    function test_a_vote_can_change() public {
        started();
        appoint(list(ANN, BOB));
        vote(ANN, 3, 1);
        vm.assertEq(tasks.getRollbackVotes(1, 1), 1, "Ann");
        vote(ANN, 3, 0);
        vm.assertEq(tasks.getRollbackVotes(1, 1), 0, "changed her mind");
        vm.assertEq(tasks.getRollbackVotes(1, 0), 1, "and counts once");
        vote(BOB, 3, 1);
        refused(abi.encodeWithSelector(ITrainingTask.AlreadyVoted.selector, BOB, 1));
        vote(BOB, 3, 1);
        vote(ANN, 3, 1);
        stands(3, CID2);
    }

    function test_votes_expire_with_their_round() public {
        started();
        appoint(list(ANN, BOB));
        vote(ANN, 3, 0);
        publishModel(3, hex"01020304");
        vm.assertEq(tasks.getRollbackVotes(1, 0), 0, "expired");
        vote(BOB, 4, 0);
        vm.assertEq(tasks.getRollbackVotes(1, 0), 1, "Bob alone");
        stands(3, hex"01020304");
    }

    function test_no_vote_outlives_its_role() public {
        started();
        appoint(list(ANN, BOB));
        appoint(list(EVE));
        vote(ANN, 3, 0);
        vm.prank(OWNER);
        tasks.revokeMembers(1, list(ANN));
        vm.assertEq(tasks.getRollbackVotes(1, 0), 0, "void");
        refused(abi.encodeWithSelector(ITrainingTask.NotMember.selector, ANN));
        vote(ANN, 3, 0);
        appoint(list(ANN));
        vote(BOB, 3, 0);
        vm.assertEq(tasks.getRollbackVotes(1, 0), 1, "Bob alone");
        vote(ANN, 3, 0);
        stands(3, CID);
    }

    function test_voteRollback_refuses() public {
        refused(abi.encodeWithSelector(ITrainingTask.UnknownTask.selector, 1));
        vote(ANN, 9, 9);
        started();
        refused(abi.encodeWithSelector(ITrainingTask.NotMember.selector, OWNER));
        vote(OWNER, 9, 9);
        appoint(list(ANN, BOB));
        refused(abi.encodeWithSelector(ITrainingTask.WrongRound.selector, 3, 9));
        vote(ANN, 9, 9);
        refused(abi.encodeWithSelector(ITrainingTask.UnknownCheckpoint.selector, 1, 2));
        vote(ANN, 3, 2);
        keep(2);
        refused(abi.encodeWithSelector(ITrainingTask.ModelUnchanged.selector, 2));
        vote(ANN, 3, 2);
        for (uint32 round = 3; round <= 9; ++round) {
            publishModel(round, CID2);
        }
        refused(abi.encodeWithSelector(ITrainingTask.TaskFinished.selector, 1));
        vote(ANN, 10, 0);
    }

    function testFuzz_it_takes_more_than_half(uint8 size, uint8 voting) public {
        started();
        address[] memory members = crowd(bound(size, 1, 24));
        uint256 most = bound(voting, 0, members.length);
        appoint(members);
        uint256 cast = 0;
        while (cast < most && 2 * cast <= members.length) {
            vote(members[cast++], 3, 1);
        }
        bool done = 2 * cast > members.length;
        stands(done ? 3 : 2, done ? CID2 : CID3);
        vm.assertEq(tasks.getRollbackVotes(1, 1), done ? 0 : cast, "votes that are open");
    }

    function testFuzz_only_the_owner_rolls_back_alone(address sender) public {
        vm.assume(sender != OWNER);
        started();
        vm.prank(OWNER);
        tasks.appointAggregator(1, ANN);
        refused(abi.encodeWithSelector(ITrainingTask.NotOwner.selector, sender));
        vm.prank(sender);
        tasks.rollback(1, 3, 1);
        refused(abi.encodeWithSelector(ITrainingTask.NotMember.selector, sender));
        vote(sender, 3, 1);
    }

    function testFuzz_only_owner_and_aggregator_record(address sender, uint32 accuracy) public {
        propose(9, 0, 20);
        vm.prank(OWNER);
        tasks.appointAggregator(1, ANN);
        bool right = sender == OWNER || sender == ANN;
        if (!right) {
            refused(abi.encodeWithSelector(ITrainingTask.NotOwnerOrAggregator.selector, sender));
        } else if (accuracy > 1_000_000) {
            refused(abi.encodeWithSelector(ITrainingTask.InvalidAccuracy.selector, accuracy));
        }
        vm.prank(sender);
        tasks.recordCheckpoint(1, 0, accuracy);
    }

    function testFuzz_the_longest_and_shortest_models_come_back(bytes memory cid) public {
        vm.assume(cid.length >= 4 && cid.length <= 64);
        cid[0] = 0x01;
        vm.assume(keccak256(cid) != keccak256(CID2));
        propose(9, 0, 20);
        publishModel(1, cid);
        keep(1);
        publishModel(2, CID2);
        vm.prank(OWNER);
        tasks.rollback(1, 3, 1);
        stands(3, cid);
    }
}
