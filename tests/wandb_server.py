"""A stand-in for the W&B server on 127.0.0.1: it keeps what a client uploads, as far as `wandb` 0.31 asks for it.

History is kept by line, each request saying from which line on its lines stand, so that a client that does not resume
overwrites what is there, as with the real one.
"""

from __future__ import annotations

import gzip
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from watcher.record.wandb.worker import SLOW

KEY = "x" * 40
HISTORY = "wandb-history.jsonl"
_OPERATION = re.compile(r"(?:query|mutation)\s+(\w+)")


class WandbServer:
    """Runs by their id; `refusing` answers uploads of history with 403."""

    def __init__(self) -> None:
        self.runs: dict[str, dict[str, Any]] = {}
        self.files: dict[str, bytes] = {}
        self.keys: set[str] = set()
        self.refusing = False
        self.forbidden: set[str] = set()
        """Projects that are answered with 403."""
        self.slow: set[str] = set()
        """Projects that are answered with 403 after so long that it could be the network."""
        self.broken: set[str] = set()
        """Projects that are answered with nothing, at which W&B's service crashes."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="wandb-server")
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def rows(self, run: str) -> list[dict[str, Any]]:
        """Give a run's history."""
        return [json.loads(line) for line in self.runs.get(run, {}).get(HISTORY, [])]

    def summary(self, run: str) -> dict[str, Any]:
        """Give what stands for a run as a whole."""
        (line,) = self.runs[run]["wandb-summary.json"]
        found: dict[str, Any] = json.loads(line)
        return found

    def stream(self, run: str, files: dict[str, dict[str, Any]]) -> None:
        for name, part in files.items():
            self.runs.setdefault(run, {}).setdefault(name, [])[part["offset"] :] = part["content"]

    def answer(self, operation: str, said: dict[str, Any]) -> dict[str, Any]:
        """Answer one GraphQL request."""
        if operation == "UpsertBucket":
            return {"upsertBucket": self._upsert(said)}
        if operation == "RunResumeStatus":
            bucket = self._resume(said["name"]) if "upserts" in self.runs.get(said["name"], {}) else None
            return {
                "model": {"id": "p", "name": said["project"], "entity": {"id": "e", "name": "us"}, "bucket": bucket}
            }
        if operation == "CreateRunFiles":
            files = [{"name": name, "uploadUrl": f"{self.url}/upload/{name}"} for name in said["files"]]
            return {"createRunFiles": {"runID": "r", "uploadHeaders": [], "files": files}}
        if operation == "RunStoppedStatus":
            return {"project": {"run": {"stopped": False}}}
        return {}

    def _upsert(self, said: dict[str, Any]) -> dict[str, Any]:
        run = self.runs.setdefault(said["name"], {})
        run.setdefault("upserts", []).append(said)
        project = {"id": "p", "name": said["project"], "entity": {"id": "e", "name": said.get("entity") or "us"}}
        facts = {"id": "r", "name": said["name"], "displayName": said.get("displayName") or "", "project": project}
        more = {"description": "", "config": said.get("config") or "{}", "sweepName": "", "historyLineCount": 0}
        return {"bucket": {**facts, **more}, "inserted": len(run["upserts"]) == 1}

    def _resume(self, name: str) -> dict[str, Any]:
        run = self.runs[name]
        lines = run.get(HISTORY, [])
        configs = [one["config"] for one in run["upserts"] if one.get("config")]
        counts = {"historyLineCount": len(lines), "logLineCount": 0, "eventsLineCount": 0}
        tails = {"historyTail": json.dumps(lines[-1:]), "eventsTail": "[]", "wandbConfig": '{"t": {}}', "tags": []}
        summary = run.get("wandb-summary.json", ["{}"])[-1]
        facts = {"name": name, "displayName": "", "summaryMetrics": summary, "config": configs[-1]}
        return {**facts, **counts, **tails}

    def _handler(server) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - `self` is the handler's below
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self) -> None:
                server.files[self.path.removeprefix("/upload/")] = self._body()
                self._send(200, {})

            def do_POST(self) -> None:
                body = json.loads(self._body())
                if self.path.endswith("/file_stream"):
                    if not server.refusing:
                        server.stream(self.path.split("/")[-2], body.get("files") or {})
                    self._send(403 if server.refusing else 200, {"error": "no more room"} if server.refusing else {})
                    return
                server.keys.add(self.headers["Authorization"] or "")
                named = _OPERATION.search(body.get("query", ""))
                operation = body.get("operationName") or (named[1] if named else "")
                said = body.get("variables") or {}
                if (project := said.get("project")) in server.forbidden | server.slow:
                    time.sleep(SLOW + 1 if project in server.slow else 0)
                    self._send(403, {"errors": [{"message": f"no way into {project}"}]})
                elif project in server.broken:
                    self._send(200, {"data": {}})
                else:
                    self._send(200, {"data": server.answer(operation, said)})

            def _body(self) -> bytes:
                data = self.rfile.read(int(self.headers["Content-Length"] or 0))
                return gzip.decompress(data) if self.headers["Content-Encoding"] == "gzip" else data

            def _send(self, status: int, said: dict[str, Any]) -> None:
                data = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's name
                return

        return Handler


@contextmanager
def wandb_server() -> Iterator[WandbServer]:
    """Give a server that is closed at the end."""
    server = WandbServer()
    try:
        yield server
    finally:
        server.close()
