"""From the disk into the store: every image is scored once or reported; history keeps the prompts of its day."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.worlds import KEYS, World, counts
from watcher.record import evaluations, runs, samples
from watcher.steps.looking import SLICE
from watcher.view.queries import latest
from watcher.view.status import status

RULES = "version: 1\nrules: [{name: low, when: clip/mean < 0.22}]\n"
GOOD = 0.30
DAY = 24 * 3600.0


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, RULES)
    world.go()
    yield world
    world.end()


def shown(world: World) -> dict[str, Any]:
    (run,) = status(world.store, world.now)["runs"]
    return run


def steps(world: World) -> list[tuple[int, int, str]]:
    with world.store.read() as db:
        (run,) = runs.all_runs(db)
        return [(e.attempt, e.step, e.state) for e in evaluations.of_run(db, run.id)]


def test_every_image_is_scored_once_however_often_the_folder_is_looked_at(world: World) -> None:
    world.evaluation(100, GOOD)
    world.go(60)
    world.restart()
    world.go(60)
    assert len(world.scorer.asked) == len(set(world.scorer.asked)) == len(KEYS)
    assert shown(world)["metrics"]["clip/mean"] == pytest.approx(GOOD)


def test_files_that_are_no_images_are_counted_shown_and_never_fatal(world: World) -> None:
    world.evaluation(100, GOOD, KEYS[4:])
    odd = world.run / "samples"
    for key, data in (("a", b""), ("b", b"no image"), ("c", (odd / "100_e.png").read_bytes()[:-30])):
        (odd / f"100_{key}.png").write_bytes(data)
    (odd / "100_d.png").mkdir()
    (odd / "notes.txt").write_text("none of mine")
    world.go(301)
    world.go(301)
    world.go(120)
    run = shown(world)
    assert (run["undecodable"], run["pending"], run["images"]) == (3, 0, 7)
    assert all("not a readable image" in reason for reason in run["reasons"])


def test_a_torn_file_that_is_finished_late_is_scored(world: World) -> None:
    world.evaluation(100, GOOD, KEYS[1:])
    (path,) = world.put(100, {"a": GOOD})
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    world.go(301)
    world.go(301)
    assert shown(world)["undecodable"] == 1
    path.write_bytes(whole)
    world.go(2)
    assert (shown(world)["undecodable"], shown(world)["metrics"]["clip/prompts"]) == (0, len(KEYS))


def test_an_image_whose_prompt_is_unknown_is_kept_and_scored_once_it_is_known(world: World) -> None:
    world.put(100, dict.fromkeys(KEYS[:-1], GOOD) | {"new": GOOD})
    world.go()
    assert shown(world)["reasons"] == {"no prompt": 1}
    assert shown(world)["metrics"]["clip/prompts"] == len(KEYS) - 1
    prompts = world.run / "prompts.json"
    prompts.write_text(json.dumps(json.loads(prompts.read_text()) | {"new": "a new thing"}))
    world.go(10)
    assert (shown(world)["unscorable"], shown(world)["metrics"]["clip/prompts"]) == (0, len(KEYS))


def test_an_empty_prompt_is_recorded_and_never_averaged(world: World) -> None:
    prompts = world.run / "prompts.json"
    prompts.write_text(json.dumps(json.loads(prompts.read_text()) | {"a": ""}))
    world.evaluation(100, GOOD)
    assert shown(world)["reasons"] == {"empty prompt": 1}
    assert shown(world)["metrics"]["clip/prompts"] == len(KEYS) - 1
    assert shown(world)["metrics"]["health/unscorable"] == 0
    with world.store.read() as db:
        assert all(e.complete for e in latest(db).values())


def test_a_prompt_file_that_is_edited_does_not_change_history(world: World) -> None:
    world.evaluation(100, GOOD)
    (world.run / "prompts.json").write_text(json.dumps(dict.fromkeys(KEYS, "another thing")))
    world.evaluation(200, GOOD)
    with world.store.read() as db:
        (run,) = runs.all_runs(db)
        texts = {e.step: {s.prompt for s in samples.in_evaluation(db, e.id)} for e in evaluations.of_run(db, run.id)}
    assert texts == {100: {"a thing"}, 200: {"another thing"}}


def test_a_broken_prompt_file_is_told_until_it_is_mended(world: World) -> None:
    (world.run / "prompts.json").write_text("{broken")
    world.evaluation(100, GOOD)
    for _ in range(3):
        world.go(10)
        assert "prompt file is not usable" in str(status(world.store, world.now)["problems"])
    assert shown(world)["reasons"] == {"no prompt": len(KEYS)}
    (world.run / "prompts.json").write_text(json.dumps(dict.fromkeys(KEYS, "a thing")))
    world.go(10)
    assert status(world.store, world.now)["problems"] == {}
    assert shown(world)["metrics"]["clip/mean"] == pytest.approx(GOOD)


def test_a_run_whose_folder_vanishes_is_gone_and_comes_back_as_it_was(world: World) -> None:
    world.evaluation(100, GOOD)
    away = world.folder / "away"
    world.run.rename(away)
    world.go(20)
    assert shown(world)["state"] == "gone"
    away.rename(world.run)
    world.go(20)
    assert shown(world)["state"] == "active"
    world.evaluation(200, GOOD)
    assert steps(world) == [(1, 100, "closed"), (1, 200, "closed")]


def test_a_folder_made_anew_is_another_run(world: World) -> None:
    world.evaluation(100, GOOD)
    shutil.rmtree(world.run)
    world.go(20)
    (world.run / "samples").mkdir(parents=True)
    (world.run / "prompts.json").write_text(json.dumps(dict.fromkeys(KEYS, "a thing")))
    world.go(20)
    world.evaluation(100, GOOD)
    found = status(world.store, world.now)["runs"]
    assert [(run["state"], run["attempt"], run["images"]) for run in found] == [("gone", 1, 8), ("active", 1, 8)]


def test_a_folder_that_was_emptied_begins_a_new_attempt(world: World) -> None:
    for step in (100, 200, 300):
        world.evaluation(step, GOOD)
    for path in (world.run / "samples").iterdir():
        path.unlink()
    world.go(20)
    world.evaluation(50, GOOD)
    assert [one for one in steps(world) if one[2] != "superseded"] == [(2, 50, "closed")]
    assert shown(world)["step"] == 50


def test_old_images_that_are_tidied_away_do_not_make_a_new_attempt(world: World) -> None:
    for step in (100, 200):
        world.evaluation(step, GOOD)
    for path in (world.run / "samples").iterdir():
        path.unlink()
    world.evaluation(300, GOOD)
    assert steps(world) == [(1, 100, "closed"), (1, 200, "closed"), (1, 300, "closed")]


def test_images_that_were_away_while_they_should_be_scored_are_scored_when_they_are_back(world: World) -> None:
    world.scorer.broken = "the model is missing"
    world.evaluation(100, GOOD)
    assert shown(world)["pending"] == len(KEYS)
    away = world.run / "away"
    (world.run / "samples").rename(away)
    world.scorer.broken = ""
    world.go(60)
    assert shown(world)["reasons"] == {"the file is gone": len(KEYS)}
    away.rename(world.run / "samples")
    world.go(60)
    assert (shown(world)["undecodable"], shown(world)["metrics"]["clip/prompts"]) == (0, len(KEYS))


def test_a_scorer_that_needs_the_user_leaves_samples_pending_and_says_why(world: World) -> None:
    world.scorer.broken = "model folder /nowhere does not exist"
    world.evaluation(100, GOOD)
    found = status(world.store, world.now)
    told = found["scorer"]
    assert (told["state"], told["reason"]) == ("failing", "model folder /nowhere does not exist")
    assert found["runs"][0]["pending"] == len(KEYS)
    assert world.pipeline.finished(world.now) == 1
    world.scorer.broken = ""
    world.go(60)
    assert status(world.store, world.now)["scorer"]["state"] == "ok"
    assert shown(world)["metrics"]["clip/prompts"] == len(KEYS)


def test_a_run_that_is_idle_for_a_day_is_archived_until_it_writes_again(tmp_path: Path) -> None:
    world = World(tmp_path, RULES)
    world.put(100, dict.fromkeys(KEYS, GOOD), age=DAY + 60)
    world.go()
    assert (shown(world)["state"], shown(world)["images"], world.scorer.asked) == ("archived", 0, [])
    world.restart()
    world.go(20)
    assert shown(world)["state"] == "archived"
    world.evaluation(200, GOOD)
    assert (shown(world)["state"], shown(world)["images"]) == ("active", 2 * len(KEYS))
    world.end()


def test_what_a_later_attempt_replaced_is_still_scored_and_never_judged(world: World) -> None:
    for step in (100, 200):
        world.evaluation(step, GOOD)
    world.scorer.broken = "busy"
    world.evaluation(300, GOOD)  # waits for a score
    world.put(200, dict.fromkeys(KEYS, GOOD + 0.01))
    world.go()
    world.scorer.broken = ""
    world.go(60)
    assert shown(world)["pending"] == 0
    assert steps(world) == [(1, 100, "closed"), (1, 200, "superseded"), (1, 300, "superseded"), (2, 200, "closed")]


def test_a_link_that_leads_out_of_the_run_is_not_followed(world: World, tmp_path: Path) -> None:
    (secret,) = world.put(100, {"a": GOOD})
    outside = tmp_path / "outside.png"
    secret.rename(outside)
    secret.symlink_to(outside)
    world.go(20)
    assert shown(world)["images"] == 0


def test_a_folder_without_a_layout_is_told_with_the_way_out(tmp_path: Path) -> None:
    world = World(tmp_path, RULES)
    world.end()
    config = (tmp_path / "watcher.yaml").read_text()
    (tmp_path / "watcher.yaml").write_text(config.replace("runs:", "runs:\n- path: other"))
    (tmp_path / "other").mkdir()
    world.start()
    world.go()
    assert "layout: NAME}`" in status(world.store, world.now)["problems"][f"{tmp_path / 'other'} (layout)"]
    (tmp_path / "other").rmdir()
    world.go(20)
    assert status(world.store, world.now)["problems"] == {}
    world.end()


def test_a_folder_full_of_images_is_taken_in_slice_by_slice_so_that_the_loop_stays_alive(world: World) -> None:
    for step in range(1, SLICE // len(KEYS) + 5):
        world.put(step, dict.fromkeys(KEYS, GOOD), age=600 - step)
    written = len(list((world.run / "samples").iterdir()))
    assert written > SLICE
    world.pipeline.intake.rescan()
    world.pipeline.intake.advance(world.now)
    with world.store.read() as db:
        assert sum(counts(db)[runs.all_runs(db)[0].id].values()) == SLICE
    assert not world.pipeline.intake.idle(world.now)
    world.go()
    with world.store.read() as db:
        assert sum(counts(db)[runs.all_runs(db)[0].id].values()) == written
    for _ in range(4):  # one batch is scored in each pass
        world.go()
    assert {state for _, _, state in steps(world)} == {"closed"}
