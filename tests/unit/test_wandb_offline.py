"""Offline: W&B's files, read back, have each evaluation once, on an axis of its own, with its lowest pictures."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from tests.contract.test_trackers import show
from tests.wandb_bench import RUN, SETUP, Make, evaluation, go, making, wait
from tests.wandb_files import curve, rows, sessions
from watcher.nouns import Evaluation, Setup
from watcher.record.tracker import LowImage


@pytest.fixture
def make() -> Iterator[Make]:
    with making() as make:
        yield make


def test_the_run_is_our_own_beside_the_trainers(make: Make, tmp_path: Path) -> None:
    tracker = make()
    place = tracker.place(RUN, SETUP, tmp_path)
    show(tracker, place, [evaluation(100)], None)
    (session,) = sessions(place)
    run = session.run()
    assert (run.project, run.run_group, run.job_type) == ("flux-lora", "flux r16", "watcher")
    assert (run.display_name, run.run_id, run.entity) == ("flux r16 (watcher)", "watcher-abc123", "")
    config = session.config()
    assert config.pop("watcher")
    said = {"run": "team/flux", "path": "/data/flux", "layout": "simpletuner", "labels": {"team": "art"}}
    assert config == {**said, "scorer": "clip@1"}
    assert session.ended()


def test_settings_come_before_what_the_trainer_says(make: Make, tmp_path: Path) -> None:
    tracker = make(project="mine", entity="team", group="lr sweep")
    place = tracker.place(RUN, SETUP, tmp_path)
    show(tracker, place, [evaluation(100)], None)
    run = sessions(place)[0].run()
    assert (run.project, run.run_group, run.entity) == ("mine", "lr sweep", "team")
    assert place != make(project="mine").place(RUN, SETUP, tmp_path)


def test_a_run_of_which_nothing_is_known_has_its_own_name_for_a_group(make: Make, tmp_path: Path) -> None:
    tracker = make()
    place = tracker.place(RUN, Setup(), tmp_path)
    show(tracker, place, [evaluation(100)], None)
    run = sessions(place)[0].run()
    assert (run.project, run.run_group, run.display_name) == ("watcher", "team/flux", "team/flux (watcher)")


def test_every_metric_is_drawn_over_the_trainers_step_and_older_steps_are_accepted(make: Make, tmp_path: Path) -> None:
    tracker = make()
    place = tracker.place(RUN, SETUP, tmp_path)
    for steps in ((300, 400), (100,), (500,), (200,)):
        show(tracker, place, [evaluation(step, step / 1000) for step in steps], None)
    assert curve(place) == [(300, 0.3), (400, 0.4), (100, 0.1), (500, 0.5), (200, 0.2)]
    for session in sessions(place):
        names = {name for row in session.rows() for name in row} - {"step"}
        assert session.axes() == dict.fromkeys(names | {"lowest"}, "step")


def test_a_revised_evaluation_is_added_and_what_did_not_change_is_not_repeated(make: Make, tmp_path: Path) -> None:
    tracker = make()
    place = tracker.place(RUN, SETUP, tmp_path)
    show(tracker, place, [evaluation(100), evaluation(200)], None)
    show(tracker, place, [evaluation(100), evaluation(200, 0.5, revision=2)], None)
    assert [(row["step"], row["clip/mean"], row["watcher/revision"]) for row in rows(place)] == [
        (100, 0.25, 1),
        (200, 0.25, 1),
        (200, 0.5, 2),
    ]


def test_the_summary_is_of_the_newest_attempts_highest_step_whatever_comes_late(make: Make, tmp_path: Path) -> None:
    tracker = make()
    place = tracker.place(RUN, SETUP, tmp_path)
    show(tracker, place, [evaluation(400, 0.4)], None)
    show(make_again := make(), make_again.place(RUN, SETUP, tmp_path), [evaluation(100, 0.1)], None)
    last = sessions(place)[-1].summary()
    assert (last["clip/mean"], last["step"]) == (0.4, 400)
    show(tracker, place, [evaluation(200, 0.2, attempt=2)], None)
    assert sessions(place)[-1].summary()["clip/mean"] == 0.2


def test_a_variant_has_names_of_its_own(make: Make, tmp_path: Path) -> None:
    tracker = make()
    place = tracker.place(RUN, SETUP, tmp_path)
    show(tracker, place, [evaluation(100, 0.25), evaluation(100, 0.75, "ema")], None)
    main, ema = rows(place)
    assert main["clip/mean"] == 0.25
    assert {name.partition("/")[0] for name in ema} == {"step", "ema"}
    assert (ema["step"], ema["ema/clip/mean"]) == (100, 0.75)
    assert sessions(place)[0].summary()["clip/mean"] == 0.25
    assert sessions(place)[0].axes()["ema/clip/mean"] == "step"


def test_the_lowest_pictures_are_shown_as_they_were_scored_with_prompt_and_cosine(make: Make, tmp_path: Path) -> None:
    wide = Image.new("RGB", (1600, 800), "red")
    wide.paste("blue", (800, 0, 1600, 800))
    wide.save(tmp_path / "wide.png")
    (tmp_path / "other.png").write_bytes(b"another picture by now")
    digest = hashlib.sha256((tmp_path / "wide.png").read_bytes()).hexdigest()
    good = LowImage(tmp_path / "wide.png", (800, 0, 1600, 800), digest, "a café, at night", 0.1234)
    others = [replace(good, path=tmp_path / name, digest=digest) for name in ("other.png", "gone.png")]
    tracker = make(images=3)
    place = tracker.place(RUN, SETUP, tmp_path / "state")
    asked: list[int] = []

    def lowest(_: Evaluation, number: int) -> list[LowImage]:
        asked.append(number)
        return [good, *others]

    wait(lambda: go(tracker, place, [evaluation(100)], lowest), "it is shown")
    (row,) = rows(place)
    assert row["lowest.captions"] == ["0.123 a café, at night"]
    (name,) = row["lowest.filenames"]
    with Image.open(sessions(place)[0].folder / "files" / name) as shown:
        assert (shown.format, shown.size) == ("JPEG", (512, 512))
        red, _, blue = shown.convert("RGB").getpixel((256, 256))  # type: ignore[misc]
        assert blue > 200 > 50 > red
    assert asked == [3]


def test_without_images_none_are_asked_for(make: Make, tmp_path: Path) -> None:
    tracker = make(images=0)
    place = tracker.place(RUN, SETUP, tmp_path)
    asked: list[int] = []
    wait(lambda: go(tracker, place, [evaluation(100)], lambda _, number: [asked.append(number)]), "it is shown")  # type: ignore[func-returns-value, list-item]
    assert not asked


def test_nothing_but_the_numbers_and_pictures_is_kept(make: Make, tmp_path: Path) -> None:
    tracker = make()
    place = tracker.place(RUN, SETUP, tmp_path)
    show(tracker, place, [evaluation(100)], None)
    (session,) = sessions(place)
    files = sorted(str(path.relative_to(session.folder)) for path in session.folder.rglob("*") if path.is_file())
    assert files == ["run-watcher-abc123.wandb"]
    assert not [row for row in session.rows() if any(name.startswith("system") for name in row)]


def test_names_that_are_no_names_of_folders_or_projects_do_no_harm(make: Make, tmp_path: Path) -> None:
    tracker = make()
    odd = replace(RUN, name="../../a b:c")
    place = tracker.place(odd, Setup(project="../team/x%y", run_name="n" * 300), tmp_path / "state")
    assert Path(place).resolve().is_relative_to((tmp_path / "state" / "wandb").resolve())
    show(tracker, place, [evaluation(100)], None)
    assert sessions(place)[0].run().project == "-team-x-y"


def test_wandb_sync_would_upload_what_a_place_has(make: Make, tmp_path: Path) -> None:
    tracker = make()
    place = tracker.place(RUN, SETUP, tmp_path)
    for step in (100, 200):
        show(tracker, place, [evaluation(step)], None)
    words = ["wandb", "sync", "--dry-run", place]
    clean = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    path = f"{Path(sys.executable).parent}:{clean['PATH']}"
    said = subprocess.run(words, cwd=tmp_path, env={**clean, "PATH": path}, capture_output=True, text=True, check=True)
    assert "Would sync 2 run(s)" in said.stderr + said.stdout


def test_check_is_told_run_project_group_and_the_way_there(make: Make, tmp_path: Path) -> None:
    text = make().describe(RUN, SETUP, tmp_path)
    assert text.startswith("W&B run 'flux r16 (watcher)' in project flux-lora, group 'flux r16'; offline, upload with")
    assert f"`wandb sync {tmp_path}/wandb/team-flux-abc123/flux-lora`" in text
    assert "offline" not in make(mode="online").describe(RUN, SETUP, tmp_path)
    assert "team/flux-lora" in make(entity="team").describe(RUN, SETUP, tmp_path)
