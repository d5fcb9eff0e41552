"""Where a deployment is kept: in a file, or beside a chain that ends with this process."""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from fedledger.effects import Disk
from fedledger.errors import ConfigError

from .document import Deployment

__all__ = ["DeploymentFile", "InProcess", "Place"]


class Place(ABC):
    """Keeps one deployment.

    Attributes:
        path: the file, or None.
        where: the place, for messages.
    """

    path: Path | None
    where: str

    @abstractmethod
    def load(self) -> Deployment | None:
        """Return what is kept, if anything.

        Raises:
            ConfigError: it cannot be read.
        """

    @abstractmethod
    def save(self, deployment: Deployment | None) -> None:
        """Keep a deployment, or none any more; it is durable when this returns.

        Raises:
            ConfigError: it cannot be written.
        """

    @abstractmethod
    def alone(self) -> AbstractContextManager[object]:
        """Keep others from deploying there meanwhile.

        Raises:
            ConfigError: somebody does.
        """

    @abstractmethod
    def put_aside(self) -> None:
        """Make room for another deployment, and keep this one where people find it.

        Raises:
            ConfigError: it cannot be moved.
        """


class DeploymentFile(Place):
    """A file.

    Args:
        path: the file.
        disk: where it is.
    """

    def __init__(self, path: Path, disk: Disk) -> None:
        self.path: Path = path
        self.where = str(path)
        self._disk = disk

    def load(self) -> Deployment | None:
        """Return what the file says, if there is one."""
        return Deployment.load(self.path, self._disk) if self._disk.exists(self.path) else None

    def save(self, deployment: Deployment | None) -> None:
        """Write the file, or remove it."""
        if deployment is not None:
            deployment.save(self.path, self._disk)
            return
        try:
            self._disk.remove(self.path)
            self._disk.sync_folder(self.path.parent)
        except OSError as error:
            raise ConfigError(f"{self.path} cannot be removed: {error.strerror}") from error

    def alone(self) -> AbstractContextManager[object]:
        """Lock the folder: no other file stays behind, and a killed process locks nothing."""
        folder = self.path.parent
        try:
            self._disk.make_folder(folder)
            return self._disk.lock(folder)
        except NotImplementedError:  # a system without locks
            return nullcontext()
        except BlockingIOError as error:
            raise ConfigError(
                f"another `fedledger deploy` is at work in {folder}: wait until it has ended"
            ) from error
        except OSError as error:
            raise ConfigError(f"{folder} cannot be locked: {error.strerror}") from error

    def put_aside(self) -> None:
        """Rename the file to NAME.old."""
        try:
            self._disk.rename(self.path, self.path.with_name(self.path.name + ".old"))
        except OSError as error:
            raise ConfigError(f"{self.path} cannot be moved: {error.strerror}") from error


class InProcess(Place):
    """A chain in this process, which no file outlives.

    Args:
        chain: the tester's chain.
        where: the chain, for messages.
    """

    def __init__(self, chain: Any, where: str) -> None:
        self.path = None
        self.where = where
        self._chain = chain

    def load(self) -> Deployment | None:
        """Return what was deployed, if anything."""
        found: Deployment | None = self._chain.deployment
        return found

    def save(self, deployment: Deployment | None) -> None:
        """Note what is deployed."""
        self._chain.deployment = deployment

    def alone(self) -> AbstractContextManager[None]:
        """Do nothing: only this process has the chain."""
        return nullcontext()

    def put_aside(self) -> None:
        """Forget it: the chain and what is on it begin and end together."""
        self._chain.deployment = None
