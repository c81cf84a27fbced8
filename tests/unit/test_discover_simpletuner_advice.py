"""What a SimpleTuner user is told to change: the thing, why it matters, the setting; and nothing where all is well."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.simpletuner import project
from watcher.discover import Place
from watcher.discover.simpletuner import SimpleTuner

LAYOUT = SimpleTuner()
LIBRARY = {f"prompt_{number}": f"a thing of kind {number}" for number in range(8)}
GOOD = {
    "user_prompt_library": "library.json",
    "validation_disable_unconditional": True,
    "validation_resolution": "64",
    "validation_step_interval": 50,
    "checkpoint_step_interval": 50,
    "disable_benchmark": True,
    "ema_validation": "none",
}


def advice(tmp_path: Path, place: str = "config/config.json", **settings: Any) -> str:
    output = project(tmp_path, {**GOOD, **settings}, place)
    (tmp_path / "library.json").write_text(json.dumps(LIBRARY))
    found = LAYOUT.setup(Place(output)).advice
    assert all("\n" not in sentence for sentence in found)
    return "\n".join(found)


def test_a_run_that_is_set_up_well_needs_no_advice(tmp_path: Path) -> None:
    assert advice(tmp_path) == ""


@pytest.mark.parametrize(
    ("settings", "what", "way"),
    [
        (
            {"user_prompt_library": None, "validation_prompt": "a cat"},
            "a single prompt: rules that stop a run need 8",
            'set "user_prompt_library": "{folder}/config/user_prompt_library.json" in {config}',
        ),
        ({"user_prompt_library": None}, "no prompt: rules that stop a run need 8", '{"cat": "a cat on a mat"'),
        ({"user_prompt_library": "no.json"}, "no.json cannot be read", "no.json"),
        ({"validation_prompt_library": "music"}, "inside SimpleTuner", "give `prompts:`"),
        ({"disable_benchmark": False}, "pictures of the base model", 'set "disable_benchmark": true'),
        (
            {"use_ema": True, "ema_validation": "comparison"},
            "pictures of the EMA weights are put beside",
            'set "ema_validation": "none" in {config}',
        ),
        ({"validation_using_datasets": True}, "cannot be told apart by size", "leave validation_using_datasets out"),
        (
            {"checkpoint_step_interval": 200},
            "a stop can lose up to 200 steps",
            'set "checkpoint_step_interval": 50 in {config}',
        ),
        ({"evaluation_type": "clip"}, "scores with CLIP too, on the CPU", 'set "evaluation_type": "none" in {config}'),
        (
            {"validation_disable_unconditional": False},
            "a picture of the empty prompt",
            '"validation_disable_unconditional": true in {config}',
        ),
    ],
)
def test_every_piece_of_advice_says_what_and_the_way(
    tmp_path: Path, settings: dict[str, Any], what: str, way: str
) -> None:
    found = advice(tmp_path, **settings)
    assert what in found
    assert way.replace("{folder}", str(tmp_path)).replace("{config}", str(tmp_path / "config/config.json")) in found


def test_checkpoints_by_epoch_are_not_compared_with_steps(tmp_path: Path) -> None:
    assert "a stop can lose" not in advice(tmp_path, checkpoint_step_interval=500, checkpoint_epoch_interval=1)


def test_settings_are_named_as_they_stand_in_files_of_other_kinds(tmp_path: Path) -> None:
    output = project(tmp_path, {})
    (tmp_path / "config/config.json").unlink()
    (tmp_path / "config/config.toml").write_text('output_dir = "output/run"\nvalidation_prompt = "a cat"\n')
    found = "\n".join(LAYOUT.setup(Place(output)).advice)
    assert f'set user_prompt_library = "{tmp_path}/config/user_prompt_library.json" in' in found
    assert "disable_benchmark = true" in found
    (tmp_path / "config/config.toml").unlink()
    (tmp_path / "config/config.env").write_text("OUTPUT_DIR=output/run\nVALIDATION_PROMPT=a cat\n")
    found = "\n".join(LAYOUT.setup(Place(output)).advice)
    assert "set DISABLE_BENCHMARK=true" in found
    assert "set --validation_disable_unconditional=true in TRAINER_EXTRA_ARGS" in found


def test_a_second_configuration_of_the_same_folder_is_told(tmp_path: Path) -> None:
    project(tmp_path, GOOD, "config/other/config.json")
    found = advice(tmp_path)
    assert f"{tmp_path / 'config/other/config.json'} also has this folder as its output_dir" in found


def test_a_missing_configuration_is_told_unless_prompts_were_given(tmp_path: Path) -> None:
    (found,) = LAYOUT.setup(Place(tmp_path)).advice
    assert "no SimpleTuner config of" in found
    assert "give `prompts:`" in found
    assert LAYOUT.setup(Place(tmp_path, prompts=tmp_path / "mine.txt")).advice == ()


def test_few_prompts_of_the_users_own_file_are_told_too(tmp_path: Path) -> None:
    output = project(tmp_path, GOOD)
    (tmp_path / "mine.json").write_text('{"cat": "a cat", "dog": "a dog"}')
    (found,) = LAYOUT.setup(Place(output, prompts=tmp_path / "mine.json")).advice
    assert "only 2 prompts" in found
    assert str(tmp_path / "mine.json") in found


def test_pictures_that_may_have_the_prompt_drawn_into_them_are_told(tmp_path: Path) -> None:
    images = tmp_path / "output/run/validation_images"
    assert advice(tmp_path) == ""
    Image.new("RGB", (64, 64)).save(images / "step_0_prompt_1_0_64x64.png")
    assert advice(tmp_path) == ""
    Image.new("RGB", (64, 111)).save(images / "step_5_prompt_1_0_64x64.webp")
    assert advice(tmp_path) == ""
    (images / "step_5_prompt_1_0_64x64.webp").unlink()
    Image.new("RGB", (64, 64)).save(images / "step_5_prompt_1_0_64x64.png")
    assert "pictures have no footer" in advice(tmp_path)
    (tmp_path / "output/run/checkpoint-5").mkdir()
    (tmp_path / "output/run/checkpoint-5/checkpoint_manifest.json").touch()
    assert advice(tmp_path) == ""
