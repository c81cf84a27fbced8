"""`watcher compare`: by prompt, at equal or nearest steps, scores of one model only."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.commands import Answer, here
from tests.worlds import KEYS, World
from watcher.nouns import Score
from watcher.record import evaluations, runs, samples
from watcher.record.scores import keep_scores

RULES = "version: 1\nrules: []\n"
TEXTS = {key: f"a thing of kind {key}" for key in KEYS}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Give a world of two runs, `run` and `other`, with the same eight prompts under other keys."""
    world = World(tmp_path, RULES)
    config = tmp_path / "watcher.yaml"
    config.write_text(config.read_text().replace("path: run", "path: '[ro]*[nr]'"))
    (world.run / "prompts.json").write_text(json.dumps(TEXTS))
    other = tmp_path / "other"
    (other / "samples").mkdir(parents=True)
    (other / "prompts.json").write_text(json.dumps({f"x{key}": text for key, text in TEXTS.items()}))
    world.restart()
    yield world
    world.end()


def wrote(world: World, name: str, step: int, cosines: Mapping[str, object]) -> None:
    """Let a run write an evaluation."""
    world.run = world.folder / name
    world.now += 30
    world.put(step, {f"x{key}" if name == "other" else key: value for key, value in cosines.items()})
    world.go()
    world.go(3600)  # an evaluation with fewer images than usual closes in the end


def asked(world: World, *words: object) -> Answer:
    return here("compare", *words, "-c", world.folder / "watcher.yaml")


def steps(world: World, *words: object) -> list[dict[str, Any]]:
    answer = asked(world, *words, "--json")
    assert answer.status == 0, answer.err
    found: list[dict[str, Any]] = answer.json["runs"][0]["steps"]
    return found


def test_runs_are_compared_by_the_texts_of_prompts_whatever_their_keys(world: World) -> None:
    wrote(world, "run", 100, dict.fromkeys(KEYS, 0.2))
    wrote(world, "other", 100, {key: 0.2 + 0.01 * place for place, key in enumerate(KEYS)})
    (found,) = steps(world, "run", "other")
    assert (found["first_step"], found["step"], found["prompts"], found["left_out"]) == (100, 100, 8, 0)
    assert (found["wins"], found["losses"], found["ties"]) == (7, 0, 1)
    assert found["difference"] == pytest.approx(0.035)
    assert (found["first_mean"], found["mean"]) == (pytest.approx(0.2), pytest.approx(0.235))
    assert found["p"] == pytest.approx(2 / 2**7)
    assert found["low"] == pytest.approx(0.035 - 2.364624 * 0.0244949 / 8**0.5, abs=1e-6)
    assert found["notes"] == []
    (back,) = steps(world, "other", "run")
    assert (back["difference"], back["losses"]) == (pytest.approx(-0.035), 7)


def test_each_step_is_compared_with_the_nearest_and_none_twice(world: World) -> None:
    for step in (100, 200, 900):
        wrote(world, "run", step, dict.fromkeys(KEYS, 0.2))
    for step in (100, 210, 230):
        wrote(world, "other", step, dict.fromkeys(KEYS, 0.25))
    found = steps(world, "run", "other")
    assert [(one["first_step"], one["step"]) for one in found] == [(100, 100), (200, 210)]
    assert found[0]["notes"] == []
    assert found[1]["notes"] == ["no equal steps: 200 is compared with 210, the nearest"]
    (chosen,) = steps(world, "run", "other", "--step", 220)
    assert (chosen["first_step"], chosen["step"]) == (200, 210)
    assert [one["step"] for one in steps(world, "run", "other", "--step", 9999)] == [230]


def test_prompts_that_one_lacks_and_blank_pictures_are_left_out_and_counted(world: World) -> None:
    wrote(world, "run", 100, {**dict.fromkeys(KEYS[:7], 0.2), "a": "blank"})
    wrote(world, "other", 100, dict.fromkeys(KEYS, 0.25))
    (found,) = steps(world, "run", "other")
    assert (found["prompts"], found["left_out"]) == (6, 2)
    assert found["notes"] == ["2 prompts left out: only one of the two has a score of it"]


