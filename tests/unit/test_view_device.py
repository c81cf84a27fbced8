"""`watcher status` says where scoring runs and why, and warns where that is not where it was wanted."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.commands import here
from tests.worlds import ScriptedScorer, World
from watcher.score import Job, Scored
from watcher.view.status import status
from watcher.view.table import problems

RULES = "version: 1\nrules: [{name: low, when: clip/mean < 0.1}]\n"
CHOSEN = "cuda:1 (unused, 40 GiB free; cuda:0 trains run flux (pid 4711))"
IN_USE = "cpu (all GPUs are in use or too full: cuda:0 trains run flux (pid 4711))"
MOVED = "cuda:1 (moved from cuda:0: out of memory with one image; unused, 40 GiB free)"
FELL_BACK = f"scoring fell back to the CPU, at the lowest priority and on few cores: {IN_USE}"


class Placed(ScriptedScorer):
    """Says where it ran."""

    device = CHOSEN

    def submit(self, batch: int, jobs: Sequence[Job]) -> None:
        super().submit(batch, jobs)
        last = self.results.pop()
        assert isinstance(last, Scored)
        self.results.append(Scored(last.batch, last.identities, last.scores, self.device, 1.0))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, RULES)
    made.scorer = Placed()
    made.restart()
    made.go()
    yield made
    made.end()


def shown(world: World, device: str) -> tuple[dict[str, object], str]:
    """Score an evaluation on a device; gives what `status` says of the scorer, as JSON and as text."""
    assert isinstance(world.scorer, Placed)
    world.scorer.device = device
    world.evaluation(100, 0.2)
    text = here("status", "-c", world.folder / "watcher.yaml").out
    return status(world.store, world.now)["scorer"], " ".join(text.split())


def test_the_device_and_why_each_other_gpu_was_passed_over_are_shown(world: World) -> None:
    found, text = shown(world, CHOSEN)
    assert (found["device"], found["fallback"]) == (CHOSEN, False)
    assert f"scoring runs on {CHOSEN}" in text
    assert not [line for line in problems(status(world.store, world.now)) if "scoring" in line]


def test_a_fallback_to_the_cpu_is_a_warning_with_its_way_out(world: World, caplog: pytest.LogCaptureFixture) -> None:
    found, text = shown(world, IN_USE)
    assert (found["device"], found["fallback"]) == (IN_USE, True)
    assert f"{FELL_BACK}; `device: shared` uses a GPU beside its training; `device: cpu` says that it is meant" in text
    assert "scoring runs on" not in text
    (told,) = [one for one in caplog.records if IN_USE in one.getMessage()]
    assert told.levelno == logging.WARNING


def test_without_a_gpu_there_is_none_to_be_shared(world: World) -> None:
    _, text = shown(world, "cpu (no GPU)")
    assert "on few cores: cpu (no GPU); `device: cpu` says that it is meant" in text


def test_a_model_that_had_to_move_is_a_warning(world: World) -> None:
    found, text = shown(world, MOVED)
    assert found["fallback"] is True
    assert f"scoring runs on {MOVED}" in text
    assert f"scoring runs on {MOVED}" in problems(status(world.store, world.now))


@pytest.mark.parametrize("device", ["cpu (set in the configuration)", "cuda:0 (set in the configuration)", ""])
def test_what_the_user_fixed_needs_no_word(world: World, device: str) -> None:
    found, text = shown(world, device)
    assert found["fallback"] is False
    assert "scoring" not in text
