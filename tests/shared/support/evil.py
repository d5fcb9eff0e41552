"""A peer that turned malicious: a real HTTP server that speaks the nodes' protocol."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

Answer = bytes | Iterator[bytes] | None
"""A whole body; or pieces sent until the reader leaves; or nothing: 404."""


class EvilPeer:
    """Answers as its test says.

    Args:
        name: what it does, for the test's messages.
        status: what `/status` answers.
        answers: by the path's first part ("blocks", "block", "content", "pool"), given the path.
    """

    def __init__(
        self, name: str, status: dict[str, Any] | bytes, **answers: Callable[[str], Answer]
    ) -> None:
        self.name = name
        self.asked: list[str] = []
        self._status = status if isinstance(status, bytes) else json.dumps(status).encode()
        self._answers = answers
        peer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.0"

            def do_GET(self) -> None:
                peer.asked.append(self.path)
                part = self.path[1:].partition("?")[0].partition("/")[0]
                wanted = peer._answers.get(part)
                answer: Answer = peer._status if part == "status" else None
                if wanted is not None:
                    answer = wanted(self.path)
                self._send(answer)

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("content-length", "0")))
                self._send(b"")

            def _send(self, answer: Answer) -> None:
                self.send_response(404 if answer is None else 200)
                self.end_headers()
                try:
                    for piece in [answer or b""] if not isinstance(answer, Iterator) else answer:
                        self.wfile.write(piece)
                except OSError:
                    self.close_connection = True  # the reader has had enough

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
