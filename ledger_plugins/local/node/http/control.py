"""The operator's side: a node's folder says where the node is and holds the token to control it."""

import json
import os
from pathlib import Path
from typing import Any

import httpx

from fedledger.errors import ConfigError, LedgerUnavailable

from .client import peer_url

__all__ = ["NodeControl", "write_owned"]

_FILE = "control.json"


def write_owned(folder: Path, url: str, token: str) -> None:
    """Write where the node is and its token, readable by their owner only."""
    path = folder / _FILE
    temporary = path.with_name(f".{_FILE}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        json.dump({"url": url, "token": token, "pid": os.getpid()}, file)
    temporary.replace(path)


class NodeControl:
    """Controls the node whose folder this is, on the same machine.

    Args:
        data: the node's folder.

    Raises:
        ConfigError: no node ran there, or its file is not readable.
    """

    def __init__(self, data: Path) -> None:
        path = data / _FILE
        try:
            content = json.loads(path.read_text(encoding="ascii"))
            self.url = peer_url(str(content["url"]))
            self._token = str(content["token"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{path} cannot be read: is {data} a node's folder, and yours?"
            ) from error

    def about(self) -> dict[str, Any]:
        """Return what the node says about its miner and its peers."""
        return self._ask("GET", "/control")

    def set_mining(self, *, running: bool) -> dict[str, Any]:
        """Start or stop the miner; return what the node says then."""
        return self._ask("POST", "/control/miner", "start" if running else "stop")

    def set_peers(self, peers: list[str]) -> dict[str, Any]:
        """Make the node talk to these peers from now on, until it starts again."""
        wanted = [peer_url(peer) for peer in peers]
        return self._ask("POST", "/control/peers", " ".join(wanted))

    def _ask(self, method: str, path: str, body: str = "") -> dict[str, Any]:
        try:
            answer = httpx.request(
                method,
                self.url + path,
                content=body,
                headers={"authorization": f"Bearer {self._token}"},
                timeout=15.0,
                trust_env=False,
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise LedgerUnavailable(f"no node answers at {self.url}: {error}") from error
        if answer.status_code != 200:
            raise LedgerUnavailable(f"the node refuses ({answer.status_code}): {answer.text[:200]}")
        try:
            found = answer.json()
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict) or "peers" not in found:
            raise LedgerUnavailable(f"what answers at {self.url} is no node")
        return found
