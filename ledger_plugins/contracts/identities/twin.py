"""Identities' twin: an account's newest record of keys, as a digest.

Storage: ("keys", account): version, digest (32 zero bytes: revoked).
"""

# ruff: noqa: N802, N803 - the names and arguments are the ABI's

from eth_abi.abi import encode
from eth_hash.auto import keccak

from ..twin import Twin

__all__ = ["Identities", "digest_of"]

_NONE = bytes(32)
_BLS_KEY, _BLS_PROOF = range(48, 49), range(96, 97)
_FLOWER = range(40, 161)


def digest_of(hpke: bytes, bls: bytes, bls_proof: bytes, flower: bytes, proof: bytes) -> bytes:
    """Return what the contract keeps of a record's keys."""
    keys = (hpke, bls, bls_proof, flower, proof)
    return keccak(encode(["bytes32", "bytes", "bytes", "bytes", "bytes"], keys))


class Identities(Twin):
    """Which keys belong to an account."""

    contract = "Identities"

    def setKeys(
        self, hpke: bytes, bls: bytes, blsProof: bytes, flower: bytes, flowerProof: bytes
    ) -> None:
        """Publish the sender's keys, in place of all before."""
        if bls or blsProof:
            self._check("bls", bls, _BLS_KEY)
            self._check("blsProof", blsProof, _BLS_PROOF)
        if flower or flowerProof:
            self._check("flower", flower, _FLOWER)
            self._check("flowerProof", flowerProof, _FLOWER)
        if hpke == _NONE and not bls and not flower:
            self.revert("NoKeys")
        version, _ = self.getKeys(self.sender)
        digest = digest_of(hpke, bls, blsProof, flower, flowerProof)
        self.state["keys", self.sender] = (version + 1, digest)
        self.emit(
            "KeysSet",
            account=self.sender,
            version=version + 1,
            hpke=hpke,
            bls=bls,
            blsProof=blsProof,
            flower=flower,
            flowerProof=flowerProof,
        )

    def revokeKeys(self) -> None:
        """Take back the sender's keys."""
        version, digest = self.getKeys(self.sender)
        if digest == _NONE:
            self.revert("NothingToRevoke", account=self.sender)
        self.state["keys", self.sender] = (version + 1, _NONE)
        self.emit("KeysRevoked", account=self.sender, version=version + 1)

    def getKeys(self, account: str) -> tuple[int, bytes]:
        """Return the number of an account's records, and the digest of the newest."""
        version, digest = self.state.get(("keys", account), (0, _NONE))
        return int(version), bytes(digest)

    def _check(self, name: str, value: bytes, lengths: range) -> None:
        if len(value) not in lengths:
            self.revert("InvalidKeyLength", key=name, given=len(value))
