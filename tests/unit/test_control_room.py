"""The hook's folder can be copied alone into any trainer's environment, and costs a process without torch nothing."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.controlled import ROOM, environment

OLDEST = (3, 8)
MODULES = sorted(path.stem for path in ROOM.glob("*.py") if path.stem != "__init__")
SPY = """
import json, sys
sys.path.insert(0, sys.argv[1])
before = set(sys.modules)
import importlib
for name in sys.argv[2:]:
    importlib.import_module("alone." + name)
loaded = {name.split(".")[0] for name in set(sys.modules) - before}
print(json.dumps(sorted(loaded)))
"""
ARMED = "import json, sys; print(json.dumps(sorted(sys.modules)))"


@pytest.mark.parametrize("path", sorted(ROOM.glob("*.py")), ids=lambda path: path.name)
def test_every_file_is_written_for_the_oldest_python(path: Path) -> None:
    ast.parse(path.read_text(), feature_version=OLDEST)


def others() -> list[str]:
    """Give the older Pythons of this machine that start."""
    found = [shutil.which(f"python3.{minor}") for minor in range(OLDEST[1], 11)]
    found += [str(path) for path in Path.home().glob(".pyenv/versions/3.[89]*/bin/python")]
    return [one for one in found if one and subprocess.run([one, "-c", ""], capture_output=True).returncode == 0]


def loaded(python: str, folder: Path) -> set[str]:
    shutil.copytree(ROOM, folder / "alone", ignore=shutil.ignore_patterns("__pycache__"))
    names = [name for name in MODULES if (ROOM / f"{name}.py").exists()]
    command = [python, "-I", "-B", "-c", SPY, str(folder), *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def test_the_folder_alone_needs_the_standard_library_only(tmp_path: Path) -> None:
    assert loaded(sys.executable, tmp_path) <= set(sys.stdlib_module_names) | {"alone"}


@pytest.mark.skipif(not others(), reason="no Python 3.8, 3.9 or 3.10 is here")
def test_the_folder_alone_works_with_older_pythons(tmp_path: Path) -> None:
    for number, python in enumerate(others()):
        (tmp_path / str(number)).mkdir()
        assert loaded(python, tmp_path / str(number)) <= set(sys.stdlib_module_names) | {"alone"}


def modules(environ: dict[str, str]) -> set[str]:
    done = subprocess.run([sys.executable, "-c", ARMED], env=environ, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_a_process_without_torch_gets_one_small_module_and_leaves_no_file(tmp_path: Path) -> None:
    new = modules(environment(tmp_path)) - modules(environment(tmp_path, launch=None))
    assert new == {"sitecustomize", "_control_copy", "_control_copy.arm", "__future__"}
    assert not os.listdir(tmp_path / "control")


def test_a_process_that_imports_torch_and_never_steps_leaves_no_file(tmp_path: Path) -> None:
    code = "import torch, sys, threading; print(threading.active_count(), *(n for n in sys.modules if '_copy.' in n))"
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, env=environment(tmp_path), capture_output=True, text=True, check=True)
    assert done.stdout == "1 _control_copy.arm _control_copy.schedulers\n"
    assert not os.listdir(tmp_path / "control")


@pytest.mark.parametrize("missing", [None, "WATCHER_LAUNCH", "WATCHER_CONTROL_DIR"])
def test_only_a_process_of_a_launch_is_armed(missing: str | None, tmp_path: Path) -> None:
    environ = {name: value for name, value in environment(tmp_path).items() if name != missing}
    code = "import sys; print([type(one).__name__ for one in sys.meta_path])"
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert ("'Finder'" in done.stdout) == (missing is None)
