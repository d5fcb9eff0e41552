// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBeacon} from "../../beacon/IBeacon.sol";
import {Fixture, bound} from "./Fixture.sol";

interface Hashes {
    function setBlockhash(uint256 number, bytes32 hash) external;
}

/// @notice Headers of blocks as other chains write them.
contract BeaconTest is Fixture {
    function test_randomness_is_the_14th_field() public {
        uint256 number = fixedBlock();
        bytes memory header = headerOf(hex"80", SALT);
        Hashes(address(vm)).setBlockhash(number, keccak256(header));
        vm.expectEmit(address(beacon));
        emit IBeacon.RandomnessProvided(1, SALT);
        beacon.provide(1, header);
    }

    /// Chains whose blocks are signed keep the signatures in the extra data, and have no
    /// randomness.
    function test_a_header_with_long_extra_data_has_no_randomness(uint8 length) public {
        uint256 number = fixedBlock();
        length = uint8(bound(length, 56, 255));
        bytes memory extra = bytes.concat(hex"b8", bytes1(length), new bytes(length));
        bytes memory header = headerOf(extra, SALT);
        Hashes(address(vm)).setBlockhash(number, keccak256(header));
        vm.expectRevert(abi.encodeWithSelector(IBeacon.WrongHeader.selector, number));
        beacon.provide(1, header);
    }

    /// @dev Draw 1 wants the randomness of the block that is returned, and that block is past.
    function fixedBlock() private returns (uint256 number) {
        propose(3, 600, 20);
        vm.prank(OWNER);
        tasks.appointMembers(1, list(ANN));
        vm.prank(OWNER);
        beacon.open(1, SALT, 0, 1, 1, 100, 50, 60);
        vm.warp(block.timestamp + 101);
        vm.prank(OWNER);
        beacon.fix(1, SEEN);
        number = block.number + 1;
        vm.roll(number + 1);
    }

    /// @dev `extra` is the field as it stands in the header, with its length.
    function headerOf(bytes memory extra, bytes32 mix) private pure returns (bytes memory) {
        bytes memory word = bytes.concat(hex"a0", new bytes(32));
        bytes memory fixed_ = bytes.concat(word, word, hex"94", new bytes(20), word, word, word);
        bytes memory bloom = bytes.concat(hex"b90100", new bytes(256));
        bytes memory numbers = hex"80648401c9c380808465000000"; // difficulty to timestamp
        bytes memory body =
            bytes.concat(fixed_, bloom, numbers, extra, hex"a0", mix, hex"880000000000000000");
        return bytes.concat(hex"f9", bytes2(uint16(body.length)), body);
    }
}
