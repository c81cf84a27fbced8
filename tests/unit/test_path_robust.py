"""Trainers that write as they please: names of all kinds, files renamed, rewritten or deleted at any moment."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from tests.worlds import KEYS, ScriptedScorer, World
from watcher.record import evaluations, runs, samples
from watcher.score import Job
from watcher.view.status import status

RULES = "version: 1\nrules: [{name: low, when: clip/mean < 0.22}]\n"
GOOD = 0.30
NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, RULES)
    world.go()
    yield world
    world.end()


def known(world: World) -> dict[tuple[int, int, str], tuple[str, str]]:
    """Give state and reason of every current sample by attempt, step and key."""
    with world.store.read() as db:
        (run,) = [run for run in runs.all_runs(db) if run.state == "active"]
        found = [one for e in evaluations.of_run(db, run.id) for one in samples.in_evaluation(db, e.id)]
    return {(one.attempt, one.step, one.key): (one.state, one.reason) for one in found}


def test_a_file_that_is_written_in_small_pieces_is_scored_once_whole(world: World) -> None:
    (path,) = world.put(100, {"a": GOOD})
    whole = path.read_bytes()
    path.write_bytes(b"")
    for end in range(0, len(whole) + 20, 20):
        with path.open("ab") as file:
            file.write(whole[end : end + 20])
        os.utime(path, (world.now, world.now))
        world.now += 0.3
        world.pipeline.intake.rescan()
        world.tick()
    assert known(world) == {}
    world.go(90)
    assert known(world) == {(1, 100, "a"): ("scored", "")}
    assert world.scorer.asked == [path]


def test_a_file_that_gets_its_name_once_it_is_whole_is_scored_by_that_name(world: World) -> None:
    (path,) = world.put(100, {"a": GOOD})
    for name in ("100_a.png.tmp", ".100_a.png", "tmp1234"):
        path = path.rename(path.with_name(name))
        world.go(5)
        assert known(world) == {}
    path.rename(path.with_name("100_a.png"))
    world.go(5)
    assert known(world) == {(1, 100, "a"): ("scored", "")}


def test_a_sample_that_is_renamed_is_the_picture_of_its_new_name_too_and_keeps_its_old_score(world: World) -> None:
    path, _ = world.put(100, {"a": GOOD, "c": GOOD})
    world.go(5)
    path.rename(path.with_name("100_b.png"))
    world.go(5)
    assert known(world) == dict.fromkeys([(1, 100, key) for key in "abc"], ("scored", ""))
    assert len(world.scorer.asked) == 3


def test_a_folder_that_is_moved_with_all_its_pictures_makes_no_new_attempt_and_scores_nothing_twice(
    world: World,
) -> None:
    world.evaluation(100, GOOD)
    old = world.run / "samples"
    for turn in range(3):
        old.rename(world.run / "elsewhere")
        world.go(15)
        (world.run / "elsewhere").rename(old)
        world.go(15)
        assert {one[0] for one in known(world)} == {1}, turn
    assert len(world.scorer.asked) == len(KEYS)


def test_a_picture_that_is_written_over_before_it_was_scored_is_scored_as_it_is_now(world: World) -> None:
    world.scorer.busy = True
    paths = world.put(100, dict.fromkeys(KEYS, 0.1))
    world.go(5)
    assert set(known(world).values()) == {("ready", "")}
    for path in paths:
        path.write_bytes(other(path, GOOD))  # in place: the same file, other bytes
    world.scorer.busy = False
    for _ in range(3):
        world.go(15)
    assert known(world) == {(1, 100, key): ("scored", "") for key in KEYS}
    (run,) = status(world.store, world.now)["runs"]
    assert run["metrics"]["clip/mean"] == pytest.approx(GOOD)


def other(path: Path, cosine: float) -> bytes:
    text = PngImagePlugin.PngInfo()
    text.add_text("cosine", str(cosine))
    copy = path.with_name("copy")
    Image.new("RGB", (9, 9)).save(copy, "PNG", pnginfo=text)
    data = copy.read_bytes()
    copy.unlink()
    return data


class Deleting(ScriptedScorer):
    """Is asked for pictures at the very moment at which their trainer tidies them away."""

    def submit(self, batch: int, jobs: Sequence[Job]) -> None:
        for job in jobs:
            job.path.unlink(missing_ok=True)
        super().submit(batch, jobs)


def test_pictures_that_are_deleted_while_they_are_scored_are_counted_and_hold_nothing_up(world: World) -> None:
    world.scorer.__class__ = Deleting
    world.evaluation(100, GOOD)
    world.scorer.__class__ = ScriptedScorer
    world.evaluation(200, GOOD)
    reasons = {key: reason for key, (_, reason) in known(world).items()}
    assert {reason for (_, step, _), reason in reasons.items() if step == 100} == {"the file is gone"}
    assert {reason for (_, step, _), reason in reasons.items() if step == 200} == {""}
    (run,) = status(world.store, world.now)["runs"]
    assert (run["step"], run["metrics"]["clip/mean"]) == (200, pytest.approx(GOOD))


def test_pictures_that_come_and_go_between_two_looks_are_nothing(world: World) -> None:
    for path in world.put(100, dict.fromkeys(KEYS, GOOD)):
        path.unlink()
    world.evaluation(200, GOOD)
    assert {step for _, step, _ in known(world)} == {200}


@pytest.mark.parametrize("back", [10.0, 3600.0, 400 * 24 * 3600.0])
def test_a_clock_that_goes_back_stops_nothing(world: World, back: float) -> None:
    world.evaluation(100, GOOD)
    world.now -= back
    world.put(200, dict.fromkeys(KEYS, GOOD), age=0)
    world.go(5)
    world.go(5)
    assert {(step, state) for (_, step, _), (state, _) in known(world).items()} == {(100, "scored"), (200, "scored")}
    world.evaluation(300, GOOD)
    with world.store.read() as db:
        (run,) = runs.all_runs(db)
        assert {e.state for e in evaluations.of_run(db, run.id)} == {"closed"}
    assert {attempt for attempt, _, _ in known(world)} == {1}


@settings(max_examples=5, deadline=None)
@given(names=st.lists(NAMES, min_size=4, max_size=12, unique=True))
def test_names_of_every_kind_are_runs_samples_and_prompts(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("ein Ordner, ümläut 猫")
    world = World(folder, RULES, images=None, runs=[{"path": "run 猫's [1]", "layout": {"pattern": PATTERN}}])
    shutil.move(world.run, run := folder / "run 猫's [1]")
    (run / "prompts.json").write_text(json.dumps({name: f"a {name}" for name in names}))
    for place, name in enumerate(names):
        path = run / "samples" / f"7 {name}.png"
        Image.new("RGB", (4, 4), (place, 9, 9)).save(path, "PNG")
        os.utime(path, (world.now - 5, world.now - 5))
    world.go(5)
    assert {key for _, _, key in known(world)} == set(names)
    assert {key for (_, _, key), (state, _) in known(world).items() if state == "unscorable"} <= {
        name
        for name in names
        if name != name.strip()  # the keys of a prompt file have no blanks around them
    }
    world.end()


PATTERN = {"regex": r"(?s)samples/(?P<step>\d+) (?P<key>.+)\.png", "prompts_file": "prompts.json"}


def test_a_run_that_appears_disappears_and_comes_back_is_met_lost_and_met_again(tmp_path: Path) -> None:
    pattern = {"regex": r"samples/(?P<step>\d+)_(?P<key>\w+)\.png", "prompts_file": "prompts.json"}
    world = World(tmp_path, RULES, runs=[{"path": "outputs/*", "layout": {"pattern": pattern}}])
    world.go()
    assert states(world) == {}
    (tmp_path / "outputs").mkdir()
    shutil.move(world.run, tmp_path / "outputs/portrait")
    world.run = tmp_path / "outputs/portrait"
    world.go(15)
    world.evaluation(100, GOOD)
    assert states(world) == {"portrait": "active"}
    for away in (tmp_path / "away", tmp_path / "outputs/landscape"):
        world.run.rename(away)
        world.go(15)
        assert states(world)["portrait"] == "gone"
        away.rename(world.run)
        world.go(15)
        assert states(world)["portrait"] == "active"
    world.evaluation(200, GOOD)
    assert {key[:2] for key in known(world)} == {(1, 100), (1, 200)}
    assert len(world.scorer.asked) == len(set(world.scorer.asked))
    world.end()


def states(world: World) -> dict[str, str]:
    return {run["name"]: run["state"] for run in status(world.store, world.now)["runs"]}
