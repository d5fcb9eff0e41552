"""JSON-RPC over a node's Unix socket."""

import socket
from typing import Any

from fedledger.effects import Clock
from fedledger.formats import parse_json

from .carrying import MOST, JsonProvider, Later, TooMuch

__all__ = ["SocketProvider"]

_PIECE = 1 << 16


class SocketProvider(JsonProvider):
    """Requests over one socket, opened when the first one is made.

    Args:
        path: the socket.
        timeout: seconds an answer may take.
        clock: measures them.
    """

    def __init__(self, path: str, timeout: float, clock: Clock) -> None:
        super().__init__(path)
        self._path = path
        self._timeout = timeout
        self._clock = clock
        self._socket: socket.socket | None = None

    def exchange(self, request: bytes) -> Any:
        """Return what the node answers to some bytes, parsed."""
        try:
            if self._socket is None:
                self._socket = self._open()
            self._socket.sendall(request + b"\n")
            return self._answer(self._socket)
        except OSError as error:
            self.close()
            raise Later(
                f"{self._path} cannot be reached: is the node running there?", lost=True
            ) from error
        except BaseException:
            self.close()  # what comes later would be taken for the next answer
            raise

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _open(self) -> socket.socket:
        opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            opened.settimeout(self._timeout)
            opened.connect(self._path)
        except BaseException:
            opened.close()
            raise
        return opened

    def _answer(self, opened: socket.socket) -> Any:
        data = bytearray()
        deadline = self._clock.monotonic() + self._timeout
        while True:
            try:
                opened.settimeout(max(0.001, deadline - self._clock.monotonic()))
                piece = opened.recv(_PIECE)
            except TimeoutError:
                raise Later(
                    f"{self._path} did not answer within {self._timeout:g} seconds", lost=True
                ) from None
            if not piece:
                raise ConnectionError(f"{self._path} was closed")
            data += piece
            if len(data) > MOST:
                raise TooMuch(f"{self._path} answered with more than {MOST} bytes")
            if piece.rstrip()[-1:] in (b"}", b"]"):
                try:
                    return parse_json(bytes(data))
                except ValueError:
                    continue  # the end of an inner value
