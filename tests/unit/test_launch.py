"""A trainer's settings are read from its command line and the file that it names, as the trainer itself reads them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.launch import file_settings, launch_settings, output_folder

names = st.from_regex(r"[a-z][a-z0-9_]{0,9}", fullmatch=True).filter(lambda name: name not in ("config", "config_file"))
values = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20).filter(
    lambda value: not value.startswith("-") and not value.endswith(".py")
)
TOML = 'output_name = "file"\nlr = 1e-4\n[samples]\nsample_prompts = "p.txt"\nsave_state = true\nlist = ["a", "b"]\n'


@given(st.dictionaries(names, values), st.booleans())
def test_every_option_is_read_with_and_without_an_equals_sign(options: dict[str, str], joined: bool) -> None:
    parts = [[f"--{k}={v}"] if joined else [f"--{k}", v] for k, v in options.items()]
    argv = ["python", "train.py", *(part for pair in parts for part in pair)]
    assert launch_settings(argv, Path("/")) == options


@given(st.lists(st.text(max_size=12), max_size=8))
def test_no_command_line_is_a_surprise(argv: list[str]) -> None:
    launch_settings(argv, Path("/nowhere"))


def test_flags_numbers_below_zero_and_dashes() -> None:
    argv = ["python", "t.py", "--save_state", "--seed", "-1", "--output-dir", "out", "--network_args", "a=1", "b=2"]
    assert launch_settings(argv, Path("/")) == {
        "save_state": "true",
        "seed": "-1",
        "output_dir": "out",
        "network_args": "a=1",
    }


def test_the_command_line_wins_over_the_file_whose_sections_are_flattened(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(TOML)
    argv = ["python", "t.py", "--config_file", "c.toml", "--output_name=mine"]
    assert launch_settings(argv, tmp_path) == {
        "config_file": "c.toml",
        "output_name": "mine",
        "lr": "0.0001",
        "sample_prompts": "p.txt",
        "save_state": "true",
        "list": "a b",
    }


def test_a_missing_toml_suffix_is_added_as_sd_scripts_does(tmp_path: Path) -> None:
    (tmp_path / "my.config.toml").write_text(TOML)
    assert launch_settings(["python", "t.py", "--config_file=my.config"], tmp_path)["output_name"] == "file"


def test_the_launchers_own_options_are_not_the_trainers(tmp_path: Path) -> None:
    (tmp_path / "theirs.yaml").write_text("num_processes: 2\n")
    (tmp_path / "ours.toml").write_text(TOML)
    launcher = ["python", "/usr/bin/accelerate", "launch", "--config_file", "theirs.yaml", "--mixed_precision", "fp16"]
    found = launch_settings([*launcher, "train_network.py", "--config_file", "ours.toml"], tmp_path)
    assert (found["output_name"], "num_processes" in found, "mixed_precision" in found) == ("file", False, False)


@pytest.mark.parametrize(
    ("name", "text"),
    [("c.json", '{"output_name": "x", "a": {"b": 1}}'), ("c.yaml", "output_name: x\na:\n  b: 1\n")],
)
def test_json_and_yaml_are_read_too(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert launch_settings(["python", "t.py", "--config", name], tmp_path) == {
        "config": name,
        "output_name": "x",
        "b": "1",
    }


@pytest.mark.parametrize("text", ["{", "[1]", "a = ", "\0", ""])
@pytest.mark.parametrize("suffix", [".toml", ".json", ".yaml", ".ini"])
def test_a_file_that_cannot_be_read_is_ignored(tmp_path: Path, suffix: str, text: str) -> None:
    path = tmp_path / f"c{suffix}"
    path.write_text(text)
    assert launch_settings(["python", "t.py", "--config", str(path), "--a", "1"], tmp_path)["a"] == "1"
    assert file_settings(path) == {}


def test_what_is_no_file_is_ignored(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "folder.toml").mkdir()
    for name in ("pipe.toml", "folder.toml", "nowhere.toml", "a\0b", "x" * 5000):
        assert file_settings(tmp_path / name) == {}


def test_a_file_that_changes_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('output_name = "a"')
    assert file_settings(path) == {"output_name": "a"}
    path.write_text('output_name = "longer"')
    assert file_settings(path) == {"output_name": "longer"}


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("accelerate launch --num_processes 2 train.py --output_dir out", "out"),
        ("accelerate launch --config_file acc.yaml train.py --output_dir=out", "out"),
        ("python -m trainer --output-dir /abs/out", "/abs/out"),
        ("python sd-scripts/train_network.py --config_file kohya.toml", "from_toml"),
        ("python sd-scripts/train_network.py --config_file kohya.toml --output_dir out", "out"),
        ("python scripts/train.py --config-path one.json", "workspace"),
        ("python run.py job.yaml", "jobs/cats"),
        ("python run.py named.yaml", None),
        ("deepspeed --num_gpus=1 train.py --deepspeed --config kohya.toml", None),
        ("bash train.sh", None),
        ("python kohya_gui.py --headless", None),
        ("python train.py --output_dir --steps 3", None),
        ("python train.py --logging_dir logs --resume_from out --save_every 10", None),
        ("python run.py missing.yaml", None),
        ("python train.py -o out", "out"),
    ],
)
def test_the_folder_of_a_run_is_told_before_it_starts(tmp_path: Path, command: str, expected: str | None) -> None:
    (tmp_path / "acc.yaml").write_text("output_dir: wrong\n")
    (tmp_path / "kohya.toml").write_text("[saving]\noutput_dir = 'from_toml'\n")
    (tmp_path / "one.json").write_text('{"workspace_dir": "workspace"}')
    job = "job: extension\nconfig: {{name: {}, process: [{{training_folder: jobs}}]}}\n"
    (tmp_path / "job.yaml").write_text(job.format("cats"))
    (tmp_path / "named.yaml").write_text(job.format("'[name]'"))
    assert output_folder(command.split(), tmp_path) == (tmp_path / expected if expected else None)
