"""Files that belong to an account: a folder beside its keystore, or its journal."""

from pathlib import Path
from typing import ClassVar, Self

from fedledger.effects import Disk
from fedledger.errors import AccountError

__all__ = ["FolderBeside"]


class FolderBeside:
    """A folder that its owner alone can read.

    Args:
        folder: where; made when something is kept.
        disk: the disk.
        durable: whether what is kept is flushed to the disk.

    Attributes:
        suffix: what its name has more than that of the file it lies beside.
    """

    suffix: ClassVar[str]

    def __init__(self, folder: Path, disk: Disk, *, durable: bool = True) -> None:
        self.folder = folder
        self._disk = disk
        self._durable = durable

    @classmethod
    def beside(cls, path: Path, disk: Disk, *, durable: bool = True) -> Self:
        """Return the folder of the account whose keystore, or journal, is at `path`."""
        return cls(path.with_name(path.name + cls.suffix), disk, durable=durable)

    def _write(self, path: Path, data: bytes) -> None:
        """Write one of its files; OSError: it cannot be written."""
        self._disk.make_folder(self.folder, private=True)
        self._disk.write(path, data, private=True, durable=self._durable)

    def _remove(self, path: Path) -> None:
        """Remove one of its files; AccountError: it cannot be removed."""
        try:
            self._disk.remove(path)
        except OSError as error:
            raise AccountError(f"{self.folder} cannot be written: {error.strerror}") from error
