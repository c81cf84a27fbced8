"""What a script noted, and which of its starts a picture belongs to."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.diffusers_logs import MANY, ONE, Script, put_prompts, shades
from tests.unit.test_diffusers_layout import table
from watcher.discover import Place, running
from watcher.discover.diffusers import Diffusers
from watcher.discover.diffusers.running import options
from watcher.discover.diffusers.starts import start_of

AT = 1_700_000_000.0
TRAIN = "import time\nprint('up', flush=True)\ntime.sleep(600)\n"


@pytest.fixture
def script(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A script that runs, with two prompts, into `out`."""
    (tmp_path / "train_text_to_image.py").write_text(TRAIN)
    options = ["--output_dir=out", "--validation_prompts", "a cat", "a red dog", "--seed", "1"]
    command = [sys.executable, "train_text_to_image.py", *options]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()  # its command line cannot be read until it has begun
    running.processes.cache_clear()  # another test's look, a moment ago
    yield process
    process.kill()
    process.communicate()


def test_pictures_of_an_earlier_start_keep_its_prompt_and_number(tmp_path: Path) -> None:
    for number, (prompt, count) in enumerate((("a dog", 2), ("a cat", 3))):
        settings = {**ONE, "validation_prompt": prompt, "num_validation_images": count}
        one = Script(tmp_path, "dreambooth", AT + 1000 * number, settings)
        one.show("validation", shades(count), 100 * (number + 1), AT + 1000 * number + 50)
        one.close()
    first = {("", 100, "a dog", n): ("a dog", 10 * (n + 1)) for n in range(2)}
    assert table(tmp_path) == first | {("", 200, "0", n): ("a cat", 10 * (n + 1)) for n in range(3)}


def test_hyperparameters_are_read_from_the_event_file_where_there_is_no_yaml(tmp_path: Path) -> None:
    one = Script(tmp_path, "dreambooth", AT, ONE)
    one.close()
    whole = start_of(tmp_path, one.file)
    assert whole.config == one.config
    for broken in ("!!python/tuple [1, 2]\n", "a: [", "[1]", ""):
        one.config.write_text(broken)
        found = start_of(tmp_path, one.file)
        assert found.config is None
        assert found.text("validation_prompt") == "a cat"
        assert found.number("num_validation_images") == 4
    one.config.unlink()
    assert start_of(tmp_path, one.file).number("num_validation_images") == 4


def test_a_start_that_noted_nothing_is_not_given_the_next_ones_settings(tmp_path: Path) -> None:
    first = Script(tmp_path, "dreambooth", AT)
    first.close()
    Script(tmp_path, "dreambooth", AT + 100, ONE).close()
    assert not start_of(tmp_path, first.file).is_known


@pytest.mark.parametrize("value", [0, -1, 2.5, "many", None, True, 10**12])
def test_numbers_that_are_none_are_not_known(tmp_path: Path, value: object) -> None:
    one = Script(tmp_path, "dreambooth", AT, {**ONE, "num_validation_images": value})
    one.close()
    assert start_of(tmp_path, one.file).number("num_validation_images") is None


def test_prompts_of_a_running_script_are_those_of_its_command_line_and_outlive_it(
    tmp_path: Path, script: subprocess.Popen[bytes]
) -> None:
    out = tmp_path / "out"
    time.sleep(0.1)
    one = Script(out, "text2image-fine-tune", time.time(), MANY)
    one.show("validation", shades(2), 50, time.time())
    one.close()
    wanted = {("", 50, "0", 0): ("a cat", 10), ("", 50, "1", 0): ("a red dog", 20)}
    assert table(out) == wanted
    assert Diffusers().expected(Place(out)) == 2
    script.kill()
    script.wait()
    running.processes.cache_clear()
    assert table(out) == wanted


def test_what_ended_before_the_running_script_began_is_not_given_its_prompts(
    tmp_path: Path, script: subprocess.Popen[bytes]
) -> None:
    out = tmp_path / "out"
    one = Script(out, "text2image-fine-tune", AT, MANY)
    one.show("validation", shades(2), 50, AT + 5)
    one.close()
    assert not start_of(out, one.file).lists
    assert "were not seen; give `prompts:`" in Diffusers().prompts(Place(out)).fault
    prompts = put_prompts(tmp_path / "prompts.json", ["a ball", "a box"])
    assert [prompt for prompt, _ in table(out, prompts=prompts).values()] == ["a ball", "a box"]


def test_a_process_that_has_ended_since_the_last_look_began_no_event_file(
    tmp_path: Path, script: subprocess.Popen[bytes]
) -> None:
    out = tmp_path / "out"
    assert Diffusers().prompts(Place(out)).texts == {"0": "a cat", "1": "a red dog"}
    script.kill()
    script.wait()
    one = Script(out, "text2image-fine-tune", time.time(), MANY)
    one.close()
    assert not start_of(out, one.file).lists


@pytest.mark.parametrize(
    ("argv", "wanted"),
    [
        (("python", "-u", "train.py", "--a", "x", "y z", "--b=1", "--c"), {"a": ("x", "y z"), "b": ("1",), "c": ()}),
        (("accelerate", "launch", "--config_file=x", "t.py", "--output-dir", "o"), {"output_dir": ("o",)}),
        (("python", "train.py", "--a=", "--b", "last.py"), {"a": ("",), "b": ("last.py",)}),
        ((), {}),
    ],
)
def test_options_are_read_as_argparse_does(argv: tuple[str, ...], wanted: dict[str, tuple[str, ...]]) -> None:
    assert options(argv) == {"": (), **wanted}


@given(prompts=st.lists(st.text().filter(lambda text: not text.startswith("-")), min_size=1))
def test_any_prompts_come_through(prompts: list[str]) -> None:
    assert options(("python", "t.py", "--validation_prompts", *prompts, "--seed", "1")) == {
        "": (),
        "validation_prompts": tuple(prompts),
        "seed": ("1",),
    }
