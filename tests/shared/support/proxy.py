"""A proxy before an Ethereum node, over HTTP: it hands on, or answers in another way."""

import http.client
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

__all__ = ["Proxy", "Said"]


class Said:
    """What is answered in place of the node.

    Args:
        body: bytes, or what is sent as JSON.
        status: HTTP's status.
        headers: more headers.
        pieces: sends the body itself, piece by piece; it may raise OSError to cut the connection.
    """

    def __init__(
        self,
        body: Any = b"",
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
        pieces: Callable[[Callable[[bytes], object]], object] | None = None,
    ) -> None:
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.status = status
        self.headers = headers or {}
        self.pieces = pieces


class Proxy:
    """Listens on a free port of 127.0.0.1 until it is closed.

    Args:
        port: the node's; None: there is none.
        change: called with the request, parsed, and a function that asks the node; what it returns
            is answered, None: what the node says.
        listen: where it listens; a free port by default.
    """

    def __init__(
        self,
        port: int | None,
        change: Callable[[Any, Callable[[Any], Any]], Said | None] | None = None,
        *,
        listen: int = 0,
    ) -> None:
        self.change = change
        self.asked: list[Any] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = 1 << 16

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["content-length"])))
                proxy.asked.append(request)
                said = proxy.change(request, proxy._ask) if proxy.change else None
                if said is None:
                    said = Said(proxy._ask(request))
                try:
                    self._answer(said)
                except OSError:  # the other side has gone, or is to see a cut connection
                    self.close_connection = True

            def _answer(self, said: Said) -> None:
                self.send_response(said.status)
                for name, value in said.headers.items():
                    self.send_header(name, value)
                if "content-length" not in said.headers:
                    self.send_header("content-length", str(len(said.body)))
                self.end_headers()
                if said.pieces is None:
                    self.wfile.write(said.body)
                else:
                    said.pieces(self._piece)

            def _piece(self, data: bytes) -> None:
                self.wfile.write(data)
                self.wfile.flush()

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self._node = port
        self._server = ThreadingHTTPServer(("127.0.0.1", listen), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def _ask(self, request: Any) -> Any:
        """Return what the node says to a request."""
        connection = http.client.HTTPConnection("127.0.0.1", self._node, timeout=20)
        try:
            connection.request(
                "POST", "/", json.dumps(request), {"content-type": "application/json"}
            )
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def close(self) -> None:
        """Stop listening; closing twice is fine."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
