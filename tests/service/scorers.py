"""The scorer's real process as the daemon has it, for tests: with or without a library that has odd habits.

one = Bench(tmp_path, batch_timeout="1m")  # the demo's CLIP; `one.scorer.close()` at the end
one.submit("a red ring")                   # one batch of one image
assert isinstance(one.answer(), Scored)
"""

from __future__ import annotations

import os
import queue
import random
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image, PngImagePlugin

from tests.service.daemons import PATIENCE
from watcher.demo.stage import CLIP
from watcher.demo.world import SIDE, draw, validation_scenes
from watcher.score import Job, Scored, Scorer, ScorerDown, ScorerSettings

DEADLY, GATED = "deadly", "gated"
"""Kinds of pictures: `SABOTAGE` ends the process at the one, and waits at the other while the file `gate` is there."""
SABOTAGE = """
import os, signal, sys, time
if "watcher.score.worker" in sys.orig_argv:
    from PIL import ImageFile
    load = ImageFile.ImageFile.load

    def sabotaged(self):
        if self.info.get("kind") == "deadly":
            os.kill(os.getpid(), signal.SIGSEGV)
        if self.info.get("kind") == "gated":
            open("FOLDER/reached", "w").close()
            while os.path.exists("FOLDER/gate"):
                time.sleep(0.02)
        return load(self)

    ImageFile.ImageFile.load = sabotaged
"""


class Bench:
    """A scorer as the daemon has it, and its queue."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.results: queue.SimpleQueue[Scored | ScorerDown] = queue.SimpleQueue()
        given = {"model": str(CLIP), "device": "cpu", "threads": 1, **settings}
        self.scorer = Scorer({"clip": ScorerSettings(**given)}, folder / "texts", self.results.put)
        self.folder = folder
        self.image = folder / "image.png"
        draw(validation_scenes()[0], random.Random(1)).save(self.image)
        self.batch = 0

    def submit(self, *prompts: Any, image: Path | None = None) -> None:
        """Hand over one batch: the image with each of these prompts."""
        self.batch += 1
        jobs = [Job(number, image or self.image, text) for number, text in enumerate(prompts)]
        self.scorer.submit(self.batch, jobs)

    def answer(self) -> Scored | ScorerDown:
        """Wait for the answer to the batch that was handed over last."""
        found = self.next_answer()
        assert found.batch == self.batch
        return found

    def next_answer(self) -> Scored | ScorerDown:
        """Wait for whatever is told next."""
        return self.results.get(timeout=PATIENCE)

    def process(self) -> psutil.Process:
        """Give the process, which lives."""
        assert self.scorer.pid is not None
        return psutil.Process(self.scorer.pid)

    def picture(self, kind: str) -> Path:
        """Write a picture of a kind."""
        return write_picture(self.folder / f"{kind}.png", kind)


def write_picture(path: Path, kind: str) -> Path:
    """Write a picture of a kind, as large as the demo's."""
    text = PngImagePlugin.PngInfo()
    text.add_text("kind", kind)
    Image.effect_noise((SIDE, SIDE), 64).convert("RGB").save(path, pnginfo=text)
    return path


def customise(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Have every Python that is started run this first, as a library with odd habits would."""
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(text.replace("FOLDER", str(folder)))
    monkeypatch.setenv("PYTHONPATH", str(folder / "site"), prepend=os.pathsep)


def shut_gate(folder: Path) -> Path:
    """Have the process wait at every gated picture until this file is gone."""
    gate = folder / "gate"
    gate.touch()
    return gate
