"""Where a deployment is kept: in a file, or beside a chain that ends with this process."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

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
    def put_aside(self) -> None:
        """Make room for another deployment, and keep this one where people find it.

        Raises:
            ConfigError: it cannot be moved.
        """


class DeploymentFile(Place):
    """A file.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path: Path = path
        self.where = str(path)

    def load(self) -> Deployment | None:
        """Return what the file says, if there is one."""
        return Deployment.load(self.path) if self.path.exists() else None

    def save(self, deployment: Deployment | None) -> None:
        """Write the file, or remove it."""
        if deployment is not None:
            deployment.save(self.path)
            return
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigError(f"{self.path} cannot be removed: {error.strerror}") from error

    def put_aside(self) -> None:
        """Rename the file to NAME.old."""
        try:
            self.path.replace(self.path.with_name(self.path.name + ".old"))
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

    def put_aside(self) -> None:
        """Forget it: the chain and what is on it begin and end together."""
        self._chain.deployment = None
