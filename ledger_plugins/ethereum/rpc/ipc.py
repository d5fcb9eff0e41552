"""JSON-RPC over a node's Unix socket."""

import json
import socket
from typing import Any

from requests.exceptions import Timeout
from web3.providers.base import JSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from fedledger.effects import Clock

__all__ = ["SocketProvider"]

_PIECE = 1 << 16


class SocketProvider(JSONBaseProvider):
    """Requests over one socket, opened when the first one is made.

    web3's own provider asks a socket that a stopped node has closed again and again, without a
    pause, until its time is over; here a closed socket is an error at once.

    Args:
        path: the socket.
        timeout: seconds an answer may take.
        clock: measures them.
    """

    def __init__(self, path: str, timeout: float, clock: Clock) -> None:
        super().__init__()
        self._path = path
        self._timeout = timeout
        self._clock = clock
        self._socket: socket.socket | None = None

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """Return the node's answer to one request."""
        response: RPCResponse = self._exchange(self.encode_rpc_request(method, params))
        return response

    def make_batch_request(self, requests: list[tuple[RPCEndpoint, Any]], /) -> list[RPCResponse]:
        """Return the node's answers in the order of the requests."""
        answers = self._exchange(self.encode_batch_rpc_request(requests))
        if not isinstance(answers, list):
            return answers  # type: ignore[no-any-return]  # one error for all of them
        return sorted(answers, key=lambda answer: int(answer["id"]))

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _exchange(self, request: bytes) -> Any:
        try:
            if self._socket is None:
                self._socket = self._open()
            self._socket.sendall(request + b"\n")
            return self._answer(self._socket)
        except BaseException:
            self.close()  # what comes later would be taken for the next answer
            raise

    def _open(self) -> socket.socket:
        opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            opened.settimeout(self._timeout)
            opened.connect(self._path)
        except OSError as error:
            opened.close()
            raise ConnectionError(f"{self._path}: {error}") from error
        return opened

    def _answer(self, opened: socket.socket) -> Any:
        pieces: list[bytes] = []
        deadline = self._clock.monotonic() + self._timeout
        while True:
            opened.settimeout(max(0.001, deadline - self._clock.monotonic()))
            try:
                piece = opened.recv(_PIECE)
            except TimeoutError as error:
                raise Timeout(f"{self._path} is silent") from error
            if not piece:
                raise ConnectionError(f"{self._path} was closed")
            pieces.append(piece)
            if piece.rstrip()[-1:] in (b"}", b"]"):
                try:
                    return json.loads(b"".join(pieces))
                except json.JSONDecodeError:
                    continue  # the end of an inner value
