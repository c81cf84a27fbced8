"""What is scored of a prompt on the daemon's path: its wording, while the store and people keep the prompt itself."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from tests.kohya import put_config, put_sample
from tests.worlds import KEYS, World
from watcher.record import evaluations, runs, samples
from watcher.view.show import show
from watcher.view.status import status

RULES = "version: 1\nrules: [{name: low, when: clip/mean < 0.22}]\n"
WEIGHTED = "a (cat:1.2) of [trigger]"


def world(folder: Path, **pattern: object) -> World:
    """Give a world whose layout says more of its prompts."""
    made = World(folder, RULES)
    made.end()
    path = folder / "watcher.yaml"
    settings = yaml.safe_load(path.read_text())
    settings["runs"][0]["layout"]["pattern"] |= pattern
    path.write_text(yaml.safe_dump(settings))
    (made.run / "prompts.json").write_text(json.dumps(dict.fromkeys(KEYS, WEIGHTED)))
    made.start()
    made.go()
    return made


def wordings(world: World) -> set[tuple[str | None, str]]:
    with world.store.read() as db:
        found = evaluations.of_run(db, runs.all_runs(db)[0].id)
        return {(one.prompt, one.wording) for e in found for one in samples.in_evaluation(db, e.id)}


def test_the_scorer_gets_the_wording_and_people_see_the_prompt(tmp_path: Path) -> None:
    made = world(tmp_path, weights="a1111", without=["[trigger]"])
    made.evaluation(100, 0.3)
    assert set(made.scorer.prompts) == {"a cat of"}
    assert wordings(made) == {(WEIGHTED, "a cat of")}
    images = show(made.store, status(made.store, made.now)["runs"][0]["id"])["evaluations"][0]["images"]
    assert {image["prompt"] for image in images} == {WEIGHTED}
    made.end()


def test_without_being_asked_nothing_is_taken_out(tmp_path: Path) -> None:
    made = world(tmp_path)
    made.evaluation(100, 0.3)
    assert set(made.scorer.prompts) == {WEIGHTED}
    assert wordings(made) == {(WEIGHTED, "")}
    made.end()


def test_a_prompt_of_which_nothing_is_left_counts_as_empty(tmp_path: Path) -> None:
    made = world(tmp_path, without=["[trigger]"])
    (made.run / "prompts.json").write_text(json.dumps(dict.fromkeys(KEYS, "a thing") | {"a": "[trigger]"}))
    made.evaluation(100, 0.3)
    (run,) = status(made.store, made.now)["runs"]
    assert run["reasons"] == {"empty prompt": 1}
    assert len(made.scorer.prompts) == len(KEYS) - 1
    made.end()


def test_a_wording_that_is_found_late_is_what_is_scored_and_stays_when_the_settings_change(tmp_path: Path) -> None:
    made = world(tmp_path, weights="a1111")
    (made.run / "prompts.json").unlink()
    made.evaluation(100, 0.3)
    assert made.scorer.prompts == []
    made.scorer.broken = "out of order"
    (made.run / "prompts.json").write_text(json.dumps(dict.fromkeys(KEYS, "a (cat:1.2)")))
    made.go(20)
    made.end()
    path = tmp_path / "watcher.yaml"
    path.write_text(path.read_text().replace("weights: a1111", "weights: null"))
    made.scorer.broken = ""
    made.start()
    made.go(200)
    assert set(made.scorer.prompts) == {"a cat"}
    made.end()


def test_prompts_of_kohya_are_scored_without_their_weights(tmp_path: Path) -> None:
    made = World(tmp_path, RULES)
    made.end()
    settings = yaml.safe_load((tmp_path / "watcher.yaml").read_text())
    out = tmp_path / "out"
    out.mkdir()
    put_config(out, "mine", made.now - 100, ["a (red cat:1.3) --n (worst:1.4) --w 512"])
    put_sample(out, "mine", made.now - 2, 0.3, 0, step=100)
    run = {"path": "out", "layout": "kohya"}
    (tmp_path / "watcher.yaml").write_text(yaml.safe_dump({**settings, "runs": [run]}))
    made.start()
    made.go(200)
    assert set(made.scorer.prompts) == {"a red cat"}
    made.end()
