"""ContractRegistry's twin: the door to the chain's own directory; it stores nothing itself."""

# ruff: noqa: N802 - the names and arguments are the ABI's

import re

from ...addresses import ZERO_ADDRESS
from ..twin import Directory, Entry, Twin

__all__ = ["MAX_VERSIONS", "ContractRegistry"]

MAX_VERSIONS = 1_024
"""Versions of contracts that a chain can have (clause L9)."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{0,63}", re.ASCII)


class ContractRegistry(Twin):
    """Which contracts the chain has."""

    contract = "ContractRegistry"

    def add(self, name: str, version: int, since: int, abi_digest: bytes, code: bytes) -> None:
        """Add a contract, or the next version of one; the sender is the administrator."""
        directory = self._directory()
        if self.sender != directory.admin:
            self.revert("NotAdministrator", sender=self.sender)
        if not _NAME.fullmatch(name):
            self.revert("InvalidName", name=name)
        known = self._versions(name)
        if version in {entry.version for entry in known}:
            self.revert("VersionExists", name=name, version=version)
        if version != len(known) + 1:
            self.revert("VersionMissing", name=name, expected=len(known) + 1, given=version)
        following = self.environment.block + 1
        earliest = max([following, *(entry.since + 1 for entry in known)])
        if 0 < since < earliest:
            self.revert("PastBlock", given=since, earliest=earliest)
        if len(directory.entries) >= MAX_VERSIONS:
            self.revert("TooManyVersions", maximum=MAX_VERSIONS)
        begins = since or earliest
        directory.add(Entry(name, version, abi_digest, code, since=begins))
        self.emit(
            "ContractAdded",
            name=name,
            version=version,
            since=begins,
            abiDigest=abi_digest,
            codeDigest=code,
        )

    def names(self) -> tuple[str, ...]:
        """Return the names of all contracts, sorted."""
        return tuple(sorted({entry.name for entry in self._directory().entries}))

    def versions(self, name: str) -> int:
        """Return how many versions a contract has."""
        return len(self._versions(name))

    def version(self, name: str, number: int) -> tuple[str, int, bytes, bytes]:
        """Return a version's address, first block and digests."""
        for entry in self._versions(name):
            if entry.version == number:
                return self._directory().address(name), entry.since, entry.abi, entry.twin
        return ZERO_ADDRESS, 0, bytes(32), bytes(32)

    def administrator(self) -> str:
        """Return the chain's administrator."""
        return self._directory().admin or ZERO_ADDRESS

    def MAX_VERSIONS(self) -> int:
        """Return how many versions of contracts a chain can have."""
        return MAX_VERSIONS

    def _versions(self, name: str) -> list[Entry]:
        return [entry for entry in self._directory().entries if entry.name == name]

    def _directory(self) -> Directory:
        directory = self.environment.directory
        if directory is None:
            raise RuntimeError("a ContractRegistry runs on a chain")
        return directory
