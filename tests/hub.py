"""A model hub on 127.0.0.1 that speaks what huggingface_hub asks for, and may refuse, vanish or cut its answers.

Its API is as https://huggingface.co/docs/hub/api has it: a model's files at a revision, and each file with its ETag,
commit and length, whole or from a byte on.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER = "76543210" * 5
REVISIONS = {"main": COMMIT, COMMIT: COMMIT, "v1": OTHER, OTHER: OTHER}


class Hub:
    """One repository with two revisions of the same files.

    `cut`: of the weights, each answer gives so many bytes and then closes the connection; `refusal`: the status and
    error code of every answer.
    """

    def __init__(self, repository: str, files: Mapping[str, bytes]) -> None:
        self.repository = repository
        self.files = dict(files)
        self.cut: int | None = None
        self.cuts = 0
        """So many answers are cut; then the server is well again."""
        self.away_after_cut = False
        """Whether it closes every connection at once after that."""
        self.sizes: dict[str, int] = {}
        """Sizes in bytes that it claims of some files."""
        self.refusal: tuple[int, str] | None = None
        self.heard: list[tuple[str, str, str]] = []
        """Method, path and range of every request."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def fetched(self) -> set[str]:
        """Give the names of the files whose bytes were asked for."""
        return {path.rsplit("/", 1)[1] for method, path, _ in self.heard if method == "GET" and "/resolve/" in path}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def folder_files(folder: Path) -> dict[str, bytes]:
    """Give the files of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_GET(self) -> None:
        self.close_connection = True
        path = unquote(urlsplit(self.path).path)
        self.hub.heard.append((self.command, path, self.headers.get("Range", "")))
        if self.hub.away_after_cut and self.hub.cuts == 0:
            return
        if self.hub.refusal is not None:
            self._answer(self.hub.refusal[0], b"{}", {"X-Error-Code": self.hub.refusal[1]})
        elif match := re.fullmatch(r"/api/models/(.+?)(?:/(revision|tree)/(.+?)/?)?", path):
            self._api(match[1], match[2] or "revision", match[3] or "main")
        elif match := re.fullmatch(r"/(.+?)/resolve/([^/]+)/(.+)", path):
            self._file(match[1], match[2], match[3])
        else:
            self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    do_HEAD = do_GET  # noqa: N815 - the standard library's name

    def _api(self, repository: str, kind: str, revision: str) -> None:
        if repository != self.hub.repository:
            self._answer(401, b'{"error": "Repository not found"}', {"X-Error-Code": "RepoNotFound"})
        elif revision not in REVISIONS:
            self._answer(404, b'{"error": "Invalid rev id"}', {"X-Error-Code": "RevisionNotFound"})
        else:
            said = _info(self.hub, revision) if kind == "revision" else _tree(self.hub)
            self._answer(200, json.dumps(said).encode(), {"Content-Type": "application/json"})

    def _file(self, repository: str, revision: str, name: str) -> None:
        body = self.hub.files.get(name) if repository == self.hub.repository and revision in REVISIONS else None
        if body is None:
            self._answer(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        found = {"ETag": f'"{hashlib.sha256(body).hexdigest()}"', "X-Repo-Commit": REVISIONS[revision]}
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        more = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"} if asked else {}
        is_weights = name.startswith(("model", "pytorch_model")) and self.command == "GET"
        self._answer(206 if asked else 200, body[start:], {**found, **more}, self._cut() if is_weights else None)

    def _cut(self) -> int | None:
        """Give how many bytes of this answer are sent; None for all."""
        if self.hub.cuts == 0:
            return None
        self.hub.cuts -= 1
        return self.hub.cut

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str], cut: int | None = None) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), "Connection": "close", **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:cut])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's name
        return


def _info(hub: Hub, revision: str) -> dict[str, object]:
    siblings = [
        {"rfilename": name, "size": hub.sizes.get(name, len(body)), "blobId": _blob(body)}
        for name, body in hub.files.items()
    ]
    kind = json.loads(hub.files["config.json"])["model_type"] if "config.json" in hub.files else None
    return {
        "id": hub.repository,
        "sha": REVISIONS[revision],
        "siblings": siblings,
        "config": {"model_type": kind},
        "private": False,
        "tags": [],
        "downloads": 0,
    }


def _tree(hub: Hub) -> list[dict[str, object]]:
    return [{"type": "file", "path": name, "size": len(body), "oid": _blob(body)} for name, body in hub.files.items()]


def _blob(body: bytes) -> str:
    return hashlib.sha1(body).hexdigest()
