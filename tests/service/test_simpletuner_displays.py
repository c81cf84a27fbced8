"""SimpleTuner's display images on the whole path: the panel scores as the picture that the model made, and once.

Its corner with the label is covered, and so is that of the pictures that it is compared with.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests import once
from tests.displays import covered, display, footed, stitched
from tests.simpletuner import project
from watcher.demo.world import Scene, draw, validation_scenes

SCENES = validation_scenes(9)
BLANK = SCENES[8]
NEAR = 1e-6
SIDE = 256
LABEL = [0, 0, 232, 48]
PANEL = [SIDE + 5, 0, 2 * SIDE + 5, SIDE]


def painted(scene: Scene, rng: random.Random) -> Image.Image:
    """Draw a scene as large as a small model's picture."""
    return draw(scene, rng).resize((SIDE, SIDE))


def note(output: Path, label: str) -> None:
    """Write the line that SimpleTuner writes for a picture of step 100."""
    said = {"step": 100, "type": "image", "label": label, "index": 0, "timestamp": "2026-09-01T00:00:00+00:00"}
    said["path"] = f"validation_images/step_100_{label}_0_{SIDE}x{SIDE}.png"
    with (output / "validation_media.jsonl").open("a") as file:
        file.write(json.dumps(said) + "\n")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with benchmark, whose pictures are also kept as the model made them; watched once by the real program."""
    folder = tmp_path_factory.mktemp("displays")
    settings = {
        "user_prompt_library": "config/library.json",
        "validation_disable_unconditional": True,
        "validation_resolution": f"{SIDE}x{SIDE}",
        "report_to": "simpletuner",
    }
    output = project(folder, settings)
    (folder / "config/library.json").write_text(json.dumps({scene.slug: scene.caption for scene in SCENES}))
    for place in ("raw", "base", "output/run/benchmarks/base_model", "output/run/checkpoint-100"):
        (folder / place).mkdir(parents=True)
    rng = random.Random(3)
    for scene in SCENES:
        base, made = painted(SCENES[0], rng), painted(scene, rng)
        made = Image.new("RGB", (SIDE, SIDE), "grey") if scene == BLANK else made
        base.save(output / f"benchmarks/base_model/{scene.slug}_{SIDE}x{SIDE}.png")
        kind = "webp" if scene in SCENES[::2] else "png"  # other bytes than the benchmark's PNG, or the same
        base.save(output / f"validation_images/step_0_{scene.slug}_0_{SIDE}x{SIDE}.{kind}", lossless=True)
        for place, picture in (("raw", made), ("base", base)):
            covered(picture).save(folder / f"{place}/{scene.slug}.png")
            (folder / f"{place}/{scene.slug}.txt").write_text(scene.caption)
        whole = display(base, made, 100, scene.caption)
        whole.save(output / f"validation_images/step_100_{scene.slug}_0_{SIDE}x{SIDE}.png")
        note(output, scene.slug)
        whole.save(output / f"validation_images/step_100_{scene.slug}__style_0_{SIDE}x{SIDE}.png")
        footed(stitched(base, made), "Prompt: wide").resize((99, 40)).save(
            output / f"validation_images/step_200_{scene.slug}_0_{SIDE}x{SIDE}.png"
        )
    once.watch(folder, "output/*")
    return folder


@pytest.fixture(scope="module")
def evaluations(workspace: Path) -> dict[tuple[int, str], dict[str, Any]]:
    found = once.shown(workspace, "run")
    return {(one["step"], one["variant"]): one for one in found["evaluations"]}


@pytest.fixture(scope="module")
def raw(workspace: Path) -> dict[str, dict[str, Any]]:
    """What `watcher score` says of the checkpoint's pictures as the model made them, but for the covered corner."""
    return clean(workspace / "raw")


def clean(folder: Path) -> dict[str, dict[str, Any]]:
    return {image["prompt_key"]: image for image in once.score(folder)["images"]}


def test_a_display_image_scores_as_the_picture_that_the_model_made(
    evaluations: dict[tuple[int, str], dict[str, Any]], raw: dict[str, dict[str, Any]]
) -> None:
    images = evaluations[100, ""]["images"]
    assert {image["prompt_key"] for image in images} == {scene.slug for scene in SCENES} == raw.keys()
    for image in images:
        assert (image["state"], image["error"]) == ("scored", "")
        assert image["cosine"] == pytest.approx(raw[image["prompt_key"]]["cosine"], abs=NEAR)
        assert (image["tile"], image["mask"]) == (PANEL, LABEL)


