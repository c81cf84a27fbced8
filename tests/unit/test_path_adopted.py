"""What trainers' own configurations name is where the watcher shows a run: logging folder, W&B project, name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests import aitoolkit, kohya, onetrainer
from tests.commands import here
from tests.simpletuner import project
from tests.worlds import World
from watcher.record import evaluations, runs

RULES = "version: 1\nrules: [{name: low, when: clip/mean < 0.1}]\n"
Made = tuple[str, Path, str]
"""The run's folder from the world's; the event folder that is used; what W&B is told."""


def of_simpletuner(world: World) -> Made:
    settings = {"report_to": "all", "tracker_project_name": "cats", "tracker_run_name": "third"}
    out = project(world.folder, {**settings, "validation_prompt": "a cat", "validation_resolution": "4"})
    (out / "logs" / "cats").mkdir(parents=True)
    for path in world.put(0, {"a": 0.3}):
        path.rename(out / "validation_images" / "step_100_validation_0_4x4.png")
    return "output/run", out / "logs" / "cats" / "watcher", "run 'third (watcher)' in project cats, group 'third'"


def of_ai_toolkit(world: World) -> Made:
    out = world.folder / "output" / "lora"
    logs = world.folder / "tb" / "lora_20250114-093012"
    logs.mkdir(parents=True)
    logging = {"use_wandb": True, "project_name": "cats", "run_name": "third"}
    job = yaml.safe_load(aitoolkit.put_config(out, world.now, logging=logging).read_text())
    job["config"]["log_dir"] = str(world.folder / "tb")
    (out / "config.yaml").write_text(yaml.safe_dump(job))
    aitoolkit.put_samples(out, 250, world.now - 20, 0.3)
    return "output/lora", logs / "watcher-lora-", "run 'third (watcher)' in project cats, group 'third'"


def of_kohya(world: World, **settings: object) -> Made:
    out = world.folder / "out"
    out.mkdir()
    logs = world.folder / "logs"
    kohya.put_config(out, "mine", world.now - 60, logging_dir=str(logs), log_with="all", **settings)
    log = kohya.Log(logs, world.now - 50)
    log.close()
    kohya.put_samples(out, "mine", world.now - 20, 0.3, step=100)
    name = settings.get("wandb_run_name", "mine")
    where = settings.get("log_tracker_name", log.folder.name)
    return "out", log.folder / "watcher-mine-", f"run '{name} (watcher)' in project {where}, group '{name}'"


def of_kohya_that_names_a_project(world: World) -> Made:
    return of_kohya(world, log_tracker_name="cats", wandb_run_name="third")


def of_onetrainer(world: World) -> Made:
    workspace = world.folder / "ot"
    (workspace / "tensorboard").mkdir(parents=True)
    onetrainer.put_config(workspace, world.now - 60)
    for number, (prompt, path) in enumerate(
        zip(onetrainer.PROMPTS, world.put(0, dict.fromkeys("abcdefgh", 0.3)), strict=True)
    ):
        name = onetrainer.sample_name(100, 1, 0, world.now - 20, suffix=".png")
        target = workspace / "samples" / onetrainer.folder_name(number, prompt) / name
        target.parent.mkdir(parents=True)
        path.rename(target)
    return "ot", workspace / "tensorboard" / "watcher", "run 'ot (watcher)' in project watcher, group 'ot'"


@pytest.mark.parametrize(
    "trainer",
    [of_simpletuner, of_ai_toolkit, of_kohya, of_kohya_that_names_a_project, of_onetrainer],
    ids=lambda one: one.__name__,
)
def test_a_run_is_shown_where_its_trainers_configuration_says(tmp_path: Path, trainer: Callable[[World], Made]) -> None:
    world = World(tmp_path, RULES)
    folder, events, told = trainer(world)
    config = world.folder / "watcher.yaml"
    settings = {**yaml.safe_load(config.read_text()), "runs": [{"path": folder}], "trackers": {"tensorboard": {}}}
    config.write_text(yaml.safe_dump(settings))
    world.restart()
    world.go()
    world.go(4000)
    with world.store.read() as db:
        (run,) = runs.all_runs(db)
        assert [one.state for one in evaluations.of_run(db, run.id)] == ["closed"]
    place = events.with_name(events.name + run.id) if events.name.endswith("-") else events
    assert list(place.glob("events.out.tfevents.*"))
    world.end()
    config.write_text(yaml.safe_dump({**settings, "trackers": {"tensorboard": {}, "wandb": {"mode": "offline"}}}))
    said = here("check", "-c", config).out
    assert f"wandb: W&B {told};" in said
    assert f"tensorboard: {place}" in said


@pytest.mark.parametrize(
    ("kind", "named"), [("lora", "network_train"), ("textual_inversion", "textual_inversion"), ("dreambooth", "")]
)
def test_kohyas_own_project_is_known_where_one_script_alone_can_be_meant(tmp_path: Path, kind: str, named: str) -> None:
    from watcher.discover.kohya import Kohya
    from watcher.discover.layout import Place

    toml = kohya.put_config(tmp_path, "mine", 1736846000, log_with="wandb")
    toml.rename(toml.with_name(toml.name.replace("lora", kind)))
    for memory in tmp_path.glob("mine_*.json"):
        memory.unlink()
    assert Kohya().setup(Place(tmp_path, "mine")).project == named
