"""The interface of a content-addressed store."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from types import TracebackType
from typing import Self

__all__ = ["Store"]


class Store(ABC):
    """Bytes by their CID, opened by `open_store(url)`; a context manager that closes it.

    A CID is a string: CIDv1, base32, SHA-256, as IPFS computes it under the profile the store
    names. Content is hashed again on every read.
    """

    url: str
    """The URL that opens this store again."""

    profile: str
    """Name of the import profile (chunk size, fan-out, leaves) that makes the CIDs."""

    read_only: bool = False
    """Whether it was opened to read: `put` is StoreUnavailable, and nothing is created."""

    @abstractmethod
    def put(self, data: bytes) -> str:
        """Store `data` durably and return its CID; storing it again changes nothing.

        Raises:
            ContentTooLarge: above the store's size cap.
        """

    def put_all(self, contents: Iterable[bytes]) -> list[str]:
        """Store several contents durably and return their CIDs in order, waiting for all at once.

        When one cannot be stored, others may have been.

        Raises:
            ContentTooLarge: one is above the store's size cap.
        """
        return [self.put(data) for data in contents]

    @abstractmethod
    def get(self, cid: str, *, max_bytes: int | None = None) -> bytes:
        """Return the content of `cid`, hashed again on the way.

        Args:
            cid: the CID.
            max_bytes: refuse more than this (default: the store's size cap).

        Raises:
            InvalidCid: not a CID this store computes.
            ContentNotFound: nothing is stored under it.
            ContentCorrupted: what is stored hashes to something else.
            ContentTooLarge: above `max_bytes`.
        """

    @abstractmethod
    def has(self, cid: str) -> bool:
        """Tell whether something is stored under `cid`, without reading it."""

    @abstractmethod
    def close(self) -> None:
        """Release files and connections; closing twice is fine."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