def test_a_run_that_went_back_is_compared_by_its_newer_attempt(world: World) -> None:
    wrote(world, "other", 100, dict.fromkeys(KEYS, 0.25))
    wrote(world, "run", 100, dict.fromkeys(KEYS, 0.2))
    wrote(world, "run", 100, dict.fromkeys(KEYS, 0.22))
    (found,) = steps(world, "run", "other")
    assert found["first_mean"] == pytest.approx(0.22)


def test_scores_of_different_models_are_refused_with_the_way_out(world: World) -> None:
    wrote(world, "run", 100, dict.fromkeys(KEYS, 0.2))
    world.scorer.identity = "newer@1/1/fp32/keep-end"
    for name in ("other", "run"):
        wrote(world, name, 200, dict.fromkeys(KEYS, 0.25))
    wrote(world, "other", 100, dict.fromkeys(KEYS, 0.3))
    answer = asked(world, "run", "other")
    assert (answer.status, answer.out) == (1, "")
    assert "run at step 100 was scored by scripted@1/1/fp32/keep-end and" in answer.err
    assert "never compared; let the daemon score what is older again with `watcher score --again run`" in answer.err


def test_scores_of_one_model_that_are_masked_in_one_run_only_are_refused_too(world: World) -> None:
    wrote(world, "run", 100, dict.fromkeys(KEYS, 0.2))
    world.scorer.identity += ";mask=0,0,232,48"
    wrote(world, "other", 100, dict.fromkeys(KEYS, 0.25))
    answer = asked(world, "run", "other")
    assert (answer.status, answer.out) == (1, "")
    assert "never compared; a label is masked in the pictures of one only; give --step N" in answer.err
    assert "--again" not in answer.err


def test_where_only_a_step_was_scored_by_the_same_model_it_can_be_chosen(world: World) -> None:
    wrote(world, "run", 100, dict.fromkeys(KEYS, 0.2))
    wrote(world, "other", 100, dict.fromkeys(KEYS, 0.2))
    world.scorer.identity = "newer@1/1/fp32/keep-end"
    for name in ("run", "other"):
        wrote(world, name, 200, dict.fromkeys(KEYS, 0.25))
    assert "or give --step N" in asked(world, "run", "other").err
    (found,) = steps(world, "run", "other", "--step", 200)
    assert found["ties"] == 8
    assert asked(world, "run", "other", "--step", 200, "--json").json["identity"] == "newer@1/1/fp32/keep-end"


def test_the_table_names_the_first_run_the_notes_and_the_model(world: World) -> None:
    wrote(world, "run", 100, dict.fromkeys(KEYS, 0.31))
    wrote(world, "other", 110, {key: 0.33 + 0.01 * place for place, key in enumerate(KEYS)})
    lines = asked(world, "run", "other").out.splitlines()
    assert lines[0] == "difference to run, prompt by prompt:"
    assert lines[1].split()[:6] == ["run", "step", "prompts", "first", "mean", "difference"]
    numbers = ["other", "110", "(100)", "8", "0.3100", "0.3650", "+0.0550", "+0.0345", "to", "+0.0755"]
    assert lines[2].split() == [*numbers, "8", "0", "0", "0.0078"]
    assert lines[3:] == [
        "other at 110: no equal steps: 100 is compared with 110, the nearest",
        "other at 110: both means lie above 0.30: differences here do not rank models",
        "scored by scripted@1/1/fp32/keep-end",
    ]


def test_a_spreadsheet_gets_a_row_for_every_run_and_step(world: World) -> None:
    for step in (100, 200):
        wrote(world, "run", step, dict.fromkeys(KEYS, 0.2))
        wrote(world, "other", step, dict.fromkeys(KEYS, 0.25))
    answer = asked(world, "run", "other", "--csv")
    rows = list(csv.DictReader(io.StringIO(answer.out)))
    named = [(row["first"], row["run"], row["first_step"], row["step"]) for row in rows]
    assert named == [("run", "other", "100", "100"), ("run", "other", "200", "200")]
    assert float(rows[0]["difference"]) == pytest.approx(0.05)
    assert asked(world, "run", "other", "--json").json["runs"][0]["steps"][1]["wins"] == int(rows[1]["wins"]) == 8


