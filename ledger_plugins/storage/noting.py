"""A store that notes what was read from it: what an audit reads is what an audit needs."""

from collections.abc import Iterable, Sequence

from fedledger.errors import StoreReadOnly

from .base import Store
from .cid import Profile
from .pieces import Incoming

__all__ = ["NotingStore"]


class NotingStore(Store):
    """Another store, to read only; closing it does not close that one.

    Args:
        store: the other one.

    Attributes:
        noted: the CIDs that were asked for, each once, in order; of those that are not there too.
    """

    read_only = True

    def __init__(self, store: Store) -> None:
        self._store = store
        self.url, self.profile = store.url, store.profile
        self.max_bytes, self.timeout, self.far = store.max_bytes, store.timeout, store.far
        self._noted: dict[str, None] = {}

    @property
    def noted(self) -> list[str]:
        """The CIDs that were asked for."""
        return list(self._noted)

    def close(self) -> None:
        """Do nothing: the other store was opened by somebody else."""

    def _write(self, content: Incoming) -> None:  # noqa: ARG002 - never
        raise StoreReadOnly(self.url)

    def _read(self, cid: str, profile: str) -> Iterable[bytes]:
        return self._store._read(cid, profile)  # noqa: SLF001 - it stands in for that one

    def _size(self, cid: str, profile: str) -> int:
        self._noted[cid] = None
        return self._store._size(cid, profile)  # noqa: SLF001 - the same

    def _profiles(self) -> Sequence[Profile]:
        return self._store._profiles()  # noqa: SLF001 - the same

    def _makers(self, profile: Profile) -> Sequence[Profile]:
        return self._store._makers(profile)  # noqa: SLF001 - the same
