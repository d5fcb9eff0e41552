// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBeacon} from "../../beacon/IBeacon.sol";
import {IBonds} from "../../bonds/IBonds.sol";
import {IIdentities} from "../../identities/IIdentities.sol";
import {IReports} from "../../reports/IReports.sol";
import {IStakeToken} from "../../stake_token/IStakeToken.sol";
import {ITrainingTask} from "../../training_task/ITrainingTask.sol";

/// @notice The few cheat codes of forge that these tests use.
interface Vm {
    struct Gas {
        uint64 gasLimit;
        uint64 gasTotalUsed;
        uint64 gasMemoryUsed;
        int64 gasRefunded;
        uint64 gasRemaining;
    }

    function assertEq(uint256 left, uint256 right, string calldata message) external pure;
    function assertEq(address left, address right, string calldata message) external pure;
    function assertEq(bytes32 left, bytes32 right, string calldata message) external pure;
    function assertEq(bytes calldata left, bytes calldata right, string calldata message)
        external
        pure;
    function assertEq(string calldata left, string calldata right, string calldata message)
        external
        pure;
    function assertEq(bool left, bool right, string calldata message) external pure;
    function assertLe(uint256 left, uint256 right, string calldata message) external pure;
    function assume(bool condition) external pure;
    function computeCreateAddress(address deployer, uint256 nonce) external pure returns (address);
    function expectEmit(address emitter) external;
    function expectRevert(bytes calldata data) external;
    function getNonce(address account) external view returns (uint64);
    function lastCallGas() external view returns (Gas memory);
    function mockCall(address callee, bytes calldata data, bytes calldata answer) external;
    function parseJsonBytes(string calldata json, string calldata key)
        external
        pure
        returns (bytes memory);
    function prank(address sender) external;
    function readFile(string calldata path) external view returns (string memory);
    function roll(uint256 number) external;
    function sign(uint256 key, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function snapshotGasLastCall(string calldata group, string calldata name)
        external
        returns (uint256);
    function startPrank(address sender) external;
    function stopPrank() external;
    function warp(uint256 timestamp) external;
}

/// @notice Brings a fuzzed number into a range.
function bound(uint256 value, uint256 least, uint256 most) pure returns (uint256) {
    return value >= least && value <= most ? value : least + value % (most - least + 1);
}

/// @notice Whether an account is a member of a task.
function isMember(ITrainingTask tasks, uint256 task, address account) view returns (bool member) {
    (member,) = tasks.isMember(task, account);
}

/// @notice The contracts as they are deployed, and some people.
abstract contract Fixture {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    address internal constant ADMIN = address(0xAD);
    address internal constant OWNER = address(0x0E);
    address internal constant ANN = address(0xA1);
    address internal constant BOB = address(0xB2);
    address internal constant EVE = address(0xE3);
    address internal constant LOCKER = address(0x10C);
    address internal constant GOVERNOR = address(0x60);

    bytes internal constant CID =
        hex"0155122000000000000000000000000000000000000000000000000000000000000000a1";
    bytes internal constant CID2 =
        hex"01551220ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100";
    bytes internal constant BAD_CID = hex"02551220";

    bytes32 internal constant SALT = keccak256("a salt");
    bytes32 internal constant SEAL = keccak256(abi.encode(SALT));
    bytes32 internal constant SEEN = keccak256("a block");

    uint256 internal constant START = 1_000_000;

    IStakeToken internal token;
    ITrainingTask internal tasks;
    IIdentities internal identities;
    IBonds internal bonds;
    IBeacon internal beacon;
    IReports internal reports;

    function setUp() public virtual {
        vm.warp(START);
        address[] memory minters = new address[](1);
        uint256 nonce = vm.getNonce(address(this));
        minters[0] = vm.computeCreateAddress(address(this), nonce + 1);
        address[] memory lockers = new address[](3);
        (lockers[0], lockers[1]) = (LOCKER, vm.computeCreateAddress(address(this), nonce + 4));
        lockers[2] = vm.computeCreateAddress(address(this), nonce + 5);
        address[] memory governors = list(GOVERNOR, lockers[2]);
        bytes memory roles = abi.encode(ADMIN, minters, new address[](1), lockers, governors);
        token = IStakeToken(deploy("stake_token", roles));
        tasks = ITrainingTask(deploy("training_task", abi.encode(token)));
        vm.assertEq(address(tasks), minters[0], "the predicted minter");
        identities = IIdentities(deploy("identities", ""));
        bonds = IBonds(deploy("bonds", abi.encode(token)));
        beacon = IBeacon(deploy("beacon", abi.encode(tasks, bonds)));
        vm.assertEq(address(beacon), lockers[1], "the predicted locker");
        reports = IReports(deploy("reports", abi.encode(tasks, bonds)));
        vm.assertEq(address(reports), lockers[2], "the predicted locker and governor");
    }

    /// @dev What is tested is what is shipped: the bytecode of the artifact.
    function deploy(string memory folder, bytes memory arguments)
        internal
        returns (address deployed)
    {
        string memory artifact = vm.readFile(string.concat(folder, "/artifact.json"));
        bytes memory code = bytes.concat(vm.parseJsonBytes(artifact, ".bytecode"), arguments);
        assembly ("memory-safe") {
            deployed := create(0, add(code, 32), mload(code))
        }
        require(deployed != address(0), "not deployed");
    }

    function propose(uint32 rounds, uint64 window, uint256 reward) internal returns (uint256) {
        vm.prank(OWNER);
        return tasks.propose("digits", CID, rounds, window, reward, CID2);
    }

    function submit(address client, uint256 task, uint32 round) internal {
        vm.prank(client);
        tasks.submitUpdate(task, round, CID2, 100, 912_345, SEAL, SEEN);
    }

    function publish(uint256 task, uint32 round, address[] memory contributors) internal {
        vm.prank(OWNER);
        tasks.publishAggregate(task, round, CID2, "krum", contributors, CID, none());
    }

    function status(uint256 task, uint32 round, address client)
        internal
        view
        returns (uint8 found)
    {
        (, found) = tasks.getSubmission(task, round, client);
    }

    function crowd(uint256 size) internal pure returns (address[] memory clients) {
        clients = new address[](size);
        for (uint256 i = 0; i < size; ++i) {
            clients[i] = address(uint160(uint256(keccak256(abi.encode("client", i)))));
        }
    }

    /// @dev No commitments.
    function none() internal pure returns (bytes32[2][] memory) {
        return new bytes32[2][](0);
    }

    /// @dev As many commitments as a publication asks for, in order.
    function commitments(uint256 size) internal pure returns (bytes32[2][] memory pairs) {
        pairs = new bytes32[2][](size);
        for (uint256 i = 0; i < size; ++i) {
            pairs[i] = [bytes32("commitment") | bytes32(i), keccak256(abi.encode(i))];
        }
    }

    function list() internal pure returns (address[] memory) {
        return new address[](0);
    }

    function list(address one) internal pure returns (address[] memory clients) {
        clients = new address[](1);
        clients[0] = one;
    }

    function list(address one, address two) internal pure returns (address[] memory clients) {
        clients = new address[](2);
        (clients[0], clients[1]) = (one, two);
    }
}
