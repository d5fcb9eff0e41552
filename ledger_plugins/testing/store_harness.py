"""What the store suite's tests have in common: how a store is opened, and what it cannot do."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import ClassVar

import pytest

from fedledger.errors import ContentNotFound, StoreError

from .. import open_store
from ..storage.base import Store

__all__ = ["BACKEND", "BETTER", "StoreFactory", "StoreHarness"]

StoreFactory = Callable[..., Store]

BACKEND = ("_write", "_read", "_size", "_pin", "_unpin", "_pins", "_delete")
"""What a backend implements."""
BETTER = ("_write_all", "_keep", "_pinned")
"""What it may do better, with nothing of ours between."""


class StoreHarness:
    """What a backend says about itself, and the fixtures."""

    has_pins: ClassVar[bool] = True
    """Whether it has pins; otherwise `pin` has to be StoreUnsupported."""

    deletes: ClassVar[bool] = True
    """Whether it can delete; otherwise `delete` has to be StoreUnsupported."""

    bounded: ClassVar[bool] = True
    """Whether a stream goes through it in bounded memory."""

    shared: ClassVar[bool] = True
    """Whether another process opens the same store by its URL."""

    absent: ClassVar[tuple[type[StoreError], ...]] = (ContentNotFound,)
    """How it says that there is no such content; a network that looks for it may time out."""

    slowest: ClassVar[float] = 60.0
    """Seconds that no call of the suite takes unless the backend hangs."""

    impatient: ClassVar[float] = 0.2
    """Seconds after which the suite gives up a backend that it made hang."""

    def reader(self, store: Store) -> Store:
        """Open the store under test to read only; `store` may be closed."""
        return open_store(store.url, read_only=True)

    def nowhere(self, store: Store) -> str:
        """Return a URL of the same backend where there is no store."""
        return store.url + "-nowhere"

    def footprint(self, store: Store) -> object:  # noqa: ARG002 - a subclass knows where to look
        """Return what the store keeps outside this process, to be compared: its files' bytes."""
        return None

    def damage(self, store: Store, cid: str, data: bytes) -> None:
        """Put other bytes in the place of a content, behind the store's back.

        What is damaged here is what this object is given of it; a subclass can do better.
        """
        read, size = store._read, store._size  # noqa: SLF001 - this is the backend's side

        def bad_read(asked: str, profile: str) -> Iterable[bytes]:
            return [data] if asked == cid else read(asked, profile)

        def bad_size(asked: str, profile: str) -> int:
            return len(data) if asked == cid else size(asked, profile)

        vars(store).update(_read=bad_read, _size=bad_size)

    @contextmanager
    def hanging(self, store: Store) -> Iterator[None]:
        """Make the backend hang meanwhile, so that no call comes back.

        What hangs here is this object; a subclass can stop a daemon.
        """
        over = threading.Event()

        def hang(*_: object) -> None:
            over.wait()
            raise OSError("the backend hung")

        vars(store).update(dict.fromkeys((*BACKEND, *BETTER), hang))
        try:
            yield
        finally:
            over.set()
            for name in (*BACKEND, *BETTER):
                del vars(store)[name]

    @pytest.fixture
    def store_factory(self) -> StoreFactory:
        """Return what opens the store under test with the opener's options.

        Called again, it opens the same store; the suite gives `max_bytes` and `timeout`.
        """
        raise NotImplementedError("a subclass says how its store is opened")

    @pytest.fixture
    def store(self, store_factory: StoreFactory) -> Iterator[Store]:
        """An open store."""
        with store_factory(timeout=self.slowest) as store:
            yield store
