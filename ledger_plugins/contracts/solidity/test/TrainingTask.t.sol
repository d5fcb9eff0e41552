// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {ITrainingTask} from "../../training_task/ITrainingTask.sol";
import {Fixture, bound} from "./Fixture.sol";

contract TrainingTaskTest is Fixture {
    bytes32 private constant MINTER = keccak256("MINTER_ROLE");

    function refused(bytes memory reason) private {
        vm.expectRevert(reason);
    }

    function test_it_states_its_limits() public view {
        vm.assertEq(tasks.MAX_REWARD(), 20, "reward");
        vm.assertEq(tasks.MAX_CONTRIBUTORS(), 256, "contributors");
        vm.assertEq(tasks.MAX_SCORES(), 32, "scores");
        vm.assertEq(tasks.MAX_COMMITMENTS(), 16, "commitments");
        vm.assertEq(tasks.token(), address(token), "token");
    }

    function test_propose_opens_a_task() public {
        vm.expectEmit(address(tasks));
        emit ITrainingTask.TaskProposed(1, OWNER, "digits", CID, 3, 60, 7, CID2);
        vm.assertEq(propose(3, 60, 7), 1, "number");
        vm.assertEq(propose(1, 0, 0), 2, "next number");
        vm.assertEq(tasks.taskCount(), 2, "count");
        (
            address owner,
            string memory modelId,
            bytes memory modelCid,
            uint32 rounds,
            uint32 currentRound,
            uint64 window,
            uint256 reward,
            bytes memory spec,
            bytes memory currentCid,
            uint64 openedAt,
            bool finished
        ) = tasks.getTask(1);
        vm.assertEq(owner, OWNER, "owner");
        vm.assertEq(modelId, "digits", "modelId");
        vm.assertEq(modelCid, CID, "modelCid");
        vm.assertEq(rounds, 3, "rounds");
        vm.assertEq(currentRound, 0, "currentRound");
        vm.assertEq(window, 60, "window");
        vm.assertEq(reward, 7, "reward");
        vm.assertEq(spec, CID2, "spec");
        vm.assertEq(currentCid, CID, "currentCid");
        vm.assertEq(openedAt, START, "openedAt");
        vm.assertEq(finished, false, "finished");
    }

    function test_a_task_from_proposal_to_payment() public {
        propose(1, 0, 20);
        submit(ANN, 1, 1);
        submit(BOB, 1, 1);
        submit(EVE, 1, 1);
        address[] memory clients = list(BOB, ANN);
        vm.warp(START + 9);
        vm.expectEmit(address(tasks));
        emit ITrainingTask.AggregatePublished(1, 1, CID2, "krum", clients, CID, none());
        vm.expectEmit(address(token));
        emit IERC20.Transfer(address(0), address(tasks), 40);
        publish(1, 1, clients);
        vm.assertEq(status(1, 1, ANN), 2, "Ann");
        vm.assertEq(status(1, 1, EVE), 1, "Eve");
        vm.assertEq(token.balanceOf(address(tasks)), 40, "escrow");
        (,,,, uint32 round,,,, bytes memory cid, uint64 openedAt, bool finished) = tasks.getTask(1);
        vm.assertEq(round, 1, "round");
        vm.assertEq(cid, CID2, "cid");
        vm.assertEq(openedAt, START + 9, "openedAt");
        vm.assertEq(finished, true, "finished");

        vm.expectEmit(address(tasks));
        emit ITrainingTask.RewardPaid(1, 1, ANN, 20);
        vm.expectEmit(address(token));
        emit IERC20.Transfer(address(tasks), ANN, 20);
        vm.expectEmit(address(tasks));
        emit ITrainingTask.RewardPaid(1, 1, BOB, 20);
        vm.expectEmit(address(token));
        emit IERC20.Transfer(address(tasks), BOB, 20);
        vm.prank(EVE);
        tasks.payRewards(1, 1, list(ANN, BOB));
        vm.assertEq(status(1, 1, ANN), 3, "Ann is paid");
        vm.assertEq(token.balanceOf(BOB), 20, "Bob");
        vm.assertEq(token.balanceOf(address(tasks)), 0, "nothing is left");
    }

    function test_the_last_submission_counts() public {
        propose(1, 0, 20);
        vm.prank(ANN);
        tasks.submitUpdate(1, 1, CID, 1, 1, SEAL, SEEN);
        vm.expectEmit(address(tasks));
        emit ITrainingTask.UpdateSubmitted(1, 1, ANN, CID2, 100, 912_345, SEAL, SEEN);
        submit(ANN, 1, 1);
        (bytes31 commitment, uint8 found) = tasks.getSubmission(1, 1, ANN);
        bytes31 expected = bytes31(keccak256(abi.encode(CID2, uint64(100), uint32(912_345))));
        vm.assertEq(commitment, expected, "commitment");
        vm.assertEq(found, 1, "status");
        publish(1, 1, list(ANN));
        (commitment, found) = tasks.getSubmission(1, 1, ANN);
        vm.assertEq(commitment, expected, "the commitment stays");
        vm.assertEq(found, 2, "status after the round");
    }

    function test_nothing_moves_without_reward() public {
        propose(2, 0, 0);
        submit(ANN, 1, 1);
        publish(1, 1, list(ANN));
        tasks.payRewards(1, 1, list(ANN));
        publish(1, 2, list());
        vm.assertEq(token.totalSupply(), 0, "supply");
        vm.assertEq(status(1, 1, ANN), 3, "status");
    }

    function test_propose_refuses() public {
        refused(abi.encodeWithSelector(ITrainingTask.InvalidModelId.selector, ""));
        tasks.propose("", BAD_CID, 0, 0, 21, BAD_CID);
        string memory long = "0123456789012345678901234567890123456789012345678901234567890123x";
        refused(abi.encodeWithSelector(ITrainingTask.InvalidModelId.selector, long));
        tasks.propose(long, CID, 1, 0, 1, CID);
        refused(abi.encodeWithSelector(ITrainingTask.InvalidCid.selector, BAD_CID));
        tasks.propose("m", BAD_CID, 0, 0, 21, CID);
        refused(abi.encodeWithSelector(ITrainingTask.InvalidCid.selector, hex"015512"));
        tasks.propose("m", CID, 0, 0, 21, hex"015512");
        refused(abi.encodeWithSelector(ITrainingTask.InvalidRounds.selector, 0));
        tasks.propose("m", CID, 0, 0, 21, CID);
        refused(abi.encodeWithSelector(ITrainingTask.RewardTooHigh.selector, 21, 20));
        tasks.propose("m", CID, 1, 0, 21, CID);
    }

    function test_submitUpdate_refuses() public {
        refused(abi.encodeWithSelector(ITrainingTask.UnknownTask.selector, 0));
        tasks.submitUpdate(0, 9, BAD_CID, 1, 1_000_001, SEAL, SEEN);
        propose(1, 60, 20);
        refused(abi.encodeWithSelector(ITrainingTask.WrongRound.selector, 1, 0));
        tasks.submitUpdate(1, 0, BAD_CID, 1, 1_000_001, SEAL, SEEN);
        refused(abi.encodeWithSelector(ITrainingTask.InvalidCid.selector, BAD_CID));
        tasks.submitUpdate(1, 1, BAD_CID, 1, 1_000_001, SEAL, SEEN);
        refused(abi.encodeWithSelector(ITrainingTask.InvalidAccuracy.selector, 1_000_001));
        tasks.submitUpdate(1, 1, CID, 1, 1_000_001, SEAL, SEEN);
        vm.warp(START + 61);
        refused(abi.encodeWithSelector(ITrainingTask.WindowClosed.selector, START + 60, START + 61));
        tasks.submitUpdate(1, 1, BAD_CID, 1, 1_000_001, SEAL, SEEN);
        publish(1, 1, list());
        refused(abi.encodeWithSelector(ITrainingTask.TaskFinished.selector, 1));
        tasks.submitUpdate(1, 1, CID, 1, 1, SEAL, SEEN);
    }

    function test_anyone_reveals_a_salt_again_once_the_window_has_closed() public {
        propose(2, 60, 20);
        refused(abi.encodeWithSelector(ITrainingTask.WindowOpen.selector, START + 60, START));
        tasks.revealSalt(1, 1, "list", SALT, SEEN);
        vm.warp(START + 61);
        for (uint256 i = 0; i < 2; ++i) {
            vm.expectEmit(address(tasks));
            emit ITrainingTask.SaltRevealed(1, 1, EVE, "list", SALT, SEEN);
            vm.prank(EVE);
            tasks.revealSalt(1, 1, "list", SALT, SEEN);
        }
        vm.assertEq(status(1, 1, EVE), 0, "a salt is no submission");
        propose(1, 0, 20);
        vm.expectEmit(address(tasks));
        emit ITrainingTask.SaltRevealed(2, 1, ANN, "list", SALT, SEEN);
        vm.prank(ANN);
        tasks.revealSalt(2, 1, "list", SALT, SEEN);
    }

    function test_revealSalt_refuses() public {
        refused(abi.encodeWithSelector(ITrainingTask.UnknownTask.selector, 1));
        tasks.revealSalt(1, 9, "list", SALT, SEEN);
        propose(1, 60, 20);
        refused(abi.encodeWithSelector(ITrainingTask.WrongRound.selector, 1, 2));
        tasks.revealSalt(1, 2, "list", SALT, SEEN);
        vm.warp(START + 60);
        refused(abi.encodeWithSelector(ITrainingTask.WindowOpen.selector, START + 60, START + 60));
        tasks.revealSalt(1, 1, "list", SALT, SEEN);
        vm.warp(START + 61);
        publish(1, 1, list());
        refused(abi.encodeWithSelector(ITrainingTask.TaskFinished.selector, 1));
        tasks.revealSalt(1, 1, "list", SALT, SEEN);
    }

    function test_a_window_outlasts_every_attempt_to_publish() public {
        propose(2, 60, 20);
        refused(abi.encodeWithSelector(ITrainingTask.NotAggregator.selector, EVE));
        publishBy(EVE, 1, BAD_CID, "", list(), BAD_CID);
        refused(abi.encodeWithSelector(ITrainingTask.WrongRound.selector, 1, 2));
        publishBy(OWNER, 2, BAD_CID, "", list(), BAD_CID);
        refused(abi.encodeWithSelector(ITrainingTask.WindowOpen.selector, START + 60, START));
        publishBy(OWNER, 1, BAD_CID, "", list(), BAD_CID);
        vm.prank(OWNER);
        tasks.recordCheckpoint(1, 0, 1);
        vm.warp(START + 61);
        publish(1, 1, list());
        vm.warp(START + 121);
        refused(abi.encodeWithSelector(ITrainingTask.WindowOpen.selector, START + 121, START + 121));
        publish(1, 2, list());
        vm.prank(OWNER);
        tasks.rollback(1, 2, 0); // which need not wait
    }

    function test_confirmHistory_says_who_and_what() public {
        propose(1, 0, 0);
        vm.expectEmit(address(tasks));
        emit ITrainingTask.HistoryConfirmed(1, ANN, SEEN);
        vm.prank(ANN);
        tasks.confirmHistory(1, SEEN);
    }

    function test_confirmHistory_refuses() public {
        refused(abi.encodeWithSelector(ITrainingTask.UnknownTask.selector, 1));
        tasks.confirmHistory(1, SEEN);
    }

    function test_submitVotes_refuses() public {
        int64[] memory many = new int64[](33);
        refused(abi.encodeWithSelector(ITrainingTask.UnknownTask.selector, 0));
        tasks.submitVotes(0, 9, bytes32(0), many, SEEN);
        propose(1, 0, 20);
        refused(abi.encodeWithSelector(ITrainingTask.WrongRound.selector, 1, 2));
        tasks.submitVotes(1, 2, bytes32(0), many, SEEN);
        refused(abi.encodeWithSelector(ITrainingTask.TooManyScores.selector, 33, 32));
        tasks.submitVotes(1, 1, bytes32(0), many, SEEN);
        publish(1, 1, list());
        refused(abi.encodeWithSelector(ITrainingTask.TaskFinished.selector, 1));
        tasks.submitVotes(1, 1, bytes32(0), new int64[](0), SEEN);
    }

    function test_anyone_votes_again_and_after_the_window() public {
        propose(1, 60, 20);
        vm.warp(START + 61);
        int64[] memory scores = new int64[](2);
        (scores[0], scores[1]) = (type(int64).min, type(int64).max);
        for (uint256 i = 0; i < 2; ++i) {
            vm.expectEmit(address(tasks));
            emit ITrainingTask.VotesSubmitted(1, 1, EVE, "ballot", scores, SEEN);
            vm.prank(EVE);
            tasks.submitVotes(1, 1, "ballot", scores, SEEN);
        }
        vm.assertEq(status(1, 1, EVE), 0, "a vote is no submission");
    }

    function publishBy(
        address sender,
        uint32 round,
        bytes memory cid,
        string memory rule,
        address[] memory clients,
        bytes memory evidence
    ) private {
        vm.prank(sender);
        tasks.publishAggregate(1, round, cid, rule, clients, evidence, none());
    }

    function test_publishAggregate_refuses() public {
        address[] memory many = crowd(257);
        refused(abi.encodeWithSelector(ITrainingTask.UnknownTask.selector, 1));
        publishBy(EVE, 9, BAD_CID, "", many, BAD_CID);
        propose(1, 0, 20);
        submit(ANN, 1, 1);
        refused(abi.encodeWithSelector(ITrainingTask.NotAggregator.selector, EVE));
        publishBy(EVE, 9, BAD_CID, "", many, BAD_CID);
        refused(abi.encodeWithSelector(ITrainingTask.WrongRound.selector, 1, 2));
        publishBy(OWNER, 2, BAD_CID, "", many, BAD_CID);
        refused(abi.encodeWithSelector(ITrainingTask.InvalidCid.selector, BAD_CID));
        publishBy(OWNER, 1, BAD_CID, "", many, "");
        refused(abi.encodeWithSelector(ITrainingTask.InvalidCid.selector, ""));
        publishBy(OWNER, 1, CID, "", many, "");
        refused(abi.encodeWithSelector(ITrainingTask.InvalidRule.selector, ""));
        publishBy(OWNER, 1, CID, "", many, CID);
        string memory long = "012345678901234567890123456789012";
        refused(abi.encodeWithSelector(ITrainingTask.InvalidRule.selector, long));
        publishBy(OWNER, 1, CID, long, many, CID);
        refused(abi.encodeWithSelector(ITrainingTask.TooManyContributors.selector, 257, 256));
        publishBy(OWNER, 1, CID, "r", many, CID);
        refused(abi.encodeWithSelector(ITrainingTask.NotSubmitted.selector, BOB));
        publishBy(OWNER, 1, CID, "r", list(ANN, BOB), CID);
        refused(abi.encodeWithSelector(ITrainingTask.DuplicateContributor.selector, ANN));
        publishBy(OWNER, 1, CID, "r", list(ANN, ANN), CID);
        vm.assertEq(status(1, 1, ANN), 1, "a refused call marks nobody");
        publishBy(OWNER, 1, CID, "r", list(ANN), CID);
        refused(abi.encodeWithSelector(ITrainingTask.TaskFinished.selector, 1));
        publishBy(OWNER, 1, BAD_CID, "", many, BAD_CID);
    }

    function commit(bytes32[2][] memory pairs) private {
        vm.prank(OWNER);
        tasks.publishAggregate(1, 1, CID, "r", list(EVE), CID, pairs);
    }

    function test_commitments_are_said_in_order_and_each_once() public {
        propose(1, 0, 20);
        refused(abi.encodeWithSelector(ITrainingTask.TooManyCommitments.selector, 17, 16));
        commit(new bytes32[2][](17));
        bytes32[2][] memory pairs = new bytes32[2][](2);
        refused(abi.encodeWithSelector(ITrainingTask.CommitmentsNotAscending.selector, bytes32(0)));
        commit(pairs);
        (pairs[0], pairs[1]) = ([bytes32("keys"), "a"], [bytes32("keys"), "b"]);
        refused(
            abi.encodeWithSelector(ITrainingTask.CommitmentsNotAscending.selector, bytes32("keys"))
        );
        commit(pairs);
        pairs[1] = [bytes32("arrivals"), 0];
        refused(
            abi.encodeWithSelector(
                ITrainingTask.CommitmentsNotAscending.selector, bytes32("arrivals")
            )
        );
        commit(pairs);
        pairs[1] = [bytes32("keys2"), 0];
        refused(abi.encodeWithSelector(ITrainingTask.NotSubmitted.selector, EVE));
        commit(pairs);
        submit(EVE, 1, 1);
        vm.expectEmit(address(tasks));
        emit ITrainingTask.AggregatePublished(1, 1, CID, "r", list(EVE), CID, pairs);
        commit(pairs);
    }

    function testFuzz_commitments_ascend(bytes32[2][] memory pairs) public {
        propose(1, 0, 20);
        submit(EVE, 1, 1);
        bytes32 wrong = 0;
        bool good = pairs.length <= 16;
        for (uint256 i = 0; good && i < pairs.length; ++i) {
            good = pairs[i][0] > (i == 0 ? bytes32(0) : pairs[i - 1][0]);
            wrong = pairs[i][0];
        }
        if (pairs.length > 16) {
            refused(
                abi.encodeWithSelector(ITrainingTask.TooManyCommitments.selector, pairs.length, 16)
            );
        } else if (!good) {
            refused(abi.encodeWithSelector(ITrainingTask.CommitmentsNotAscending.selector, wrong));
        }
        commit(pairs);
        vm.assertEq(status(1, 1, EVE), good ? 2 : 1, "status");
    }

    function test_payRewards_refuses() public {
        refused(abi.encodeWithSelector(ITrainingTask.UnknownTask.selector, 1));
        tasks.payRewards(1, 0, list());
        propose(2, 0, 20);
        submit(ANN, 1, 1);
        submit(BOB, 1, 1);
        refused(abi.encodeWithSelector(ITrainingTask.RoundNotPublished.selector, 1, 1));
        tasks.payRewards(1, 1, list());
        refused(abi.encodeWithSelector(ITrainingTask.RoundNotPublished.selector, 1, 0));
        tasks.payRewards(1, 0, list());
        publish(1, 1, list(ANN));
        refused(abi.encodeWithSelector(ITrainingTask.TooManyContributors.selector, 257, 256));
        tasks.payRewards(1, 1, crowd(257));
        refused(abi.encodeWithSelector(ITrainingTask.NotContributor.selector, BOB));
        tasks.payRewards(1, 1, list(ANN, BOB));
        refused(abi.encodeWithSelector(ITrainingTask.AlreadyPaid.selector, ANN));
        tasks.payRewards(1, 1, list(ANN, ANN));
        tasks.payRewards(1, 1, list(ANN));
        refused(abi.encodeWithSelector(ITrainingTask.AlreadyPaid.selector, ANN));
        tasks.payRewards(1, 1, list(ANN));
        vm.assertEq(token.balanceOf(ANN), 20, "paid once");
    }

    function test_views_refuse_unknown_tasks() public {
        refused(abi.encodeWithSelector(ITrainingTask.UnknownTask.selector, 1));
        tasks.getTask(1);
        refused(abi.encodeWithSelector(ITrainingTask.UnknownTask.selector, 0));
        tasks.getSubmission(0, 1, ANN);
    }

    function test_the_token_can_refuse() public {
        propose(1, 0, 20);
        submit(ANN, 1, 1);
        vm.prank(ADMIN);
        token.mint(BOB, type(uint256).max - 19);
        refused(abi.encodeWithSignature("Panic(uint256)", 0x11));
        publish(1, 1, list(ANN));
        vm.prank(ADMIN);
        token.revokeRole(MINTER, address(tasks));
        refused(
            abi.encodeWithSelector(
                IAccessControl.AccessControlUnauthorizedAccount.selector, address(tasks), MINTER
            )
        );
        publish(1, 1, list(ANN));
        vm.assertEq(status(1, 1, ANN), 1, "nothing happened");
        publish(1, 1, list());
    }

    function testFuzz_the_window_includes_its_last_second(uint64 window, uint64 later) public {
        propose(1, window, 20);
        uint256 time = START + bound(later, 0, type(uint64).max - START);
        vm.warp(time);
        bool open = window == 0 || time <= START + window;
        if (!open) {
            refused(
                abi.encodeWithSelector(ITrainingTask.WindowClosed.selector, START + window, time)
            );
        }
        submit(ANN, 1, 1);
        vm.assertEq(status(1, 1, ANN), open ? 1 : 0, "status");
        bool early = window != 0 && open;
        if (early) {
            refused(abi.encodeWithSelector(ITrainingTask.WindowOpen.selector, START + window, time));
        }
        tasks.revealSalt(1, 1, "list", SALT, SEEN);
        if (early) {
            refused(abi.encodeWithSelector(ITrainingTask.WindowOpen.selector, START + window, time));
        }
        publish(1, 1, list());
    }

    function testFuzz_a_cid_has_4_to_64_bytes_and_begins_with_1(bytes memory cid) public {
        if (cid.length != 0 && uint8(cid[0]) % 4 != 0) cid[0] = 0x01;
        propose(1, 0, 20);
        bool good = cid.length >= 4 && cid.length <= 64 && cid[0] == 0x01;
        if (!good) refused(abi.encodeWithSelector(ITrainingTask.InvalidCid.selector, cid));
        vm.prank(ANN);
        tasks.submitUpdate(1, 1, cid, 1, 1, SEAL, SEEN);
        vm.assertEq(status(1, 1, ANN), good ? 1 : 0, "status");
    }

    function testFuzz_a_vote_has_at_most_32_scores(
        address voter,
        bytes32 ballot,
        uint256 size,
        uint256 seed
    ) public {
        int64[] memory scores = new int64[](bound(size, 0, 64));
        for (uint256 i = 0; i < scores.length; ++i) {
            // forge-lint: disable-next-line(unsafe-typecast) - any 64 bits are a score
            scores[i] = int64(uint64(uint256(keccak256(abi.encode(seed, i)))));
        }
        propose(1, 0, 20);
        if (scores.length > 32) {
            refused(abi.encodeWithSelector(ITrainingTask.TooManyScores.selector, scores.length, 32));
        } else {
            vm.expectEmit(address(tasks));
            emit ITrainingTask.VotesSubmitted(1, 1, voter, ballot, scores, SEEN);
        }
        vm.prank(voter);
        tasks.submitVotes(1, 1, ballot, scores, SEEN);
    }

    function testFuzz_only_the_owner_publishes(address sender) public {
        vm.assume(sender != OWNER);
        propose(1, 0, 20);
        refused(abi.encodeWithSelector(ITrainingTask.NotAggregator.selector, sender));
        publishBy(sender, 1, CID, "r", list(), CID);
    }

    function testFuzz_a_round_pays_each_contributor_once(uint8 size, uint8 paid, uint8 reward)
        public
    {
        uint256 amount = bound(reward, 0, 20);
        address[] memory clients = crowd(bound(size, 0, 12));
        propose(1, 0, amount);
        for (uint256 i = 0; i < clients.length; ++i) {
            submit(clients[i], 1, 1);
        }
        publish(1, 1, clients);
        vm.assertEq(token.totalSupply(), amount * clients.length, "minted");
        address[] memory some = crowd(bound(paid, 0, clients.length));
        tasks.payRewards(1, 1, some);
        for (uint256 i = 0; i < clients.length; ++i) {
            uint256 due = i < some.length ? amount : 0;
            vm.assertEq(token.balanceOf(clients[i]), due, "paid");
        }
        uint256 locked = amount * (clients.length - some.length);
        vm.assertEq(token.balanceOf(address(tasks)), locked, "escrow");
    }
}
