"""Programs that read and write what trainers do that can be asked by their own ways, for tests."""

from __future__ import annotations

import sqlite3
from typing import Any

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
TABLE = """
CREATE TABLE Job (id TEXT PRIMARY KEY, name TEXT NOT NULL, status TEXT NOT NULL DEFAULT 'stopped',
stop BOOLEAN NOT NULL DEFAULT false, save_now BOOLEAN NOT NULL DEFAULT false, pid INTEGER)
"""


class Native:
    """A training by one of the trainers, and an action on it."""

    def __init__(self, trees: Trees, trainer: str) -> None:
        self.trees, self.trainer = trees, trainer
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
        program = {"diffusion-pipe": PIPE, "ai-toolkit": AITK, "simpletuner": SIMPLE}[self.trainer]
        self.trees.train(program, str(self.trees.run), environment=environment, cwd=self.trees.folder)
        self.trees.pid("trainer")

    def act(self, kind: Any, *then: Any, **args: Any) -> Stop:
        return Stop(self.trees.run, NativeBackend().of(self.trainer), kind=kind, then=then, **args)

    def asked(self) -> list[str]:
        place = self.trees.run / "asked"
        return place.read_text().split() if place.exists() else []

    def saves(self, act: Stop) -> None:
        """Have what is asked for be there: that it is whole is the layouts' affair."""
        act.checkpoints = [(100, "checkpoint-100", act.now + 1)]
