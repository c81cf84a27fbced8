"""What a running trainer was told is the last source of what its folder does not tell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.aitoolkit import put_config as put_job
from tests.onetrainer import put_config as put_workspace_config
from tests.onetrainer import put_definitions, sample_entry
from tests.trainers import started
from watcher.discover.aitoolkit import AiToolkit
from watcher.discover.layout import Layout, Place
from watcher.discover.onetrainer import OneTrainer
from watcher.discover.pattern import Pattern
from watcher.discover.running import Running, running
from watcher.discover.simpletuner import SimpleTuner
from watcher.launch import launch_settings, launch_words

PATTERN = Pattern(regex=r"(?P<step>\d+)_(?P<key>\d+)\.png")
WORDS = st.text("abc /._", min_size=1, max_size=8).filter(lambda word: not word.endswith(".py"))


def process(cwd: Path, *argv: str) -> Running:
    line = ["python", "train.py", *argv]
    return Running((os.getpid(),), cwd, launch_settings(line, cwd), launch_words(line))


@given(
    st.lists(WORDS, max_size=3), st.dictionaries(st.text("xyz", min_size=1, max_size=4), st.lists(WORDS), max_size=4)
)
def test_every_word_stands_under_the_option_that_it_follows(first: list[str], options: dict[str, list[str]]) -> None:
    argv = [*first, *(part for name, words in options.items() for part in (f"--{name}", *words))]
    words = launch_words(["python", "train.py", *argv])
    assert words == {"": tuple(first), **{name: tuple(said) for name, said in options.items()}}


@given(st.lists(st.text(max_size=12), max_size=8))
def test_no_command_line_is_a_surprise(argv: list[str]) -> None:
    launch_words(argv)
    found = process(Path("/nowhere"), *argv)
    found.writes_to(Path("/tmp"))
    assert all(path.is_absolute() for path in found.files)


@pytest.mark.parametrize(
    ("argv", "writes"),
    [
        (["--output_dir", "out"], True),
        (["--output-dir=out/"], True),
        (["--save_path", "{folder}"], True),
        (["--data_dir", "out"], False),
        (["--output_name", "out"], False),
        (["--resume_from", "out"], False),
        (["--output_dir", "elsewhere"], False),
        (["out"], False),
    ],
)
def test_a_training_writes_to_the_folder_that_an_option_for_output_names(
    tmp_path: Path, argv: list[str], writes: bool
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    found = process(tmp_path, *(word.format(folder=folder) for word in argv))
    assert found.writes_to(folder) == writes


def of_diffusers(home: Path, out: Path) -> tuple[Layout, list[str]]:
    return PATTERN, ["train.py", f"--output_dir={out}", "--validation_prompts", "a thing", "another thing"]


def of_diffusers_with_one_prompt(home: Path, out: Path) -> tuple[Layout, list[str]]:
    return PATTERN, ["train.py", "--output_dir", "out", "--validation_prompt=a thing", "--num_validation_images=2"]


def of_musubi(home: Path, out: Path) -> tuple[Layout, list[str]]:
    (home / "p.txt").write_text("# none\na thing --w 512\nanother thing --d 7\n")
    return PATTERN, ["train.py", "--output_dir", "out", "--sample_prompts", "p.txt"]


def of_simpletuner(home: Path, out: Path) -> tuple[Layout, list[str]]:
    (home / "library.json").write_text(json.dumps({"0": "a thing", "1": "another thing"}))
    own = ["--model_family=sdxl", "--validation_disable_unconditional=true", "--user_prompt_library=library.json"]
    return SimpleTuner(), ["train.py", "--output_dir=out", *own]


def of_ai_toolkit(home: Path, out: Path) -> tuple[Layout, list[str]]:
    job = put_job(home / "jobs" / "[name]", 0, ["a thing --w 5", "another thing"], training_folder=".").read_text()
    (home / "jobs" / "mine.yaml").write_text(job)
    return AiToolkit(), ["run.py", "jobs/mine.yaml", "--name", "out"]


def of_onetrainer(home: Path, out: Path) -> tuple[Layout, list[str]]:
    entries = [sample_entry("a thing"), sample_entry("another thing")]
    put_definitions(home / "training_samples" / "samples.json", entries, 0)
    path = put_workspace_config(home / "presets", time.time() - 60, workspace_dir="out", samples=None)
    return OneTrainer(), ["scripts/train.py", "--config-path", str(path)]


@pytest.mark.parametrize(
    "trainer",
    [of_diffusers, of_diffusers_with_one_prompt, of_musubi, of_simpletuner, of_ai_toolkit, of_onetrainer],
    ids=lambda one: one.__name__,
)
def test_prompts_come_from_the_running_trainer_where_its_folder_has_none(
    tmp_path: Path, trainer: Callable[[Path, Path], tuple[Layout, list[str]]]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out.with_name("other")).mkdir()
    layout, argv = trainer(tmp_path, out)
    with started(tmp_path, *argv):
        texts = layout.prompts(Place(out)).texts
        assert [*texts.values()] == ["a thing", "another thing"][: 1 if trainer is of_diffusers_with_one_prompt else 2]
        assert not layout.prompts(Place(out.with_name("other"))).texts
        given = tmp_path / "given.txt"
        given.write_text("mine\n")
        assert "mine" in layout.prompts(Place(out, prompts=given)).texts.values()


def test_a_job_that_was_edited_after_its_start_says_nothing_of_what_runs(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    layout, argv = of_ai_toolkit(tmp_path, out)
    with started(tmp_path, *argv):
        path = tmp_path / "jobs" / "mine.yaml"
        path.write_text(path.read_text().replace("another thing", "edited"))
        os.utime(path, (time.time() + 60,) * 2)  # a second or two may be the clocks' difference
        assert "give `prompts:`" in layout.prompts(Place(out)).fault
        job = yaml.safe_load(path.read_text())
        job["config"]["name"] = "out"
        (out / "config.yaml").write_text(yaml.safe_dump(job))
        assert layout.prompts(Place(out)).texts == {"0": "a thing", "1": "edited"}


def test_of_two_trainings_into_a_folder_that_differ_none_is_taken(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    both = [["train.py", "--output_dir=out", f"--validation_prompt={name}"] for name in ("a", "b")]
    with started(tmp_path, *both[0]), started(tmp_path, *both[1]):
        assert running(lambda one: one.writes_to(tmp_path / "out")) is None


LOOK = """
import os, sys
from watcher.discover.running import running
os.setuid(65534)
seen = []
running(lambda one: bool(seen.extend(one.pids)))
print(os.getpid() in seen, int(sys.argv[1]) in seen)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_processes_that_may_not_be_looked_into_are_passed_over(tmp_path: Path) -> None:
    with started(tmp_path, "train.py", "--output_dir=out") as trainer:
        code = [sys.executable, "-c", LOOK, str(trainer.pid)]
        assert subprocess.run(code, capture_output=True, check=True).stdout.split()[1] == b"False"
        root = [sys.executable, "-c", LOOK.replace("os.setuid(65534)", ""), str(trainer.pid)]
        assert subprocess.run(root, capture_output=True, check=True).stdout.split() == [b"True", b"True"]
