"""The operator's side: a node's folder says where the node is and holds the token to control it."""

import json
import os
from pathlib import Path
from typing import Any

from fedledger.effects import Disk, Effects, Question
from fedledger.errors import ConfigError, LedgerUnavailable, TransportError
from fedledger.formats import parse_json

from .client import peer_url

__all__ = ["NodeControl", "write_owned"]

_FILE = "control.json"
_MOST = 1024 * 1024


def write_owned(folder: Path, url: str, token: str, disk: Disk) -> None:
    """Write where the node is and its token, readable by their owner only."""
    content = json.dumps({"url": url, "token": token, "pid": os.getpid()}).encode("ascii")
    disk.write(folder / _FILE, content, private=True, durable=False)


class NodeControl:
    """Controls the node whose folder this is, on the same machine.

    Args:
        data: the node's folder.
        effects: read the folder, reach the node.

    Raises:
        ConfigError: no node ran there, or its file is not readable.
    """

    def __init__(self, data: Path, effects: Effects) -> None:
        self._transport = effects.transport
        path = data / _FILE
        try:
            content = parse_json(effects.disk.read_small(path))
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
        question = Question(
            method=method,
            path=path,
            body=body.encode(),
            headers={"authorization": f"Bearer {self._token}"},
            most=_MOST,
        )
        line = self._transport.line(self.url)
        try:
            answer = line.ask(question)
        except TransportError as error:
            raise LedgerUnavailable(f"no node answers at {error}") from error
        finally:
            line.close()
        if answer.status != 200:
            said = answer.body[:200].decode("utf-8", "replace")
            raise LedgerUnavailable(f"the node refuses ({answer.status}): {said}")
        try:
            found = parse_json(answer.body)
        except ValueError:
            found = None
        if not isinstance(found, dict) or "peers" not in found:
            raise LedgerUnavailable(f"what answers at {self.url} is no node")
        return found
