"""The whole path in one process on a clock of its own: real folder, files, store, rules; only the CLIP is scripted.

A picture's cosine stands in its PNG text, so what a test writes to disk is what the path should find.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from PIL import Image, PngImagePlugin
from sqlalchemy import Connection

from tests.stores import store_in
from watcher import inside
from watcher.assemble import assemble
from watcher.config import load_config, load_config_rules, state_folder
from watcher.discover import Observer
from watcher.mounts import Mounts
from watcher.notify import Delivered, NotDelivered, Postman
from watcher.nouns import Score
from watcher.pipeline import Pipeline
from watcher.record import judgements, runs
from watcher.record.store import Boundary, Store
from watcher.score import Job, Scored, ScorerDown

KEYS = tuple("abcdefgh")
"""Prompt keys of an evaluation: as many as a rule that stops needs."""


def counts(db: Connection) -> dict[str, dict[str, int]]:
    """Give for every run id how many current samples are in which state, counted one by one."""
    rows = db.exec_driver_sql("SELECT run_id, state, count(*) FROM samples WHERE current GROUP BY run_id, state")
    found: dict[str, dict[str, int]] = {}
    for run_id, state, number in rows:
        found.setdefault(run_id, {})[state] = number
    return found


class ScriptedScorer:
    """Answers each batch at once with the cosines that stand in the files; speaks as `watcher.score.Scorer` does."""

    def __init__(self) -> None:
        self.results: list[Scored | ScorerDown] = []
        self.asked: list[Path] = []
        self.prompts: list[str] = []
        self.identity = "scripted@1/1/fp32/keep-end"
        self.others: dict[str, str] = {}
        """Identities of further scorers that answer as well, by name."""
        self.faults: dict[str, str] = {}
        self.cosines: Mapping[int, float] = {}
        """What the main scorer says of a step's pictures instead of what stands in them."""
        self.broken = ""
        self.busy = False
        self.pid = None

    @property
    def room(self) -> bool:
        """Tell whether it takes a batch: one at a time, so that scores come back an evaluation at a time."""
        return not self.busy and not self.results

    def submit(self, batch: int, jobs: Sequence[Job]) -> None:
        self.asked += [job.path for job in jobs]
        self.prompts += [job.prompt for job in jobs]
        if self.broken:
            self.results.append(ScorerDown(self.broken, True, batch))
        else:
            identities = {"clip": self.identity, **self.others}
            scores = tuple(score for job in jobs for name in identities for score in self._scores(job, name))
            self.results.append(Scored(batch, identities, scores, faults=self.faults))

    def _scores(self, job: Job, name: str) -> list[Score]:
        other = self.cosines.get(int(job.path.name.split("_")[0])) if self.cosines and name == "clip" else None
        found = _scores(job, name)
        return [one if other is None or one.error else replace(one, cosine=other) for one in found]

    def tick(self, now: float) -> None:
        return

    def close(self) -> None:
        return


def _scores(job: Job, name: str) -> list[Score]:
    """Give what a scorer says of an image; nothing of one that has no cosine of a further scorer in it."""
    try:
        data = inside.read_bytes(job.path)
    except FileNotFoundError:
        return [Score(job.sample_id, "", None, error="the file is gone", scorer=name)]
    with Image.open(io.BytesIO(data)) as image:
        text = image.info.get("cosine" if name == "clip" else f"cosine of {name}", "")
    digest = hashlib.sha256(data).hexdigest()
    if text == "nan":
        error = "the model gave nan instead of a number"
        return [Score(job.sample_id, digest, None, error=error, scorer=name)]
    health = ("blank",) if text == "blank" else ()
    cosine = 0.5 if text == "blank" else float(text or 0)
    return [Score(job.sample_id, digest, cosine, health, scorer=name)] if text else []


class Watches(Observer):
    """Notes which folders are to give file events, and never starts."""

    folders: Sequence[Path] = ()

    def watch(self, folders: Sequence[Path]) -> None:
        self.folders = list(folders)


