"""Runs are the folders that the configuration names, and their samples what lies in them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from pydantic import ValidationError

from watcher.discover import LAYOUTS, FoundRun, RunSettings, choose_layout, find_runs, scan
from watcher.discover.birth import born


def make(folder: Path, *names: str) -> Path:
    (folder / "validation_images").mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / "validation_images" / name).write_bytes(b"x")
    return folder


def found(*paths: Path | str) -> list[FoundRun]:
    return find_runs([RunSettings(path=str(path)) for path in paths])


def test_a_glob_gives_every_folder_once_and_new_ones_later(tmp_path: Path) -> None:
    first = make(tmp_path / "a")
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(first)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    assert [run.path for run in found(tmp_path / "*", first)] == [first]
    second = make(tmp_path / "b")
    assert [run.path for run in found(tmp_path / "*")] == [first, second]


def test_a_folder_named_twice_belongs_to_the_first_entry(tmp_path: Path) -> None:
    make(tmp_path / "a")
    entries = [RunSettings(path=str(tmp_path / "a"), mode="enforce"), RunSettings(path=str(tmp_path / "*"))]
    assert [run.settings.mode for run in find_runs(entries)] == ["enforce"]


def test_a_folder_may_have_a_name_that_looks_like_a_glob(tmp_path: Path) -> None:
    assert [run.name for run in found(make(tmp_path / "run[1]*"))] == ["run[1]*"]


def test_a_tilde_is_the_home_folder_and_must_be_somebodys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    make(tmp_path / "a")
    assert [run.name for run in found("~/a")] == ["a"]
    with pytest.raises(ValidationError, match="no such user: ~nobody-of-that-name"):
        RunSettings(path="~nobody-of-that-name/a")


def test_the_id_outlives_new_files_but_not_a_new_folder_in_the_same_place(tmp_path: Path) -> None:
    run = make(tmp_path / "a")
    old, birth = found(run)[0].id, born(run)
    make(run, "step_1_cat_0_8x8.png")
    assert found(run)[0].id == old
    deadline = time.monotonic() + 60
    while born(run) == birth and time.monotonic() < deadline:  # the file system's clock is coarse
        (run / "validation_images").rename(tmp_path / "aside")
        run.rmdir()
        run.mkdir()
        (tmp_path / "aside").rename(run / "validation_images")
    if birth == 0:
        pytest.skip("this file system keeps no birth times")
    assert found(run)[0].id != old


def test_the_same_folder_elsewhere_is_another_run(tmp_path: Path) -> None:
    old = found(make(tmp_path / "a"))[0].id
    (tmp_path / "a").rename(tmp_path / "b")
    assert found(tmp_path / "b")[0].id != old


def test_names_take_as_many_parents_as_tell_them_apart(tmp_path: Path) -> None:
    for name in ("x/p/out", "y/p/out", "y/q/out", "z/other"):
        make(tmp_path / name)
    names = [run.name for run in found(tmp_path / "*/*/out", tmp_path / "z/other")]
    assert names == ["x/p/out", "y/p/out", "q/out", "other"]


def test_a_name_that_is_not_utf8_hides_nothing_else(tmp_path: Path) -> None:
    odd = make(tmp_path / os.fsdecode(b"caf\xe9"))
    good = make(tmp_path / "good", "step_1_cat_0_8x8.png", os.fsdecode(b"step_1_\xe9_0_8x8.png"))
    runs = found(tmp_path / "*", odd)
    assert [run.path for run in runs] == [good]
    assert [file.facts.key for file in scan(runs[0])] == ["cat"]


def test_a_layout_is_chosen_or_seen_and_the_reason_told(tmp_path: Path) -> None:
    run = make(tmp_path / "a")
    assert found(run)[0].reason == "simpletuner: has validation_images/"
    layout = RunSettings.model_validate({"path": "x", "layout": {"pattern": {"regex": r"(?P<step>\d+)"}}}).layout
    assert choose_layout(layout, run) == (layout, "pattern: chosen in the configuration")
    (tmp_path / "b").mkdir()
    nothing, reason = choose_layout("auto", tmp_path / "b")
    assert nothing is None
    assert f"above any glob, `{{path: {tmp_path / 'b'}, layout: NAME}}`" in reason


@pytest.mark.parametrize("layout", ["simpltuner", 3, {"a": {}, "b": {}}, None, ["simpletuner"]])
def test_an_unknown_layout_is_refused_with_those_that_are_known(layout: object) -> None:
    known = ", ".join(cls.name for cls in LAYOUTS)
    with pytest.raises(ValidationError, match=f"known are auto, {known}"):
        RunSettings.model_validate({"path": "x", "layout": layout})


def test_a_scan_gives_size_and_time_of_each_sample(tmp_path: Path) -> None:
    run = make(tmp_path / "a", "step_1_cat_0_8x8.png", "notes.txt", "step_1_cat_0_8x8.png.tmp")
    path = run / "validation_images/step_1_cat_0_8x8.png"
    os.utime(path, ns=(5, 7))
    files = list(scan(found(run)[0]))
    assert [(file.path, file.size, file.mtime_ns, file.facts.step) for file in files] == [(path, 1, 7, 1)]


def test_only_regular_files_inside_the_run_are_samples(tmp_path: Path) -> None:
    elsewhere = tmp_path / "secret.png"
    elsewhere.write_bytes(b"x")
    run = make(tmp_path / "a")
    (run / "validation_images/step_1_link_0_8x8.png").symlink_to(elsewhere)
    (run / "validation_images/step_1_folder_0_8x8.png").mkdir()
    os.mkfifo(run / "validation_images/step_1_pipe_0_8x8.png")
    assert list(scan(found(run)[0])) == []


def test_a_sample_folder_that_leads_outside_is_not_followed(tmp_path: Path) -> None:
    other = make(tmp_path / "other", "step_1_cat_0_8x8.png")
    run = tmp_path / "a"
    run.mkdir()
    (run / "validation_images").symlink_to(other / "validation_images")
    assert list(scan(found(run)[0])) == []


def test_a_folder_that_vanished_holds_nothing(tmp_path: Path) -> None:
    run = found(make(tmp_path / "a"))[0]
    (run.path / "validation_images").rmdir()
    assert list(scan(run)) == []
    run.path.rmdir()
    assert list(scan(run)) == []
    assert found(run.path) == []