def test_a_blank_panel_is_blank_however_much_stands_beside_it(
    evaluations: dict[tuple[int, str], dict[str, Any]],
) -> None:
    blank = [image["prompt_key"] for image in evaluations[100, ""]["images"] if "blank" in image["health"]]
    assert blank == [BLANK.slug]
    assert evaluations[100, ""]["metrics"]["clip/images"] == len(SCENES) - 1


def test_the_base_models_pictures_are_one_evaluation_and_each_of_them_counts_once(
    evaluations: dict[tuple[int, str], dict[str, Any]],
) -> None:
    assert set(evaluations) == {(0, "base"), (100, ""), (100, "style"), (200, "")}
    assert evaluations[0, "base"]["metrics"]["clip/images"] == len(SCENES)
    assert {image["tile"] for image in evaluations[0, "base"]["images"]} == {None}


def test_the_base_models_pictures_are_covered_in_the_same_place_and_compared(
    workspace: Path, evaluations: dict[tuple[int, str], dict[str, Any]], raw: dict[str, dict[str, Any]]
) -> None:
    before, now = evaluations[0, "base"], evaluations[100, ""]
    assert now["identity"] == before["identity"]
    assert now["identity"].endswith(";mask=0,0,232,48")
    base = clean(workspace / "base")
    for image in before["images"]:
        assert image["mask"] == LABEL
        assert image["cosine"] == pytest.approx(base[image["prompt_key"]]["cosine"], abs=NEAR)
    keys = raw.keys() - {BLANK.slug}
    delta = sum(raw[key]["cosine"] - base[key]["cosine"] for key in keys) / len(keys)
    assert now["delta_baseline"] == pytest.approx(delta, abs=NEAR)


def test_adapters_pictures_of_the_same_step_are_a_variant_of_the_same_prompts(
    evaluations: dict[tuple[int, str], dict[str, Any]], raw: dict[str, dict[str, Any]]
) -> None:
    images = evaluations[100, "style"]["images"]
    assert {image["prompt_key"] for image in images} == raw.keys()
    assert evaluations[100, ""]["metrics"]["clip/prompts"] == len(SCENES) - 1


def test_what_is_not_conclusive_is_told_and_not_scored(evaluations: dict[tuple[int, str], dict[str, Any]]) -> None:
    images = evaluations[200, ""]["images"]
    assert {(image["state"], image["cosine"]) for image in images} == {("unscorable", None)}
    assert all("cannot find the generated panel: 99x40, 256x256 was asked for" in image["error"] for image in images)
    assert "clip/mean" not in evaluations[200, ""]["metrics"]


def test_a_folder_scored_at_once_has_the_same_scores(workspace: Path, raw: dict[str, dict[str, Any]]) -> None:
    answer = once.score(workspace / "output/run", status=1)
    images = [image for image in answer["images"] if (image["step"], image["variant"]) == (100, "")]
    assert answer["identity"].endswith(";mask=0,0,232,48")
    assert [len([one for one in answer["images"] if one["step"] == step]) for step in (0, 100)] == [9, 18]
    for image in images:
        assert image["cosine"] == pytest.approx(raw[image["prompt_key"]]["cosine"], abs=NEAR)
        assert (image["tile"], image["mask"]) == (PANEL, LABEL)


def test_pictures_with_and_without_a_mask_are_never_averaged(tmp_path: Path) -> None:
    library = {scene.slug: scene.caption for scene in SCENES[:3]}
    output = project(tmp_path, {"user_prompt_library": "library.json", "validation_resolution": str(SIDE)})
    (tmp_path / "library.json").write_text(json.dumps(library))
    rng = random.Random(5)
    for scene in SCENES[:3]:
        made = painted(scene, rng)
        alone_there = scene == SCENES[2]
        whole = footed(made, "Prompt: a cat") if alone_there else display(painted(scene, rng), made, 5, "a cat")
        whole.save(output / f"validation_images/step_5_{scene.slug}_0_{SIDE}x{SIDE}.png")
    found = once.score(output)
    cosines = {image["prompt_key"]: image["cosine"] for image in found["images"]}
    assert [image["mask"] for image in found["images"]].count(LABEL) == 2
    labelled = [cosines[scene.slug] for scene in SCENES[:2]]
    for metrics in (found["summary"], found["evaluations"][0]["metrics"]):
        assert metrics["clip/mean"] == pytest.approx(sum(labelled) / 2, abs=NEAR)
    assert found["identity"].endswith(";mask=0,0,232,48")
