"""SimpleTuner's configuration is found and read as SimpleTuner reads it: JSON, TOML and variables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.simpletuner import project
from watcher.discover import Place
from watcher.discover.simpletuner import SimpleTuner
from watcher.discover.simpletuner.places import find_config

LAYOUT = SimpleTuner()


@pytest.mark.parametrize("place", ["config/config.json", "config/mine/config.json", "output/run/config.json"])
def test_the_configuration_that_names_the_folder_is_found(tmp_path: Path, place: str) -> None:
    (tmp_path / "library.json").write_text('{"cat": "a cat"}')
    output = project(
        tmp_path, {"user_prompt_library": "library.json", "output_dir": str(tmp_path / "output/run")}, place
    )
    if not place.startswith("output"):
        assert LAYOUT.prompts(Place(output)).texts == {"unconditional": "", "cat": "a cat"}
    assert LAYOUT.expected(Place(output)) is not None


def test_a_configuration_of_another_folder_is_not_taken(tmp_path: Path) -> None:
    output = project(tmp_path, {"--output_dir": "output/other", "validation_prompt": "a dog"})
    assert LAYOUT.prompts(Place(output)).texts == {}
    assert str(output) in LAYOUT.prompts(Place(output)).fault
    assert LAYOUT.expected(Place(output)) is None


def test_a_configuration_in_toml_is_read(tmp_path: Path) -> None:
    output = project(tmp_path, {})
    (tmp_path / "config/config.json").unlink()
    (tmp_path / "config/config.toml").write_text('output_dir = "output/run"\nvalidation_prompt = "a dog"\n')
    assert LAYOUT.prompts(Place(output)).texts["validation"] == "a dog"


def test_without_an_output_dir_simpletuners_own_default_counts(tmp_path: Path) -> None:
    project(tmp_path, {"--output_dir": "", "validation_prompt": "a dog"})
    output = tmp_path / "simpletuner-results"
    output.mkdir()
    assert LAYOUT.prompts(Place(output)).texts["validation"] == "a dog"


def test_the_library_is_read_as_from_the_trainers_working_folder(tmp_path: Path) -> None:
    output = project(tmp_path, {"user_prompt_library": "library.json"})
    (tmp_path / "library.json").write_text('{"cat": "the right one"}')
    (tmp_path / "config/library.json").write_text('{"cat": "the wrong one"}')
    assert LAYOUT.prompts(Place(output)).texts["cat"] == "the right one"


def test_a_broken_library_is_a_fault_that_names_the_file(tmp_path: Path) -> None:
    output = project(tmp_path, {"user_prompt_library": "library.json", "validation_prompt": "a dog"})
    assert "library.json cannot be read" in LAYOUT.prompts(Place(output)).fault
    (tmp_path / "library.json").write_text('{"cat": ')
    found = LAYOUT.prompts(Place(output))
    assert f"prompt file is not usable: {tmp_path / 'library.json'}:" in found.fault
    assert found.texts["validation"] == "a dog"
    assert LAYOUT.expected(Place(output)) is None


def test_prompts_inside_simpletuner_are_not_guessed(tmp_path: Path) -> None:
    output = project(tmp_path, {"validation_prompt_library": "music"})
    assert "give `prompts:`" in LAYOUT.prompts(Place(output)).fault
    project(tmp_path, {"validation_prompt_library": "false"})
    assert LAYOUT.prompts(Place(output)).fault == ""


def test_links_and_odd_files_in_the_way_are_passed_over(tmp_path: Path) -> None:
    output = project(tmp_path, {"validation_prompt": "a dog"}, "config/zzz/config.json")
    (tmp_path / "config/config.json").symlink_to(tmp_path / "nowhere")
    (tmp_path / "config/a").mkdir()
    (tmp_path / "config/a/config.json").write_bytes(b"\xff\xfe not json")
    os.mkfifo(tmp_path / "config/config.toml")
    (tmp_path / "config/config.tar").write_bytes(b"\0")
    assert LAYOUT.prompts(Place(output)).texts["validation"] == "a dog"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"validation_prompt": "a dog"}, 2),
        ({"validation_prompt": "a dog", "validation_disable_unconditional": "true"}, 1),
        ({"validation_prompt": "a dog", "num_validation_images": "3"}, 6),
        ({"validation_prompt": "a dog", "--validation_resolution": "64x64,64x48"}, 4),
        ({"validation_prompt": "a dog", "num_validation_images": "many"}, None),
        ({"validation_prompt": "a dog", "num_validation_images": None}, 2),
        ({"validation_prompt": "a dog", "controlnet": True}, None),
        ({"validation_prompt": "a dog", "validation_using_datasets": True}, None),
        ({"validation_prompt": "a dog", "validation_prompt_library": "music"}, None),
        ({"validation_disable_unconditional": True}, None),
    ],
)
def test_the_number_of_images_follows_from_the_configuration(
    tmp_path: Path, settings: dict[str, Any], expected: int | None
) -> None:
    assert LAYOUT.expected(Place(project(tmp_path, settings))) == expected


def test_a_prompt_file_of_the_user_wins_and_says_nothing_of_numbers(tmp_path: Path) -> None:
    output = project(tmp_path, {"validation_prompt": "a dog"})
    mine = tmp_path / "mine.txt"
    mine.write_text("first\n\nthird\n")
    assert LAYOUT.prompts(Place(output, prompts=mine)).texts == {"0": "first", "2": "third"}
    assert LAYOUT.expected(Place(output, prompts=mine)) is None


def test_the_tensorboard_folder_is_named_as_accelerate_names_it(tmp_path: Path) -> None:
    output = project(tmp_path, {"logging_dir": "tb", "tracker_project_name": "cats"})
    assert LAYOUT.setup(Place(output)).logging_folder is None
    (output / "tb").mkdir()
    assert LAYOUT.setup(Place(output)).logging_folder == output / "tb"
    (output / "tb" / "cats").mkdir()
    assert LAYOUT.setup(Place(output)).logging_folder == output / "tb" / "cats"


def test_a_folder_is_recognised_before_its_first_image(tmp_path: Path) -> None:
    output = project(tmp_path, {})
    (output / "validation_images").rmdir()
    assert "config.json" in LAYOUT.detect(output)
    assert LAYOUT.detect(tmp_path) == ""


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("tensorboard", ("tensorboard",)),
        ("TensorBoard, wandb", ("tensorboard", "wandb")),
        (["wandb", "tensorboard,comet_ml"], ("wandb", "tensorboard", "comet_ml")),
        ("all", ("tensorboard", "wandb")),
        ("none", ()),
        ("", ()),
        (None, ()),
        ("{env:REPORT}", ()),
    ],
)
def test_every_form_of_report_to_is_read(tmp_path: Path, written: object, read: tuple[str, ...]) -> None:
    assert LAYOUT.setup(Place(project(tmp_path, {"report_to": written}))).trackers == read


@pytest.mark.parametrize(
    ("settings", "model"),
    [
        ({}, ""),
        ({"evaluation_type": "none"}, ""),
        ({"evaluation_type": "clip"}, "openai/clip-vit-large-patch14-336"),
        ({"evaluation_type": "clip", "pretrained_evaluation_model_name_or_path": "org/clip"}, "org/clip"),
        ({"pretrained_evaluation_model_name_or_path": "org/clip"}, "org/clip"),
    ],
)
def test_the_trainers_own_clip_is_named(tmp_path: Path, settings: dict[str, Any], model: str) -> None:
    assert LAYOUT.setup(Place(project(tmp_path, settings))).model == model


def test_what_is_not_set_is_as_simpletuner_has_it(tmp_path: Path) -> None:
    setup = LAYOUT.setup(Place(project(tmp_path, {})))
    assert (setup.project, setup.run_name, setup.trackers) == ("simpletuner", "simpletuner-testing", ())
    found = find_config(tmp_path / "output/run")
    assert found is not None
    assert (found.asked(), found.number("num_validation_images", 1)) == ([(256, 256)], 1)


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"validation_prompt": "{env:PROMPT}"}, "`validation_prompt` comes from the trainer's environment"),
        ({"user_prompt_library": "{env:HOME}/a.json"}, "`user_prompt_library` comes from the trainer's environment"),
    ],
)
def test_what_the_trainers_environment_says_is_unknown(tmp_path: Path, settings: dict[str, Any], fault: str) -> None:
    output = project(tmp_path, {"validation_prompt": "a dog", **settings})
    found = LAYOUT.prompts(Place(output))
    assert fault in found.fault
    assert "{env:" not in str(dict(found.texts))
    assert LAYOUT.expected(Place(output)) is None


def test_sizes_and_numbers_of_the_trainers_environment_are_unknown(tmp_path: Path) -> None:
    output = project(tmp_path, {"validation_prompt": "a dog", "validation_resolution": "{env:SIZE}"})
    assert LAYOUT.expected(Place(output)) is None
    project(tmp_path, {"validation_prompt": "a dog", "num_validation_images": "{env:NUMBER}"})
    assert LAYOUT.expected(Place(output)) is None


def test_the_output_folder_may_come_from_an_environment_that_is_the_same_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = project(tmp_path, {"--output_dir": "{env:SIMPLETUNER_TEST_OUTPUT}/run"})
    assert find_config(output) is None
    monkeypatch.setenv("SIMPLETUNER_TEST_OUTPUT", str(output.parent))
    assert find_config(output) is not None


@pytest.mark.parametrize("settings", [{"model_type": "clip"}, {"--output_dir": "{folder}", "save_every_n_epochs": 1}])
def test_a_config_json_of_another_program_is_not_taken_for_simpletuners(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    text = json.dumps(settings).replace("{folder}", str(tmp_path))
    (tmp_path / "config.json").write_text(text)
    assert LAYOUT.detect(tmp_path) == ""


def test_of_prompts_with_the_same_name_the_later_wins(tmp_path: Path) -> None:
    output = project(tmp_path, {"user_prompt_library": "library.json", "validation_prompt": "the later"})
    (tmp_path / "library.json").write_text('{"unconditional": "not empty", "validation": "the earlier"}')
    assert LAYOUT.prompts(Place(output)).texts == {"unconditional": "not empty", "validation": "the later"}


def test_a_configuration_that_was_found_stays_it_until_it_names_another_folder(tmp_path: Path) -> None:
    output = project(tmp_path, {"validation_prompt": "first"}, "config/z/config.json")
    assert LAYOUT.prompts(Place(output)).texts["validation"] == "first"
    project(tmp_path, {"validation_prompt": "second"}, "config/a/config.json")
    assert LAYOUT.prompts(Place(output)).texts["validation"] == "first"
    assert LAYOUT.setup(Place(output)).config == tmp_path / "config/z/config.json"
    project(tmp_path, {"validation_prompt": "first", "--output_dir": "output/another"}, "config/z/config.json")
    assert LAYOUT.prompts(Place(output)).texts["validation"] == "second"
    (tmp_path / "config/a/config.json").unlink()
    assert "give `prompts:`" in LAYOUT.prompts(Place(output)).fault


def test_old_names_of_settings_are_known(tmp_path: Path) -> None:
    output = project(tmp_path, {"--validation_steps": "50", "checkpointing_steps": 75})
    found = find_config(output)
    assert found is not None
    assert (found.number("validation_step_interval"), found.number("checkpoint_step_interval")) == (50, 75)


def test_the_configuration_of_a_trainer_that_runs_elsewhere_is_found(tmp_path: Path) -> None:
    output = tmp_path / "disk/a/b/c/run"
    output.mkdir(parents=True)
    project(tmp_path / "home", {"--output_dir": str(output), "validation_prompt": "a dog"})
    assert LAYOUT.prompts(Place(output)).texts == {}
    (tmp_path / "home/train.py").write_text("import time\nprint('up', flush=True)\ntime.sleep(600)\n")
    command = [sys.executable, str(tmp_path / "home/train.py")]
    trainer = subprocess.Popen(command, cwd=tmp_path / "home", stdout=subprocess.PIPE)
    try:
        assert trainer.stdout is not None
        trainer.stdout.readline()
        until = time.monotonic() + 120
        while not (texts := LAYOUT.prompts(Place(output)).texts) and time.monotonic() < until:
            time.sleep(0.5)
        assert texts["validation"] == "a dog"
    finally:
        trainer.kill()
        trainer.communicate()


def test_what_simpletuner_reports_and_evaluates_with_is_adopted(tmp_path: Path) -> None:
    settings = {
        "--evaluation_type": "clip",
        "--pretrained_evaluation_model_name_or_path": "openai/clip-vit-base-patch32",
        "--report_to": "wandb,simpletuner",
        "--tracker_project_name": "cats",
        "--tracker_run_name": "cats-3",
    }
    setup = LAYOUT.setup(Place(project(tmp_path, settings)))
    assert (setup.model, setup.trackers) == ("openai/clip-vit-base-patch32", ("wandb", "simpletuner"))
    assert (setup.project, setup.run_name) == ("cats", "cats-3")
    assert setup.config == tmp_path / "config/config.json"