def test_what_cannot_be_compared_is_refused_with_what_could(world: World) -> None:
    nothing = asked(world, "run", "other")
    assert (nothing.status, "no run 'run'" in nothing.err) == (1, True)
    wrote(world, "run", 100, dict.fromkeys(KEYS, 0.2))
    assert "is named twice: name different runs" in asked(world, "run", world.folder / "run").err
    (world.folder / "other" / "prompts.json").write_text(json.dumps({f"x{key}": "another" for key in KEYS}))
    world.go()
    assert "other has no closed evaluation with scores yet" in asked(world, "run", "other").err
    wrote(world, "other", 100, dict.fromkeys(KEYS, 0.2))
    answer = asked(world, "run", "other")
    assert (answer.status, answer.out) == (1, "")
    assert "run and other have no prompt in common at 1 step; give both trainings the same prompts" in answer.err


def test_every_further_run_is_compared_with_the_first(world: World) -> None:
    third = world.folder / "roar"
    (third / "samples").mkdir(parents=True)
    (third / "prompts.json").write_text(json.dumps(TEXTS))
    for place, name in enumerate(("run", "other", "roar")):
        wrote(world, name, 100, dict.fromkeys(KEYS, 0.2 + 0.01 * place))
    found = asked(world, "run", "other", "roar", "--json").json
    assert (found["first"]["name"], [one["name"] for one in found["runs"]]) == ("run", ["other", "roar"])
    assert [one["steps"][0]["difference"] for one in found["runs"]] == [pytest.approx(0.01), pytest.approx(0.02)]
    rows = asked(world, "run", "other", "roar").out.splitlines()[2:4]
    assert [row.split()[0] for row in rows] == ["other", "roar"]


def test_prompts_are_the_same_where_what_is_scored_is_the_same(world: World) -> None:
    config = world.folder / "watcher.yaml"
    config.write_text(config.read_text().replace("pattern:", "pattern:\n      weights: a1111"))
    world.restart()
    weighted = {f"x{key}": text.replace("thing", "(thing:1.2)") for key, text in TEXTS.items()}
    (world.folder / "other" / "prompts.json").write_text(json.dumps(weighted))
    for name in ("run", "other"):
        wrote(world, name, 100, dict.fromkeys(KEYS, 0.2))
    (found,) = steps(world, "run", "other")
    assert (found["prompts"], found["left_out"]) == (8, 0)


def test_while_a_run_is_scored_again_its_old_scores_are_compared(world: World) -> None:
    for name in ("run", "other"):
        wrote(world, name, 100, dict.fromkeys(KEYS, 0.2))
    assert here("score", "--again", "run", "-c", world.folder / "watcher.yaml").status == 0
    with world.store.change("test") as db:
        run = next(one for one in runs.all_runs(db) if one.name == "run")
        (evaluation,) = evaluations.judged(db, run.id)
        image = samples.in_evaluation(db, evaluation.id)[0]
        newer = Score(image.id or 0, image.digest, 0.9)
        keep_scores(db, {"clip": "newer@1/1/fp32/keep-end"}, [newer], world.now)
    (found,) = steps(world, "run", "other")
    assert (found["prompts"], found["first_mean"], found["ties"]) == (8, pytest.approx(0.2), 8)


def test_before_any_daemon_nothing_can_be_compared(tmp_path: Path) -> None:
    (tmp_path / "watcher.yaml").write_text("runs: [{path: a}]\nstate: state\n")
    answer = here("compare", "a", "b", "-c", tmp_path / "watcher.yaml")
    assert (answer.status, answer.out) == (1, "")
    assert "no daemon has run with this state folder" in answer.err
