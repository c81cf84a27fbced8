"""SimpleTuner's names, configuration, display images and checkpoints are read as SimpleTuner writes them."""

from __future__ import annotations

import json
import os
from pathlib import Path, PurePath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.discover import Facts
from watcher.discover.simpletuner import SimpleTuner

LAYOUT = SimpleTuner()
ENDS = ("png", "webp", "jpg", "jpeg")
slugs = st.from_regex(r"[a-z][a-z0-9]{0,8}(_[a-z][a-z0-9]{0,5}){0,2}", fullmatch=True)
sides = st.integers(1, 9999)


def parse(name: str) -> Facts | None:
    return LAYOUT.parse(PurePath("validation_images") / name)


def project(tmp_path: Path, settings: dict[str, Any], place: str = "config/config.json") -> Path:
    """Make a working folder with a configuration; gives the output folder."""
    output = tmp_path / "output" / "run"
    (output / "validation_images").mkdir(parents=True, exist_ok=True)
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"--output_dir": "output/run"} | settings))
    return output


@given(st.integers(0, 10**9), slugs, st.integers(0, 999), sides, sides, st.sampled_from(ENDS))
def test_a_current_name_gives_back_what_it_was_made_of(
    step: int, short: str, index: int, width: int, height: int, end: str
) -> None:
    found = parse(f"step_{step}_{short}_{index}_{width}x{height}.{end}")
    assert found == Facts(step, short, index, size=(width, height))


@given(st.integers(0, 10**9), slugs, slugs, st.integers(0, 999))
def test_an_adapters_name_becomes_the_variant(step: int, short: str, slug: str, index: int) -> None:
    assert parse(f"step_{step}_{short}__{slug}_{index}_64x64.png") == Facts(step, short, index, slug, size=(64, 64))


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_no_name_is_too_odd_to_be_read(name: str) -> None:
    parse(name)
    LAYOUT.parse(PurePath("benchmarks/base_model") / f"x{name}")


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("step_5_cat_64x48.png", Facts(5, "cat", 6_400_048, size=(64, 48))),
        ("step_5_cat_(1024, 768).png", Facts(5, "cat", 102_400_768, size=(1024, 768))),
        ("step_5_cat_unknown.png", Facts(5, "cat")),
        ("step_5_cat_2_unknown.png", Facts(5, "cat", 2)),
        ("step_0_cat_0_64x64.png", Facts(0, "cat", size=(64, 64))),
        ("step_5_unconditional_0_64x64.png", Facts(5, "unconditional", size=(64, 64))),
        ("step_5_ein kühler Tag_1_64x64.webp", Facts(5, "ein kühler Tag", 1, size=(64, 64))),
        ("step_5_top_10_3_64x64.jpg", Facts(5, "top_10", 3, size=(64, 64))),
    ],
)
def test_every_form_of_the_name_is_read(name: str, facts: Facts) -> None:
    assert parse(name) == facts


@pytest.mark.parametrize(
    "name",
    ["step_5_cat_0_64x64.mp4", "step_5_cat_0.wav", "cat.png", "step_x_cat_0_64x64.png", f"step_{'9' * 30}_a_0_8x8.png"],
)
def test_other_files_are_no_samples(name: str) -> None:
    assert parse(name) is None


def test_base_model_pictures_are_the_variant_base_at_step_0() -> None:
    assert LAYOUT.parse(PurePath("benchmarks/base_model/a_cat_64x64.png")) == Facts(0, "a_cat", variant="base")
    assert LAYOUT.parse(PurePath("validation_images/old/step_5_cat_0_64x64.png")) is None


@pytest.mark.parametrize("place", ["config/config.json", "config/mine/config.json", "output/run/config.json"])
def test_the_configuration_that_names_the_folder_is_found(tmp_path: Path, place: str) -> None:
    (tmp_path / "library.json").write_text('{"cat": "a cat"}')
    output = project(
        tmp_path, {"user_prompt_library": "library.json", "output_dir": str(tmp_path / "output/run")}, place
    )
    if not place.startswith("output"):
        assert LAYOUT.prompts(output, None).texts == {"unconditional": "", "cat": "a cat"}
    assert LAYOUT.expected(output, None) is not None


