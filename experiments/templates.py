"""Flower Apps to start from: copies of those that come with the library."""

import shutil
import tempfile
from pathlib import Path

from fedledger.errors import ConfigError, UnknownNameError

__all__ = ["copy_app", "template_names"]

_APPS = Path(__file__).parent / "apps"


def template_names() -> list[str]:
    """Return the names of the apps that come with the library."""
    return sorted(path.parent.name for path in _APPS.glob("*/pyproject.toml"))


def copy_app(name: str, folder: Path) -> Path:
    """Copy an app into a folder of your own, whole or not at all.

    Args:
        name: the app.
        folder: where it goes; made with the folders above it.

    Returns:
        The folder, absolute.

    Raises:
        UnknownNameError: there is no such app.
        ConfigError: the folder is there already, or cannot be written.
    """
    if name not in template_names():
        raise UnknownNameError("app", name, template_names())
    target = folder.absolute()
    if target.exists() or target.is_symlink():
        raise ConfigError(f"{folder} is there already: name a folder that is not")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as draft:
            whole = Path(draft) / "app"
            # Not the modes: the library may lie where nothing can be written.
            shutil.copytree(
                _APPS / name,
                whole,
                ignore=shutil.ignore_patterns("__pycache__"),
                copy_function=shutil.copyfile,
            )
            for path in (whole, *whole.rglob("*")):
                path.chmod(0o755 if path.is_dir() else 0o644)
            whole.rename(target)
    except (OSError, shutil.Error) as error:
        raise ConfigError(f"{folder} cannot be written: {_reason(error)}") from error
    return target


def _reason(error: OSError) -> str:
    """Return why; of what went wrong in copying several files, the first."""
    if isinstance(error, shutil.Error) and error.args and error.args[0]:
        return str(error.args[0][0][-1])
    return str(error.strerror or error)
