"""`lag/seconds`: how long after an evaluation's last image its last score came; known to rules, shown and written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.worlds import KEYS, World
from watcher.judge.metrics import METRICS, fault
from watcher.record import evaluations
from watcher.record.lag import METRIC
from watcher.view.status import status

RULES = """
version: 1
rules:
  - {name: late, when: lag/seconds > 300, needs: {prompts: 1000}}
"""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, RULES)
    made.go()
    yield made
    made.end()


def lags(world: World) -> dict[int, float | None]:
    with world.store.read() as db:
        (run,) = status(world.store, world.now)["runs"]
        return {one.step: one.metrics.get(METRIC) for one in evaluations.of_run(db, run["id"])}


def late(world: World) -> str:
    (rule,) = status(world.store, world.now)["runs"][0]["rules"]
    return str(rule["state"])


def test_it_counts_from_the_last_image_to_the_last_score(world: World) -> None:
    world.evaluation(100, 0.2, age=2)
    assert lags(world)[100] == pytest.approx(2, abs=1.5)
    assert late(world) == "inactive"
    world.now += 30
    world.put(200, dict.fromkeys(KEYS[:-1], 0.2), age=900)
    world.put(200, {KEYS[-1]: 0.2}, age=400)
    world.go()
    assert lags(world)[200] == pytest.approx(400, abs=1.5)


def test_a_rule_may_alert_of_it_however_few_prompts_there_are(world: World) -> None:
    world.put(100, dict.fromkeys(KEYS, 0.2), age=400)
    world.go()
    assert late(world) == "firing"
    assert METRICS[METRIC].higher_is_better is False
    assert fault(METRIC, ">", 1e6) == ""
    assert "a number of seconds" in fault(METRIC, "<", -1)


def test_what_was_there_before_the_watcher_has_no_lag(tmp_path: Path) -> None:
    world = World(tmp_path, RULES)
    world.put(100, dict.fromkeys(KEYS, 0.2), age=7200)
    world.go()
    assert lags(world) == {100: 0.0}
    world.end()


def test_an_image_that_is_scored_again_for_another_model_lags_no_more(world: World) -> None:
    world.evaluation(100, 0.2, age=2)
    before = lags(world)[100]
    with world.store.change("test") as db:
        db.exec_driver_sql("UPDATE samples SET state = 'ready'")
        db.exec_driver_sql("UPDATE evaluations SET state = 'open'")
    world.scorer.identity = "other@2/2/fp32/keep-end"
    world.go(5000)
    with world.store.read() as db:
        (again,) = evaluations.of_run(db, status(world.store, world.now)["runs"][0]["id"])
    assert (again.identity, again.state) == ("other@2/2/fp32/keep-end", "closed")
    assert again.metrics[METRIC] == before


def test_without_a_score_there_is_none(world: World) -> None:
    for key in KEYS:
        (world.run / "samples" / f"100_{key}.png").write_bytes(b"no picture")
    world.go(3600)
    world.go(3600)
    assert lags(world) == {100: None}


def test_it_is_written_to_tensorboard(world: World) -> None:
    config = yaml.safe_load((world.folder / "watcher.yaml").read_text())
    (world.folder / "watcher.yaml").write_text(yaml.safe_dump({**config, "trackers": {"tensorboard": {}}}))
    world.restart()
    world.go()
    world.put(100, dict.fromkeys(KEYS, 0.2), age=400)
    world.go()
    folders = {path.parent for path in world.folder.rglob("events.out.tfevents*")}
    tags = {tag for folder in folders for tag in EventAccumulator(str(folder)).Reload().Tags()["scalars"]}
    assert METRIC in tags
