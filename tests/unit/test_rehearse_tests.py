"""`watcher rules test`: the daemon's judge over made-up series; what fails is shown with what led there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.commands import Answer, here
from tests.contract.rooms import ROOT
from watcher.rehearse.suite import load_suites
from watcher.rehearse.testing import run_suite

PAGE = (ROOT / "docs" / "rules.md").read_text()
LOW = "clip/mean 0.200 is below 0.22, 1st evaluation in a row"
RULE = {"name": "low", "when": "clip/mean < 0.22", "for": "2 evaluations", "then": "stop"}
TEST = {
    "name": "fires",
    "every": "100 steps",
    "series": {"clip/mean": "0.2x2"},
    "expect": [{"step": 100, "rule": "low", "state": "firing"}],
}


def written(folder: Path, *tests: object, rule: object = RULE) -> Path:
    (folder / "low.yaml").write_text(yaml.safe_dump({"version": 1, "rules": [rule]}))
    path = folder / "tests.yaml"
    path.write_text(yaml.safe_dump({"rule_files": ["low.yaml"], "tests": list(tests)}, sort_keys=False))
    return path


def ran(folder: Path, expect: object, rule: object = RULE, **more: object) -> Answer:
    return here("rules", "test", written(folder, {**TEST, **more, "expect": [expect]}, rule=rule))


def test_the_example_of_the_docs_passes_as_it_is_written(tmp_path: Path) -> None:
    section = PAGE.split("\n## Testing a rule\n")[1].split("\n## ")[0]
    rule, test = re.findall(r"^```yaml(?: test)?\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    (tmp_path / "abandon-low-clip.yaml").write_text(rule)
    (tmp_path / "tests.yaml").write_text(test)
    answer = here("rules", "test", tmp_path / "tests.yaml")
    assert (answer.status, answer.err) == (0, "")
    assert "ok    " in answer.out
    (suite,) = load_suites([tmp_path / "tests.yaml"])
    (outcome,) = run_suite(suite)
    expected = {one.step: (one.state, one.actions) for one in outcome.test.expect}
    assert expected == {2500: ("pending", None), 3000: ("firing", ("alert", "stop")), 5000: ("resolved", None)}


@pytest.mark.parametrize("path", sorted((ROOT / "rules").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_rule_has_tests_that_pass_in_which_it_fires_and_does_not(path: Path) -> None:
    (suite,) = load_suites([path.parent / "tests" / path.name])
    outcomes = list(run_suite(suite))
    assert not [(one.test.name, one.differences) for one in outcomes if one.differences or one.notes]
    for name in suite.rules:
        states = {e.state for one in outcomes for e in one.test.expect if e.rule == name}
        assert {"firing", "inactive"} <= states


def test_a_failing_test_exits_1_with_what_was_expected_and_what_led_there(tmp_path: Path) -> None:
    expect = {"step": 300, "rule": "low", "state": "firing", "actions": ["alert"]}
    answer = ran(tmp_path, expect, series={"clip/mean": "0.2 0.3 _ 0.2"})
    place = tmp_path / "tests.yaml"
    assert answer.status == 1
    assert answer.out.splitlines() == [
        f"FAIL  {place}:4: fires",
        "      step 300, low: state is pending, expected firing",
        "      step 300, low: actions is [], expected [alert]",
        "        step  clip/mean  verdict  state        because",
        f"        0     0.2        true     pending 1/2  {LOW} (step 0)",
        "        100   0.3        false    inactive     clip/mean 0.300 is not below 0.22",
        "        200   _          unknown  inactive     clip/mean is missing",
        f"        300   0.2        true     pending 1/2  {LOW} (step 300)",
        "FAIL: 1 of 1 test in 1 file",
    ]


@pytest.mark.parametrize(
    ("expect", "ok"),
    [
        ({"state": "firing"}, True),
        ({"state": "pending"}, False),
        ({"actions": ["alert", "stop"]}, True),
        ({"actions": "alert"}, False),
        ({"actions": []}, False),
        ({"verdict": True}, True),
        ({"verdict": "false"}, False),
        ({"reason": "below 0.22"}, True),
        ({"reason": "above"}, False),
        ({"state": "firing", "reason": "above"}, False),
    ],
)
def test_each_expectation_is_held_against_what_the_judge_says(
    tmp_path: Path, expect: dict[str, object], ok: bool
) -> None:
    assert ran(tmp_path, {"step": 100, "rule": "low", **expect}).status == (0 if ok else 1)


def test_counts_that_are_not_given_satisfy_needs_and_those_that_are_given_count(tmp_path: Path) -> None:
    rule = {**RULE, "needs": {"prompts": 16}}
    expect = {"step": 100, "rule": "low", "state": "firing"}
    assert ran(tmp_path, expect, rule).status == 0
    assert ran(tmp_path, expect, rule, series={"clip/mean": "0.2x1", "clip/prompts": "15x1"}).status == 1
    assert ran(tmp_path, expect, rule, incomplete=[100]).status == 1


def test_confidence_without_its_series_is_unknown_and_the_test_says_so(tmp_path: Path) -> None:
    rule = {**RULE, "when": {"metric": "clip/mean", "below": 0.22, "confidence": 0.9}}
    expect = {"step": 100, "rule": "low", "state": "inactive", "verdict": "unknown"}
    answer = ran(tmp_path, expect, rule)
    assert answer.status == 0
    assert "note: low asks for `confidence`" in answer.out
    assert "clip/stderr and clip/prompts" in answer.out
    series = {"clip/mean": "0.1x1", "clip/stderr": "0.01x1", "clip/prompts": "24x1"}
    known = ran(tmp_path, {**expect, "state": "firing", "verdict": "true"}, rule, series=series)
    assert (known.status, "note" in known.out) == (0, False)


def test_time_epochs_and_model_are_those_of_the_test(tmp_path: Path) -> None:
    expect = {"step": 200, "rule": "low", "state": "firing"}
    three = {"series": {"clip/mean": "0.2x2"}}
    for_hours = {**RULE, "for": "2h"}
    assert ran(tmp_path, expect, for_hours, **three, takes="1h").status == 0
    assert ran(tmp_path, expect, for_hours, **three, takes="59m").status == 1
    by_epoch = {**RULE, "for": "1 evaluation", "after": "3 epochs"}
    assert ran(tmp_path, {**expect, "actions": ["alert", "stop"]}, by_epoch, **three, epochs="1+1x2").status == 0
    assert ran(tmp_path, expect, by_epoch, **three).status == 1
    of_model = {**RULE, "model": "openai/clip-vit-large-patch14"}
    assert ran(tmp_path, expect, of_model, **three).status == 0
    assert ran(tmp_path, expect, of_model, **three, model="openai/clip-vit-base-patch32").status == 1


def test_escalation_is_ordered_when_the_rule_has_fired_for_so_long(tmp_path: Path) -> None:
    rule = {**RULE, "then": "alert", "escalate": {"after": "2 evaluations", "then": "stop"}}
    for step, actions in ((100, ["alert"]), (200, []), (300, ["stop"]), (400, [])):
        answer = ran(tmp_path, {"step": step, "rule": "low", "actions": actions}, rule, series={"clip/mean": "0.2x4"})
        assert answer.status == 0, answer.out


def test_silence_is_judged_by_how_long_nothing_came_after_an_evaluation(tmp_path: Path) -> None:
    rule = {"name": "low", "when": {"silent": "2h"}, "then": "alert"}
    for silent, expect in (
        ("2h", {"state": "firing", "actions": "alert"}),
        ("119m", {"state": "inactive", "actions": []}),
    ):
        assert ran(tmp_path, {"step": 100, "rule": "low", "silent": silent, **expect}, rule).status == 0
    assert ran(tmp_path, {"step": 100, "rule": "low", "state": "firing"}, rule).status == 1


def test_scores_by_prompt_are_compared_and_give_the_mean(tmp_path: Path) -> None:
    rule = {**RULE, "when": {"metric": "clip/mean", "worse_than": "baseline", "p": 0.05}, "needs": {"prompts": 5}}
    falls = [f"0.{20 + number} 0.{17 + number}x1" for number in range(6)]
    expect = {"step": 200, "rule": "low", "state": "firing", "reason": "by prompt -0.0300"}
    assert ran(tmp_path, {**expect, "verdict": True}, rule, series={}, by_prompt=falls).status == 0
    assert ran(tmp_path, {**expect, "reason": "clip/mean 0.195"}, rule, series={}, by_prompt=falls).status == 0
    assert ran(tmp_path, expect, rule, series={}, by_prompt=[*falls[:4], "0.2 _ _", "_ 0.2 0.2"]).status == 1
    assert ran(tmp_path, expect, rule, series={"clip/mean": "0.2x2"}).status == 1


def test_every_fault_of_every_file_is_listed_with_its_line_and_exits_2(tmp_path: Path) -> None:
    path = tmp_path / "tests.yaml"
    (tmp_path / "low.yaml").write_text(yaml.safe_dump({"version": 1, "rules": [{**RULE, "when": "clip/mean < 22"}]}))
    path.write_text(
        """rule_files: [low.yaml, gone.yaml]
