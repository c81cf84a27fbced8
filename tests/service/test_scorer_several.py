"""Two real models in the scorer's one process: the numbers of each alone, from images that are read once."""

from __future__ import annotations

import os
import queue
import random
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.service.daemons import PATIENCE
from tests.unit.score_models import other_clip
from watcher.demo.stage import CLIP
from watcher.demo.world import draw, validation_scenes
from watcher.score import Job, Scored, Scorer, ScorerDown, ScorerSettings
from watcher.score.scorer import RETRY

LISTENER = """
import os, sys
log = os.open(os.environ["OPENED"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def note(event, arguments):
    if event == "open" and str(arguments[0]).endswith(".png"):
        os.write(log, (os.path.basename(arguments[0]) + "\\n").encode())
sys.addaudithook(note)
"""
"""Run by every Python that is started: it notes each picture that is opened."""
Ask = Callable[[Mapping[str, Path]], Scored]


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    scenes = validation_scenes()[:3]
    made = [Job(number, tmp_path / f"{number}.png", scene.caption) for number, scene in enumerate(scenes)]
    for job, scene in zip(made, scenes, strict=True):
        draw(scene, random.Random(1)).save(job.path)
    return made


class Bench:
    """A scorer of several models as the daemon has it."""

    def __init__(self, folder: Path, models: Mapping[str, Path]) -> None:
        self.results: queue.SimpleQueue[Scored | ScorerDown] = queue.SimpleQueue()
        settings = {name: ScorerSettings(model=str(model), device="cpu", threads=1) for name, model in models.items()}
        self.scorer = Scorer(settings, folder / "texts", self.results.put)
        self.batch = 0

    def score(self, jobs: list[Job]) -> Scored:
        self.batch += 1
        self.scorer.submit(self.batch, jobs)
        found = self.results.get(timeout=PATIENCE)
        assert isinstance(found, Scored), found
        return found


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(**models: Path) -> Bench:
        made.append(Bench(tmp_path, models))
        return made[-1]

    yield make
    for one in made:
        one.scorer.close()


def cosines(found: Scored, scorer: str) -> list[float | None]:
    return [score.cosine for score in found.scores if score.scorer == scorer]


def test_both_give_the_numbers_that_each_gives_alone_and_every_image_is_read_once(
    bench: Callable[..., Bench], jobs: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = other_clip(tmp_path / "other")
    first, second = (bench(clip=model).score(jobs) for model in (CLIP, other))
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(LISTENER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"), prepend=os.pathsep)
    monkeypatch.setenv("OPENED", str(tmp_path / "opened"))
    both = bench(clip=CLIP, other=other).score(jobs)
    assert both.identities == {"clip": first.identity, "other": second.identity}
    assert cosines(both, "clip") == pytest.approx(cosines(first, "clip"), abs=1e-6)
    assert cosines(both, "other") == pytest.approx(cosines(second, "clip"), abs=1e-6)
    assert cosines(both, "other") != pytest.approx(cosines(both, "clip"), abs=1e-2)
    assert sorted((tmp_path / "opened").read_text().split()) == [job.path.name for job in jobs]
    assert both.faults == {}


def test_a_scorer_whose_model_comes_later_is_tried_again_and_the_main_one_goes_on_meanwhile(
    bench: Callable[..., Bench], jobs: list[Job], tmp_path: Path
) -> None:
    one = bench(clip=CLIP, other=tmp_path / "other")
    found = one.score(jobs)
    assert {score.scorer for score in found.scores} == {"clip"}
    assert found.faults["other"].startswith(f"model folder {tmp_path}/other: there is no such folder")
    shutil.move(other_clip(tmp_path / "made"), tmp_path / "other")
    first = one.scorer.pid
    one.scorer.tick(1000.0)
    one.scorer.tick(1000.0 + RETRY - 1)
    assert one.scorer.pid == first is not None
    one.score(jobs)
    one.scorer.tick(1000.0 + RETRY)
    assert one.scorer.pid is None
    found = one.score(jobs)
    assert found.faults == {}
    assert {score.scorer for score in found.scores} == {"clip", "other"}
    one.scorer.tick(2000.0)
    one.scorer.tick(2000.0 + RETRY - 401.0)
    assert one.scorer.pid is not None


KILLER = """
import os, signal, sys
def note(event, arguments):
    if event == "open" and str(arguments[0]).endswith("other/model.safetensors"):
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(note)
"""
"""What a further model does that brings the process down whenever it is loaded."""


def test_where_a_further_model_brings_the_process_down_the_main_one_goes_on_alone_for_a_while(
    bench: Callable[..., Bench], jobs: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = bench(clip=CLIP, other=other_clip(tmp_path / "other"))
    (tmp_path / "site").mkdir()
    hook = tmp_path / "site" / "sitecustomize.py"
    hook.write_text(KILLER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"), prepend=os.pathsep)
    for batch in (1001, 1002, 1003):
        one.scorer.submit(batch, jobs)
        down = one.results.get(timeout=PATIENCE)
        assert isinstance(down, ScorerDown)
        assert not down.blame
    found = one.score(jobs)
    assert ([*found.identities], [*found.faults]) == (["clip"], ["other"])
    assert "failed three times in a row" in found.faults["other"]
    one.scorer.tick(1000.0)
    hook.unlink()
    one.scorer.tick(1000.0 + RETRY)
    assert one.scorer.pid is None
    found = one.score(jobs)
    assert ([*found.identities], found.faults) == (["clip", "other"], {})
