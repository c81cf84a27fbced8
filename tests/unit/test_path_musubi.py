"""A folder of musubi-tuner through the whole path: shared by trainings, by steps and epochs at once, prompts edited."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from tests.commands import here
from tests.kohya import Log
from tests.musubi import (
    PROMPTS,
    grid,
    put_kandinsky,
    put_own_weights,
    put_picture,
    put_project,
    put_prompts,
    put_samples,
    put_video,
    sample_name,
)
from tests.worlds import World
from watcher.discover.musubi.prompts import start_prompts
from watcher.record import evaluations, runs
from watcher.view.show import show
from watcher.view.status import status

RULES = "version: 1\nrules: [{name: low, when: clip/mean < 0.22}]\n"
DAY = 24 * 3600.0
ALL = len(PROMPTS)


class Project(World):
    """A project of the GUI's, whose output folder is watched with `layout: auto`."""

    def __init__(self, folder: Path) -> None:
        self.logs: list[Log] = []
        super().__init__(folder, RULES)
        self.end()
        settings = yaml.safe_load((folder / "watcher.yaml").read_text())
        (folder / "watcher.yaml").write_text(yaml.safe_dump({**settings, "runs": [{"path": "cats/models"}]}))
        self.out = folder / "cats" / "models"
        self.start()

    def begin(self, name: str, ago: float, prompts: tuple[str, ...] = PROMPTS) -> Log:
        """Start a training as the GUI does, so many seconds ago."""
        at = self.now - ago
        put_project(self.folder / "cats", name, at, prompts)
        self.logs.append(Log(self.folder / "cats" / "logs", at + 1))
        return self.logs[-1]

    def epoch(self, log: Log, name: str, number: int, ago: float, cosine: float = 0.3, each: int = 10) -> None:
        """Let an epoch of ten steps go by, end so many seconds ago, and be sampled in the seconds after."""
        at = self.now - ago
        log.train((number - 1) * each + 1, number * each, at - each)
        log.end_epoch(number, at, tag="loss__epoch")
        put_samples(self.out, name, at + 1, cosine, epoch=number)

    def restart(self) -> None:
        start_prompts.cache_clear()  # another process knows nothing of what this one has read
        super().restart()

    def end(self) -> None:
        super().end()
        for log in self.logs:
            log.close()
        self.logs.clear()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    world = Project(tmp_path)
    yield world
    world.end()


def shown(world: World) -> dict[str, dict[str, Any]]:
    return {run["name"]: run for run in status(world.store, world.now)["runs"]}


def story(world: World, name: str) -> list[tuple[int, int, float | None, str, str]]:
    with world.store.read() as db:
        (run,) = [run for run in runs.all_runs(db) if run.name == name]
        return [(e.attempt, e.step, e.epoch, e.variant, e.state) for e in evaluations.of_run(db, run.id)]


def asked(world: World) -> dict[str, str]:
    """Give the prompt that each picture was last scored against."""
    return {path.name: prompt for path, prompt in zip(world.scorer.asked, world.scorer.prompts, strict=True)}


def test_two_trainings_of_a_project_are_two_runs_and_the_old_one_is_archived(project: Project) -> None:
    project.epoch(project.begin("old", 3 * DAY), "old", 1, 3 * DAY - 100)
    new = project.begin("new", 600)
    project.epoch(new, "new", 1, 500)
    project.go()
    assert {name: (run["layout"], run["state"], run["images"]) for name, run in shown(project).items()} == {
        "new": ("musubi", "active", ALL),
        "old": ("musubi", "archived", 0),
    }
    project.now += 120
    project.epoch(new, "new", 2, 60, cosine=0.1)
    project.go()
    assert story(project, "new") == [(1, 10, 1.0, "", "closed"), (1, 20, 2.0, "", "closed")]
    assert [title for kind, title in project.notices() if kind == "alert"]


def test_a_training_is_a_run_before_its_first_sample_and_the_same_one_after(project: Project) -> None:
    log = project.begin("mine", 60)
    project.go()
    assert {name: (run["state"], run["images"]) for name, run in shown(project).items()} == {"mine": ("active", 0)}
    number = shown(project)["mine"]["id"]
    project.epoch(log, "mine", 1, 20)
    project.go(20)
    assert (shown(project)["mine"]["id"], shown(project)["mine"]["step"]) == (number, 10)


def test_steps_and_epochs_at_once_are_one_curve_and_no_run_that_went_back(project: Project) -> None:
    log = project.begin("mine", 900)
    project.go()
    for number in (1, 2):
        log.train(number * 10 - 9, number * 10 - 5, project.now)
        project.now += 40
        put_samples(project.out, "mine", project.now - 30, 0.3, step=number * 10 - 5)
        project.go(30)
        log.train(number * 10 - 4, number * 10, project.now - 20)
        put_samples(project.out, "mine", project.now - 11, 0.3, step=number * 10)
        log.end_epoch(number, project.now - 2, tag="loss__epoch")
        project.go(30)
        put_samples(project.out, "mine", project.now - 20, 0.31, epoch=number)
        project.go(30)
    assert {one for one in story(project, "mine") if not one[3]} == {
        (1, step, None, "", "closed") for step in (5, 10, 15, 20)
    }
    assert {one[:4] for one in story(project, "mine") if one[3]} == {
        (1, 10, 1.0, "epoch"),
        (1, 20, 2.0, "epoch"),
    }
    assert shown(project)["mine"]["attempt"] == 1
    assert shown(project)["mine"]["metrics"]["clip/mean"] == pytest.approx(0.3)


