"""SimpleTuner's display images on the whole path: the panel scores as the picture that the model made, and once."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from tests.commands import alone
from tests.displays import footed, labelled, stitched
from tests.simpletuner import project
from watcher.demo.stage import CLIP
from watcher.demo.world import draw, validation_scenes

SCENES = validation_scenes(9)
BLANK = SCENES[8]
NEAR = 1e-6


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with benchmark, whose pictures are also kept as the model made them; watched once by the real program."""
    folder = tmp_path_factory.mktemp("displays")
    settings = {
        "user_prompt_library": "config/library.json",
        "validation_disable_unconditional": True,
        "validation_resolution": "32x32",
    }
    output = project(folder, settings)
    (folder / "config/library.json").write_text(json.dumps({scene.slug: scene.caption for scene in SCENES}))
    for place in ("raw", "output/run/benchmarks/base_model", "output/run/checkpoint-100"):
        (folder / place).mkdir(parents=True)
    rng = random.Random(3)
    for scene in SCENES:
        base, made = draw(SCENES[0], rng), draw(scene, rng)
        made = Image.new("RGB", (32, 32), "grey") if scene == BLANK else made
        base.save(output / f"benchmarks/base_model/{scene.slug}_32x32.png")
        kind = "webp" if scene in SCENES[::2] else "png"  # other bytes than the benchmark's PNG, or the same
        base.save(output / f"validation_images/step_0_{scene.slug}_0_32x32.{kind}")
        made.save(folder / f"raw/{scene.slug}.png")
        (folder / f"raw/{scene.slug}.txt").write_text(scene.caption)
        display = footed(stitched(base, made), f"Prompt: {scene.caption}")
        display.save(output / f"validation_images/step_100_{scene.slug}_0_32x32.png")
        footed(labelled(stitched(base, made), 37, "step 200"), "Prompt: wide").resize((99, 40)).save(
            output / f"validation_images/step_200_{scene.slug}_0_32x32.png"
        )
    written = {
        "runs": [{"path": "output/*"}],
        "scorers": {"clip": {"model": str(CLIP), "device": "cpu", "threads": 1}},
        "notify": ["log"],
        "settle": {"file_quiet": "0.2s"},
        "state": "state",
    }
    (folder / "watcher.yaml").write_text(yaml.safe_dump(written))
    done = alone("run", "--once", "-c", folder / "watcher.yaml")
    assert done.status == 0, done.err
    return folder


@pytest.fixture(scope="module")
def evaluations(workspace: Path) -> dict[tuple[int, str], dict[str, Any]]:
    found = alone("show", "run", "--json", "-c", workspace / "watcher.yaml").json
    return {(one["step"], one["variant"]): one for one in found["evaluations"]}


@pytest.fixture(scope="module")
def raw(workspace: Path) -> dict[str, dict[str, Any]]:
    """What `watcher score` says of the pictures as the model made them."""
    answer = alone("score", workspace / "raw", "--model", CLIP, "--device", "cpu", "--json")
    return {image["prompt_key"]: image for image in answer.json["images"]}


def test_a_display_image_scores_as_the_picture_that_the_model_made(
    evaluations: dict[tuple[int, str], dict[str, Any]], raw: dict[str, dict[str, Any]]
) -> None:
    images = evaluations[100, ""]["images"]
    assert {image["prompt_key"] for image in images} == {scene.slug for scene in SCENES} == raw.keys()
    for image in images:
        assert (image["state"], image["error"]) == ("scored", "")
        assert image["cosine"] == pytest.approx(raw[image["prompt_key"]]["cosine"], abs=NEAR)
        assert image["tile"] == [37, 0, 69, 32]


def test_a_blank_panel_is_blank_however_much_stands_beside_it(
    evaluations: dict[tuple[int, str], dict[str, Any]],
) -> None:
    blank = [image["prompt_key"] for image in evaluations[100, ""]["images"] if "blank" in image["health"]]
    assert blank == [BLANK.slug]
    assert evaluations[100, ""]["metrics"]["clip/images"] == len(SCENES) - 1


def test_the_base_models_pictures_are_one_evaluation_and_each_of_them_counts_once(
    evaluations: dict[tuple[int, str], dict[str, Any]],
) -> None:
    assert set(evaluations) == {(0, "base"), (100, ""), (200, "")}
    assert evaluations[0, "base"]["metrics"]["clip/images"] == len(SCENES)
    assert {image["tile"] for image in evaluations[0, "base"]["images"]} == {None}


def test_what_is_not_conclusive_is_told_and_not_scored(evaluations: dict[tuple[int, str], dict[str, Any]]) -> None:
    images = evaluations[200, ""]["images"]
    assert {(image["state"], image["cosine"]) for image in images} == {("unscorable", None)}
    assert all("cannot find the generated panel: 99x40, 32x32 was asked for" in image["error"] for image in images)
    assert "clip/mean" not in evaluations[200, ""]["metrics"]


def test_a_folder_scored_at_once_has_the_same_scores(workspace: Path, raw: dict[str, dict[str, Any]]) -> None:
    answer = alone("score", workspace / "output/run", "--model", CLIP, "--device", "cpu", "--json")
    images = [image for image in answer.json["images"] if image["step"] == 100]
    assert [len([one for one in answer.json["images"] if one["step"] == step]) for step in (0, 100)] == [9, 9]
    for image in images:
        assert image["cosine"] == pytest.approx(raw[image["prompt_key"]]["cosine"], abs=NEAR)
        assert image["tile"] == [37, 0, 69, 32]
