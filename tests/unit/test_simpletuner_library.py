"""The prompts inside SimpleTuner are read from its source where that is found, without running any of it.

One of these tests lets a SimpleTuner run, which every other process finds: no other file asks for these prompts.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simpletuner import project
from watcher.discover import Place, Prompts
from watcher.discover.simpletuner import SimpleTuner

LAYOUT = SimpleTuner()
SOURCE = """
import pandas
raise RuntimeError("this is never executed")
captions = {"no": "not these"}
prompts = {
    "alien_landscape": "Alien planet, strange rock formations",
    "soon": "a person 'waiting', soon",
}
"""
BOTH = {"alien_landscape": "Alien planet, strange rock formations", "soon": "a person 'waiting', soon"}


def prompts(output: Path) -> Prompts:
    return LAYOUT.prompts(Place(output))


def asking(tmp_path: Path, value: Any = "true", **more: Any) -> Path:
    return project(tmp_path, {"validation_prompt_library": value, "validation_disable_unconditional": "true", **more})


def install(place: Path, text: str = SOURCE) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


@pytest.mark.parametrize(
    "place",
    [
        "simpletuner/helpers/prompts.py",
        "helpers/prompts.py",
        ".venv/lib/python3.12/site-packages/simpletuner/helpers/prompts.py",
        "venv/lib/python3.11/site-packages/simpletuner/helpers/prompts.py",
    ],
)
@pytest.mark.parametrize("value", [True, "default", "image"])
def test_they_are_found_where_simpletuner_is_installed(tmp_path: Path, place: str, value: Any) -> None:
    output = asking(tmp_path, value)
    install(tmp_path / place)
    assert (prompts(output).texts, prompts(output).fault) == (BOTH, "")
    assert LAYOUT.expected(Place(output)) == 2


def test_they_are_found_in_the_environment_of_a_running_trainer(tmp_path: Path) -> None:
    output = asking(tmp_path / "home")
    python = tmp_path / "elsewhere/env/bin/python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    install(tmp_path / "elsewhere/env/lib/python3.12/site-packages/simpletuner/helpers/prompts.py")
    assert prompts(output).texts == {}
    assert "give `prompts:`" in prompts(output).fault
    assert LAYOUT.expected(Place(output)) is None
    (tmp_path / "train.py").write_text("import time\nprint('up', flush=True)\ntime.sleep(600)\n")
    trainer = subprocess.Popen([python, tmp_path / "train.py"], stdout=subprocess.PIPE, cwd="/")
    try:
        assert trainer.stdout is not None
        trainer.stdout.readline()
        until = time.monotonic() + 120
        while not (texts := prompts(output).texts) and time.monotonic() < until:
            time.sleep(0.5)
        assert texts == BOTH
    finally:
        trainer.kill()
        trainer.communicate()
    assert prompts(output).texts == BOTH


def test_the_users_prompts_come_after_them_and_win(tmp_path: Path) -> None:
    output = asking(tmp_path, user_prompt_library="library.json", validation_prompt="a dog")
    install(tmp_path / "simpletuner/helpers/prompts.py")
    (tmp_path / "library.json").write_text(json.dumps({"soon": "the user's", "cat": "a cat"}))
    assert prompts(output).texts == {**BOTH, "soon": "the user's", "cat": "a cat", "validation": "a dog"}
    assert list(prompts(output).texts) == ["alien_landscape", "soon", "cat", "validation"]


@pytest.mark.parametrize("value", ["audio", "music", "{env:LIBRARY}"])
def test_other_libraries_are_not_guessed(tmp_path: Path, value: str) -> None:
    output = asking(tmp_path, value)
    install(tmp_path / "simpletuner/helpers/prompts.py")
    assert prompts(output).texts == {}
    assert "give `prompts:`" in prompts(output).fault


@pytest.mark.parametrize("value", ["false", "none", None, ""])
def test_who_does_not_ask_for_them_does_not_get_them(tmp_path: Path, value: Any) -> None:
    output = asking(tmp_path, value, validation_prompt="a dog")
    install(tmp_path / "simpletuner/helpers/prompts.py")
    assert (prompts(output).texts, prompts(output).fault) == ({"validation": "a dog"}, "")


def test_a_source_that_is_changed_is_read_anew(tmp_path: Path) -> None:
    output, place = asking(tmp_path), tmp_path / "simpletuner/helpers/prompts.py"
    install(place)
    assert prompts(output).texts == BOTH
    install(place, 'prompts: dict[str, str] = {"new": "another"}\n')
    assert prompts(output).texts == {"new": "another"}


@given(
    st.text(max_size=60)
    | st.sampled_from(
        ["prompts = 5", "prompts = {1: 2}", "prompts = {'a': f()}", "prompts = {**{}}", "x = " + "(" * 400]
    )
)
def test_no_source_is_too_odd_to_be_read(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.mktemp("odd")
    output = asking(folder)
    (folder / "helpers").mkdir()
    (folder / "helpers/prompts.py").write_bytes(text.encode("utf-8", "replace"))
    found = prompts(output)
    assert found.texts == {}
    assert "give `prompts:`" in found.fault
