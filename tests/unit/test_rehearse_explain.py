"""`watcher rules explain`: a decision comes out of the store as it was made, also when rule or run have moved on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.commands import Answer, here
from tests.worlds import KEYS, World

RULE = {
    "name": "low",
    "when": "clip/mean < 0.22",
    "after": "100 steps",
    "for": "2 evaluations",
    "needs": {"prompts": 2, "complete": False},
    "then": "stop",
}


def rules(*found: dict[str, Any]) -> str:
    return yaml.safe_dump({"version": 1, "rules": list(found)})


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A run in which the rule fired at step 300."""
    world = World(tmp_path, rules(RULE))
    for step, mean in ((0, 0.3), (100, 0.3), (200, 0.2), (300, 0.1)):
        world.evaluation(step, mean)
    yield world
    world.end()


def asked(world: World, *more: object, rule: str = "low") -> Answer:
    return here("rules", "explain", "run", rule, *more, "-c", world.folder / "watcher.yaml")


def test_a_decision_is_told_with_its_rule_numbers_path_deeds_notices_and_replay(world: World) -> None:
    found = asked(world, "--json").json
    assert (found["rule"], found["hash"] == found["hash_now"], found["for_run"]) == ("low", True, True)
    assert yaml.safe_load(found["text"])["when"] == "clip/mean < 0.22"
    decision = found["decision"]
    assert (decision["attempt"], decision["step"], decision["state"]) == (1, 300, "firing")
    assert "2nd evaluation in a row (steps 200, 300)" in decision["reason"]
    assert found["numbers"] == {"clip/mean": 0.1, "bound": 0.1, "threshold": 0.22}
    led = [(one["step"], one["verdict"], one["state"], one["metrics"]["clip/mean"]) for one in found["led"]]
    assert led == [
        (0, "unknown", "inactive", 0.3),
        (100, "false", "inactive", 0.3),
        (200, "true", "pending", 0.2),
        (300, "true", "firing", 0.1),
    ]
    assert [(one["kind"], one["mode"], one["state"]) for one in found["done"]] == [("stop", "observe", "refused")]
    assert [(one["kind"], list(one["sent_to"])) for one in found["told"]] == [("alert", ["log"]), ("action", ["log"])]
    assert found["replay"] == {"same": True, "differences": [], "changed": []}


def test_people_read_the_same(world: World) -> None:
    out = asked(world).out
    assert out.startswith("low fired for run at step 300 of attempt 1, ")
    for line in ("  when: clip/mean < 0.22", "done:", "told:", "replay: the same, from what the store holds now"):
        assert line in out.splitlines()


def test_a_later_image_that_changes_what_was_decided_by_makes_the_replay_differ_and_is_named(world: World) -> None:
    world.put(300, {"late": 0.9})
    world.go(60)
    found = asked(world, "--json").json
    assert found["replay"]["same"] is False
    assert any("0.189" in line for line in found["replay"]["differences"])
    assert found["replay"]["changed"] == [300]
    world.put(200, {"late": 0.9})
    world.go(60)
    found = asked(world, "--json").json
    assert found["replay"]["differences"][0] == "the rule is pending, not firing"
    assert found["replay"]["changed"] == [200, 300]
    assert "replay: differs" in asked(world).out


def test_what_a_later_attempt_replaced_counts_as_it_did_then(world: World) -> None:
    world.put(200, dict.fromkeys(KEYS, 0.3))
    world.go(60)
    for step in (300, 400, 500):
        world.evaluation(step, 0.15)
    first = asked(world, "--step", 300, "--json").json
    assert (first["decision"]["attempt"], first["replay"]["same"]) == (1, True)
    assert [(one["attempt"], one["step"]) for one in first["led"]][-2:] == [(1, 200), (1, 300)]
    second = asked(world, "--json").json
    assert (second["decision"]["attempt"], second["decision"]["step"], second["replay"]["same"]) == (2, 400, True)
    assert [(one["attempt"], one["step"]) for one in second["led"]] == [(1, 0), (1, 100), (2, 200), (2, 300), (2, 400)]


def test_a_rule_that_was_changed_or_removed_since_is_told_as_it_was(world: World) -> None:
    before = asked(world, "--json").json
    (world.folder / "rules.yaml").write_text(rules({**RULE, "when": "clip/mean < 0.05"}))
    changed = asked(world, "--json").json
    assert changed["hash_now"] not in (None, before["hash"])
    (world.folder / "rules.yaml").write_text(rules({**RULE, "name": "other"}))
    gone = asked(world, "--json").json
    assert gone["hash_now"] is None
    (world.folder / "rules.yaml").write_text("rules: [being edited")
    edited = asked(world, "--json").json
    for found in (changed, gone, edited):
        assert (found["text"], found["hash"], found["replay"]) == (before["text"], before["hash"], before["replay"])
    assert "gone from the configuration" in asked(world).out


def test_a_decision_from_before_texts_were_kept_is_replayed_while_the_rule_is_the_same(world: World) -> None:
    with world.store.change("test") as db:
        db.exec_driver_sql("UPDATE decisions SET rule_text = ''")
    assert asked(world, "--json").json["replay"]["same"] is True
    (world.folder / "rules.yaml").write_text(rules({**RULE, "when": "clip/mean < 0.05"}))
    found = asked(world, "--json").json
    assert (found["replay"]["same"], found["text"], found["led"]) == (None, "", [])
    assert "replay: not possible" in asked(world).out


def test_where_a_rule_decided_nothing_it_is_said_what_it_says_there(world: World) -> None:
    answer = asked(world, "--step", 200)
    assert answer.out.startswith(
        "low has decided nothing about run at step 200: it is pending there\nbecause: clip/mean 0.2"
    )
    found = asked(world, "--step", 0, "--json").json
    assert (found["decision"], found["replay"], found["led"][-1]["reason"]) == (None, None, "before 100 steps")
    (world.folder / "rules.yaml").write_text(rules(RULE, {**RULE, "name": "new", "when": "clip/mean > 0.9"}))
    newest = asked(world, "--json", rule="new").json
    assert (newest["led"][-1]["step"], newest["led"][-1]["verdict"]) == (300, "false")


@pytest.mark.parametrize(
    ("rule", "more", "said"),
    [
        ("lo", [], "no rule 'lo'; did you mean `low`?"),
        ("low", ["--step", "250"], "no closed evaluation at step 250; its last are 0, 100, 200, 300"),
    ],
)
def test_what_there_is_not_is_said_with_what_there_is(world: World, rule: str, more: list[str], said: str) -> None:
    answer = asked(world, *more, rule=rule)
    assert (answer.status, answer.out) == (1, "")
    assert said in answer.err
