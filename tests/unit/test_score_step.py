"""Between store and scorer: every image is scored once; a crash is pinned on the image that causes it alone."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from tests.worlds import KEYS, ScriptedScorer, World
from watcher.score import Job, Scored, ScorerDown
from watcher.view.status import status

RULES = "version: 1\nrules: [{name: low, when: clip/mean < 0.1}]\n"


class Fragile(ScriptedScorer):
    """Fails as it is told: `poison` images crash it, `kills` do so once each; `refuse` blames no image."""

    def __init__(self) -> None:
        super().__init__()
        self.poison: set[str] = set()
        self.kills = 0
        self.refuse = ""
        self.batches: list[list[str]] = []

    def submit(self, batch: int, jobs: Sequence[Job]) -> None:
        names = [job.path.stem.partition("_")[2] for job in jobs]
        self.batches.append(sorted(names))
        if self.refuse:
            self.results.append(ScorerDown(self.refuse, False, batch, blame=False))
        elif self.kills or self.poison & set(names):
            self.kills = max(0, self.kills - 1)
            self.results.append(ScorerDown("the scorer's process ended with signal 11", False, batch))
        else:
            super().submit(batch, jobs)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, RULES)
    made.scorer = Fragile()
    made.restart()
    yield made
    made.end()


@pytest.fixture
def scorer(world: World) -> Fragile:
    assert isinstance(world.scorer, Fragile)
    return world.scorer


def run(world: World) -> dict[str, object]:
    (found,) = status(world.store, world.now)["runs"]
    return {name: found[name] for name in ("pending", "undecodable", "reasons")}


def test_an_image_that_crashes_the_scorer_is_found_and_the_others_are_scored(world: World, scorer: Fragile) -> None:
    scorer.poison = {"c"}
    world.evaluation(100, 0.3)
    for _ in range(4):
        world.go(60)
    reason = "crashed the scorer: the scorer's process ended with signal 11"
    assert run(world) == {"pending": 0, "undecodable": 1, "reasons": {reason: 1}}
    assert scorer.batches[:2] == [list(KEYS), list(KEYS)]  # the first crash may not have been an image's doing
    assert sorted(scorer.batches[2:]) == [["a"], ["b"], ["c"], ["c"], *([key] for key in "defgh")]


def test_a_crash_that_was_no_images_doing_costs_one_batch_more(world: World, scorer: Fragile) -> None:
    scorer.kills = 1
    world.evaluation(100, 0.3)
    world.go(60)
    assert run(world)["pending"] == 0
    assert scorer.batches == [list(KEYS), list(KEYS)]


def test_after_a_crash_images_that_were_not_there_are_scored_together(world: World, scorer: Fragile) -> None:
    scorer.kills = 2
    world.evaluation(100, 0.3)
    world.go(60)
    assert run(world)["pending"] == 0
    scorer.batches.clear()
    world.evaluation(200, 0.3)
    assert scorer.batches == [list(KEYS)]


def test_a_suspect_that_is_never_scored_does_not_slow_the_others_for_ever(world: World, scorer: Fragile) -> None:
    scorer.poison = {"a"}
    world.put(100, {"a": 0.3, "b": 0.3})
    world.now += 5
    world.go()
    assert scorer.batches[0] == ["a", "b"]
    scorer.poison = set()
    for path in (world.run / "samples").glob("100_*"):  # both suspects are replaced before they are looked at again
        path.unlink()
    world.put(100, {"a": 0.31, "b": 0.31})
    scorer.batches.clear()
    world.go(60)
    world.evaluation(200, 0.3)
    assert list(KEYS) in scorer.batches


def test_a_suspect_never_goes_together_with_an_image_that_was_not_there(world: World, scorer: Fragile) -> None:
    world.evaluation(50, 0.3)
    scorer.batches.clear()
    scorer.poison = {"a"}
    world.now += 30
    world.put(200, {"a": 0.3, "b": 0.3})
    world.now += 5
    world.go()
    world.put(100, {"c": 0.3, "d": 0.3})  # of an earlier step, so before them in the queue
    world.go()
    for _ in range(4):
        world.go(60)
    assert run(world)["undecodable"] == 1
    assert scorer.batches == [["a", "b"], ["a", "b"], ["c", "d"], ["a"], ["a"], ["b"]]


def test_after_each_crash_it_is_the_turn_of_images_that_were_not_there(world: World, scorer: Fragile) -> None:
    world.evaluation(50, 0.3)
    scorer.batches.clear()
    scorer.poison = {"a"}
    world.put(100, {"a": 0.3})
    world.go(5)
    assert scorer.batches[:2] == [["a"], ["a"]]
    scorer.batches.clear()
    world.put(200, {"b": 0.3})
    world.go(60)
    assert scorer.batches == [["b"], ["a"]]  # the younger one waits for no more than one crash
    assert run(world)["undecodable"] == 1


def test_a_failure_that_no_image_is_to_blame_for_never_costs_an_image(world: World, scorer: Fragile) -> None:
    scorer.refuse = "no memory for one image on cuda:0"
    world.evaluation(100, 0.3)
    for _ in range(10):
        world.go(70)
    assert run(world) == {"pending": len(KEYS), "undecodable": 0, "reasons": {}}
    told = status(world.store, world.now)["scorer"]
    assert (told["state"], told["reason"]) == ("failing", scorer.refuse)
    assert all(batch == list(KEYS) for batch in scorer.batches)
    scorer.refuse = ""
    world.go(70)
    assert run(world)["pending"] == 0
    assert status(world.store, world.now)["scorer"]["state"] == "ok"


def test_a_failure_that_lasts_for_days_is_tried_every_minute_all_the_while(world: World, scorer: Fragile) -> None:
    scorer.refuse = "no GPU answers"
    world.put(100, {"a": 0.3})
    world.go(5)
    for _ in range(1100):
        down = ScorerDown(scorer.refuse, False, 0, blame=False)
        world.pipeline.scoring.fail(down, world.now)
    scorer.refuse = ""
    world.go(61)
    assert run(world)["pending"] == 0


def test_a_failure_that_does_not_pass_ends_a_single_run_with_an_error(world: World, scorer: Fragile) -> None:
    scorer.refuse = "no memory for one image on cuda:0"
    world.evaluation(100, 0.3)
    assert world.pipeline.finished(world.now) is None  # it may pass
    for _ in range(6):
        world.go(70)
    assert world.pipeline.finished(world.now) == 1
    scorer.refuse = ""
    world.go(70)
    assert not world.pipeline.scoring.hopeless


def test_the_pause_after_failures_grows_up_to_a_minute_and_begins_anew(world: World, scorer: Fragile) -> None:
    scorer.refuse = "no GPU answers"
    world.put(100, dict.fromkeys(KEYS, 0.3))
    world.pipeline.intake.rescan()
    world.go(5)
    times = submitted(world, scorer, 400)
    gaps = [round(later - earlier) for earlier, later in pairwise(times)]
    assert gaps[:4] == [4, 8, 16, 32]  # after the first two within 5 s
    assert set(gaps[4:]) == {60}
    scorer.refuse = ""
    world.go(70)
    scorer.refuse = "no GPU answers"
    world.put(200, dict.fromkeys(KEYS, 0.3))
    world.pipeline.intake.rescan()
    world.go(5)
    again = submitted(world, scorer, 10)
    assert round(again[1] - again[0]) <= 4


def submitted(world: World, scorer: Fragile, seconds: int) -> list[float]:
    """Let time pass second by second; gives when batches were submitted."""
    times = []
    for _ in range(seconds):
        before = len(scorer.batches)
        world.now += 1
        world.pipeline.scoring.advance(world.now)
        times += [world.now] * (len(scorer.batches) - before)
        while scorer.results:
            result = scorer.results.pop(0)
            keep = world.pipeline.scoring.keep if isinstance(result, Scored) else world.pipeline.scoring.fail
            keep(result, world.now)  # type: ignore[arg-type]
    return times


def test_what_scores_and_where_is_told_once(world: World, scorer: Fragile, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        for step in (100, 200):
            world.evaluation(step, 0.3)
    assert caplog.text.count(f"scorer: {scorer.identity} on ") == 1
    told = status(world.store, world.now)["scorer"]
    assert (told["state"], told["identity"]) == ("ok", scorer.identity)