def test_a_configuration_of_another_folder_is_not_taken(tmp_path: Path) -> None:
    output = project(tmp_path, {"--output_dir": "output/other", "validation_prompt": "a dog"})
    assert LAYOUT.prompts(output, None).texts == {}
    assert str(output) in LAYOUT.prompts(output, None).fault
    assert LAYOUT.expected(output, None) is None


def test_a_configuration_in_toml_is_read(tmp_path: Path) -> None:
    output = project(tmp_path, {})
    (tmp_path / "config/config.json").unlink()
    (tmp_path / "config/config.toml").write_text('output_dir = "output/run"\nvalidation_prompt = "a dog"\n')
    assert LAYOUT.prompts(output, None).texts["validation"] == "a dog"


def test_without_an_output_dir_simpletuners_own_default_counts(tmp_path: Path) -> None:
    project(tmp_path, {"--output_dir": "", "validation_prompt": "a dog"})
    output = tmp_path / "simpletuner-results"
    output.mkdir()
    assert LAYOUT.prompts(output, None).texts["validation"] == "a dog"


def test_the_library_is_read_as_from_the_trainers_working_folder(tmp_path: Path) -> None:
    output = project(tmp_path, {"user_prompt_library": "library.json"})
    (tmp_path / "library.json").write_text('{"cat": "the right one"}')
    (tmp_path / "config/library.json").write_text('{"cat": "the wrong one"}')
    assert LAYOUT.prompts(output, None).texts["cat"] == "the right one"


def test_a_broken_library_is_a_fault_that_names_the_file(tmp_path: Path) -> None:
    output = project(tmp_path, {"user_prompt_library": "library.json", "validation_prompt": "a dog"})
    assert "library.json cannot be read" in LAYOUT.prompts(output, None).fault
    (tmp_path / "library.json").write_text('{"cat": ')
    found = LAYOUT.prompts(output, None)
    assert f"{tmp_path / 'library.json'} is not usable" in found.fault
    assert found.texts["validation"] == "a dog"
    assert LAYOUT.expected(output, None) is None


def test_prompts_inside_simpletuner_are_not_guessed(tmp_path: Path) -> None:
    output = project(tmp_path, {"validation_prompt_library": "true"})
    assert "give `prompts:`" in LAYOUT.prompts(output, None).fault
    project(tmp_path, {"validation_prompt_library": "false"})
    assert LAYOUT.prompts(output, None).fault == ""


def test_links_and_odd_files_in_the_way_are_passed_over(tmp_path: Path) -> None:
    output = project(tmp_path, {"validation_prompt": "a dog"}, "config/zzz/config.json")
    (tmp_path / "config/config.json").symlink_to(tmp_path / "nowhere")
    (tmp_path / "config/a").mkdir()
    (tmp_path / "config/a/config.json").write_bytes(b"\xff\xfe not json")
    os.mkfifo(tmp_path / "config/config.toml")
    (tmp_path / "config/config.tar").write_bytes(b"\0")
    assert LAYOUT.prompts(output, None).texts["validation"] == "a dog"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"validation_prompt": "a dog"}, 2),
        ({"validation_prompt": "a dog", "validation_disable_unconditional": "true"}, 1),
        ({"validation_prompt": "a dog", "num_validation_images": "3"}, 6),
        ({"validation_prompt": "a dog", "--validation_resolution": "64x64,64x48"}, 4),
        ({"validation_prompt": "a dog", "num_validation_images": "many"}, None),
        ({"validation_prompt": "a dog", "num_validation_images": None}, None),
        ({"validation_prompt": "a dog", "validation_using_datasets": True}, None),
        ({"validation_prompt": "a dog", "validation_prompt_library": "default"}, None),
        ({"validation_disable_unconditional": True}, None),
    ],
)
def test_the_number_of_images_follows_from_the_configuration(
    tmp_path: Path, settings: dict[str, Any], expected: int | None
) -> None:
    assert LAYOUT.expected(project(tmp_path, settings), None) == expected


def test_a_prompt_file_of_the_user_wins_and_says_nothing_of_numbers(tmp_path: Path) -> None:
    output = project(tmp_path, {"validation_prompt": "a dog"})
    mine = tmp_path / "mine.txt"
    mine.write_text("first\n\nthird\n")
    assert LAYOUT.prompts(output, mine).texts == {"0": "first", "2": "third"}
    assert LAYOUT.expected(output, mine) is None


