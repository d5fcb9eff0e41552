// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IIdentities} from "./IIdentities.sol";

/// @title Which keys belong to an account
/// @notice What it does, says and refuses is written in IIdentities.
contract Identities is IIdentities {
    struct Record {
        uint64 version;
        bytes32 digest;
    }

    uint256 private constant BLS_KEY = 48;
    uint256 private constant BLS_PROOF = 96;
    uint256 private constant LEAST = 40;
    uint256 private constant MOST = 160;

    mapping(address account => Record) private _records;

    /// @inheritdoc IIdentities
    function setKeys(
        bytes32 hpke,
        bytes calldata bls,
        bytes calldata blsProof,
        bytes calldata flower,
        bytes calldata flowerProof
    ) external {
        bool hasBls = bls.length + blsProof.length != 0;
        bool hasFlower = flower.length + flowerProof.length != 0;
        if (hasBls) {
            if (bls.length != BLS_KEY) revert InvalidKeyLength("bls", bls.length);
            if (blsProof.length != BLS_PROOF) revert InvalidKeyLength("blsProof", blsProof.length);
        }
        if (hasFlower) {
            if (!_fits(flower.length)) revert InvalidKeyLength("flower", flower.length);
            if (!_fits(flowerProof.length)) {
                revert InvalidKeyLength("flowerProof", flowerProof.length);
            }
        }
        if (hpke == 0 && !hasBls && !hasFlower) revert NoKeys();

        Record storage record = _records[msg.sender];
        uint64 version = ++record.version;
        record.digest = keccak256(abi.encode(hpke, bls, blsProof, flower, flowerProof));

        emit KeysSet(msg.sender, version, hpke, bls, blsProof, flower, flowerProof);
    }

    /// @inheritdoc IIdentities
    function revokeKeys() external {
        Record storage record = _records[msg.sender];
        if (record.digest == 0) revert NothingToRevoke(msg.sender);
        uint64 version = ++record.version;
        record.digest = 0;

        emit KeysRevoked(msg.sender, version);
    }

    /// @inheritdoc IIdentities
    function getKeys(address account) external view returns (uint64 version, bytes32 digest) {
        Record storage record = _records[account];
        return (record.version, record.digest);
    }

    function _fits(uint256 length) private pure returns (bool) {
        return LEAST <= length && length <= MOST;
    }
}
