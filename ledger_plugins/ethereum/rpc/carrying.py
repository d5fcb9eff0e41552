"""JSON-RPC on the wire: requests to bytes, bytes to answers, and what may come in between."""

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import count
from typing import Any, Protocol

from web3.providers.base import JSONBaseProvider
from web3.types import RPCEndpoint

from fedledger.errors import LedgerUnavailable
from fedledger.formats import parse_json

__all__ = ["MOST", "JsonProvider", "Later", "Provider", "TooMuch", "parsed"]

MOST = 64 * 1024 * 1024
"""Bytes that an answer may have."""

PIECE = 256 * 1024
"""Bytes that have to come within one timeout, or the answer is too slow."""


class Later(LedgerUnavailable):
    """There is no answer now, but there may be one later.

    Attributes:
        lost: whether the node may have got the request.
        seconds: how long it asks to be left alone; 0: it does not say.
    """

    def __init__(self, said: str, *, lost: bool, seconds: float = 0.0) -> None:
        self.lost = lost
        self.seconds = seconds
        super().__init__(said)


class TooMuch(LedgerUnavailable):
    """The request or its answer is larger than may be; half of it may not be."""


class Provider(Protocol):
    """What carries requests to a node: a connection, or the tester's chain."""

    def make_request(self, method: str, params: Any) -> Any:
        """Return the node's answer to one request: an object with "result" or "error"."""

    def make_batch_request(self, requests: list[tuple[str, Any]], /) -> Any:
        """Return the answers in the order of the requests, or whatever is said to the batch."""


class JsonProvider(JSONBaseProvider, ABC):
    """A web3 provider of requests as JSON; answers are told apart by their ids.

    web3's own HTTP and IPC providers know no cap on an answer and no deadline for its end. Whoever
    works with web3 besides can put this one under `web3.Web3`.

    Args:
        where: the node, for messages.
    """

    def __init__(self, where: str) -> None:
        super().__init__()
        self._where = where
        self._ids = count(1)

    @abstractmethod
    def exchange(self, request: bytes) -> Any:
        """Return what the node answers to some bytes, parsed.

        Raises:
            Later: there is no answer now.
            TooMuch: the request or the answer is too large.
            LedgerUnavailable: there is none, or no JSON.
        """

    def make_request(self, method: RPCEndpoint | str, params: Any) -> Any:
        """Return the node's answer to one request."""
        wire = self._wire(method, params)
        answer = self.exchange(json.dumps(wire).encode())
        if isinstance(answer, list) and len(answer) == 1:
            answer = answer[0]
        # Some do not repeat the id of what they refuse.
        other = isinstance(answer, dict) and not _same(answer.get("id"), wire["id"])
        if other and ("error" not in answer or answer.get("id") not in (None, 0, "")):
            raise LedgerUnavailable(f"{self._where} answered another request")
        return answer

    def make_batch_request(self, requests: Sequence[tuple[RPCEndpoint | str, Any]], /) -> Any:
        """Return the node's answers, or whatever it says to this batch."""
        wire = [self._wire(method, params) for method, params in requests]
        answer = self.exchange(json.dumps(wire).encode())
        if not isinstance(answer, list):
            return answer
        return _in_order(answer, [one["id"] for one in wire]) or answer[:1]

    def _wire(self, method: str, params: Any) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": list(params)}


def parsed(data: bytes, where: str) -> Any:
    """Return the JSON that a node sent.

    Raises:
        LedgerUnavailable: it is none.
    """
    try:
        return parse_json(data)
    except ValueError as error:
        raise LedgerUnavailable(f"{where} speaks no Ethereum JSON-RPC") from error


def _same(said: Any, wanted: int) -> bool:
    return (said == wanted and not isinstance(said, bool)) or said == str(wanted)


def _in_order(answers: Sequence[Any], ids: Sequence[int]) -> list[Any] | None:
    """Return answers in the order of their ids; None where they are not one for each."""
    found: dict[str, Any] = {}
    for one in answers:
        if not isinstance(one, dict) or isinstance(one.get("id"), bool):
            return None
        found[str(one.get("id"))] = one
    if len(found) != len(answers) or set(found) != set(map(str, ids)):
        return None
    return [found[str(one)] for one in ids]
