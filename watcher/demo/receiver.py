"""A webhook receiver on this machine, in place of the one that a team would have."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


class Receiver:
    """Listens on 127.0.0.1 at a free port and keeps every notice that comes."""

    def __init__(self) -> None:
        self.notices: list[dict[str, Any]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self.notices))
        self._thread = threading.Thread(target=self._server.serve_forever, name="demo-receiver", daemon=True)

    @property
    def url(self) -> str:
        """Give where to post to."""
        return f"http://127.0.0.1:{self._server.server_port}/notices"

    def __enter__(self) -> Receiver:
        """Begin to listen."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(notices: list[dict[str, Any]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Keep the notice."""
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            try:
                notices.append(json.loads(body))
                self.send_response(200)
            except ValueError:
                self.send_response(400)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's name
            """Say nothing: the screen belongs to the table."""

    return Handler
