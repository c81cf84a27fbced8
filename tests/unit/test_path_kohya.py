"""A folder of kohya_ss through the whole path: two trainings in it, epochs with their steps, starts that go back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.commands import here
from tests.kohya import PROMPTS, Log, put_config, put_sample, put_samples
from tests.worlds import World
from watcher.discover import FoundRun
from watcher.record import evaluations, runs, samples
from watcher.view import queries
from watcher.view.show import show
from watcher.view.status import status

RULES = "version: 1\nrules: [{name: low, when: clip/mean < 0.22}]\n"
DAY = 24 * 3600.0
ALL = len(PROMPTS)


class Gui(World):
    """A folder that kohya_ss writes trainings into, watched with `layout: auto`."""

    def __init__(self, folder: Path) -> None:
        self.logs: list[Log] = []
        super().__init__(folder, RULES)
        self.end()
        settings = yaml.safe_load((folder / "watcher.yaml").read_text())
        (folder / "watcher.yaml").write_text(yaml.safe_dump({**settings, "runs": [{"path": "out"}]}))
        self.out = folder / "out"
        self.out.mkdir()
        self.start()

    def begin(self, name: str, ago: float, **settings: object) -> Log:
        """Start a training as the GUI does, so many seconds ago."""
        at = self.now - ago
        put_config(self.out, name, at, logging_dir=str(self.folder / "logs"), **settings)
        self.logs.append(Log(self.folder / "logs", at + 1))
        return self.logs[-1]

    def epoch(self, log: Log, name: str, number: int, ago: float, cosine: float = 0.3, each: int = 10) -> None:
        """Let an epoch of ten steps go by, end so many seconds ago, and be sampled in the seconds after."""
        at = self.now - ago
        log.train((number - 1) * each + 1, number * each, at - each)
        log.end_epoch(number, at)
        put_samples(self.out, name, at + 1, cosine, epoch=number)

    def end(self) -> None:
        super().end()
        for log in self.logs:
            log.close()
        self.logs.clear()


@pytest.fixture
def gui(tmp_path: Path) -> Iterator[Gui]:
    world = Gui(tmp_path)
    yield world
    world.end()


def shown(world: World) -> dict[str, dict[str, Any]]:
    return {run["name"]: run for run in status(world.store, world.now)["runs"]}


def story(world: World, name: str) -> list[tuple[int, int, float | None, str]]:
    with world.store.read() as db:
        (run,) = [run for run in runs.all_runs(db) if run.name == name]
        return [(e.attempt, e.step, e.epoch, e.state) for e in evaluations.of_run(db, run.id)]


def test_two_trainings_of_a_folder_are_two_runs_and_the_old_one_is_archived(gui: Gui) -> None:
    old = gui.begin("old", 3 * DAY)
    gui.epoch(old, "old", 1, 3 * DAY - 100)
    new = gui.begin("new", 600)
    gui.epoch(new, "new", 1, 500)
    gui.go()
    found = shown(gui)
    assert {name: (run["layout"], run["state"], run["images"]) for name, run in found.items()} == {
        "new": ("kohya", "active", ALL),
        "old": ("kohya", "archived", 0),
    }
    gui.now += 120
    gui.epoch(new, "new", 2, 60, cosine=0.1)
    gui.go()
    assert story(gui, "new") == [(1, 10, 1.0, "closed"), (1, 20, 2.0, "closed")]
    assert shown(gui)["new"]["step"] == 20
    assert [title for kind, title in gui.notices() if kind == "alert"]
    assert shown(gui)["old"]["state"] == "archived"


def test_the_old_training_wakes_when_it_samples_again(gui: Gui) -> None:
    gui.epoch(gui.begin("old", 3 * DAY), "old", 1, 3 * DAY - 100)
    gui.go()
    gui.now += 60
    again = gui.begin("old", 50)
    gui.epoch(again, "old", 1, 20)
    gui.go(20)
    assert (shown(gui)["old"]["state"], shown(gui)["old"]["step"]) == ("active", 10)


def test_a_training_is_a_run_before_its_first_sample_and_the_same_one_after(gui: Gui) -> None:
    log = gui.begin("mine", 60)
    gui.begin("ancient", 9 * DAY)
    gui.go()
    assert {name: (run["state"], run["images"]) for name, run in shown(gui).items()} == {
        "mine": ("active", 0),
        "ancient": ("archived", 0),
    }
    number = shown(gui)["mine"]["id"]
    gui.epoch(log, "mine", 1, 20)
    gui.go(20)
    assert (shown(gui)["mine"]["id"], shown(gui)["mine"]["step"]) == (number, 10)


def test_images_of_an_epoch_that_drip_in_are_one_evaluation_whatever_is_logged_meanwhile(gui: Gui) -> None:
    log = gui.begin("mine", 600)
    log.train(1, 10, gui.now - 550)
    log.end_epoch(1, gui.now - 500)
    gui.go()
    for index in range(ALL):
        gui.now += 15
        put_sample(gui.out, "mine", gui.now - 2, 0.3, index, epoch=1)
        log.log(index, gui.now, clip__mean=0.3)
        gui.go()
    assert story(gui, "mine") == [(1, 10, 1.0, "closed")]
    assert shown(gui)["mine"]["metrics"]["clip/prompts"] == ALL


def test_an_image_seen_before_its_epochs_end_is_taken_in_with_the_right_step(gui: Gui) -> None:
    log = gui.begin("mine", 600)
    log.train(1, 10, gui.now - 30)
    put_samples(gui.out, "mine", gui.now - 15, 0.3, epoch=1)
    gui.go()
    assert shown(gui)["mine"]["images"] == 0
    log.end_epoch(1, gui.now - 18)
    gui.go(20)
    assert story(gui, "mine") == [(1, 10, 1.0, "closed")]


def test_epochs_stay_epochs_where_nothing_tells_their_steps(gui: Gui) -> None:
    put_config(gui.out, "mine", gui.now - 100)
    gui.go()
    for number in (0, 1, 2):
        gui.now += 60
        put_samples(gui.out, "mine", gui.now - 20, 0.3, epoch=number)
        gui.go()
    assert story(gui, "mine") == [(1, number, float(number), "closed") for number in (0, 1, 2)]
    assert [one["by_epoch"] for one in show(gui.store, "mine")["evaluations"]] == [False, True, True]


def test_a_second_start_at_the_same_step_is_a_run_that_went_back(gui: Gui) -> None:
    put_config(gui.out, "mine", gui.now - 100)
    gui.go()
    for step in (100, 200):
        gui.now += 60
        put_samples(gui.out, "mine", gui.now - 20, 0.3, step=step)
        gui.go()
    gui.now += 600
    put_samples(gui.out, "mine", gui.now - 20, 0.4, step=100)
    gui.go()
    assert [one for one in story(gui, "mine") if one[3] != "superseded"] == [(2, 100, None, "closed")]
    assert shown(gui)["mine"]["metrics"]["clip/mean"] == pytest.approx(0.4)
    gui.restart()
    gui.go(60)
    assert shown(gui)["mine"]["attempt"] == 2
    assert len(gui.scorer.asked) == len(set(gui.scorer.asked)) == 3 * ALL


def test_a_second_start_seen_for_the_first_time_with_the_one_before_is_told_apart(gui: Gui) -> None:
    put_config(gui.out, "mine", gui.now - 3000)
    for step in (0, 100, 200, 300):
        put_samples(gui.out, "mine", gui.now - 3000 + step, 0.3, step=step)
    put_samples(gui.out, "mine", gui.now - 1000, 0.4, step=0)
    for index in range(3):  # in the middle of its sampling
        put_sample(gui.out, "mine", gui.now - 20 + index, 0.4, index, step=100)
    gui.go()
    gui.now += 30
    for index in range(3, ALL):
        put_sample(gui.out, "mine", gui.now - 20 + index, 0.4, index, step=100)
    gui.go()
    gui.go(60)
    left = [one for one in story(gui, "mine") if one[3] != "superseded"]
    assert left == [(1, 0, None, "closed"), (2, 100, None, "closed")]
    with gui.store.read() as db:
        (latest,) = queries.latest(db).values()
        assert (latest.complete, latest.metrics["clip/mean"]) == (True, pytest.approx(0.4))


def test_an_older_file_that_is_whole_only_late_does_not_take_the_newer_ones_place(gui: Gui) -> None:
    put_config(gui.out, "mine", gui.now - 3000)
    put_samples(gui.out, "mine", gui.now - 1000, 0.4, step=100)
    gui.go()
    (path,) = [put_sample(gui.out, "mine", gui.now - 2000, 0.1, 0, step=100)]
    gui.go(60)
    gui.restart()
    gui.go(60)
    assert path not in gui.scorer.asked
    assert story(gui, "mine") == [(1, 100, None, "closed")]
    assert shown(gui)["mine"]["metrics"]["clip/mean"] == pytest.approx(0.4)
    with gui.store.read() as db:
        assert path in samples.known_files(db, shown(gui)["mine"]["id"])


def test_what_users_are_shown_of_such_a_folder(gui: Gui) -> None:
    gui.epoch(gui.begin("old", 3 * DAY), "old", 1, 3 * DAY - 100)
    gui.epoch(gui.begin("new", 600, prompts=[*PROMPTS, "one more"]), "new", 1, 500)
    gui.go()
    checked = here("check", "-c", gui.folder / "watcher.yaml").out
    assert f"  new ({gui.out}): kohya: has samples of new, old in sample/\n    9 prompts\n" in checked
    assert f"  old ({gui.out}): kohya: has samples of new, old in sample/\n    8 prompts\n" in checked
    found = show(gui.store, "new")
    assert (found["run"]["stream"], found["evaluations"][0]["step"], found["evaluations"][0]["epoch"]) == ("new", 10, 1)
    assert not found["evaluations"][0]["by_epoch"], "its step is known"
    told = here("show", "new", "-c", gui.folder / "watcher.yaml").out
    assert [line.split()[:4] for line in told.splitlines() if line.startswith(("attempt", "1 "))] == [
        ["attempt", "step", "epoch", "variant"],
        ["1", "10", "1", "main"],
    ]
    lines = here("status", "-c", gui.folder / "watcher.yaml").out.splitlines()
    assert [line.split("  ")[0] for line in lines if "kohya" in line] == ["new", "old (archived)"]


def test_a_folder_of_trainings_is_found_by_its_path_only_where_that_is_clear(gui: Gui) -> None:
    gui.epoch(gui.begin("old", 3 * DAY), "old", 1, 3 * DAY - 100)
    gui.epoch(gui.begin("new", 600), "new", 1, 500)
    gui.go()
    assert show(gui.store, str(gui.out))["run"]["name"] == "new"  # the only active one
    gui.epoch(gui.begin("third", 100), "third", 1, 50)
    gui.go(20)
    answer = here("show", gui.out, "-c", gui.folder / "watcher.yaml")
    assert answer.status == 1
    assert f"(new, active, {gui.out}/new)" in answer.err
    assert f"(third, active, {gui.out}/third)" in answer.err


def test_scanning_many_images_of_epochs_looks_into_the_event_files_a_few_times_only(gui: Gui) -> None:
    log = gui.begin("mine", 5000)
    for number in range(1, 31):
        gui.epoch(log, "mine", number, 4900 - 100 * number)
    gui.go()
    for _ in range(4):
        gui.go()
    assert [step for _, step, _, _ in story(gui, "mine")] == [10 * number for number in range(1, 31)]
    found: FoundRun = gui.pipeline.intake.watched[shown(gui)["mine"]["id"]].found
    before = time.process_time()
    from watcher.discover import scan

    assert len(list(scan(found))) == 30 * ALL
    assert time.process_time() - before < 5  # generous: it takes some hundredths
