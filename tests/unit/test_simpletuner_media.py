"""`validation_media.jsonl` says which picture is whose and that it is whole; nothing in it is trusted any further."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from watcher.discover import Facts, FoundFile, FoundRun, RunSettings, Watching, scan
from watcher.discover.simpletuner import SimpleTuner
from watcher.discover.simpletuner.media import MEDIA, noted
from watcher.discover.simpletuner.names import Label
from watcher.nouns import Run
from watcher.settle import Files, SettleSettings
from watcher.steps.looking import Watched, look_into

NAME = "validation_images/step_5_my__cat_0_64x64.png"


def line(**more: Any) -> str:
    """Write a line as SimpleTuner does."""
    said = {
        "schema_version": 1,
        "timestamp": datetime.fromtimestamp(2000, UTC).isoformat(),
        "step": 5,
        "type": "image",
        "label": "my__cat",
        "index": 0,
        "resolution": "64x64",
        "path": NAME,
    }
    return json.dumps(said | more, separators=(",", ":"), sort_keys=True) + "\n"


def note(folder: Path, *lines: str) -> None:
    with (folder / MEDIA).open("a", encoding="utf-8") as file:
        file.write("".join(lines))


def picture(folder: Path, name: str = NAME, at: float = 1000.0) -> FoundFile:
    """Write a picture, and give what a scan finds of it."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).touch()
    os.utime(folder / name, (at, at))
    run = FoundRun("id", "run", folder, SimpleTuner(), "chosen", RunSettings(path=str(folder)))
    return next(file for file in scan(run) if file.path == folder / name)


def test_the_label_is_taken_instead_of_the_name(tmp_path: Path) -> None:
    assert picture(tmp_path).facts == Facts(5, "my", 0, "cat", size=(64, 64))
    note(tmp_path, line(label="my__cat_0", path="validation_images/step_5_my__cat_0_3_64x64.png", index=3))
    found = picture(tmp_path, "validation_images/step_5_my__cat_0_3_64x64.png").facts
    assert (found.key, found.index, found.variant) == ("my", 3, "cat_0")
    note(tmp_path, line(label="cat_2", path="validation_images/step_5_cat_2_64x64.png", index=0))
    found = picture(tmp_path, "validation_images/step_5_cat_2_64x64.png").facts
    assert (found.key, found.index, found.variant) == ("cat_2", 0, "")


@pytest.mark.parametrize(
    ("more", "whole"),
    [
        ({}, True),
        ({"timestamp": datetime.fromtimestamp(999, UTC).isoformat()}, False),  # of the picture that it replaced
        ({"timestamp": "yesterday"}, False),
        ({"step": 6}, False),
        ({"label": "dog"}, True),
        ({"type": "video"}, False),
    ],
)
def test_a_picture_is_whole_where_it_was_noted_after_it_was_written(
    tmp_path: Path, more: dict[str, Any], whole: bool
) -> None:
    note(tmp_path, line(**more))
    assert picture(tmp_path, at=1000.0).facts.whole is whole


def test_a_line_that_is_still_being_written_is_read_when_it_ends(tmp_path: Path) -> None:
    text = line()
    note(tmp_path, line(path="a.png"), text[:40])
    assert set(noted(tmp_path)) == {"a.png"}
    note(tmp_path, text[40:-1])
    assert set(noted(tmp_path)) == {"a.png"}
    note(tmp_path, "\n")
    assert noted(tmp_path)[NAME].label == Label("my__cat", 0)


def test_the_newest_line_of_a_picture_counts(tmp_path: Path) -> None:
    note(tmp_path, line(index=1), line(index=2))
    assert noted(tmp_path)[NAME].label.index == 2
    note(tmp_path, line(index=3))
    assert noted(tmp_path)[NAME].label.index == 3


@pytest.mark.parametrize("how", ["shorter", "another"])
def test_a_log_that_is_begun_anew_is_read_anew(tmp_path: Path, how: str) -> None:
    note(tmp_path, line(path="a.png"), line(path="b.png"))
    assert set(noted(tmp_path)) == {"a.png", "b.png"}
    if how == "shorter":
        (tmp_path / MEDIA).write_text(line(path="c.png"))
    else:
        (tmp_path / "new").write_text(line(path="c.png") * 3)
        (tmp_path / "new").replace(tmp_path / MEDIA)
    assert set(noted(tmp_path)) == {"c.png"}
    (tmp_path / MEDIA).unlink()
    assert noted(tmp_path) == {}


@pytest.mark.parametrize(
    "more",
    [
        {"path": "../other/validation_images/step_5_my__cat_0_64x64.png"},
        {"path": "/validation_images/step_5_my__cat_0_64x64.png"},
        {"path": "validation_images/../validation_images/step_5_my__cat_0_64x64.png"},
        {"path": None},
        {"label": ""},
        {"label": 7},
        {"index": -1},
        {"index": 2**63},
        {"index": True},
        {"step": "5"},
    ],
)
def test_what_leads_out_of_the_folder_or_is_no_such_line_says_nothing(tmp_path: Path, more: dict[str, Any]) -> None:
    (tmp_path / "run").mkdir()
    note(tmp_path / "run", line(**{"index": 9, **more}))
    assert picture(tmp_path / "run").facts == Facts(5, "my", 0, "cat", size=(64, 64))


@given(st.binary(max_size=200) | st.from_regex(rb'(\{"type":"image","path":[^\n]{0,40}\}\n|[\x00-\x7f]{0,9}\n)*'))
def test_no_log_is_too_odd_to_be_read(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("odd")
    (folder / MEDIA).write_bytes(data + b"\n" + line().encode())
    assert set(noted(folder)) >= {NAME}


@pytest.mark.parametrize("is_noted", [True, False])
def test_a_picture_that_is_noted_need_not_stand_still_to_be_read(tmp_path: Path, is_noted: bool) -> None:
    now = 2_000_000_000.0
    (tmp_path / "validation_images").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / NAME)
    os.utime(tmp_path / NAME, (now - 0.1, now - 0.1))
    if is_noted:
        note(tmp_path, line(timestamp=datetime.fromtimestamp(now, UTC).isoformat()))
    found = FoundRun("id", "run", tmp_path, SimpleTuner(), "chosen", RunSettings(path=str(tmp_path)))
    run = Run("id", "run", tmp_path, "simpletuner", first_seen=now)
    watched = Watched(run, found, SimpleTuner(), Watching("a disk"), {})
    look = look_into(watched, Files(SettleSettings()), now)
    assert [file.path.name for file, _ in look.whole] == [Path(NAME).name] * is_noted
    assert (look.due > now + 60) is is_noted