class World:
    """One run folder and the path over it; `go` lets time pass, `restart` is a new daemon over the same state."""

    lookers: Any = None
    """Who looks into polled runs, where that is not the loop."""
    mounts: Mounts | None = None
    """The mount table, where it is not the system's."""

    def __init__(
        self, folder: Path, rules: str, *, images: int | None = len(KEYS), mode: str = "observe", **more: Any
    ) -> None:
        self.folder = folder
        self.run = folder / "run"
        (self.run / "samples").mkdir(parents=True, exist_ok=True)
        pattern = {"regex": r"samples/(?P<step>\d+)_(?P<key>\w+)\.png", "prompts_file": "prompts.json"}
        settings = {
            "mode": mode,
            "runs": [{"path": "run", "layout": {"pattern": {**pattern, **({"images": images} if images else {})}}}],
            "rules": ["rules.yaml"],
            "scorers": {"clip": {"batch_size": len(KEYS)}},  # scores come back an evaluation at a time
            "notify": ["log"],
            "state": "state",
            **more,
        }
        (self.run / "prompts.json").write_text(json.dumps(dict.fromkeys((*KEYS, "late"), "a thing")))
        (folder / "rules.yaml").write_text(rules)
        (folder / "watcher.yaml").write_text(yaml.safe_dump(settings))
        self.now = time.time()
        self.scorer = ScriptedScorer()
        self.told: list[Delivered | NotDelivered] = []
        self.start()

    def start(self, boundary: Boundary | None = None) -> None:
        config = load_config(self.folder / "watcher.yaml")
        state = state_folder(config)
        self.store: Store = store_in(state, boundary)
        self.postman = Postman(config.notify, self.told.append, lambda: self.now)
        rules = load_config_rules(config).rules
        scorer: Any = self.scorer
        self.observer = Watches(lambda hint: None)
        self.pipeline: Pipeline = assemble(
            config, rules, self.store, state, self.observer, scorer, self.postman, self.lookers, self.mounts
        )

    def end(self) -> None:
        self.postman.close()
        self.store.close()

    def restart(self) -> None:
        """Forget everything that is not on disk."""
        self.end()
        self.scorer.results.clear()
        self.told.clear()
        self.start()

    def put(self, step: int, cosines: Mapping[str, object], age: float = 2.0) -> list[Path]:
        """Write one picture for each key, `age` seconds ago."""
        return [self._put(step, key, value, age) for key, value in cosines.items()]

    def _put(self, step: int, key: str, value: object, age: float) -> Path:
        path = self.run / "samples" / f"{step}_{key}.png"
        text = PngImagePlugin.PngInfo()
        for name, cosine in (value if isinstance(value, Mapping) else {"clip": value}).items():
            text.add_text("cosine" if name == "clip" else f"cosine of {name}", str(cosine))
        Image.new("RGB", (4, 4), (step % 251, 9, 9)).save(path, pnginfo=text)
        os.utime(path, (self.now - age, self.now - age))
        return path

    def evaluation(self, step: int, mean: object, keys: Sequence[str] = KEYS, age: float = 2.0) -> None:
        """Write a whole evaluation whose prompts all score the same, then let it be seen.

        `mean` is a cosine, or one for each scorer.
        """
        self.now += 30
        self.put(step, dict.fromkeys(keys, mean), age)
        self.go()

    def go(self, seconds: float = 0.0) -> None:
        """Let time pass, then carry everything as far as it goes."""
        self.now += seconds
        self.pipeline.intake.rescan()
        for _ in range(12):
            self.tick()
            self.now += 0.1

    def tick(self) -> None:
        """Carry everything one room further, and handle what comes back of it."""
        self.pipeline.advance(self.now)
        while self.scorer.results:
            result = self.scorer.results.pop(0)
            handle: Callable[..., None] = (
                self.pipeline.scoring.keep if isinstance(result, Scored) else self.pipeline.scoring.fail
            )
            handle(result, self.now)
        self.wait_for_post()
        while self.told:
            self._tick_off(self.told.pop(0))

    def wait_for_post(self) -> None:
        """Let the postman's threads take their time: what they bring later is ticked off in a later tick."""

    def _tick_off(self, message: Delivered | NotDelivered) -> None:
        if isinstance(message, Delivered):
            self.pipeline.telling.delivered(message, self.now)
        else:
            self.pipeline.telling.not_delivered(message, self.now)

    def rule(self, name: str = "low") -> dict[str, Any]:
        """Give where a rule stands for the run."""
        with self.store.read() as db:
            return next(iter(judgements.states(db).values()), {}).get(name, {})

    def decisions(self) -> list[tuple[int, int, str]]:
        """Give attempt, step and state of every decision."""
        with self.store.read() as db:
            (run,) = runs.all_runs(db)
            return [(row.attempt, row.step, row.state) for row in judgements.of_run(db, run.id)]

    def actions(self) -> list[tuple[str, str]]:
        """Give state and proof of every action."""
        with self.store.read() as db:
            rows = db.exec_driver_sql("SELECT state, proof FROM actions ORDER BY id")
            return [(row[0], row[1]) for row in rows]

    def notices(self) -> list[tuple[str, str]]:
        """Give kind and title of every notice, oldest first."""
        with self.store.read() as db:
            rows = db.exec_driver_sql("SELECT notice ->> 'kind', notice ->> 'title' FROM outbox ORDER BY id")
            return [(row[0], row[1]) for row in rows]
