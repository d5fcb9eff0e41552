// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Which keys belong to an account
/// @notice An account publishes the keys that protocols need besides its own: one with which others
/// encrypt for it, one for signatures that add up, and that of its Flower SuperNode. Its newest
/// record counts as a whole.
/// @dev Each key is optional. The contract checks lengths and stores a digest; the event carries
/// the keys. Whether a point lies in its group and a proof holds is checked by clients and audits:
/// a record whose proofs fail gives an account no such key. Nobody can keep others from a key by
/// publishing it first, since without its owner's statement a record of it is worth nothing. Each
/// function lists its errors in the order in which they are checked.
interface IIdentities {
    /// @notice From now on `account` has these keys and no others; an absent one is empty, or zero.
    /// `version` counts its records from 1.
    event KeysSet(
        address indexed account,
        uint64 version,
        bytes32 hpke,
        bytes bls,
        bytes blsProof,
        bytes flower,
        bytes flowerProof
    );

    /// @notice From now on `account` has no keys.
    event KeysRevoked(address indexed account, uint64 version);

    /// @notice `key` has a length of `given` bytes.
    error InvalidKeyLength(string key, uint256 given);

    /// @notice A record needs a key; to have none any more is revokeKeys.
    error NoKeys();

    /// @notice `account` has no keys that it could revoke.
    error NothingToRevoke(address account);

    /// @notice Publishes the sender's keys, in place of all before.
    /// @dev InvalidKeyLength ("bls", "blsProof", "flower", "flowerProof"; both of a pair or none),
    /// NoKeys.
    /// @param hpke X25519 public key (RFC 9180), or zero.
    /// @param bls BLS12-381 public key, a compressed point of G1: 48 bytes, or none.
    /// @param blsProof Its proof of possession, a compressed point of G2: 96 bytes, or none.
    /// @param flower Public key of a Flower SuperNode, as its DER SubjectPublicKeyInfo: 40 to 160
    /// bytes, or none.
    /// @param flowerProof Signature of that key over the account, the chain and this contract: 40 to
    /// 160 bytes, or none.
    function setKeys(
        bytes32 hpke,
        bytes calldata bls,
        bytes calldata blsProof,
        bytes calldata flower,
        bytes calldata flowerProof
    ) external;

    /// @notice Takes back the sender's keys.
    /// @dev NothingToRevoke.
    function revokeKeys() external;

    /// @notice An account's newest record.
    /// @return version Number of its records; 0: it never had any.
    /// @return digest keccak256(abi.encode(hpke, bls, blsProof, flower, flowerProof)); zero: it has
    /// no keys.
    function getKeys(address account) external view returns (uint64 version, bytes32 digest);
}
