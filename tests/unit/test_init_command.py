"""`watcher init` as a newcomer calls it: what it writes and where, what it never overwrites, and what it says next."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from tests.commands import Answer, alone, here
from tests.contract.rooms import ROOT
from watcher.cli.app import app
from watcher.config import load_config
from watcher.setup.rules import ready

ELSEWHERE = {"doctor", "model"}
"""Commands that may come with another change."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with two runs, and a shell in it."""
    home = tmp_path / "home"
    for name in ("flux", "sdxl"):
        (home / "train" / "outputs" / name / "validation_images").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    for name in ("WATCHER_CONFIG", "XDG_STATE_HOME", "STATE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(home)
    return home


def usual(home: Path) -> Path:
    return home / ".config" / "watcher" / "watcher.yaml"


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def next_commands(answer: Answer) -> list[str]:
    """Give the commands under `next:`."""
    return [re.split("  +", line.strip())[0] for line in answer.out.split("next:\n")[1].splitlines()]


def test_it_writes_where_every_command_looks(home: Path) -> None:
    answer = here("init", "train/outputs")
    assert (answer.status, answer.err) == (0, "")
    assert "written: ~/.config/watcher/watcher.yaml" in answer.out
    assert load_config(usual(home)).runs[0].path == str(home / "train/outputs/*")
    checked = here("check")
    assert (checked.status, checked.err) == (0, "")
    assert checked.out.startswith(f"{usual(home)}: ok")
    assert "flux" in checked.out
    assert here("status").status == 0


def test_the_rules_are_beside_it(home: Path) -> None:
    here("init", "train/outputs")
    assert {path.name for path in (usual(home).parent / "rules").glob("*.yaml")} == {path.name for path in ready()}
    assert "abandon-low-clip: clip/mean < 0.22, then stop; for 2 of 2 runs, enforced for 0" in here("check").out


def test_it_says_what_was_found_what_is_missing_and_what_comes_next(home: Path) -> None:
    out = here("init", "train/outputs").out
    for words in ("flux: simpletuner: has validation_images/; 0 prompts; no image yet", "shown in tensorboard"):
        assert words in out
    assert out.index("found:") < out.index("missing or good to know:") < out.index("written:") < out.index("next:")


def test_a_newcomer_needs_few_commands_and_each_is_one(home: Path) -> None:
    commands = next_commands(here("init", "train/outputs"))
    assert 2 <= len(commands) < 6
    group = typer.main.get_command(app)
    for words in (shlex.split(command)[1:] for command in commands):
        if words[0] not in ELSEWHERE:
            context = group.make_context("watcher", list(words))
            name, command, rest = group.resolve_command(context, [*context._protected_args, *context.args])
            command.make_context(name, rest, parent=context)


def test_a_configuration_that_is_there_is_never_touched_unasked(home: Path) -> None:
    usual(home).parent.mkdir(parents=True)
    usual(home).write_text("runs: [{path: mine}]\n")
    before = files(home)
    answer = here("init", "train/outputs")
    assert answer.status == 2
    assert files(home) == before
    assert f"{usual(home)} is there already and stays as it is" in answer.err
    assert "  - path: ~/train/outputs/*" in answer.err
    assert "--force" in answer.err


def test_by_force_it_is_replaced_and_kept(home: Path) -> None:
    usual(home).parent.mkdir(parents=True)
    for number in (1, 2):
        usual(home).write_text(f"runs: [{{path: mine{number}}}]\n")
        answer = here("init", "--force", "train/outputs")
        assert answer.status == 0
        assert f"what was there is now ~/.config/watcher/watcher.yaml.{number}" in answer.out
        assert f"mine{number}" in Path(f"{usual(home)}.{number}").read_text()


def test_doing_it_again_changes_nothing(home: Path) -> None:
    here("init", "train/outputs")
    before = files(home)
    assert here("init", "train/outputs").status == 0
    assert here("init", "train/outputs", "--force").status == 0
    assert files(home) == before


def test_a_rule_that_the_user_changed_stays(home: Path) -> None:
    here("init", "train/outputs")
    rule = usual(home).parent / "rules" / ready()[0].name
    rule.write_text(rule.read_text().replace("0.22", "0.20"))
    answer = here("init", "train/outputs", "--mode", "enforce", "--force")
    assert answer.status == 0
    assert "changed by you: left as it is" in answer.out
    assert "below: 0.20" in rule.read_text()
    assert load_config(usual(home)).mode == "enforce"


def test_rules_with_faults_beside_it_are_told(home: Path) -> None:
    (usual(home).parent / "rules").mkdir(parents=True)
    (usual(home).parent / "rules" / "mine.yaml").write_text("version: 1\nrules: [{name: low, wen: x}]\n")
    answer = here("init", "train/outputs")
    assert answer.status == 2
    assert "mine.yaml:2: rules[0].wen: unknown key; did you mean `when`?" in answer.err


def test_elsewhere_the_next_commands_say_where(home: Path) -> None:
    answer = here("init", "train/outputs", "-c", "my config/w.yaml")
    assert answer.status == 0
    where = shlex.quote(str(home / "my config" / "w.yaml"))
    assert all(command.endswith(f"-c {where}") for command in next_commands(answer))
    assert (home / "my config" / "rules").is_dir()


def test_the_variable_for_all_commands_is_for_this_one_too(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHER_CONFIG", str(home / "other.yaml"))
    answer = here("init", "train/outputs")
    assert (home / "other.yaml").is_file()
    assert not usual(home).exists()
    assert not any("-c" in command for command in next_commands(answer))


def test_another_configuration_in_this_folder_is_not_taken_for_the_new_one(home: Path) -> None:
    (home / "watcher.yaml").write_text("runs: [{path: mine}]\n")
    answer = here("init", "train/outputs")
    assert all(f"-c {usual(home)}" in command for command in next_commands(answer))
    assert "note: in this folder, commands without -c read ~/watcher.yaml" in answer.out


def test_looking_writes_nothing(home: Path) -> None:
    before = files(home)
    shown, dry = here("init", "--stdout", "train/outputs"), here("init", "--dry-run", "train/outputs")
    assert files(home) == before
    assert "nothing was written" in dry.out
    here("init", "train/outputs")
    assert usual(home).read_text() == shown.out


def test_programs_get_the_same_as_json(home: Path) -> None:
    found = here("init", "--json", "train/outputs").json
    assert found["schema_version"] == 1
    assert (found["config"], found["written"], found["kept"]) == (str(usual(home)), True, None)
    assert found["text"] == usual(home).read_text()
    assert [(run["name"], run["layout"], run["state"]) for run in found["runs"]] == [
        ("flux", "simpletuner", "active"),
        ("sdxl", "simpletuner", "active"),
    ]
    assert found["advice"]
    assert found["next"]


def test_an_installed_program_finds_its_rules_and_units_in_itself(home: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    shutil.copytree(ROOT / "watcher", site / "watcher", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "rules", site / "watcher" / "_rules")  # as pyproject.toml has it for the wheel
    shutil.copytree(ROOT / "systemd", site / "watcher" / "_systemd")
    environment = {"PYTHONPATH": str(site)}
    made = alone("init", "train/outputs", environment=environment)
    assert (made.status, made.err) == (0, "")
    assert (usual(home).parent / "rules" / ready()[0].name).read_text() == ready()[0].read_text()
    assert "Type=notify" in alone("service", "install", "--user", "--print", environment=environment).out
    shutil.rmtree(site / "watcher" / "_rules")
    lost = alone("init", "train/outputs", "-c", "b/w.yaml", environment=environment)
    assert lost.status == 2
    assert "this installation lacks" in lost.err


def test_a_device_is_checked_before_anything_is_written(home: Path) -> None:
    assert here("init", "train/outputs", "--device", "tpu").status == 2
    assert not usual(home).exists()
    here("init", "train/outputs", "--device", "cpu")
    assert load_config(usual(home)).scorers["clip"].device == "cpu"


def test_a_name_cannot_speak_to_the_terminal(home: Path) -> None:
    (home / "train" / "outputs" / "a\x1b[31mb\nc" / "validation_images").mkdir(parents=True)
    out = here("init", "train/outputs").out
    assert "\x1b" not in out
    assert r"a\x1b[31mb\nc" in out


def test_without_a_folder_it_lists_what_is_around(home: Path) -> None:
    answer = here("init")
    assert answer.status == 0
    assert "~/train/outputs/flux: simpletuner: has validation_images/" in answer.out
    command = answer.out.splitlines()[-1].strip()
    assert shlex.split(command)[:2] == ["watcher", "init"]
    assert {*shlex.split(command)[2:]} >= {str(home / "train/outputs/flux"), str(home / "train/outputs/sdxl")}
    assert not usual(home).exists()


def test_inside_a_run_it_finds_that_run(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home / "train/outputs/flux/validation_images")
    found = here("init", "--json").json
    assert found["candidates"][0]["path"] == str(home / "train/outputs/flux")


@pytest.fixture
def trainer(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A program that is told to write somewhere, with a secret among its arguments."""
    (tmp_path / "elsewhere" / "out put").mkdir(parents=True)
    script = tmp_path / "train.py"
    script.write_text("import sys\nprint('up', flush=True)\nsys.stdin.read()\n")
    words = [sys.executable, script, "--output_dir", str(tmp_path / "elsewhere" / "out put"), "--hf_token", "SECRET"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process
        process.communicate("")


def test_without_a_folder_it_finds_where_a_running_program_is_told_to_write(
    home: Path, tmp_path: Path, trainer: subprocess.Popen[str]
) -> None:
    answer = here("init")
    (line,) = [line for line in answer.out.splitlines() if f"process {trainer.pid} " in line]
    assert line.startswith(f"  {tmp_path}/elsewhere/out put: process {trainer.pid} (")
    assert line.endswith("is told to write there")
    assert str(tmp_path / "elsewhere" / "out put") in shlex.split(answer.out.splitlines()[-1])
    assert "SECRET" not in answer.out


@pytest.fixture
def writer(home: Path) -> Iterator[subprocess.Popen[str]]:
    """A program that has a log open in a run's folder and names it nowhere."""
    (home / "train/outputs/flux/logs").mkdir()
    code = "import sys; log = open(sys.stdin.readline().strip(), 'w'); print('up', flush=True); sys.stdin.read()"
    words = [sys.executable, "-c", code]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{home}/train/outputs/flux/logs/events.out\n")
        process.stdin.flush()
        assert process.stdout.readline() == "up\n"
        yield process
        process.communicate("")


def test_without_a_folder_it_finds_the_run_that_a_program_writes_into(
    home: Path, tmp_path: Path, writer: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    found = {one["path"]: one["why"] for one in here("init", "--json").json["candidates"]}
    assert found[str(home / "train/outputs/flux")].endswith(f"writes {home}/train/outputs/flux/logs/events.out")
    assert str(writer.pid) in found[str(home / "train/outputs/flux")]


def test_a_file_that_is_not_ours_is_told_with_the_reason(home: Path) -> None:
    (home / "blocked").write_text("x")
    answer = here("init", "train/outputs", "-c", "blocked/watcher.yaml")
    assert answer.status == 1
    assert "blocked" in answer.err
    assert "Traceback" not in answer.err


def test_everything_it_prints_as_json_can_be_read_by_programs(home: Path) -> None:
    answer = here("init", "--json", "--dry-run", "train/outputs", home / "later")
    assert json.loads(answer.out)["entries"] == ["~/train/outputs/*", "~/later"]
    assert os.listdir(home) == ["train"]
