// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IReports} from "./IReports.sol";

/// @title The table of what can be reported
/// @notice What it says is written in IReports.
abstract contract Kinds is IReports {
    /// @dev A row of the table; index 0 is none.
    struct Kind {
        uint8 index;
        bytes32 name;
        uint8 decides;
        uint32 fee;
        uint32 loses;
        uint32 reward;
        uint32 compensation;
        uint32 authority;
        bool excludes;
        bool halts;
    }

    uint8 internal constant BY_CONTRACT = 0;
    uint8 internal constant BY_MEMBERS = 1;
    uint8 internal constant BY_AUTHORITY = 2;

    uint8 internal constant AGGREGATE = 1;
    uint8 internal constant UPDATE = 2;
    uint8 internal constant UNQUALIFIED = 3;

    function _kind(bytes32 name) internal pure returns (Kind memory row) {
        for (uint8 index = 1; index <= 4; ++index) {
            row = _kindAt(index);
            if (row.name == name) return row;
        }
        revert UnknownKind(name);
    }

    /// @dev The table; index, name, who decides, fee, loses, reward, each member, authority, excludes,
    /// halts.
    function _kindAt(uint8 index) internal pure returns (Kind memory) {
        if (index == AGGREGATE) {
            return Kind(index, "aggregate", BY_MEMBERS, 5, 100, 10, 5, 0, true, true);
        }
        if (index == UPDATE) {
            return Kind(index, "update", BY_MEMBERS, 5, 50, 10, 2, 0, true, false);
        }
        if (index == UNQUALIFIED) {
            return Kind(index, "unqualified", BY_AUTHORITY, 8, 50, 16, 0, 4, true, false);
        }
        return Kind(index, "equivocation", BY_CONTRACT, 0, 100, 10, 0, 0, true, true);
    }
}
