"""SimpleTuner's `config.env` is read as `train.sh` and SimpleTuner read it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simpletuner import project
from watcher.discover import Place
from watcher.discover.simpletuner import SimpleTuner
from watcher.discover.simpletuner.places import find_config

LAYOUT = SimpleTuner()

ENVIRONMENT = """
# what train.sh reads
export BASE_DIR="output"
export OUTPUT_DIR="${BASE_DIR}/run"   # a comment
export VALIDATION_PROMPT="a dog's day"
VALIDATION_RESOLUTION=64x64,64x48
VALIDATION_STEPS=50
CHECKPOINTING_STEPS='200'
DISABLE_BENCHMARK=true
export TRACKER_PROJECT_NAME="cats"
export TRAINER_EXTRA_ARGS="--user_prompt_library=library.json --report_to wandb"
TRAINER_EXTRA_ARGS+=" --num_validation_images=2 --validation_disable_unconditional"
malformed
"""


def test_a_configuration_in_variables_is_read(tmp_path: Path) -> None:
    output = project(tmp_path, {})
    (tmp_path / "config/config.json").unlink()
    (tmp_path / "config/config.env").write_text(ENVIRONMENT)
    (tmp_path / "library.json").write_text('{"cat": "a cat"}')
    assert LAYOUT.prompts(Place(output)).texts == {"cat": "a cat", "validation": "a dog's day"}
    assert LAYOUT.expected(Place(output)) == 2 * 2 * 2
    setup = LAYOUT.setup(Place(output))
    assert (setup.config, setup.project, setup.trackers) == (tmp_path / "config/config.env", "cats", ("wandb",))
    found = find_config(output)
    assert found is not None
    assert (found.flag("disable_benchmark"), found.number("checkpoint_step_interval")) == (True, 200)


def test_variables_of_a_named_environment_come_on_top_of_the_common_ones(tmp_path: Path) -> None:
    output = project(tmp_path, {}, "config/mine/config.toml")
    (tmp_path / "config/mine/config.toml").unlink()
    (tmp_path / "config/config.env").write_text("VALIDATION_PROMPT=a dog\nVALIDATION_RESOLUTION=64\n")
    (tmp_path / "config/mine/config.env").write_text("OUTPUT_DIR=output/run\nVALIDATION_RESOLUTION=32\n")
    found = find_config(output)
    assert found is not None
    assert (found.path.parent.name, found.text("validation_prompt"), found.asked()) == ("mine", "a dog", [(32, 32)])


def test_variables_beside_a_json_configuration_do_not_hide_it(tmp_path: Path) -> None:
    output = project(tmp_path, {"validation_prompt": "the right one"})
    (tmp_path / "config/config.env").write_text("OUTPUT_DIR=output/run\nVALIDATION_PROMPT=the wrong one\n")
    assert LAYOUT.prompts(Place(output)).texts["validation"] == "the right one"


@given(st.text())
def test_no_file_of_variables_is_too_odd_to_be_read(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.mktemp("odd")
    (folder / "config.env").write_bytes(text.encode("utf-8", "replace"))
    find_config(folder)
