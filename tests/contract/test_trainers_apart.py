"""Trainers are told apart: a name of one is never taken for another's, a folder of one is recognised as no other's."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path, PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests import aitoolkit, kohya, onetrainer, simpletuner
from tests.contract.sample_names import TRAINERS
from watcher.discover import LAYOUTS, RunSettings, find_in
from watcher.discover.layouts import choose_layout

NOW = time.time() - 600
PICTURE = Image.new("RGB", (8, 8))
DETECTED = [cls for cls in LAYOUTS if cls.name not in ("pattern", "plain")]
"""All but those that only a user chooses, and which take whatever they are told to."""


def a_simpletuner(folder: Path) -> Path:
    return simpletuner.project(folder, {"--output_dir": str(folder / "output/run")})


def a_kohya(folder: Path) -> Path:
    kohya.put_config(folder, "portrait", NOW)
    kohya.put_samples(folder, "portrait", NOW, 0.3, step=500)
    kohya.put_weights(folder / "portrait.safetensors", NOW, {"ss_sd_scripts_commit_hash": "0", "ss_steps": 500})
    return folder


def an_aitoolkit(folder: Path) -> Path:
    aitoolkit.put_config(folder, NOW)
    aitoolkit.put_picture(folder, PICTURE, 500, 0, NOW)
    aitoolkit.put_save(folder, 500, NOW)
    return folder


def a_onetrainer(folder: Path) -> Path:
    onetrainer.put_config(folder, NOW)
    onetrainer.put_sample(folder, 0, onetrainer.PROMPTS[0], 500, NOW, PICTURE)
    onetrainer.put_backup(folder, 500, NOW)
    return folder


MINIATURES: dict[str, Callable[[Path], Path]] = {
    "simpletuner": a_simpletuner,
    "kohya": a_kohya,
    "ai-toolkit": an_aitoolkit,
    "onetrainer": a_onetrainer,
}
"""What each trainer leaves behind in its folder, in small; gives the folder of the run."""


def make(name: str, folder: Path) -> Path:
    folder.mkdir(parents=True)
    return MINIATURES[name](folder)


def test_every_layout_that_is_recognised_has_names_and_a_miniature() -> None:
    names = {cls.name for cls in DETECTED}
    assert not names - TRAINERS.keys()
    assert names == MINIATURES.keys()


@pytest.mark.parametrize("trainer", [name for name, names in TRAINERS.items() if names is not None])
@given(data=st.data())
def test_a_name_is_taken_by_its_trainers_layout_and_by_no_other(trainer: str, data: st.DataObject) -> None:
    names = TRAINERS[trainer]
    assert names is not None
    name = PurePath(data.draw(names))
    taken = [cls.name for cls in DETECTED if cls().parse(name) is not None]
    assert taken == [cls.name for cls in DETECTED if cls.name == trainer]


@pytest.mark.parametrize("name", MINIATURES)
def test_a_folder_is_recognised_by_exactly_one_layout(name: str, tmp_path: Path) -> None:
    folder = make(name, tmp_path / "run")
    assert [cls.name for cls in DETECTED if cls().detect(folder)] == [name]


def test_runs_of_all_trainers_may_lie_beside_each_other(tmp_path: Path) -> None:
    made = {name: make(name, tmp_path / "outputs" / name) for name in MINIATURES}
    found = {name: find_in(RunSettings(path=str(folder)))[folder] for name, folder in made.items()}
    assert {name: {run.layout and run.layout.name for run in runs} for name, runs in found.items()} == {
        name: {name} for name in made
    }


def test_a_folder_of_two_trainers_is_nobodys_and_says_what_to_do(tmp_path: Path) -> None:
    onetrainer.put_config(make("kohya", tmp_path / "run"), NOW)
    layout, reason = choose_layout("auto", tmp_path / "run")
    assert layout is None
    assert reason.startswith("looks like kohya (has samples of portrait")
    assert "and onetrainer (" in reason
    assert reason.endswith("set `layout:`")
