"""A miniature output folder of ai-toolkit, watched once by the real program with a real CLIP."""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from tests import once
from tests.aitoolkit import put_config, put_picture, put_save
from watcher.demo.world import draw, validation_scenes

SCENES = validation_scenes(11)
"""More than ten, so that numbers of two digits are among their names."""
STEPS = (0, 250, 500)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the run, keep its pictures beside their captions under other names, and watch."""
    folder = tmp_path_factory.mktemp("aitoolkit")
    run, now, rng = folder / "output" / "my_lora", time.time() - 600, random.Random(5)
    put_config(run, now, [f"[trigger], {scene.caption} --w 32 --h 32 --d 42" for scene in SCENES])
    (folder / "clean").mkdir()
    for step in STEPS:
        for index, scene in enumerate(SCENES):
            picture = draw(scene if step > 100 * index // 2 else SCENES[index - 1], rng)
            path = put_picture(run, picture, step, index, now + step + index)
            shutil.copy(path, folder / "clean" / f"{step}-{index}.jpg")
            (folder / "clean" / f"{step}-{index}.txt").write_text(scene.caption)
    put_save(run, 250, now + 260)
    once.watch(folder, "output/*")
    return folder


@pytest.fixture(scope="module")
def shown(workspace: Path) -> dict[str, Any]:
    return once.shown(workspace, "my_lora")


def test_every_step_and_prompt_has_the_cosine_of_its_picture_alone(workspace: Path, shown: dict[str, Any]) -> None:
    answer = once.score(workspace / "clean")
    wanted = {tuple(Path(one["path"]).stem.split("-")): one["cosine"] for one in answer["images"]}
    found = {
        (str(one["step"]), image["prompt_key"]): image["cosine"]
        for one in shown["evaluations"]
        for image in one["images"]
    }
    assert len(wanted) == len(STEPS) * len(SCENES)
    assert found == pytest.approx(wanted, abs=1e-6)


def test_step_0_is_the_base_model_and_the_others_are_whole(shown: dict[str, Any]) -> None:
    found = {one["step"]: (one["variant"], one["complete"]) for one in shown["evaluations"]}
    assert {step: variant for step, (variant, _) in found.items()} == {0: "base", 250: "", 500: ""}
    assert found[250][1]
    assert found[500][1]


def test_the_prompt_is_shown_as_it_stands_in_the_configuration(shown: dict[str, Any]) -> None:
    prompts = {image["prompt_key"]: image["prompt"] for one in shown["evaluations"] for image in one["images"]}
    assert prompts == {str(index): f"[trigger], {scene.caption}" for index, scene in enumerate(SCENES)}
