"""The examples of `docs/trainers.md` for trainers without a layout of their own, over the names that these write.

Sources: EveryDream2trainer, `utils/sample_generator.py`; ControlNet, `cldm/logger.py`; invoke-training,
`_shared/stable_diffusion/validation.py`; of the others their training scripts.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePath

import pytest
import yaml
from PIL import Image

from watcher.config import load_config
from watcher.discover import Facts, Layout, Place, find_in, scan
from watcher.discover.pattern import Pattern

PAGE = Path(__file__).parents[2] / "docs/trainers.md"
_SECTION = re.compile(r"^### (.+?)\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
_YAML = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
SHOWN = {name: found[1] for name, text in _SECTION.findall(PAGE.read_text()) if (found := _YAML.search(text))}
EXAMPLES: dict[str, dict[str, Facts | None]] = {
    "EveryDream2": {
        "samples/gs00249-000-ted bennet riding a bicycle.jpg": Facts(249, "0"),
        "samples/gs00499-001-_emaa photo of a cat.jpg": Facts(499, "1", variant="ema"),
        "samples/gs00499-012-.jpg": Facts(499, "12"),
        "samples/gs100249-003-ein Kätzchen.jpg": Facts(100249, "3"),
        "samples/gs00249-000-ted bennet riding a bicycle.txt": None,
    },
    "finetrainers": {
        "validation-500-0-2-a-photo-of-a-cat-wearing--1736847012.png": Facts(500, "a-photo-of-a-cat-wearing-"),
        "validation-500-1-12-a-cat-1736847012.jpg": Facts(500, "a-cat"),
        "final-500-0-2-a-cat-1736847012.png": Facts(500, "a-cat", variant="final"),
        "validation-500-0-0-a-photo-of-a-cat-wearing--1736847012.png": None,
        "validation-500-0-1-a-photo-of-a-cat-wearing--1736847012.png": None,
        "validation-500-0-2-a-photo-of-a-cat-wearing--1736847012.mp4": None,
    },
    "CompVis and ControlNet": {
        "images/val/samples_gs-000500_e-000003_b-000099.png": Facts(500, "99", epoch=3.0),
        "images/val/samples_cfg_scale_9.00_gs-000300_e-000000_b-000000.png": Facts(300, "0", epoch=0.0),
        "images/val/samples_inpainting_gs-000500_e-000003_b-000099.png": None,
        "images/val/conditioning_gs-000500_e-000003_b-000099.png": None,
        "images/val/inputs_gs-000500_e-000003_b-000099.png": None,
        "images/val/mask_gs-000500_e-000003_b-000099.png": None,
        "images/train/samples_gs-000500_e-000003_b-000099.png": None,
    },
    "invoke-training": {
        "validation/epoch_00000002-step_00000500/prompt_0003/0001.jpg": Facts(500, "3", 1, epoch=2.0),
        "validation/epoch_00000000-step_00000000/prompt_0000/0000.jpg": Facts(0, "0", 0, epoch=0.0),
        "validation/epoch_00000002-step_00000500/prompt_0120/0001.jpg": Facts(500, "120", 1, epoch=2.0),
    },
    "VideoX-Fun": {
        "sample/sample-500-rank1-image-7.jpg": Facts(500, "7", 1),
        "sample/sample-500-rank0-7.mp4": None,
    },
    "ShivamShrirao's diffusers": {
        "800/samples/3.png": Facts(800, "0", 3),
        "800/args.json": None,
    },
    "The Dreambooth extension of Stable Diffusion web UI": {
        "samples/sample_500-3.png": Facts(500, "3"),
        "samples/sample_500-3.txt": None,
    },
}
"""What each name says; None where it is no sample."""


def layout_of(name: str, folder: Path) -> Pattern:
    """Give the layout as a user's configuration has it."""
    (folder / "watcher.yaml").write_text(SHOWN[name])
    (entry,) = load_config(folder / "watcher.yaml").runs
    assert isinstance(entry.layout, Pattern)
    return entry.layout


