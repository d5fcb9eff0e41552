// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title In which order nodes have a round
/// @dev The numbers and their use are those of `panel` in beacon/draws.py.
library Turns {
    bytes private constant DOMAIN = "fedledger draw v1";

    /// @notice Puts the first `size` members of a drawn panel first (Fisher-Yates).
    /// @param nodes Those to choose from, in ascending order; the answer stands in the same array.
    function order(bytes32 value, uint256 task, uint32 round, address[] memory nodes, uint256 size)
        internal
        pure
        returns (address[] memory chosen)
    {
        // The first half of both numbers is zero, as they have 16 bytes each.
        // forge-lint: disable-next-line(unsafe-typecast) - there are not as many tasks
        bytes memory subject = abi.encodePacked(uint128(task), uint128(round));
        bytes memory head = abi.encodePacked(
            uint32(17), DOMAIN, uint32(32), value, uint32(5), "panel", uint32(32), subject
        );
        chosen = new address[](size);
        uint64 count = 0;
        for (uint256 i = 0; i < size; ++i) {
            uint256 left = nodes.length - i;
            // Below `least` are the remainders of 2^256 that are one too many.
            uint256 least = (type(uint256).max % left + 1) % left;
            uint256 number = 0;
            do {
                number = uint256(sha256(abi.encodePacked(head, count++)));
            } while (number < least);
            uint256 place = number % left;
            chosen[i] = nodes[place];
            nodes[place] = nodes[left - 1];
        }
    }

    /// @notice Puts nodes in ascending order, in place.
    function sort(address[] memory nodes) internal pure {
        for (uint256 i = 1; i < nodes.length; ++i) {
            address one = nodes[i];
            uint256 j = i;
            for (; j > 0 && nodes[j - 1] > one; --j) {
                nodes[j] = nodes[j - 1];
            }
            nodes[j] = one;
        }
    }
}
