"""Programs and a server that read and write what trainers do that can be asked by their own ways, for tests."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from tests.service.trees import Stop, Trees
from watcher.act.backend import NativeBackend

SAVED = "with open(os.path.join(run, 'asked'), 'a') as file: file.write(what + '\\n')"
PIPE = f"""
import os, sys
run = sys.argv[-1]
def took(what):
    {SAVED}
up('trainer')
while True:
    time.sleep(0.02)
    if os.environ.get('DEAF'):
        continue
    # diffusion-pipe, utils/saver.py: at each step it looks for both files, removes what it finds, saves, and may exit.
    for name in ('save', 'save_quit'):
        place = os.path.join(run, name)
        if os.path.exists(place):
            os.remove(place)
            took(name)
            if name == 'save_quit':
                sys.exit()
"""
AITK = f"""
import os, sqlite3, sys
run = sys.argv[-1]
def took(what):
    {SAVED}
up('trainer')
job = os.environ['AITK_JOB_ID']
while True:
    time.sleep(0.02)
    with sqlite3.connect('aitk_db.db', timeout=10) as database:
        # ai-toolkit polls the row at each step, in this order: stop, then save, which first looks at stop.
        stop, save = database.execute('SELECT stop, save_now FROM Job WHERE id = ?', (job,)).fetchone()
        if stop:
            database.execute("UPDATE Job SET status = 'stopped' WHERE id = ?", (job,))
            took('stop')
        elif save:
            database.execute('UPDATE Job SET save_now = 0 WHERE id = ?', (job,))
            took('save')
    if stop:
        sys.exit(0)
"""
SIMPLE = f"""
import json, os, sys
run = sys.argv[-1]
def took(what):
    {SAVED}
place, seen, at = os.environ['SIMPLETUNER_ACCELERATE_SIGNAL_FILE'], 0, 0
up('trainer')
while True:
    time.sleep(0.02)
    # SimpleTuner re-reads the counters only when the file's time has grown.
    now = os.stat(place).st_mtime_ns
    if now > at:
        at, asked = now, json.load(open(place)).get('manual_checkpoint', 0)
        if asked > seen:
            seen = asked
            took('save')
"""
COMPVIS = f"""
import os, sys
run = sys.argv[-1]
def took(what):
    {SAVED}
# CompVis' main.py saves on SIGUSR1 and goes on; workers of a data loader were forked before and after that.
child('deaf-worker')
signal.signal(signal.SIGUSR1, lambda *_: took('save'))
child('worker')
up('trainer')
while True:
    time.sleep(0.02)
"""
RESTS = "up('trainer'); rest()"
TABLE = """
CREATE TABLE Job (id TEXT PRIMARY KEY, name TEXT NOT NULL, status TEXT NOT NULL DEFAULT 'stopped',
stop BOOLEAN NOT NULL DEFAULT false, save_now BOOLEAN NOT NULL DEFAULT false, pid INTEGER)
"""


KEY = "st_tests"


class Server:
    """SimpleTuner's server as far as it is asked: what it answers, and that it ends its job by SIGTERM."""

    def __init__(self, trees: Trees) -> None:
        self.trees = trees
        self.status: Any = {"status": "running", "job_id": "7", "config": {"--output_dir": str(trees.run)}}
        self.refuses = 0
        self.breaks = False
        """Whether what is posted is taken, and no answer comes."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer("", outer.status)

            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode())
                page = outer.take(self.path.rsplit("/api/training/")[1], form)
                if not outer.breaks:
                    self._answer(page, {"job_id": "7"})

            def _answer(self, page: str, document: Any) -> None:
                is_known = self.headers.get("X-API-Key") == KEY
                body = page.encode() or json.dumps(document).encode()
                self.send_response(outer.refuses or (200 if is_known else 401))
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self, what: str, form: dict[str, list[str]]) -> str:
        """Take a request; gives the page that is answered, or nothing for JSON."""
        with (self.trees.run / "asked").open("a") as file:
            file.write({"checkpoint/run": "save", "cancel": f"cancel-{form.get('job_id', ['?'])[0]}"}[what] + "\n")
        if what == "checkpoint/run":
            return ""
        os.kill(self.trees.pid("trainer"), signal.SIGTERM)
        return "<div>Training Cancelled</div>"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def ask(act: Stop) -> None:
    """Take an action until the trainer has been asked: it is noted first, then done."""
    act.go("acknowledged")
    act.step()
    act.step()


def ask_again(act: Stop) -> None:
    """Take the same two steps a moment later."""
    act.step(0.1)
    act.step()


class Native:
    """A training by one of the trainers, and an action on it; `server` and `signal` are ways that are configured."""

    server: Server | None = None

    def __init__(self, trees: Trees, trainer: str) -> None:
        self.trees, self.trainer = trees, trainer
        if trainer == "server":
            self.server = Server(trees)
        self.database = trees.folder / "aitk_db.db"
        self.counters = trees.folder / "triggers.json"

    def start(self, **environment: str) -> None:
        if self.trainer == "ai-toolkit":
            with sqlite3.connect(self.database) as database:
                database.execute(TABLE)
                database.execute(
                    "INSERT INTO Job VALUES ('7', 'flux', 'running', 0, 0, 1), ('8', 'x', 'running', 0, 0, 2)"
                )
            environment = {"AITK_JOB_ID": "7", **environment}
        elif self.trainer == "simpletuner":
            self.counters.write_text("{}")
            environment = {"SIMPLETUNER_ACCELERATE_SIGNAL_FILE": str(self.counters), **environment}
        programs = {"diffusion-pipe": PIPE, "ai-toolkit": AITK, "simpletuner": SIMPLE, "signal": COMPVIS}
        program = programs.get(self.trainer, RESTS)
        self.trees.train(program, str(self.trees.run), environment=environment, cwd=self.trees.folder)
        self.trees.pid("trainer")

    def act(self, kind: Any, *then: Any, **args: Any) -> Stop:
        return Stop(self.trees.run, self.backend, kind=kind, then=then, **args)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of ai-toolkit's database."""
        with closing(sqlite3.connect(self.database, isolation_level=None, timeout=30)) as lock:
            lock.execute("BEGIN IMMEDIATE")
            yield
            lock.execute("ROLLBACK")

    @property
    def backend(self) -> NativeBackend:
        """Give how it is configured."""
        if self.server:
            return NativeBackend.model_validate({"url": self.server.url, "key": KEY}).of("simpletuner")
        if self.trainer == "signal":
            return NativeBackend(signal="SIGUSR1").of("pattern")
        return NativeBackend().of(self.trainer)

    def close(self) -> None:
        if self.server:
            self.server.close()

    def asked(self) -> list[str]:
        place = self.trees.run / "asked"
        return place.read_text().split() if place.exists() else []

    def saves(self, act: Stop) -> None:
        """Have what is asked for be there: that it is whole is the layouts' affair."""
        act.checkpoints = [(100, "checkpoint-100", act.now + 1)]