def test_every_example_is_tried_on_names_and_every_trainer_has_one() -> None:
    assert EXAMPLES.keys() == SHOWN.keys()


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_finds_the_trainers_samples_and_nothing_else(name: str, tmp_path: Path) -> None:
    layout = layout_of(name, tmp_path)
    assert {text: layout.parse(PurePath(text)) for text in EXAMPLES[name]} == EXAMPLES[name]
    run = tmp_path / "run"
    for text in EXAMPLES[name]:
        (run / text).parent.mkdir(parents=True, exist_ok=True)
        (run / text).touch()
    settings = load_config(tmp_path / "watcher.yaml").runs[0].model_copy(update={"path": str(run)})
    ((found,),) = find_in(settings).values()
    assert {file.path.relative_to(run).as_posix(): file.facts for file in scan(found)} == {
        text: facts for text, facts in EXAMPLES[name].items() if facts
    }


def test_each_name_is_taken_by_the_example_of_its_trainer_alone(tmp_path: Path) -> None:
    layouts = {name: layout_of(name, tmp_path) for name in SHOWN}
    for name, names in EXAMPLES.items():
        for text in names:
            assert [other for other in layouts if layouts[other].parse(PurePath(text))] in ([], [name])


def test_everydream2_is_scored_by_the_picture_of_its_first_scale_and_the_text_beside_it(tmp_path: Path) -> None:
    layout, path = layout_of("EveryDream2", tmp_path), tmp_path / "samples/gs00249-000-ted bennet.jpg"
    path.parent.mkdir()
    Image.new("RGB", (3 * 512, 768)).save(path)
    path.with_suffix(".txt").write_text("ted bennet\n negative prompt: blurry\n seed: 555", encoding="utf-8")
    facts = layout.parse(path.relative_to(tmp_path))
    assert facts is not None
    assert [one.tile for one in layout.split(Place(tmp_path), facts, 3 * 512, 768)] == [(0, 0, 512, 768)]
    assert layout.own_prompt(Place(tmp_path), path, {}) == "ted bennet"


def test_the_four_pictures_of_a_grid_of_compvis_have_the_prompts_of_their_batch(tmp_path: Path) -> None:
    layout = layout_of("CompVis and ControlNet", tmp_path)
    found = cut(layout, 4 * 514 + 2, 516)
    assert found == {
        "99-0": (2, 2, 514, 514),
        "99-1": (516, 2, 1028, 514),
        "99-2": (1030, 2, 1542, 514),
        "99-3": (1544, 2, 2056, 514),
    }
    assert "1024x512 is no grid" in layout.flaw(Place(tmp_path), Facts(500, "99"), 1024, 512)


def cut(layout: Layout, width: int, height: int) -> dict[str, tuple[int, int, int, int] | None]:
    return {one.key: one.tile for one in layout.split(Place(Path("/run")), Facts(500, "99"), width, height)}


def test_trainings_that_share_a_folder_are_told_apart_as_shown(tmp_path: Path) -> None:
    (text,) = [text for text in _YAML.findall(PAGE.read_text()) if "(?P<stream>" in text]
    layout = Pattern.model_validate(yaml.safe_load(text)["runs"][0]["layout"]["pattern"])
    assert layout.parse(PurePath("portrait of me_s500_07.png")) == Facts(500, "7", stream="portrait of me")
    assert layout.prompts(Place(tmp_path, "portrait")).source == tmp_path / "portrait.txt"


def test_prompts_of_the_web_ui_are_scored_as_plain_text(tmp_path: Path) -> None:
    layout = layout_of("The Dreambooth extension of Stable Diffusion web UI", tmp_path)
    told = layout.own_prompt(Place(tmp_path), tmp_path / "x.png", {"parameters": "a (red:1.2) cat\nSteps: 30"})
    assert (told, layout.worded(told or "")) == ("a (red:1.2) cat", "a red cat")
