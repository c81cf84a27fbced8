"""`watcher score --again` beside the real daemon: after a change of model a run's past is scored by the new one."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest
import yaml

from tests.commands import Answer, alone
from tests.service.daemons import Place, wait_for
from watcher.demo.stage import CLIP

RULE = {"name": "low", "when": "clip/mean < 1", "for": "1 evaluations", "needs": {"prompts": 1}, "then": "stop"}
IDENTITIES = "SELECT identity, revision FROM evaluations WHERE state = 'closed' ORDER BY step"


def order(place: Place, *more: object) -> Answer:
    return alone("score", "--again", "shapes", *more, "-c", place.config)


def change_model(place: Place) -> None:
    """Let the configuration name a copy of the model, which is another one by its name."""
    shutil.copytree(CLIP, place.folder / "other")
    settings = yaml.safe_load(place.config.read_text())
    settings["scorers"]["clip"]["model"] = str(place.folder / "other")
    place.config.write_text(yaml.safe_dump(settings))


def rescored(place: Place, number: int) -> bool:
    found = place.query(IDENTITIES)
    return len(found) == number and all(identity.startswith("other@") for identity, _ in found)


def test_after_a_change_of_model_the_past_is_scored_again_and_begins_nothing(tmp_path: Path) -> None:
    place = Place(tmp_path, scenes=3, mode="enforce", rules=["rules.yaml"])
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"version": 1, "rules": []}))
    with place.daemon() as daemon:
        for step in (100, 200, 300):  # the last one stays open: more of its images are expected
            place.write(step)
        wait_for(lambda: len(place.query(IDENTITIES)) == 2, "two evaluations are closed", daemon)
        wait_for(lambda: place.scored() == 9, "all images are scored", daemon)
        assert daemon.end() == 0
    before = place.scores()
    change_model(place)
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"version": 1, "rules": [RULE]}))
    with place.daemon() as daemon:
        daemon.wait_ready()
        gone = place.images / f"step_100_{place.scenes[0].slug}_0_32x32.png"
        gone.unlink()
        answer = order(place)
        assert (answer.status, answer.err) == (0, "")
        assert f"shapes: 8 images of 3 evaluations will be scored again with {tmp_path / 'other'}." in answer.out
        assert f"  {gone}\n" in answer.out
        wait_for(lambda: rescored(place, 2) and place.scored() == 9, "all are scored again", daemon)
        assert place.query("SELECT count(*) FROM actions") == place.query("SELECT count(*) FROM decisions") == [(0,)]
        assert daemon.poll() is None
    assert place.scores() == {name: 1 if name == gone.name else number + 1 for name, number in before.items()}
    assert "score again: 8 images of 3 evaluations" in alone("show", "shapes", "-c", place.config).out


def test_an_order_without_a_daemon_waits_for_one_and_an_archived_run_is_scored(tmp_path: Path) -> None:
    place = Place(tmp_path, scenes=2)
    old = time.time() - 3 * 86400
    for path in place.write(100):
        os.utime(path, (old, old))
    with place.daemon() as daemon:
        wait_for(lambda: place.run_state() == "archived", "the run is known", daemon)
        assert daemon.end() == 0
    assert place.scored() == 0
    answer = order(place, "--json")
    assert (answer.status, answer.json["daemon"], answer.json["images"]) == (0, False, 0)
    assert any("No daemon runs" in line for line in answer.json["said"])
    with place.daemon() as daemon:
        wait_for(lambda: place.scored() == 2, "its images are scored", daemon)
    assert place.run_state() == "active"


def test_what_cannot_be_scored_again_is_said(tmp_path: Path) -> None:
    place = Place(tmp_path, scenes=1)
    answer = order(place)
    assert (answer.status, answer.err.count("\n")) == (1, 1)
    assert "no daemon has seen shapes" in answer.err
    assert order(place, "--step", "3").status == 1


def test_a_daemon_that_has_other_models_than_the_configuration_has_to_be_restarted_first(tmp_path: Path) -> None:
    place = Place(tmp_path, scenes=2)
    with place.daemon() as daemon:
        place.write(100)
        wait_for(lambda: place.scored() == 2, "all images are scored", daemon)
        change_model(place)
        answer = order(place)
        assert answer.status == 1
        assert f"clip: {CLIP} fp32" in answer.err
        assert f"clip: {tmp_path / 'other'} fp32" in answer.err
        assert "restart it first" in answer.err
        assert place.scored() == 2


@pytest.mark.parametrize("option", [("--model", "x"), ("--dtype", "bf16"), ("--csv",), ("-o", "a.csv")])
def test_an_option_that_would_be_passed_over_is_refused(tmp_path: Path, option: tuple[str, ...]) -> None:
    answer = order(Place(tmp_path, scenes=1), *option)
    assert answer.status == 2
    assert "does not go with --again" in answer.err
