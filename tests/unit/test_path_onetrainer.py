"""A workspace of OneTrainer through the whole path: prompts edited meanwhile, a training that goes on from a backup."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import yaml
from PIL import Image, PngImagePlugin

from tests.onetrainer import PROMPTS, folder_name, put_config, put_definitions, sample_entry, sample_name
from tests.worlds import World
from watcher.record import evaluations, runs
from watcher.view.status import status

RULES = "version: 1\nrules: [{name: low, when: clip/mean < 0.22}]\n"
ALL = len(PROMPTS)


class Workspace(World):
    """A workspace inside OneTrainer's folder, watched with `layout: auto`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, RULES)
        self.end()
        settings = yaml.safe_load((folder / "watcher.yaml").read_text())
        (folder / "watcher.yaml").write_text(yaml.safe_dump({**settings, "runs": [{"path": "workspace/run"}]}))
        self.workspace = folder / "workspace" / "run"
        self.workspace.mkdir(parents=True)
        self.start()

    def begin(self, prompts: Sequence[str] = PROMPTS) -> None:
        """Start a training."""
        put_config(self.workspace, self.now, [sample_entry(one) for one in prompts], workspace_dir="workspace/run")

    def sample(self, step: int, cosine: float = 0.3, prompts: Sequence[str] = PROMPTS) -> None:
        """Sample every prompt at a step, and let it be seen."""
        self.now += 60
        for number, prompt in enumerate(prompts):
            self.draw(number, prompt, step, cosine)
        self.go()

    def draw(self, number: int, prompt: str, step: int, cosine: float, ago: float = 5) -> Path:
        """Write one sample, so many seconds ago, as PNG, whose text holds the cosine."""
        at, text = self.now - ago, PngImagePlugin.PngInfo()
        text.add_text("cosine", str(cosine))
        name = sample_name(step, step // 100, step % 100, at, suffix=".png")
        path = self.workspace / "samples" / folder_name(number, prompt) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (int(at) % 251, step % 251, number)).save(path, pnginfo=text)
        os.utime(path, (at, at))
        return path

    def story(self) -> list[tuple[int, int, float | None, str]]:
        """Give attempt, step, epoch and state of every evaluation."""
        with self.store.read() as db:
            (run,) = runs.all_runs(db)
            return [(e.attempt, e.step, e.epoch, e.state) for e in evaluations.of_run(db, run.id)]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Workspace]:
    made = Workspace(tmp_path)
    yield made
    made.end()


def test_a_workspace_is_a_run_before_its_first_sample(world: Workspace) -> None:
    world.begin()
    world.go()
    (run,) = status(world.store, world.now)["runs"]
    assert (run["name"], run["layout"], run["images"]) == ("run", "onetrainer", 0)
    world.sample(0)
    world.sample(100, cosine=0.1)
    assert world.story() == [(1, 0, 0.0, "closed"), (1, 100, 1.0, "closed")]
    assert [title for kind, title in world.notices() if kind == "alert"]


def test_prompts_edited_while_it_trains_are_scored_as_they_are_then(world: Workspace) -> None:
    world.begin()
    world.sample(100)
    edited = ("a castle: at dawn", *PROMPTS[1:], "one more")
    definitions = world.folder / "training_samples" / "samples.json"
    put_definitions(definitions, [sample_entry(one) for one in edited], world.now + 10)
    world.sample(200, prompts=edited)
    world.go(4000)  # how many there will be is not sure any more: it is closed when it has been quiet
    assert world.story() == [(1, 100, 1.0, "closed"), (1, 200, 2.0, "closed")]
    (run,) = status(world.store, world.now)["runs"]
    assert (run["metrics"]["clip/prompts"], run["unscorable"]) == (ALL + 1, 0)
    assert sorted(world.scorer.prompts) == sorted((*PROMPTS, *edited))


def test_a_training_that_goes_on_from_a_backup_begins_another_attempt(world: Workspace) -> None:
    world.begin()
    for step in (100, 200, 300):
        world.sample(step)
    world.begin()
    world.sample(200, cosine=0.4)
    assert [one for one in world.story() if one[3] != "superseded"] == [
        (1, 100, 1.0, "closed"),
        (2, 200, 2.0, "closed"),
    ]
    (run,) = status(world.store, world.now)["runs"]
    assert run["metrics"]["clip/mean"] == pytest.approx(0.4)


def test_starts_that_are_seen_together_for_the_first_time_are_told_apart(world: Workspace) -> None:
    world.begin()
    for number, prompt in enumerate(PROMPTS):
        for step, cosine, ago in ((100, 0.3, 3000), (200, 0.3, 2000), (100, 0.4, 20)):
            world.draw(number, prompt, step, cosine, ago)
    world.go()
    world.go(60)
    assert [one for one in world.story() if one[3] != "superseded"] == [(2, 100, 1.0, "closed")]
    (run,) = status(world.store, world.now)["runs"]
    assert run["metrics"]["clip/mean"] == pytest.approx(0.4)


def test_an_older_picture_that_comes_late_does_not_take_the_newer_ones_place(world: Workspace) -> None:
    world.begin()
    world.sample(100, cosine=0.4)
    late = world.draw(0, PROMPTS[0], 100, 0.1, ago=2000)
    world.go(60)
    assert late not in world.scorer.asked
    assert world.story() == [(1, 100, 1.0, "closed")]


def test_a_picture_whose_prompt_is_not_known_is_never_scored_by_another(world: Workspace) -> None:
    world.begin()
    world.sample(100, prompts=("something else", *PROMPTS[1:]))
    (run,) = status(world.store, world.now)["runs"]
    assert run["unscorable"] == 1
    assert sorted(world.scorer.prompts) == sorted(PROMPTS[1:])
