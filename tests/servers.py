"""Real HTTP servers on 127.0.0.1 that answer as they are told to: also late, torn, or not at all.

with Server(Answer(500), Answer(429, headers={"Retry-After": "7"}), Answer(200)) as server:
    ...                              # the last answer is given again and again
    server.heard[0].json["title"]    # every request, in the order of arrival
"""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

Manner = Literal["plain", "hang", "drop", "cut", "drip", "endless"]


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sent."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server does with a request.

    `hang`: it says nothing; `drop`: it closes the connection; `cut`: it closes in the middle of the answer's body;
    `drip`: one header after the other and never the last; `endless`: a body without an end.
    """

    status: int = 200
    body: str = "ok"
    headers: Mapping[str, str] = field(default_factory=dict)
    manner: Manner = "plain"


class Server:
    """Gives its answers in turn, the last one for ever; an answer may depend on the request."""

    def __init__(self, *answers: Answer | Callable[[Request], Answer], tls: ssl.SSLContext | None = None) -> None:
        self.answers = list(answers) or [Answer()]
        self.heard: list[Request] = []
        self.ending = threading.Event()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = False  # so that closing waits for them: no test leaks a thread
        self._scheme = "http"
        if tls is not None:
            self._scheme = "https"
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def url(self, path: str = "/hook") -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}{path}"

    def take(self, request: Request) -> Answer:
        """Note a request and say what is to be done with it."""
        with self._lock:
            self.heard.append(request)
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer(request) if callable(answer) else answer

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ending.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = server.take(Request(self.command, self.path, dict(self.headers.items()), body))
            self.close_connection = True
            try:
                _MANNERS[answer.manner](self, answer, server.ending)
            except OSError:  # the client has had enough
                return

        do_GET = do_POST  # noqa: N815 - the standard library's name

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:  # no TLS handshake came about
                return

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's name
            return

    return Handler


def _plain(handler: BaseHTTPRequestHandler, answer: Answer, _ending: threading.Event) -> None:
    body = answer.body.encode()
    handler.send_response(answer.status)
    for name, value in {"Content-Length": str(len(body)), **answer.headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def _hang(_handler: BaseHTTPRequestHandler, _answer: Answer, ending: threading.Event) -> None:
    ending.wait()


def _drop(_handler: BaseHTTPRequestHandler, _answer: Answer, _ending: threading.Event) -> None:
    return


def _cut(handler: BaseHTTPRequestHandler, answer: Answer, ending: threading.Event) -> None:
    longer = {**answer.headers, "Content-Length": str(len(answer.body) + 100)}
    _plain(handler, Answer(answer.status, answer.body, longer), ending)


def _drip(handler: BaseHTTPRequestHandler, answer: Answer, ending: threading.Event) -> None:
    handler.wfile.write(f"HTTP/1.1 {answer.status} Slow\r\n".encode())
    while not ending.wait(0.02):
        handler.wfile.write(b"X-Drop: 1\r\n")


def _endless(handler: BaseHTTPRequestHandler, answer: Answer, ending: threading.Event) -> None:
    handler.wfile.write(f"HTTP/1.1 {answer.status} Endless\r\nConnection: close\r\n\r\n".encode())
    while not ending.wait(0.001):
        handler.wfile.write(answer.body.encode())


_MANNERS: Mapping[str, Callable[[BaseHTTPRequestHandler, Answer, threading.Event], None]] = {
    "plain": _plain,
    "hang": _hang,
    "drop": _drop,
    "cut": _cut,
    "drip": _drip,
    "endless": _endless,
}


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1 that nobody else has signed, and its key."""
    key, made = folder / "key.pem", folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(made)]
    subprocess.run([*command, *names], check=True, capture_output=True)
    return made, key


def tls_context(made: Path, key: Path) -> ssl.SSLContext:
    """Make a server's side of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    return context
