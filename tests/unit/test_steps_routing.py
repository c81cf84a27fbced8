"""Which notice goes where, and that its words promise what is done and no more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.stores import store_in
from tests.worlds import KEYS, World
from watcher.act import kept
from watcher.judge import Rule, State
from watcher.notify import Log, Slack, Target, Webhook
from watcher.nouns import Command, Evaluation, Mode, Notice, Run, Sample, Severity, Verdict
from watcher.record import outbox, samples
from watcher.record.outbox import Delivery
from watcher.record.scores import scores_of
from watcher.record.store import Store
from watcher.steps import routing, trouble
from watcher.steps.outcome import outcome
from watcher.steps.routing import Routes
from watcher.view.queries import deliveries

RUN = Run(id="r1", name="flux", path=Path("/data/flux"), layout="p", mode="enforce")
OBSERVED = Run(id="r1", name="flux", path=Path("/data/flux"), layout="p", mode="observe")
AT = Evaluation(7, "r1", 2, 300, "", "closed", False, True, 0.0, 0.0, revision=1, metrics={"clip/mean": 0.18})
FIRES = Verdict("low", True, "clip/mean 0.18 < 0.22", {"clip/mean": 0.18, "threshold": 0.22})


def rule(**more: Any) -> Rule:
    return Rule.model_validate({"name": "low", "when": "clip/mean < 0.22", **more})


def stop(state: Any, **more: Any) -> Command:
    args = {"mode": "enforce", **more}
    return Command(5, "r1", "low", "stop", args, state, "clip/mean low", 0.0, 1.0, 2.0, proof="pid 7 is gone")


def hook(url: str, **more: Any) -> Webhook:
    return Webhook.model_validate({"url": url, **more})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = store_in(tmp_path / "state")
    yield opened
    opened.close()


def wanted(store: Store, targets: list[Target], notice: Notice, without: str = "") -> set[str]:
    with store.change("post") as db:
        Routes(targets).post(db, notice, 50.0, without)
        return set(deliveries(db))


@pytest.mark.parametrize(
    ("severity", "labels"),
    [("info", {"all"}), ("warning", {"all", "some"}), ("critical", {"all", "some", "few"})],
)
def test_a_notice_goes_to_targets_of_its_severity_or_below(store: Store, severity: Severity, labels: set[str]) -> None:
    names: list[tuple[str, Severity]] = [("all", "info"), ("some", "warning"), ("few", "critical")]
    targets: list[Target] = [hook("https://h/x", called=name, min_severity=least) for name, least in names]
    assert wanted(store, targets, Notice("k", severity, "t", "x")) == labels


def test_a_notice_carries_the_time_of_its_posting_and_can_leave_a_target_out(store: Store) -> None:
    targets: list[Target] = [Log(), hook("https://h/x")]
    assert wanted(store, targets, Notice("k", "info", "t", "x"), without="log") == {"webhook https://h/..."}
    with store.read() as db:
        assert outbox.due(db, 50.0, ["webhook https://h/..."])[0].notice.at == 50.0


def test_two_targets_on_one_host_are_told_apart_by_where_they_lead_and_not_by_their_order() -> None:
    first, second = hook("https://h/first"), hook("https://h/second")
    labels = Routes([first, second]).labels
    assert Routes([second, first]).labels == labels[::-1]
    assert len(set(labels)) == 2
    assert not [label for label in labels if "first" in label or "second" in label]


def test_the_same_place_given_twice_is_one_target(store: Store) -> None:
    twice: list[Target] = [hook("https://h/x"), hook("https://h/x", min_severity="critical"), Log(), Log()]
    assert len(Routes(twice).targets) == 2
    assert len(wanted(store, twice, Notice("k", "info", "t", "x"))) == 2
    assert Routes([Slack.model_validate({"url": "https://h/x"}), hook("https://h/x")]).labels == [
        "slack https://h/...",
        "webhook https://h/...",
    ]


def test_an_alert_names_run_rule_step_value_and_threshold() -> None:
    notice = routing.alert(RUN, rule(description="The LoRA does not learn", severity="critical"), FIRES, AT, "enforce")
    assert notice.title == "flux: low at step 300"
    assert notice.text == f"clip/mean 0.18 < 0.22. The LoRA does not learn. {routing.LIMITS_OF_THE_NUMBER}"
    assert (notice.severity, notice.kind, notice.run, notice.rule) == ("critical", "alert", "flux", "low")
    assert notice.facts == {
        "step": 300,
        "attempt": 2,
        "path": "/data/flux",
        "mode": "enforce",
        "intention": "",
        "reason": "clip/mean 0.18 < 0.22",
        "description": "The LoRA does not learn",
        "metric": "clip/mean",
        "sign": "<",
        "note": routing.LIMITS_OF_THE_NUMBER,
        "lowest": [],
        "numbers": {"clip/mean": 0.18, "threshold": 0.22},
        "metrics": {"clip/mean": 0.18},
    }


@pytest.mark.parametrize(
    ("run", "mode", "where"),
    [
        (OBSERVED, None, "the run"),
        (OBSERVED, "enforce", "the run"),
        (RUN, "observe", "the rule"),
        (OBSERVED, "observe", "the run and the rule"),
    ],
)
def test_an_observed_alert_promises_no_stop_and_says_where_to_allow_it(run: Run, mode: Mode | None, where: str) -> None:
    text = routing.alert(run, rule(then="stop", mode=mode), FIRES, AT, "observe").text
    assert f"Only observed: with `mode: enforce` for {where} it would now be stopped." in text
    assert "HOLD" not in text


def test_an_enforced_alert_says_when_it_stops_and_how_anybody_can_veto_it() -> None:
    notice = routing.alert(RUN, rule(then={"stop": {"delay": "10m"}}), FIRES, AT, "enforce", now=50.0)
    assert "It will be stopped in 10 min at the earliest" in notice.text
    assert "waits up to 1 h for its next checkpoint" in notice.text
    assert "To veto: `watcher hold flux`, or an empty file /data/flux/HOLD." in notice.text
    assert notice.facts["deadline"] == 650.0
    assert (notice.facts["hold"], notice.facts["release"]) == ("watcher hold flux", "watcher release flux")


def test_an_alert_says_where_its_rule_stands() -> None:
    state = State(state="firing", count=3, needed=3, steps=(100, 200, 300))
    facts = routing.alert(RUN, rule(), FIRES, AT, "enforce", state=state).facts
    assert (facts["count"], facts["needed"], facts["steps"]) == (3, 3, [100, 200, 300])


def test_an_enforced_alert_names_the_checkpoint_that_would_survive_and_the_steps_that_would_be_lost() -> None:
    left = kept([(250, "/data/flux/c-250", 1.0)], newest=300)
    notice = routing.alert(RUN, rule(then={"stop": {"save": "no"}}), FIRES, AT, "enforce", left=left)
    assert "/data/flux/c-250 (step 250) would survive; steps 251 to 300 would be lost." in notice.text
    told = {"checkpoint": "/data/flux/c-250", "checkpoint_step": 250, "lost_steps": 50}
    assert told.items() <= notice.facts.items()


def test_an_alert_shows_the_lowest_prompts_shortened() -> None:
    lowest = [("a red cube", 0.0912), ("x" * 200, 0.1)]
    notice = routing.alert(RUN, rule(), FIRES, AT, "observe", 3, lowest)
    assert f"Lowest: 0.091 'a red cube', 0.100 '{'x' * 79}…'." in notice.text
    assert notice.facts["lowest"] == [["a red cube", 0.0912], ["x" * 200, 0.1]]


def test_a_rule_that_fires_again_at_the_same_step_is_told_again() -> None:
    keys = {routing.alert(RUN, rule(), FIRES, AT, "observe", decision).key for decision in (1, 2)}
    assert len(keys) == 2


@pytest.mark.parametrize(
    ("state", "severity", "title"),
    [
        ("verified", "warning", "flux was stopped"),
        ("failed", "critical", "flux could NOT be stopped"),
        ("refused", "critical", "flux was not stopped: refused"),
        ("cancelled", "info", "flux is not stopped: cancelled"),
    ],
)
def test_an_outcome_says_how_it_ended_with_proof_and_reason(state: str, severity: Severity, title: str) -> None:
    notice = outcome(RUN, stop(state))
    assert (notice.title, notice.severity) == (title, severity)
    assert notice.text.startswith("pid 7 is gone. Reason: clip/mean low.")
    assert ("To veto the next one in time: `watcher hold flux`" in notice.text) == (state == "verified")
    assert notice.facts["proof"] == "pid 7 is gone"


def test_a_verified_stop_tells_programs_what_survives() -> None:
    done = replace(stop("verified"), progress={"kept": {"checkpoint": "c", "checkpoint_step": 1, "lost_steps": 2}})
    assert {"checkpoint": "c", "checkpoint_step": 1, "lost_steps": 2}.items() <= outcome(RUN, done).facts.items()


def test_who_stopped_a_run_by_hand_is_not_told_how_to_veto_that() -> None:
    assert "hold" not in outcome(RUN, replace(stop("verified"), rule="")).text


@pytest.mark.parametrize("state", ["verified", "failed", "refused", "cancelled"])
def test_an_outcome_reaches_everybody_who_was_told_that_it_would_be_tried(state: str) -> None:
    assert outcome(RUN, stop(state, severity="critical")).severity == "critical"


def test_what_was_only_observed_is_no_more_than_information() -> None:
    notice = outcome(RUN, stop("refused", mode="observe", severity="critical"))
    assert (notice.title, notice.severity) == ("flux was not stopped: it is only observed", "info")


def test_a_resolved_notice_has_the_severity_that_the_alert_had() -> None:
    notice = routing.resolved(RUN, "low", "clip/mean 0.3 >= 0.22", 4, "critical")
    assert (notice.severity, notice.kind, notice.title) == ("critical", "resolved", "flux: low is resolved")
    assert notice.text == "clip/mean 0.3 >= 0.22."


def test_every_outage_of_a_target_has_a_key_of_its_own() -> None:
    told = Notice("k", "info", "the title", "x")
    makers = (trouble.dead_target, trouble.silent_target, trouble.refused)
    notices = [make(Delivery(3, "t", tries, told), "answered 404") for make in makers for tries in (0, 1)]
    assert {notice.key for notice in notices} == {"target:t:3:0", "target:t:3:1"}
    assert {notice.kind for notice in notices} == {"target"}
    assert "the title" in notices[-1].text
    assert [notice.severity for notice in notices[::2]] == ["critical", "warning", "warning"]


def test_the_lowest_prompts_of_an_evaluation_are_means_over_images_without_blank_ones(tmp_path: Path) -> None:
    world = World(tmp_path, "version: 1\nrules: [{name: low, when: clip/mean < 0.22}]\n")
    prompts = {key: f"prompt {key}" for key in KEYS}
    (world.run / "prompts.json").write_text(json.dumps(prompts))
    world.put(100, {**dict.fromkeys(KEYS, 0.3), "c": 0.1, "e": 0.05, "f": "blank", "g": 0.2})
    world.go()
    with world.store.read() as db:
        found, scores = samples.in_evaluation(db, 1), scores_of(db, 1)
    world.end()
    assert routing.lowest(found, scores) == [("prompt e", 0.05), ("prompt c", 0.1), ("prompt g", 0.2)]
    several = [*found, *(_again(sample) for sample in found if sample.key == "e")]
    more = {**scores, 99: scores[next(s.id or 0 for s in found if s.key == "a")]}
    assert routing.lowest(several, more, 1) == [("prompt c", 0.1)]  # e is now (0.05 + 0.3) / 2


def _again(sample: Sample) -> Sample:
    return Sample(
        sample.run_id, 100, sample.key, 1, sample.path, 1, 0.0, "0", prompt=sample.prompt, state="scored", id=99
    )


def test_who_reads_of_a_stop_is_told_how_to_start_it_again_where_that_is_known() -> None:
    told = outcome(RUN, replace(stop("verified"), progress={"backend": [0, "exec"]}))
    assert "To start it again: `watcher resume flux`." in told.text
    assert told.facts["resume"] == "watcher resume flux"
    for other in (stop("verified"), replace(stop("failed"), progress={"backend": [0, "exec"]})):
        assert "resume" not in outcome(RUN, other).facts
