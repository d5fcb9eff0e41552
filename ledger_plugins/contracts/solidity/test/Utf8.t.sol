// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ITrainingTask} from "../../training_task/ITrainingTask.sol";
import {Utf8} from "../Utf8.sol";
import {Fixture, bound} from "./Fixture.sol";

contract Utf8Test is Fixture {
    function isWellFormed(bytes calldata text) external pure returns (bool) {
        return Utf8.isWellFormed(text);
    }

    function check(bytes memory text, bool good) private view {
        vm.assertEq(this.isWellFormed(text), good, "well-formed");
        bytes memory padded = abi.encodePacked("0123456789012345678901234567890", text, "a");
        vm.assertEq(this.isWellFormed(padded), good, "well-formed between others");
    }

    function test_the_ends_of_every_range_are_text() public view {
        check("", true);
        check(hex"00", true);
        check(hex"7f", true);
        check(hex"c280dfbf", true);
        check(hex"e0a080ecbfbf", true);
        check(hex"ed9fbfee8080efbfbf", true);
        check(hex"f0908080f3bfbfbff48fbfbf", true);
    }

    function test_other_bytes_are_no_text() public view {
        check(hex"80", false); // a continuation without a lead
        check(hex"c0af", false); // overlong forms
        check(hex"c1bf", false);
        check(hex"e09fbf", false);
        check(hex"f08fbfbf", false);
        check(hex"eda080", false); // surrogates
        check(hex"edbfbf", false);
        check(hex"f4908080", false); // above U+10FFFF
        check(hex"f5808080", false);
        check(hex"ff", false);
        check(hex"c2", false); // cut off
        check(hex"e282", false);
        check(hex"f09f98", false);
        check(hex"c241", false); // no continuation
        check(hex"e28241", false);
        check(hex"f09f9841", false);
        check(hex"e2c2ac", false);
    }

    /// @dev Every scalar value, in the form that the standard gives.
    function testFuzz_every_character_is_text(uint256 seed) public view {
        uint256 point = bound(seed, 0, 0x10FFFF);
        bool surrogate = point >= 0xD800 && point <= 0xDFFF;
        bytes memory text;
        if (point < 0x80) {
            text = abi.encodePacked(uint8(point));
        } else if (point < 0x800) {
            text = abi.encodePacked(uint8(0xC0 | point >> 6), uint8(0x80 | point & 0x3F));
        } else if (point < 0x10000) {
            text = abi.encodePacked(
                uint8(0xE0 | point >> 12),
                uint8(0x80 | point >> 6 & 0x3F),
                uint8(0x80 | point & 0x3F)
            );
        } else {
            text = abi.encodePacked(
                uint8(0xF0 | point >> 18),
                uint8(0x80 | point >> 12 & 0x3F),
                uint8(0x80 | point >> 6 & 0x3F),
                uint8(0x80 | point & 0x3F)
            );
        }
        check(text, !surrogate);
    }

    function test_names_are_text() public {
        string memory broken = string(abi.encodePacked(hex"6df0"));
        vm.expectRevert(abi.encodeWithSelector(ITrainingTask.InvalidModelId.selector, broken));
        tasks.propose(broken, CID, 1, 0, 1, CID);
        propose(1, 0, 1);
        vm.expectRevert(abi.encodeWithSelector(ITrainingTask.InvalidRule.selector, broken));
        vm.prank(OWNER);
        tasks.publishAggregate(1, 1, CID, broken, list(), CID, none());
    }
}
