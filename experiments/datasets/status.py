"""What is known about a data set without loading it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fedledger.errors import DataError

from .cache import cached_checksum
from .source import Source

__all__ = ["DatasetStatus", "State", "status_of"]

State = Literal["comes with a package", "cached", "not fetched", "damaged", "not available"]


@dataclass(frozen=True, slots=True)
class DatasetStatus:
    """A data set and its state in a cache.

    Attributes:
        name: the registered name.
        state: "comes with a package" (nothing to fetch), "cached" (and verified), "not fetched" or
            "damaged" (its checksum does not fit; fetch it again), or "not available" (the package
            that adds it is broken).
        source: what it is and where it comes from; None where there is nothing to fetch.
        path: the cached file; None while there is none.
        size: bytes of that file.
        sha256: its checksum as hex digits; None unless the state is "cached".
    """

    name: str
    state: State
    source: Source | None = None
    path: Path | None = None
    size: int | None = None
    sha256: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the status as plain values."""
        plain: dict[str, Any] = {
            "name": self.name,
            "state": self.state,
            "path": None if self.path is None else str(self.path),
            "bytes": self.size,
            "sha256": self.sha256,
        }
        if self.source is not None:
            plain |= {
                "train": self.source.train,
                "test": self.source.test,
                "shape": list(self.source.shape),
                "classes": list(self.source.classes),
                "origin": self.source.origin,
                "licence": self.source.licence,
            }
        return plain


def status_of(name: str, source: Source | None, cache: Path) -> DatasetStatus:
    """Return a data set's state in a cache."""
    if source is None:
        return DatasetStatus(name, "comes with a package")
    path = source.path(cache)
    try:
        checksum = cached_checksum(path)
    except FileNotFoundError:
        return DatasetStatus(name, "not fetched", source)
    except DataError:
        return DatasetStatus(name, "damaged", source, path)
    return DatasetStatus(name, "cached", source, path, path.stat().st_size, checksum)
