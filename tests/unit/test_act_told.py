"""What a process was told: by its command line and the configuration file that this names, whatever stands there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.act import processes, ties
from watcher.act.processes import Process
from watcher.act.ties import Output, tie_to
from watcher.act.told import LARGEST, told


def process(*argv: str, later: float = 60.0) -> Process:
    """Give this very process, as if it had been started by another command line, and `later` seconds from now."""
    me = processes.read(os.getpid())
    assert me is not None
    start = int((time.time() + later - processes.boot_time()) * os.sysconf("SC_CLK_TCK"))
    return Process(me.pid, me.parent, me.group, me.session, start, me.uid, me.state, ("python", *argv), me.threads)


def config(folder: Path, output: Path, name: str | None = "cat", suffix: str = ".toml") -> Path:
    path = folder / f"config{suffix}"
    named = {} if name is None else {"output_name": name}
    settings = {"output_dir": str(output), **named}
    text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())
    path.write_text(text if suffix == ".toml" else json.dumps(settings))
    return path


def kind(output: Output, *argv: str, later: float = 60.0) -> str:
    return tie_to(output, process(*argv, later=later)).kind


@pytest.mark.parametrize("option", ["--config_file", "--config"])
@pytest.mark.parametrize("suffix", [".toml", ".json", ".yaml"])
def test_a_configuration_file_ties_as_the_command_line_does(tmp_path: Path, option: str, suffix: str) -> None:
    path = str(config(tmp_path, tmp_path, suffix=suffix))
    assert kind(Output(tmp_path), "train.py", option, path) == "told"
    assert kind(Output(tmp_path, "cat"), "train.py", option, path) == "told"
    assert kind(Output(tmp_path, "dog"), "train.py", option, path) == "other"


def test_kohyas_trainers_leave_the_suffix_out(tmp_path: Path) -> None:
    path = str(config(tmp_path, tmp_path)).removesuffix(".toml")
    assert kind(Output(tmp_path, "cat"), "train_network.py", "--config_file", path) == "told"


def test_a_launcher_is_tied_by_the_trainers_command_line_behind_its_own(tmp_path: Path) -> None:
    path = str(config(tmp_path, tmp_path))
    theirs = tmp_path / "accelerate.yaml"
    theirs.write_text("num_processes: 1\noutput_dir: /nowhere\n")
    launcher = ("/venv/bin/accelerate", "launch", "--config_file", str(theirs), "train_network.py")
    assert kind(Output(tmp_path, "cat"), *launcher, "--config_file", path) == "told"


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    path = str(config(tmp_path, tmp_path))
    argv = ("train.py", "--config_file", path, "--output_name", "dog")
    assert kind(Output(tmp_path, "dog"), *argv) == "told"
    assert kind(Output(tmp_path, "cat"), *argv) == "other"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert kind(Output(tmp_path), "train.py", "--config_file", path, "--output_dir", str(elsewhere)) == ""


def test_the_last_name_on_a_command_line_is_the_one(tmp_path: Path) -> None:
    argv = ("train.py", "--output_dir", str(tmp_path), "--output_name", "a", "--output_name=b")
    assert kind(Output(tmp_path, "b"), *argv) == "told"
    assert kind(Output(tmp_path, "a"), *argv) == "other"


@pytest.mark.parametrize("script", ["plot.py", "evaluate.py", "sample_images.py", "gen_img.py", "/venv/bin/convert"])
def test_what_is_given_a_trainings_file_is_not_yet_the_training(tmp_path: Path, script: str) -> None:
    assert kind(Output(tmp_path), script, "--config_file", str(config(tmp_path, tmp_path))) == ""


def test_a_file_that_was_changed_after_the_start_tells_nothing(tmp_path: Path) -> None:
    """It may have been edited for the next training, which is another one."""
    argv = ("train_network.py", "--config_file", str(config(tmp_path, tmp_path)))
    assert kind(Output(tmp_path), *argv, later=-60) == ""
    assert kind(Output(tmp_path, "cat"), *argv, later=-60) == ""
    assert "was changed after" in told(process(*argv, later=-60)).unread
    sure = (*argv, "--output_dir", str(tmp_path), "--output_name", "cat")
    assert kind(Output(tmp_path, "cat"), *sure, later=-60) == "told"
    unsure = (*argv, "--output_dir", str(tmp_path))
    assert kind(Output(tmp_path, "cat"), *unsure, later=-60) == "unclear"
    assert kind(Output(tmp_path, shared=True), *unsure, later=-60) == "unclear"


def test_without_a_name_it_is_another_training_than_the_named_one(tmp_path: Path) -> None:
    argv = ("train.py", "--output_dir", str(tmp_path))
    assert kind(Output(tmp_path, "cat"), *argv) == "other"
    assert kind(Output(tmp_path, shared=True), *argv) == "told"
    assert kind(Output(tmp_path, shared=True), *argv, "--output_name", "cat") == "other"
    assert kind(Output(tmp_path), *argv, "--output_name", "cat") == "told"


def test_an_open_file_alone_ties_only_where_the_folder_has_one_training(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w"):
        assert kind(Output(tmp_path), "train.py") == "writes"
        assert kind(Output(tmp_path, "cat"), "train.py") == "unclear"
        assert kind(Output(tmp_path, shared=True), "train.py") == "unclear"
        assert kind(Output(tmp_path, "cat"), "train.py", "--output_name", "dog") == "other"


def test_a_file_that_is_none_or_too_large_is_not_read(tmp_path: Path) -> None:
    fifo, large = tmp_path / "fifo", tmp_path / "large.toml"
    os.mkfifo(fifo)  # reading it would wait for ever
    large.write_text(f'output_dir = "{tmp_path}"\n#' + "x" * LARGEST)
    for path in (fifo, large, tmp_path, tmp_path / "missing"):
        found = told(process("train.py", "--config_file", str(path)))
        assert found.unread
        assert not tie_to(Output(tmp_path), process("train.py", "--config_file", str(path))).kind


def test_a_guis_name_is_known(tmp_path: Path) -> None:
    gui = process("/opt/kohya_ss/kohya_gui.py", "--output_dir", str(tmp_path))
    assert ties.is_gui(gui)
    assert not tie_to(Output(tmp_path), gui).kind
    assert ties.is_gui(process("/venv/bin/simpletuner", "server"))
    assert ties.is_gui(process("/opt/OneTrainer/scripts/train_ui.py"))
    assert not ties.is_gui(process("/opt/OneTrainer/scripts/train.py", "--config-path", "config.json"))
    assert not ties.is_gui(process("/venv/bin/simpletuner", "train"))
    assert not ties.is_gui(process("train_network.py", "gui"))


@given(
    values=st.lists(st.one_of(st.text(max_size=20), st.sampled_from(["--config", "--config_file", "train.py"]))),
    content=st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode)),
    suffix=st.sampled_from([".toml", ".json", ".yaml"]),
)
def test_whatever_stands_there_is_no_error(
    tmp_path_factory: pytest.TempPathFactory, values: list[str], content: bytes, suffix: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"any{suffix}"
    path.write_bytes(content)
    found = told(process("train.py", *values, "--config_file", str(path)))
    assert all(isinstance(value, str) for pair in found.settings for value in pair)
    assert tie_to(Output(path.parent, "cat"), process("train.py", *values, "--config", str(path))) is not None


def of_simpletuner(folder: Path, output: Path, name: str = "") -> Path:
    place = folder / "config" / name / "config.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(f'{{"--output_dir": "{output}",  # where it all goes\n"--validation_prompt": "a cat"}}')
    return place


LAUNCHED = ("/venv/bin/accelerate", "launch", "/venv/simpletuner/train.py")


@pytest.mark.parametrize("argv", [LAUNCHED, LAUNCHED[2:]], ids=lambda argv: argv[0])
def test_simpletuner_is_tied_by_the_configuration_of_its_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert kind(Output(tmp_path / "out"), *argv) == ""
    (tmp_path / "out").mkdir()
    of_simpletuner(tmp_path, tmp_path / "out")
    assert kind(Output(tmp_path / "out"), *argv) == "told"
    assert kind(Output(tmp_path), *argv) == ""
    assert kind(Output(tmp_path / "out"), "evaluate.py") == "", "another program of that folder"
    assert kind(Output(tmp_path / "out"), *argv, later=-60) == "", "it was changed since"


@pytest.mark.parametrize("said", [("train",), ("train", "--env", "cats"), ("jobs", "logs", "--follow"), ("worker",)])
def test_what_starts_simpletuner_is_not_the_training_of_its_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: tuple[str, ...]
) -> None:
    """`--env cats` is seen by its child only; the launcher would be tied to the default training, which is another."""
    monkeypatch.chdir(tmp_path)
    of_simpletuner(tmp_path, tmp_path)
    assert kind(Output(tmp_path), "/venv/bin/simpletuner", *said) == ""


@pytest.mark.parametrize(
    ("variables", "meant"),
    [
        ({}, ""),
        ({"ENV": "cats"}, "cats"),
        ({"ENV": "default"}, ""),
        ({"ENV": "dogs", "SIMPLETUNER_ENV": "cats"}, "cats"),
        ({"ENV": "cats", "SIMPLETUNER_ENVIRONMENT": ""}, ""),
        ({"ENV": "config/cats"}, "cats"),
        ({"ENV": "config/cats/config.json"}, "cats"),
        ({"ENV": "examples/cats"}, None),
        ({"CONFIG_BACKEND": "json", "CONFIG_PATH": "config/cats/config"}, "cats"),
        ({"CONFIG_BACKEND": "JSON", "CONFIG_PATH": "config/cats"}, "cats"),
        ({"CONFIG_PATH": "config/cats/config"}, None),
        ({"CONFIG_BACKEND": "env"}, None),
        ({"CONFIG_TYPE": "cmd"}, None),
        ({"CONFIG_BACKEND": "toml"}, None),
        ({"ENV": "dogs", "CONFIG_BACKEND": "toml"}, "dogs"),
    ],
)
def test_simpletuner_reads_the_configuration_that_its_environment_names(
    tmp_path: Path, variables: dict[str, str], meant: str | None
) -> None:
    of_simpletuner(tmp_path, tmp_path / "out-")
    of_simpletuner(tmp_path, tmp_path / "out-cats", "cats")
    (tmp_path / "config" / "dogs").mkdir()
    (tmp_path / "config" / "dogs" / "config.toml").write_text(f'output_dir = "{tmp_path / "out-dogs"}"\n')
    assert tied(tmp_path, variables) == ([] if meant is None else [meant])


@pytest.mark.parametrize("line", ["export OUTPUT_DIR=elsewhere", "ENV=cats", "CONFIG_BACKEND='env'"])
def test_where_simpletuners_variables_may_change_after_its_start_nothing_is_tied(tmp_path: Path, line: str) -> None:
    of_simpletuner(tmp_path, tmp_path / "out-")
    (tmp_path / "config" / "config.env").write_text("export MODEL=x\n")
    assert tied(tmp_path, {}) == [""]
    (tmp_path / "config" / "config.env").write_text(f"# so\n{line}\n")
    assert tied(tmp_path, {}) == []


def tied(folder: Path, variables: dict[str, str]) -> list[str]:
    """Start a `train.py` with an environment of its own; give which of the folders `out-*` it is tied to."""
    names = ("", "cats", "dogs")
    for name in names:
        (folder / f"out-{name}").mkdir(exist_ok=True)
    (folder / "train.py").write_text("import time; print('up', flush=True); time.sleep(300)")
    with subprocess.Popen(
        [sys.executable, "train.py"], cwd=folder, env={"LANG": "C", **variables}, stdout=subprocess.PIPE
    ) as started:
        try:
            assert started.stdout
            assert started.stdout.readline() == b"up\n"
            found = processes.read(started.pid)
            assert found
            return [name for name in names if tie_to(Output(folder / f"out-{name}"), found).kind == "told"]
        finally:
            started.kill()