def test_a_second_start_at_the_same_step_is_a_run_that_went_back(project: Project) -> None:
    project.begin("mine", 100)
    project.go()
    for step in (100, 200):
        project.now += 60
        put_samples(project.out, "mine", project.now - 20, 0.3, step=step)
        project.go()
    project.now += 600
    put_samples(project.out, "mine", project.now - 20, 0.4, step=100)
    project.go()
    left = [one for one in story(project, "mine") if one[4] != "superseded"]
    assert left == [(2, 100, None, "", "closed")]
    project.restart()
    project.go(60)
    assert len(project.scorer.asked) == len(set(project.scorer.asked)) == 3 * ALL


def test_an_edit_changes_no_prompt_until_the_training_is_started_anew(project: Project) -> None:
    project.begin("mine", 100).train(1, 1, project.now - 90)
    project.go()
    edited = tuple(f"edited {number}" for number in range(ALL))
    put_prompts(project.folder / "cats" / "sample_prompt.txt", project.now, edited)
    project.now += 60
    first = put_samples(project.out, "mine", project.now - 20, 0.3, step=100)
    project.go()
    assert [asked(project)[path.name] for path in first] == list(PROMPTS)
    project.now += 60
    project.begin("mine", 50, edited).train(1, 1, project.now - 40)
    second = put_samples(project.out, "mine", project.now - 20, 0.3, step=50)
    project.go()
    assert [asked(project)[path.name] for path in second] == list(edited)
    assert [asked(project)[path.name] for path in first] == list(PROMPTS)


def test_prompts_edited_behind_a_watchers_back_score_nothing_and_are_told_with_the_way_out(project: Project) -> None:
    project.begin("mine", 100).train(1, 1, project.now - 90)
    put_prompts(project.folder / "cats" / "sample_prompt.txt", project.now - 50, ["edited"])
    project.restart()
    put_samples(project.out, "mine", project.now - 20, 0.3, step=100)
    project.go(10)
    assert (project.scorer.asked, shown(project)["mine"]["unscorable"]) == ([], ALL)
    told = here("status", "-c", project.folder / "watcher.yaml").out
    assert "sample_prompt.txt was changed after the training was started" in told
    mine = put_prompts(project.folder / "start.txt", project.now)
    settings = yaml.safe_load((project.folder / "watcher.yaml").read_text())
    settings["runs"][0]["prompts"] = str(mine)
    (project.folder / "watcher.yaml").write_text(yaml.safe_dump(settings))
    project.restart()
    project.go(10)
    assert sorted(asked(project).values()) == sorted(PROMPTS)


def test_videos_are_not_waited_for_and_rows_of_layers_are_not_scored(project: Project) -> None:
    project.begin("mine", 100)
    project.go()
    put_samples(project.out, "mine", project.now - 20, 0.3, step=100, numbers=range(ALL - 2))
    for index in (ALL - 2, ALL - 1):
        put_video(project.out, "mine", project.now - 10, index, step=100)
    project.go(10)
    assert story(project, "mine") == [(1, 100, None, "", "closed")]
    assert shown(project)["mine"]["unscorable"] == 0
    row = grid([Image.new("RGB", (16, 8), color) for color in ("red", "green", "blue")])
    put_picture(project.out, row, sample_name("mine", index=0, at=project.now, step=200, seed=4), project.now, 0.3)
    project.go(10)
    assert shown(project)["mine"]["unscorable"] == 1
    (late,) = [one for one in show(project.store, "mine")["evaluations"] if one["step"] == 200]
    assert "56x12 is a row of layers" in late["images"][0]["error"]


def test_kandinskys_second_start_writes_over_the_first_and_shows_as_a_run_that_went_back(project: Project) -> None:
    project.out.mkdir(parents=True)
    put_prompts(project.folder / "p.txt", project.now - 900)
    settings = yaml.safe_load((project.folder / "watcher.yaml").read_text())
    settings["runs"][0]["prompts"] = str(project.folder / "p.txt")
    (project.folder / "watcher.yaml").write_text(yaml.safe_dump(settings))
    project.restart()
    put_own_weights(
        project.out, "k5", project.now - 800, project.now - 900, "-step00000050", ss_base_model_version="kandinsky5"
    )
    for step in (100, 200):
        project.now += 60
        put_kandinsky(project.out, project.now - 20, 0.3, step)
        project.go()
    project.now += 600
    put_kandinsky(project.out, project.now - 20, 0.4, 100)
    project.go()
    left = [one for one in story(project, "models") if one[4] != "superseded"]
    assert left == [(2, 100, None, "", "closed")]
    assert shown(project)["models"]["metrics"]["clip/mean"] == pytest.approx(0.4)


def test_what_users_are_shown_of_such_a_folder(project: Project) -> None:
    project.epoch(project.begin("new", 600), "new", 1, 500)
    project.go()
    checked = here("check", "-c", project.folder / "watcher.yaml").out
    assert f"  new ({project.out}): musubi: has samples of new in sample/\n    8 prompts\n" in checked
    found = show(project.store, "new")
    assert (found["run"]["stream"], found["evaluations"][0]["step"], found["evaluations"][0]["epoch"]) == ("new", 10, 1)
