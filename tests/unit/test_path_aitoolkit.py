"""A folder of ai-toolkit through the whole path: what is scored of its prompts, step 0, and a run that went back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.aitoolkit import PROMPTS, put_config, put_samples, put_save
from tests.worlds import World
from watcher.record import evaluations, runs
from watcher.view.status import status

RULES = "version: 1\nrules: [{name: low, when: clip/mean < 0.22}]\n"


class Toolkit(World):
    """A folder that ai-toolkit trains into, watched with `layout: auto`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, RULES)
        self.end()
        settings = yaml.safe_load((folder / "watcher.yaml").read_text())
        (folder / "watcher.yaml").write_text(yaml.safe_dump({**settings, "runs": [{"path": "output/*"}]}))
        self.out = folder / "output" / "my_lora"
        put_config(self.out, self.now - 60)
        self.start()

    def sample(self, step: int, cosine: float) -> None:
        """Let a minute go by, in which all prompts are sampled."""
        self.now += 60
        put_samples(self.out, step, self.now - 20, cosine)
        self.go()

    def story(self) -> list[tuple[int, int, str, str]]:
        with self.store.read() as db:
            (run,) = runs.all_runs(db)
            return [(one.attempt, one.step, one.variant, one.state) for one in evaluations.of_run(db, run.id)]


@pytest.fixture
def toolkit(tmp_path: Path) -> Iterator[Toolkit]:
    world = Toolkit(tmp_path)
    yield world
    world.end()


def test_a_run_is_there_before_its_first_sample(toolkit: Toolkit) -> None:
    toolkit.go()
    (run,) = status(toolkit.store, toolkit.now)["runs"]
    assert (run["name"], run["layout"], run["state"], run["images"]) == ("my_lora", "ai-toolkit", "active", 0)


def test_step_0_is_the_base_model_and_prompts_are_scored_without_the_trigger(toolkit: Toolkit) -> None:
    toolkit.go()
    toolkit.sample(0, 0.2)
    toolkit.sample(250, 0.3)
    toolkit.go(60)
    assert toolkit.story() == [(1, 0, "base", "closed"), (1, 250, "", "closed")]
    assert set(toolkit.scorer.prompts) == {f"a thing of kind {number}" for number in range(len(PROMPTS))}
    (run,) = status(toolkit.store, toolkit.now)["runs"]
    assert run["metrics"]["clip/delta_baseline"] == pytest.approx(0.1)


def test_a_step_that_is_sampled_again_after_a_restart_is_a_run_that_went_back(toolkit: Toolkit) -> None:
    toolkit.go()
    for step in (250, 500):
        toolkit.sample(step, 0.3)
    put_save(toolkit.out, 250, toolkit.now)
    toolkit.now += 600
    put_config(toolkit.out, toolkit.now)
    toolkit.sample(500, 0.4)
    left = [one for one in toolkit.story() if one[3] != "superseded"]
    assert left == [(1, 250, "", "closed"), (2, 500, "", "closed")]
    (run,) = status(toolkit.store, toolkit.now)["runs"]
    assert (run["attempt"], run["metrics"]["clip/mean"]) == (2, pytest.approx(0.4))


def test_pictures_of_two_starts_that_are_seen_together_are_told_apart_by_their_times(toolkit: Toolkit) -> None:
    for step in (0, 250, 500):
        put_samples(toolkit.out, step, toolkit.now - 3000 + step, 0.3)
    put_samples(toolkit.out, 0, toolkit.now - 1000, 0.2)
    at = toolkit.now - 20
    put_samples(toolkit.out, 250, at, 0.4, range(3))  # in the midst of its sampling
    toolkit.go()
    toolkit.now += 30
    put_samples(toolkit.out, 250, at, 0.4, range(3, len(PROMPTS)))
    toolkit.go()
    toolkit.go(60)
    left = [one for one in toolkit.story() if one[3] != "superseded"]
    assert left == [(1, 0, "base", "closed"), (2, 250, "", "closed")]
    (run,) = status(toolkit.store, toolkit.now)["runs"]
    assert run["metrics"]["clip/mean"] == pytest.approx(0.4)
