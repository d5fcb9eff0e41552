// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Which contracts an embedded chain has, and how it gains more
/// @notice Only the embedded chain has it: there it is part of the chain. On Ethereum a contract is
/// where it was deployed, and the deployment's file says where.
/// A version says by two digests what executes its calls. Blocks before it are executed by the
/// version before.
/// A function checks in the order in which its errors are listed.
interface IContractRegistry {
    /// @notice A contract, or the next version of one, takes calls from block `since` on.
    /// @param name The contract's name, from which its address follows.
    /// @param version From 1 on.
    /// @param since Index of the first block that executes this version.
    /// @param abiDigest SHA-256 of its ABI, in the form of the library.
    /// @param codeDigest SHA-256 of the code that the chain executes.
    event ContractAdded(
        string name, uint32 version, uint64 since, bytes32 abiDigest, bytes32 codeDigest
    );

    /// @notice `sender` is not the chain's administrator.
    error NotAdministrator(address sender);

    /// @notice A name has 1 to 64 letters and digits of ASCII, and begins with a letter.
    error InvalidName(string name);

    /// @notice This version of the contract is there.
    error VersionExists(string name, uint32 version);

    /// @notice The contract's next version is `expected`.
    error VersionMissing(string name, uint32 expected, uint32 given);

    /// @notice Block `given` is before `earliest`: the next block, and not before the version before.
    error PastBlock(uint64 given, uint64 earliest);

    /// @notice The chain has as many versions of contracts as it can have.
    error TooManyVersions(uint256 maximum);

    /// @notice Add a contract (version 1), or the next version of one that is there.
    /// @dev Reverts with NotAdministrator, InvalidName, VersionExists, VersionMissing, PastBlock or
    /// TooManyVersions.
    /// @param since Index of the first block that executes it; 0: the next block.
    function add(
        string calldata name,
        uint32 version,
        uint64 since,
        bytes32 abiDigest,
        bytes32 codeDigest
    ) external;

    /// @notice The names of all contracts, sorted.
    function names() external view returns (string[] memory);

    /// @notice How many versions a contract has; 0: there is no such contract.
    function versions(string calldata name) external view returns (uint32);

    /// @notice A version of a contract; all zero where there is none.
    function version(string calldata name, uint32 number)
        external
        view
        returns (address place, uint64 since, bytes32 abiDigest, bytes32 codeDigest);

    /// @notice The chain's administrator; the zero address: nobody, ever.
    function administrator() external view returns (address);

    /// @notice How many versions of contracts a chain can have.
    function MAX_VERSIONS() external view returns (uint256);
}
