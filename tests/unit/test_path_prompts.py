"""Every layout's prompts through the whole path: as they are when a picture is seen, or known only later."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image, PngImagePlugin

from tests import aitoolkit, kohya, onetrainer
from tests.simpletuner import project
from tests.trainers import started
from tests.worlds import World
from watcher.record import evaluations, runs, samples
from watcher.view.status import status

OLD = tuple(f"an old thing of kind {number}" for number in range(8))
NEW = tuple(f"a new thing of kind {number}" for number in range(8))


@dataclass(frozen=True)
class Trainer:
    """How one trainer is told its prompts, and what it calls a picture."""

    run: str
    """The run's folder, from the world's."""
    tell: Callable[[Path, Sequence[str], float], object]
    """Write the prompts down, into or beside a run's folder, at a wall time."""
    name: Callable[[int, int, str, float], str]
    """Name the picture of a step and a prompt, by its number and text, that is written at a wall time."""
    layout: Any = "auto"


def tell_simpletuner(run: Path, prompts: Sequence[str], at: float) -> None:
    library = run.parents[1] / "library.json"
    library.write_text(json.dumps({f"p{number}": text for number, text in enumerate(prompts)}))
    settings = {"user_prompt_library": str(library), "validation_disable_unconditional": True}
    project(run.parents[1], {**settings, "validation_resolution": "4"})


def tell_pattern(run: Path, prompts: Sequence[str], at: float) -> None:
    (run / "prompts.txt").write_text("".join(f"{text}\n" for text in prompts))


def tell_onetrainer(run: Path, prompts: Sequence[str], at: float) -> None:
    entries = [onetrainer.sample_entry(text) for text in prompts]
    onetrainer.put_config(run, at, entries, workspace_dir="ot/run")


def name_in_onetrainer(step: int, number: int, prompt: str, at: float) -> str:
    folder = onetrainer.folder_name(number, prompt)
    return f"samples/{folder}/{onetrainer.sample_name(step, step // 100, step % 100, at, suffix='.png')}"


TRAINERS = {
    "simpletuner": Trainer(
        "output/run", tell_simpletuner, lambda step, n, _p, _at: f"validation_images/step_{step}_p{n}_0_4x4.png"
    ),
    "kohya": Trainer(
        "out",
        lambda run, prompts, at: kohya.put_config(run, "mine", at, prompts),
        lambda step, n, _p, at: f"sample/{kohya.sample_name('mine', index=n, at=at, step=step, seed=7)}",
    ),
    "ai-toolkit": Trainer(
        "output/lora",
        lambda run, prompts, at: aitoolkit.put_config(run, at, prompts),
        lambda step, n, _p, at: f"samples/{aitoolkit.sample_name(step, n, at, 'png')}",
    ),
    "onetrainer": Trainer("ot/run", tell_onetrainer, name_in_onetrainer),
    "pattern": Trainer(
        "any",
        tell_pattern,
        lambda step, n, _p, _at: f"samples/{step}_{n}.png",
        {"pattern": {"regex": r"samples/(?P<step>\d+)_(?P<key>\d+)\.png", "prompts_file": "prompts.txt"}},
    ),
}
EVERY = pytest.mark.parametrize("trainer", TRAINERS.values(), ids=TRAINERS.keys())
Make = Callable[[Trainer], World]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[World] = []

    def build(trainer: Trainer) -> World:
        world = World(tmp_path, "version: 1\nrules: [{name: low, when: clip/mean < 0.2}]\n")
        made.append(world)
        watch(world, [{"path": trainer.run, "layout": trainer.layout}])
        world.run = tmp_path / trainer.run
        world.run.mkdir(parents=True)
        return world

    yield build
    for world in made:
        world.end()


def watch(world: World, entries: list[dict[str, Any]]) -> None:
    """Have other runs watched."""
    path = world.folder / "watcher.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "runs": entries}))
    world.restart()


def draw(world: World, trainer: Trainer, step: int, prompts: Sequence[str]) -> None:
    """Let a minute go by, in which every prompt is sampled, and let it be seen."""
    world.now += 60
    for number, prompt in enumerate(prompts):
        at, text = world.now - 20 + number, PngImagePlugin.PngInfo()
        text.add_text("cosine", "0.3")
        path = world.run / trainer.name(step, number, prompt, at)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (step % 251, number, 9)).save(path, pnginfo=text)
        os.utime(path, (at, at))
    world.go()


def texts(world: World) -> dict[int, list[str | None]]:
    """Give the prompts that are stored, by step."""
    with world.store.read() as db:
        (run,) = runs.all_runs(db)
        found = {one.step: samples.in_evaluation(db, one.id) for one in evaluations.of_run(db, run.id)}
    return {step: sorted(one.prompt or "" for one in images) for step, images in found.items()}


def shown(world: World) -> dict[str, Any]:
    (run,) = status(world.store, world.now)["runs"]
    return run


@EVERY
def test_prompts_that_are_edited_later_are_those_of_later_pictures_only(make: Make, trainer: Trainer) -> None:
    world = make(trainer)
    trainer.tell(world.run, OLD, world.now - 100)
    draw(world, trainer, 100, OLD)
    world.now += 60
    trainer.tell(world.run, NEW, world.now)
    world.go(30)
    draw(world, trainer, 200, NEW)
    world.restart()
    world.go(30)
    assert texts(world) == {100: sorted(OLD), 200: sorted(NEW)}
    assert sorted(world.scorer.prompts) == sorted([*OLD, *NEW])


@EVERY
def test_pictures_wait_for_prompts_that_become_known_later(make: Make, trainer: Trainer) -> None:
    world = make(trainer)
    watch(world, [{"path": trainer.run, "layout": trainer.layout if trainer.layout != "auto" else chosen(trainer)}])
    draw(world, trainer, 100, OLD)
    assert (shown(world)["reasons"], world.scorer.prompts) == ({"no prompt": len(OLD)}, [])
    trainer.tell(world.run, OLD, world.now)
    world.go(30)
    world.go(4000)
    assert (shown(world)["unscorable"], shown(world)["metrics"]["clip/prompts"]) == (0, len(OLD))
    assert texts(world) == {100: sorted(OLD)}


def chosen(trainer: Trainer) -> str:
    return next(name for name, one in TRAINERS.items() if one is trainer)


def test_pictures_are_scored_once_a_trainer_that_tells_their_prompts_is_seen(make: Make) -> None:
    """Its command line is the last source; when it has ended, what was taken in with it stays."""
    trainer = TRAINERS["pattern"]
    world = make(trainer)
    draw(world, trainer, 100, OLD[:2])
    assert shown(world)["reasons"] == {"no prompt": 2}
    assert "cannot be read" in str(status(world.store, world.now)["problems"])
    pattern = {"regex": trainer.layout["pattern"]["regex"]}
    watch(world, [{"path": trainer.run, "layout": {"pattern": pattern}}])
    with started(world.folder, "train.py", "--output_dir=any", "--validation_prompts", *OLD[:2]):
        world.go(30)
        assert (shown(world)["unscorable"], texts(world)) == (0, {100: list(OLD[:2])})
    world.go(30)
    assert sorted(world.scorer.prompts) == list(OLD[:2])
    assert texts(world) == {100: list(OLD[:2])}