tests:
  - name: a
    every: 100 steps
    series: {clip/mean: "22 0.2", clip/meen: "0.2x1"}
    incomplete: [50]
    expect:
      - {step: 150, rule: low, state: firing}
"""
    )
    answer = here("rules", "test", path)
    assert (answer.status, answer.out) == (2, "")
    told = answer.err.splitlines()
    assert f"{tmp_path / 'gone.yaml'}:1: cannot be read: No such file or directory" in told
    assert any(line.startswith(f"{tmp_path / 'low.yaml'}:") and "a cosine lies" in line for line in told)
    mine = [line.removeprefix(f"{path}:") for line in told if line.startswith(f"{path}:")]
    assert [line.split(": ")[0] + " " + line.split(": ")[1] for line in mine] == [
        "5 tests[0].series.clip/mean",
        "5 tests[0].series.clip/meen",
        "6 tests[0].incomplete",
        "8 tests[0].expect[0].step",
    ]
    assert "did you mean 0.22?" in mine[0]
    assert "did you mean `clip/mean`?" in mine[1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"every": "3 epochs"}, "no distance between evaluations"),
        ({"every": "0 steps"}, "no distance between evaluations"),
        ({"series": {"clip/mean": "0.2 x"}}, "'x' is no value"),
        ({"series": {"clip/mean": "0.2x2", "clip/min": "0.1"}}, "clip/mean has 3, clip/min has 1 values"),
        ({"series": {}}, "`series` is empty"),
        ({"by_prompt": ["0.2"]}, "clip/mean has 2, prompt 1 has 1 values"),
        ({"epochs": "1"}, "`epochs` has 1 values, the series have 2"),
        ({"expect": []}, "is empty"),
        ({"expect": [{"step": 100, "rule": "low"}]}, "expects nothing"),
        (
            {"expect": [{"step": 100, "rule": "lo", "state": "firing"}]},
            "no rule `lo` in `rule_files`; did you mean `low`?",
        ),
        ({"expect": [{"step": 100, "rule": "low", "state": "fireing"}]}, "did you mean `firing`?"),
        ({"serie": {}}, "unknown key; did you mean `series`?"),
    ],
)
def test_a_test_that_makes_no_sense_is_refused(tmp_path: Path, change: dict[str, object], said: str) -> None:
    path = written(tmp_path, {**TEST, "series": {"clip/mean": "0.2x1"}, **change})
    answer = here("rules", "test", path)
    assert answer.status == 2
    assert said in answer.err
    assert re.search(rf"^{re.escape(str(path))}:\d+: tests\[0\]", answer.err, re.MULTILINE)


@pytest.mark.parametrize("command", ["test", "backtest"])
def test_without_a_file_the_usage_is_shown(command: str) -> None:
    answer = here("rules", command)
    assert (answer.status, answer.out) == (2, "")
    assert f"Usage: watcher rules {command}" in answer.err


def test_a_folder_without_tests_says_so(tmp_path: Path) -> None:
    answer = here("rules", "test", tmp_path)
    assert (answer.status, answer.err) == (2, f"watcher: {tmp_path}: no files of tests (*.yaml) in it\n")
