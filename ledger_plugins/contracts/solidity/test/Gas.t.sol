// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Fixture} from "./Fixture.sol";

/// @notice What each call costs as a transaction of its own (21,000 and calldata included), in the
/// dearest case that happens: the first of its kind. `gas/*.json` keeps the numbers.
contract GasTest is Fixture {
    uint256 private constant SUBMIT_LIMIT = 80_000;
    uint256 private constant PUBLISH_LIMIT = 300_000;
    uint256 private constant SHARED_LIMIT = 120_000;
    uint256 private constant COMMIT_LIMIT = 150_000;
    uint256 private constant ACCUSE_LIMIT = 150_000;
    uint256 private constant VERDICT_LIMIT = 80_000;
    uint256 private constant BLOCK_LIMIT = 1 << 24; // EIP-7825

    function measured(string memory group, string memory name) private returns (uint256) {
        return vm.snapshotGasLastCall(group, name);
    }

    function longestCid() private pure returns (bytes memory cid) {
        cid = abi.encodePacked(bytes32(type(uint256).max), bytes32(type(uint256).max));
        cid[0] = 0x01;
    }

    /// @dev A round with `size` submissions, whose window has closed.
    function ready(uint256 size) private returns (address[] memory clients) {
        propose(3, 600, 20);
        clients = crowd(size);
        for (uint256 i = 0; i < size; ++i) {
            submit(clients[i], 1, 1);
        }
        vm.warp(block.timestamp + 601);
    }

    function test_submitUpdate_stays_within_its_limit() public {
        propose(3, 600, 20);
        submit(ANN, 1, 1);
        vm.assertLe(measured("TrainingTask", "submitUpdate"), SUBMIT_LIMIT, "submitUpdate");
        vm.prank(ANN);
        tasks.submitUpdate(1, 1, CID, 100, 912_345, SEAL, SEEN);
        vm.assertLe(measured("TrainingTask", "submitUpdate again"), SUBMIT_LIMIT, "again");
        vm.prank(BOB);
        tasks.submitUpdate(1, 1, longestCid(), type(uint64).max, 1_000_000, SEAL, SEEN);
        uint256 most = measured("TrainingTask", "submitUpdate longest CID");
        vm.assertLe(most, SUBMIT_LIMIT, "longest CID");
    }

    function test_revealSalt() public {
        propose(3, 600, 20);
        vm.warp(block.timestamp + 601);
        vm.prank(ANN);
        tasks.revealSalt(1, 1, keccak256("a list"), SALT, SEEN);
        vm.assertLe(measured("TrainingTask", "revealSalt"), SUBMIT_LIMIT, "revealSalt");
    }

    function test_submitVotes() public {
        propose(3, 600, 20);
        int64[] memory scores = new int64[](7);
        for (uint256 i = 0; i < scores.length; ++i) {
            // forge-lint: disable-next-line(unsafe-typecast) - below 7
            scores[i] = -12_345 * int64(int256(i));
        }
        vm.prank(ANN);
        tasks.submitVotes(1, 1, keccak256("ballot"), scores, SEEN);
        vm.assertLe(measured("TrainingTask", "submitVotes 7"), SUBMIT_LIMIT, "submitVotes 7");
        scores = new int64[](32);
        for (uint256 i = 0; i < scores.length; ++i) {
            scores[i] = -1;
        }
        vm.prank(ANN);
        tasks.submitVotes(1, 1, keccak256("ballot"), scores, SEEN);
        vm.assertLe(measured("TrainingTask", "submitVotes 32"), SUBMIT_LIMIT, "submitVotes 32");
    }

    function test_publishAggregate_of_30_stays_within_its_limit() public {
        address[] memory clients = ready(30);
        publish(1, 1, clients);
        uint256 first = measured("TrainingTask", "publishAggregate 30, first of all");
        vm.assertLe(first, PUBLISH_LIMIT, "first");
        tasks.payRewards(1, 1, clients);
        measured("TrainingTask", "payRewards 30");
        for (uint256 i = 0; i < 30; ++i) {
            submit(clients[i], 1, 2);
        }
        vm.warp(block.timestamp + 601);
        publish(1, 2, clients);
        uint256 later = measured("TrainingTask", "publishAggregate 30, later");
        vm.assertLe(later, PUBLISH_LIMIT, "later");
        tasks.payRewards(1, 2, clients);
        measured("TrainingTask", "payRewards 30, clients with tokens");
    }

    function test_publishAggregate_of_30_with_the_longest_texts_stays_within_its_limit() public {
        address[] memory clients = ready(30);
        string memory rule = "0123456789abcdef0123456789abcdef";
        vm.prank(OWNER);
        tasks.publishAggregate(1, 1, longestCid(), rule, clients, longestCid(), none());
        uint256 most = measured("TrainingTask", "publishAggregate 30, longest CIDs and rule");
        vm.assertLe(most, PUBLISH_LIMIT, "longest");
    }

    function test_publishAggregate_with_commitments() public {
        propose(3, 600, 20);
        propose(3, 600, 20);
        vm.warp(block.timestamp + 601);
        vm.startPrank(OWNER);
        tasks.publishAggregate(1, 1, CID2, "krum", list(), CID, commitments(4));
        measured("TrainingTask", "publishAggregate 0, 4 commitments");
        tasks.publishAggregate(2, 1, CID2, "krum", list(), CID, commitments(16));
        measured("TrainingTask", "publishAggregate 0, 16 commitments");
        vm.stopPrank();
    }

    function test_publishAggregate_of_nobody() public {
        ready(0);
        publish(1, 1, list());
        measured("TrainingTask", "publishAggregate 0");
    }

    function test_payRewards_of_one() public {
        address[] memory clients = ready(1);
        publish(1, 1, clients);
        measured("TrainingTask", "publishAggregate 1");
        tasks.payRewards(1, 1, clients);
        measured("TrainingTask", "payRewards 1");
    }

    /// @dev EIP-7825 takes no transaction above 2^24 gas.
    function test_full_batches_fit_into_a_transaction() public {
        address[] memory clients = ready(256);
        publish(1, 1, clients);
        vm.assertLe(measured("TrainingTask", "publishAggregate 256"), 1 << 24, "publish");
        tasks.payRewards(1, 1, clients);
        vm.assertLe(measured("TrainingTask", "payRewards 256"), 1 << 24, "pay");
    }

    function test_propose() public {
        propose(3, 600, 20);
        measured("TrainingTask", "propose");
    }

    function test_roles() public {
        propose(3, 0, 20);
        vm.prank(GOVERNOR);
        tasks.appointAggregator(1, BOB);
        measured("TrainingTask", "appointAggregator by a contract");
        vm.startPrank(OWNER);
        tasks.appointAggregator(1, ANN);
        measured("TrainingTask", "appointAggregator");
        tasks.appointMembers(1, list(ANN));
        measured("TrainingTask", "appointMembers 1");
        tasks.appointMembers(1, crowd(256));
        vm.assertLe(measured("TrainingTask", "appointMembers 256"), 1 << 24, "appoint");
        tasks.revokeMembers(1, list(ANN));
        measured("TrainingTask", "revokeMembers 1");
        tasks.revokeMembers(1, crowd(256));
        vm.assertLe(measured("TrainingTask", "revokeMembers 256"), 1 << 24, "revoke");
        vm.stopPrank();
    }

    function test_checkpoints() public {
        propose(9, 0, 20);
        vm.startPrank(OWNER);
        tasks.recordCheckpoint(1, 0, 912_345);
        measured("TrainingTask", "recordCheckpoint");
        tasks.publishAggregate(1, 1, longestCid(), "r", list(), CID, none());
        tasks.recordCheckpoint(1, 1, 912_345);
        measured("TrainingTask", "recordCheckpoint longest CID");
        tasks.rollback(1, 2, 0);
        measured("TrainingTask", "rollback");
        tasks.rollback(1, 3, 1);
        measured("TrainingTask", "rollback to the longest CID");
        tasks.appointMembers(1, crowd(3));
        vm.stopPrank();
        address[] memory members = crowd(3);
        vm.prank(members[0]);
        tasks.voteRollback(1, 4, 0);
        measured("TrainingTask", "voteRollback, first");
        vm.prank(members[1]);
        tasks.voteRollback(1, 4, 0);
        measured("TrainingTask", "voteRollback that decides");
    }

    function test_token() public {
        vm.startPrank(ADMIN);
        token.mint(ANN, 100);
        measured("StakeToken", "mint, first of all");
        token.mint(ANN, 100);
        measured("StakeToken", "mint");
        token.grantRole(keccak256("MINTER_ROLE"), EVE);
        measured("StakeToken", "grantRole");
        vm.stopPrank();
        vm.prank(ANN);
        token.transfer(BOB, 1);
        measured("StakeToken", "transfer, first to somebody");
        vm.prank(ANN);
        token.transfer(BOB, 1);
        measured("StakeToken", "transfer");
        vm.prank(ANN);
        token.approve(BOB, 10);
        measured("StakeToken", "approve");
        vm.prank(BOB);
        token.transferFrom(ANN, BOB, 1);
        measured("StakeToken", "transferFrom");
    }

    function test_identities_and_bonds_stay_within_their_limits() public {
        bytes memory flower = new bytes(120);
        bytes memory proof = new bytes(104);
        bytes memory key = new bytes(48);
        for (uint256 i = 0; i < 48; ++i) {
            (flower[i], flower[119 - i], proof[i], proof[103 - i], key[i]) =
            (0xff, 0xff, 0xff, 0xff, 0xff);
        }
        vm.prank(ANN);
        identities.setKeys(SALT, key, bytes.concat(key, key), flower, proof);
        vm.assertLe(measured("Identities", "setKeys, first"), SHARED_LIMIT, "setKeys");
        vm.prank(ANN);
        identities.setKeys(SALT, key, bytes.concat(key, key), flower, proof);
        measured("Identities", "setKeys again");
        vm.prank(ANN);
        identities.revokeKeys();
        measured("Identities", "revokeKeys");

        vm.prank(ADMIN);
        token.mint(ANN, 100);
        vm.prank(ANN);
        token.transferAndCall(address(bonds), 20, "");
        vm.assertLe(measured("Bonds", "transferAndCall, first of all"), SHARED_LIMIT, "deposit");
        vm.prank(ANN);
        token.transferAndCall(address(bonds), 20, "");
        measured("Bonds", "transferAndCall, later");
        vm.prank(ANN);
        token.approve(address(bonds), 10);
        vm.prank(ANN);
        bonds.deposit(10);
        vm.assertLe(measured("Bonds", "deposit"), SHARED_LIMIT, "deposit");
        vm.prank(LOCKER);
        bonds.lock(ANN, SEAL, 30);
        vm.assertLe(measured("Bonds", "lock"), SHARED_LIMIT, "lock");
        uint256[] memory amounts = new uint256[](2);
        (amounts[0], amounts[1]) = (5, 5);
        address[] memory two = new address[](2);
        (two[0], two[1]) = (BOB, EVE);
        vm.prank(LOCKER);
        bonds.slash(ANN, SEAL, two, amounts);
        measured("Bonds", "slash for 2");
        vm.prank(LOCKER);
        bonds.release(ANN, SEAL, 20);
        measured("Bonds", "release");
        vm.warp(block.timestamp + 86_400);
        vm.prank(ANN);
        bonds.withdraw(40);
        measured("Bonds", "withdraw");
    }

    function test_reports_stay_within_their_limits() public {
        propose(3, 600, 20);
        vm.startPrank(OWNER);
        tasks.appointMembers(1, crowd(256));
        tasks.appointMembers(1, list(ANN, BOB));
        reports.setTerms(1, 20, 5, 50, 1000);
        measured("Reports", "setTerms");
        vm.stopPrank();
        for (uint256 i = 0; i < 2; ++i) {
            address one = i == 0 ? OWNER : ANN;
            vm.prank(ADMIN);
            token.mint(one, 200);
            vm.prank(one);
            token.transferAndCall(address(bonds), 200, "");
        }
        vm.prank(OWNER);
        reports.pledge(1, 150, true);
        vm.assertLe(measured("Reports", "pledge"), SHARED_LIMIT, "pledge");
        vm.warp(block.timestamp + 601);
        publish(1, 1, list());
        bytes memory cid = longestCid();
        vm.prank(ANN);
        bytes32 report = reports.accuse("aggregate", OWNER, 1, 1, cid);
        vm.assertLe(measured("Reports", "accuse"), ACCUSE_LIMIT, "accuse");
        vm.prank(OWNER);
        reports.answer(report, cid);
        measured("Reports", "answer");
        vm.prank(BOB);
        reports.decide(report, false);
        vm.assertLe(measured("Reports", "decide, first"), VERDICT_LIMIT, "verdict");
        address[] memory members = crowd(130);
        for (uint256 i = 0; i < 130; ++i) {
            vm.prank(members[i]);
            reports.decide(report, true);
            if (i == 0) vm.assertLe(measured("Reports", "decide"), VERDICT_LIMIT, "verdict");
        }
        vm.assertLe(measured("Reports", "decide that decides"), VERDICT_LIMIT, "verdict");
        reports.settle(report);
        measured("Reports", "settle a conviction, with a halt");
    }

    function test_claims_and_acquittals() public {
        propose(3, 0, 20);
        vm.prank(OWNER);
        tasks.appointMembers(1, list(ANN));
        for (uint256 i = 0; i < 2; ++i) {
            address one = i == 0 ? OWNER : EVE;
            vm.prank(ADMIN);
            token.mint(one, 200);
            vm.prank(one);
            token.transferAndCall(address(bonds), 200, "");
        }
        vm.prank(OWNER);
        reports.pledge(1, 150, false);
        publish(1, 1, list());
        vm.warp(block.timestamp + 1);
        bytes32[2] memory found;
        for (uint256 i = 0; i < 2; ++i) {
            vm.prank(EVE);
            found[i] =
                reports.accuse(i == 0 ? bytes32("update") : bytes32("aggregate"), OWNER, 1, 1, CID);
            vm.prank(ANN);
            reports.decide(found[i], i == 1);
            reports.settle(found[i]);
            if (i == 0) measured("Reports", "settle an acquittal");
        }
        vm.prank(ANN);
        reports.claim(found[1]);
        measured("Reports", "claim");
        vm.prank(OWNER);
        reports.unpledge(1);
        measured("Reports", "unpledge");
    }

    function test_punctuality() public {
        propose(3, 600, 20);
        vm.prank(OWNER);
        reports.setTerms(1, 20, 5, 50, 1000);
        vm.prank(ADMIN);
        token.mint(ANN, 200);
        vm.prank(ANN);
        token.transferAndCall(address(bonds), 200, "");
        vm.prank(ANN);
        reports.pledge(1, 150, true);
        for (uint32 round = 1; round <= 2; ++round) {
            submit(BOB, 1, round);
            vm.warp(block.timestamp + 601);
            publish(1, round, list(BOB));
        }
        reports.markLate(1, 2, ANN, BOB);
        measured("Reports", "markLate");
        vm.warp(block.timestamp + 601);
        reports.markStalled(1);
        measured("Reports", "markStalled, first");
        vm.warp(block.timestamp + 51);
        reports.markStalled(1);
        measured("Reports", "markStalled that halts");
    }

    function test_equivocation() public {
        propose(3, 600, 20);
        address signer = 0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf; // of key 1
        vm.prank(OWNER);
        tasks.appointAggregator(1, signer);
        bytes[2] memory signatures;
        for (uint256 i = 0; i < 2; ++i) {
            signatures[i] = signed(1, bytes32(i));
        }
        vm.prank(EVE);
        reports.proveEquivocation(
            signer, 1, 1, SALT, bytes32(0), signatures[0], bytes32(uint256(1)), signatures[1]
        );
        measured("Reports", "proveEquivocation");
    }

    function signed(uint256 key, bytes32 content) private view returns (bytes memory) {
        bytes32 kind = keccak256(
            "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract,bytes32 salt)"
        );
        bytes32 domain = keccak256(
            abi.encode(
                kind,
                keccak256("fedledger"),
                keccak256("1"),
                block.chainid,
                address(tasks),
                bytes32((uint256(1) << 128) | 1)
            )
        );
        bytes32 one = keccak256("OnlyOne(bytes32 purpose,bytes32 content)");
        bytes32 said = keccak256(abi.encode(one, SALT, content));
        (uint8 v, bytes32 r, bytes32 s) =
            vm.sign(key, keccak256(abi.encodePacked(hex"1901", domain, said)));
        return abi.encodePacked(r, s, v);
    }

    function test_a_full_draw_ends_in_one_call() public {
        propose(3, 600, 20);
        address[] memory members = crowd(256);
        vm.prank(OWNER);
        tasks.appointMembers(1, members);
        vm.prank(OWNER);
        beacon.open(1, SALT, 5, 2, 0, 100, 50, 60);
        measured("Beacon", "open");
        for (uint256 i = 0; i < members.length; ++i) {
            vm.prank(ADMIN);
            token.mint(members[i], 5);
            vm.prank(members[i]);
            token.transferAndCall(address(bonds), 5, "");
            vm.prank(members[i]);
            beacon.commit(1, keccak256(abi.encode(uint256(1), members[i], SEAL)));
            if (i == 1) vm.assertLe(measured("Beacon", "commit"), COMMIT_LIMIT, "commit");
        }
        vm.warp(block.timestamp + 101);
        vm.prank(OWNER);
        beacon.fix(1, SEEN);
        measured("Beacon", "fix");
        vm.roll(block.number + 1);
        for (uint256 i = 0; i < members.length; ++i) {
            vm.prank(members[i]);
            beacon.reveal(1, SEAL);
            if (i == 1) measured("Beacon", "reveal");
        }
        beacon.close(1);
        vm.assertLe(measured("Beacon", "close with 256"), BLOCK_LIMIT, "close");
        beacon.settle(1, members[0]);
        measured("Beacon", "settle");
    }
}
