"""Commands that do not score load nothing that scores: measured in the real program."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import PATIENCE
from tests.worlds import World

HEAVY = {
    "torch",
    "transformers",
    "tensorboard",
    "wandb",
    "scipy",
    "apprise",
    "alembic",
    "apscheduler",
    "httpx",
    "slack_sdk",
}
SPY = """
import json, sys
from watcher.cli import main
try:
    main()
finally:
    sys.stderr.write("\\n" + json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rule = {"name": "low", "when": {"metric": "clip/mean", "below": 0.2, "confidence": 0.9}}
    world = World(tmp_path_factory.mktemp("world"), json.dumps({"version": 1, "rules": [rule]}))
    world.evaluation(100, 0.1)
    world.end()
    with (world.folder / "watcher.yaml").open("a") as file:
        file.write("trackers: {tensorboard: {}}\n")
    return world.folder


def loaded(folder: Path, *arguments: str) -> set[str]:
    """Give the packages that a command had loaded at its end; it has to succeed."""
    words = [sys.executable, "-c", SPY, *arguments]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize(
    "command",
    [
        "--help",
        "run --help",
        "status",
        "status --json",
        "show run",
        "check",
        "rules check rules.yaml",
        "rules list",
        "rules schema",
        "init --dry-run run",
        "service install --user --print",
        "hold run",
        "release run",
        "prompts list",
        "exec --run other -- true",
        "prompts export geneval --format kohya --sample 8",
    ],
)
def test_a_command_that_does_not_score_loads_nothing_heavy(folder: Path, command: str) -> None:
    found = loaded(folder, *command.split())
    assert "watcher" in found
    assert not found & HEAVY


def test_help_needs_neither_store_nor_configuration(folder: Path) -> None:
    assert not loaded(folder, "--help") & {"sqlalchemy", "pydantic", "yaml", "numpy", "psutil"}


@pytest.mark.parametrize("command", ["status", "status --json"])
def test_status_is_asked_often_and_loads_only_what_it_needs(folder: Path, command: str) -> None:
    assert not loaded(folder, *command.split()) & {"sqlalchemy", "numpy", "watchdog"}