@pytest.mark.parametrize("size", [(1024, 1071), (2054, 1071), (3084, 1071), (2054, 1024)])
def test_display_images_are_told_by_their_size(tmp_path: Path, size: tuple[int, int]) -> None:
    output = project(tmp_path, {"validation_resolution": "1024"})
    facts = Facts(5, "cat", size=(1024, 1024))
    assert LAYOUT.flaw(output, facts, *size).startswith(f"display image: {size[0]}x{size[1]}, 1024x1024 was asked for")
    assert LAYOUT.flaw(output, facts, 1024, 1024) == ""


def test_the_configuration_is_trusted_before_the_size_in_the_name(tmp_path: Path) -> None:
    output = project(tmp_path, {"validation_resolution": "1024x1024,1280x768"})
    assert LAYOUT.flaw(output, Facts(5, "cat", 1, size=(1024, 1024)), 1280, 768) == ""


def test_without_a_configuration_the_size_in_the_name_counts(tmp_path: Path) -> None:
    assert LAYOUT.flaw(tmp_path, Facts(5, "cat", size=(64, 48)), 64, 48) == ""
    assert "display image" in LAYOUT.flaw(tmp_path, Facts(5, "cat", size=(64, 48)), 64, 95)
    assert "unknown" in LAYOUT.flaw(tmp_path, Facts(5, "cat"), 64, 48)


def test_an_adapters_display_image_is_one_too(tmp_path: Path) -> None:
    facts = Facts(5, "cat", variant="style", size=(64, 64))
    assert "display image" in LAYOUT.flaw(tmp_path, facts, 64, 111)


def test_base_model_pictures_are_always_clean(tmp_path: Path) -> None:
    assert LAYOUT.flaw(project(tmp_path, {}), Facts(0, "cat", variant="base"), 77, 33) == ""


def checkpoint(output: Path, step: int, *files: str) -> None:
    for name in files:
        (output / f"checkpoint-{step}").mkdir(exist_ok=True)
        (output / f"checkpoint-{step}" / name).write_text("complete\n")


def test_a_checkpoint_counts_once_its_last_file_is_there(tmp_path: Path) -> None:
    checkpoint(tmp_path, 10, "training_state.json", "optimizer.bin")
    assert LAYOUT.checkpoints(tmp_path) == []
    checkpoint(tmp_path, 10, "random_states_0.pkl")
    assert [one.step for one in LAYOUT.checkpoints(tmp_path)] == [10]


def test_where_guards_are_written_a_checkpoint_without_one_is_not_whole(tmp_path: Path) -> None:
    checkpoint(tmp_path, 10, "training_state.json", "random_states_0.pkl", ".guard")
    checkpoint(tmp_path, 20, "training_state.json", "random_states_0.pkl")
    os.utime(tmp_path / "checkpoint-10/.guard", (500.0, 500.0))
    found = LAYOUT.checkpoints(tmp_path)
    assert [(one.step, one.path, one.written_at) for one in found] == [(10, tmp_path / "checkpoint-10", 500.0)]


def test_temporary_checkpoints_are_none(tmp_path: Path) -> None:
    for name in ("checkpoint-10-tmp", "checkpoint-10-rolling", "checkpoint-x"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "training_state.json").touch()
        (tmp_path / name / ".guard").touch()
    assert LAYOUT.checkpoints(tmp_path) == []


def test_the_tensorboard_folder_is_named_as_accelerate_names_it(tmp_path: Path) -> None:
    output = project(tmp_path, {"logging_dir": "tb", "tracker_project_name": "cats"})
    assert LAYOUT.logging_folder(output) is None
    (output / "tb").mkdir()
    assert LAYOUT.logging_folder(output) == output / "tb"
    (output / "tb" / "cats").mkdir()
    assert LAYOUT.logging_folder(output) == output / "tb" / "cats"


def test_a_folder_is_recognised_before_its_first_image(tmp_path: Path) -> None:
    output = project(tmp_path, {})
    (output / "validation_images").rmdir()
    assert "config.json" in LAYOUT.detect(output)
    assert LAYOUT.detect(tmp_path) == ""
