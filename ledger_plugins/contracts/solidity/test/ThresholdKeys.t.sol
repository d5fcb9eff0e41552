// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IThresholdKeys} from "../../threshold_keys/IThresholdKeys.sol";
import {Fixture, bound} from "./Fixture.sol";

contract ThresholdKeysTest is Fixture {
    uint256 private constant ACCEPT_LIMIT = 120_000;
    uint256 private constant BLOCK_LIMIT = 1 << 24; // EIP-7825

    IThresholdKeys private published;

    function setUp() public override {
        super.setUp();
        published = IThresholdKeys(deploy("threshold_keys", ""));
    }

    function measured(string memory name) private returns (uint256) {
        return vm.snapshotGasLastCall("ThresholdKeys", name);
    }

    /// @dev Bytes that cost most: none is zero.
    function filled(uint256 size) private pure returns (bytes memory keys) {
        keys = new bytes(size);
        for (uint256 end = 32; end <= size; end += 32) {
            assembly ("memory-safe") {
                mstore(add(keys, end), not(0))
            }
        }
        for (uint256 i = size - size % 32; i < size; ++i) {
            keys[i] = 0xff;
        }
    }

    /// @dev The sizes are those of ThresholdKeys.encode() with a modulus of 3,072 bits.
    function test_gas() public {
        address[] memory ten = crowd(10);
        bytes memory keys = filled(5438);
        vm.prank(OWNER);
        published.publishKeys(ten, 6, keys);
        measured("publishKeys for 10");
        bytes32 digest = sha256(keys);
        vm.prank(ten[9]);
        published.acceptKeys(1, 1, OWNER, digest);
        vm.assertLe(measured("acceptKeys"), ACCEPT_LIMIT, "acceptKeys");
        vm.prank(ten[9]);
        published.acceptKeys(1, 2, OWNER, digest);
        measured("acceptKeys again");
        vm.prank(OWNER);
        published.publishKeys(crowd(64), 33, filled(26_174));
        vm.assertLe(measured("publishKeys for 64"), BLOCK_LIMIT, "64");
        keys = filled(published.MAX_KEYS());
        vm.prank(OWNER);
        published.publishKeys(crowd(64), 64, keys);
        vm.assertLe(measured("publishKeys for 64, longest"), BLOCK_LIMIT, "longest");
    }

    /// @dev Whatever a list is, it is taken only if each stands once and a majority opens.
    function testFuzz_a_list_is_a_list_of_different_trainers(
        uint256 size,
        uint256 twice,
        uint256 place,
        uint16 threshold
    ) public {
        address[] memory some = crowd(bound(size, 2, published.MAX_TRAINERS()));
        (twice, place) = (bound(twice, 0, some.length - 1), bound(place, 0, some.length - 1));
        some[place] = some[twice];
        bool majority = threshold <= some.length && uint256(threshold) * 2 > some.length;
        if (place != twice) {
            vm.expectRevert(
                abi.encodeWithSelector(IThresholdKeys.InvalidTrainer.selector, some[twice])
            );
        } else if (!majority) {
            vm.expectRevert(
                abi.encodeWithSelector(
                    IThresholdKeys.InvalidThreshold.selector, threshold, some.length
                )
            );
        }
        published.publishKeys(some, threshold, "keys");
        if (place != twice || !majority) return;
        for (uint256 i = 0; i < some.length; ++i) {
            uint16 number = published.trainerNumber(address(this), sha256("keys"), some[i]);
            vm.assertEq(number, i + 1, "the place on the list");
        }
    }

    /// @dev Keys serve one task and a task has one key, for each trainer by itself.
    function testFuzz_one_key_one_task(uint256 task, uint256 other, uint256 round) public {
        vm.assume(task != other);
        bytes32 digest = sha256("keys");
        vm.prank(OWNER);
        published.publishKeys(list(ANN, BOB), 2, "keys");
        published.publishKeys(list(ANN, BOB), 2, "keys");
        vm.startPrank(ANN);
        published.acceptKeys(task, round, OWNER, digest);
        vm.expectRevert(abi.encodeWithSelector(IThresholdKeys.KeysServeAnotherTask.selector, task));
        published.acceptKeys(other, round, OWNER, digest);
        vm.expectRevert(
            abi.encodeWithSelector(IThresholdKeys.OtherKeysAccepted.selector, OWNER, digest)
        );
        published.acceptKeys(task, round, address(this), digest);
        vm.expectRevert(abi.encodeWithSelector(IThresholdKeys.AlreadyAccepted.selector, round));
        published.acceptKeys(task, round, OWNER, digest);
        published.acceptKeys(other, round, address(this), digest);
        vm.stopPrank();
        vm.prank(BOB);
        published.acceptKeys(other, round, OWNER, digest);
        (address dealer, bytes32 found, uint256 said) = published.acceptance(task, ANN);
        vm.assertEq(dealer, OWNER, "dealer");
        vm.assertEq(found, digest, "digest");
        vm.assertEq(said, round, "round");
    }
}
