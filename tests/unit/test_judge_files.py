"""Rule files: every fault at once, each with file, line, key path and the way out, in words for users."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from watcher.errors import ConfigError
from watcher.judge import Rule, load_rules
from watcher.judge.files import read_rules

GOOD = "version: 1\nrules:\n- name: low\n  when: clip/mean < 0.22\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def faults(text: str | bytes, name: str = "r.yaml") -> list[str]:
    Path(name).write_bytes(text.encode() if isinstance(text, str) else text)
    return [str(fault) for fault in read_rules([Path(name)])[1]]


def one(fields: str) -> list[str]:
    """Give what is wrong with one rule that stands on line 3 of its file, without its place."""
    found = faults(f"version: 1\nrules:\n- {{name: low, when: clip/mean < 0.2, {fields}}}\n")
    assert all(fault.startswith("r.yaml:3: rules[0].") for fault in found)
    return [fault.removeprefix("r.yaml:3: rules[0].") for fault in found]


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ("severity: warnin", "severity: must be `info`, `warning` or `critical`, not 'warnin'; did you mean `warn"),
        ("runs: flux", "runs: must be a mapping, not 'flux'; its keys are names, layouts, labels"),
        ("runs: {names: flux}", "runs.names: must be a list, not 'flux'; write each entry on a line that begins"),
        ("runs: {labels: [a]}", "runs.labels: must be a mapping, not a list; write `{name: value}`"),
        ("runs: {labels: {a: 3}}", "runs.labels.a: must be text, not 3; put it in quotes"),
        ("runs: {name: [a]}", "runs.name: unknown key; did you mean `names`?"),
        ("model: [a]", "model: must be text, not a list"),
        ("after: 2000", "after: 2000 is no span; write for example 3 evaluations, 1500 steps or 2h"),
        ("after: {steps: x}", "after: `steps: 'x'` is no gate; write {steps: 2000, epochs: 3, evalu"),
        ("for: 3", "for: 3 is no span; write for example 3 evaluations, 1500 steps or 2h"),
        ("for: 2.5", "for: 2.5 is no span"),
        ("for: 0 evaluations", "for: `0 evaluations` is no time at all; the shortest is `1 evaluation`"),
        ("clear: 2 epochs", "clear: `2 epochs` cannot be counted here; give evaluations, steps or a duration"),
        ("for_: 3 evaluations", "for_: unknown key; did you mean `for`?"),
        ("needs: 4", "needs: must be a mapping, not 4; its keys are prompts, complete"),
        ("needs: {prompts: 0}", "needs.prompts: must be at least 1, not 0"),
        ("needs: {prompts: many}", "needs.prompts: must be a whole number, not 'many'"),
        ("needs: {prompts: 1.5}", "needs.prompts: must be a whole number, not 1.5"),
        ("needs: {complete: perhaps}", "needs.complete: must be `true` or `false`, not 'perhaps'"),
        ("needs: , then: stop", "needs: must be a mapping, and is empty; its keys are prompts, complete"),
        ("on_nan: stop", "on_nan: must be `hold` or `fire`, not 'stop'"),
        ("then: stap", "then: `stap` is no action (did you mean `stop`?); write `alert`, `stop` or"),
        ("then: [alert, 3]", "then[1]: this is no action"),
        ("then: []", "then: names no action; write `alert` or `stop`"),
        ("then: [stop, alert, stop]", "then: action `stop` is given twice; keep one"),
        ("then: [alert, {scale_lr: {factor: 1.5}}]", "then[1].scale_lr.factor: must be less than 1.0, not 1.5"),
        ("then: {scale_lr: {}}", "then.scale_lr.factor: is required"),
        ("then: [stop, {scale_lr: {factor: 0.5}}]", "then: `scale_lr` and `stop` at once: a run that is stopped"),
        ("then: {run: notify-me}", "then.run: must be a mapping, not 'notify-me'; its keys are command, timeout"),
        ("then: {run: {command: notify-me}}", "then.run.command: must be a list, not 'notify-me'"),
        ("then: {stop: now}", "then.stop: must be a mapping, not 'now'; its keys are save, wait, delay, grace, kill"),
        ("then: {stop: {sav: no}}", "then.stop.sav: unknown key; did you mean `save`?"),
        ("then: [{stop: {wait: 1x}}]", "then[0].stop.wait: '1x' is not a duration; write for example 30s"),
        ("repeat: 4", "repeat: 4 is not a duration; write for example 30s, 10m, 2h or 1d"),
        ("mode: enforced", "mode: must be `observe` or `enforce`, not 'enforced'; did you mean `enforce`?"),
        ("escalate: {after: 4 evaluations}", "escalate.then: is required"),
        ("escalate: {after: 2 epochs, then: stop}", "escalate.after: `2 epochs` cannot be counted here"),
        ("escalates: {}", "escalates: unknown key; did you mean `escalate`?"),
        ('description: "${NOT_SET_ANYWHERE}"', "description: environment variable NOT_SET_ANYWHERE is not set; set it"),
    ],
)  # fmt: skip
def test_a_fault_of_a_rule_is_said_in_words_for_users(place: Path, fields: str, fault: str) -> None:
    (found,) = one(fields)
    assert found.startswith(fault)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("then: [{scale_lr: {factor: 2}}, stop]",
         ["then: `scale_lr` and `stop` at once", "then[0].scale_lr.factor: must be less than 1.0, not 2"]),
        ("then: [{set_lr: {to: 1}}, {scale_lr: {factr: 1}}]",
         ["then: `scale_lr` and `set_lr` contradict", "then[1].scale_lr.factor: is r", "then[1].scale_lr.factr: unkn"]),
        ("escalate: {after: 2 evaluations, then: [stop, {stop: {save: never}}]}",
         ["escalate.then: action `stop` is given twice", "escalate.then[1].stop.save: must be `wait`, `required` or"]),
        ("then: [3]", ["then[0]: this is no action"]),
        ("then: [stap, stap]", ["then[0]: `stap` is no action", "then[1]: `stap` is no action"]),
    ],
)  # fmt: skip
def test_a_fault_in_an_action_does_not_hide_that_two_contradict(place: Path, fields: str, said: list[str]) -> None:
    found = sorted(one(fields))
    assert len(found) == len(said), found
    assert all(fault.startswith(start) for fault, start in zip(found, said, strict=True)), found


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[1]", "r.yaml:1: must be a mapping, not a list; its keys are version, rules"),
        ("hello", "r.yaml:1: must be a mapping, not 'hello'; its keys are version, rules"),
        ("version: 2\nrules: []", "r.yaml:1: version: must be 1, not 2"),
        ("rules: []", "r.yaml:1: version: is required"),
        ("version: 1\nrules:", "r.yaml:2: rules: must be a list, and is empty; write each entry on a line"),
        ("version: 1\nrules: {name: a}", "r.yaml:2: rules: must be a list, not a mapping; write each entry on a line"),
        ("version: 1\nrules:\n\n- low", "r.yaml:4: rules[0]: must be a mapping, not 'low'; its keys are name, descr"),
        ("version: 1\nrules:\n- name: low", "r.yaml:3: rules[0].when: is required"),
        ("version: 1\nrules:\n- name: low\n  when:", "r.yaml:4: rules[0].when: nothing is no condition; write for"),
        ("version: 1\nrules:\n- name: low\n  when: [a]", "r.yaml:4: rules[0].when: this is no condition; write for"),
        ("version: 1\nrules:\n- name: low\n  when: {all: [], metric: clip/mean, below: 0.2}",
         "r.yaml:4: rules[0].when: `below` and `all` are different conditions; put each into a mapping of its own"),
        ("version: 1\nrules:\n- name: low\n  when:\n    any:\n    - clip/mean < 0.2\n    - clip/mean < 22",
         "r.yaml:7: rules[0].when.any[1]: a cosine lies between -1 and 1"),
        ("version: 1\nrules:\n- name: low\n  when:\n    not: {all: [clip/maen < 0.2]}",
         "r.yaml:5: rules[0].when.not.all[0].metric: unknown metric `clip/maen`; did you mean"),
        ("version: 1\nrules:\n- name: low\n  when: {all: []}", "r.yaml:4: rules[0].when.all: holds no condition"),
        ("version: 1\nrules:\n- name: low\n  when: {metric: clip/mean, belo: 0.2}",
         "r.yaml:4: rules[0].when: `belo` makes no condition; did you mean `below`?"),
        ("version: 1\nrules:\n- name: low\n  when: {metric: clip/mean, worse_by: 2%%}",
         "r.yaml:4: rules[0].when.worse_by: '2%%' is no amount; write for example 0.02 or 10%"),
        ("version: 1\nrules:\n- name: low\n  when: {metric: clip/mean, worse_by: 0.1, thn: best}",
         "r.yaml:4: rules[0].when.thn: unknown key; did you mean `than`?"),
        ("version: 1\nrules:\n- name: low\n  when: {all: [{silent: 2h}]}",
         "r.yaml:4: rules[0].when.all[0]: `silent` looks at the clock and not at evaluations: it stands alone"),
        ("version: 1\nrules:\n- name: Low X\n  when: clip/mean < .2",
         "r.yaml:3: rules[0].name: 'Low X' is no name; use small letters, digits and hyphens, such as `low-clip`"),
        ("version: 1\nrules:\n- name: low\n  name: high\n  when: clip/mean < .2",
         "r.yaml:4: rules[0].name: given twice"),
    ],
)  # fmt: skip
def test_a_fault_of_a_file_is_said_with_its_line(place: Path, text: str, fault: str) -> None:
    (found,) = faults(text)
    assert found.startswith(fault)


def test_all_faults_of_all_files_are_listed_at_once_and_the_rules_of_right_files_are_given(place: Path) -> None:
    Path("a.yaml").write_text(GOOD)
    Path("b.yaml").write_text("version: 1\nrules:\n- {name: high, when: clip/mean > 22}\n- {name: low, when: x}\n")
    Path("c.yaml").write_text("version: 1\nrules:\n\t- name: tab\n")
    Path("d.yaml").mkdir()
    files = [Path(f"{name}.yaml") for name in "abcde"]
    rules, found = read_rules(files)
    assert [rule.name for rule in rules.rules] == ["low"]
    assert rules.files == tuple(files)
    assert [str(fault).split("; ")[0] for fault in found] == [
        "b.yaml:3: rules[0].when: a cosine lies between -1 and 1",
        "b.yaml:4: rules[1].when: 'x' is no condition",
        "b.yaml:4: rules[1].name: rule name `low` is taken by a.yaml:3",
        "c.yaml:3: not valid YAML: a tab, where only spaces may stand",
        "d.yaml:1: cannot be read: Is a directory",
        "e.yaml:1: cannot be read: No such file or directory",
    ]
    with pytest.raises(ConfigError) as caught:
        load_rules(files)
    assert str(caught.value).splitlines() == [str(fault) for fault in found]


def test_a_name_is_taken_within_a_file_too(place: Path) -> None:
    (found,) = faults(GOOD + "- name: low\n  when: clip/min < 0.1\n")
    assert found == "r.yaml:5: rules[1].name: rule name `low` is taken by r.yaml:3; give it another name"


def test_what_yaml_would_read_as_something_else_is_what_was_written(place: Path) -> None:
    stop = "  then: [alert, {stop: {save: no, kill: yes}}]\n"
    Path("r.yaml").write_text(f"{GOOD}{stop}- name: 2026-01-31\n  when: {{metric: clip/mean, below: 2e-1}}\n")
    low, dated = load_rules([Path("r.yaml")]).rules
    assert low.actions()[1][1]["save"] == "no"
    assert low.actions()[1][1]["kill"] is True
    assert (dated.name, dated.when.threshold) == ("2026-01-31", 0.2)


def test_rules_may_share_settings_by_anchors_and_a_fault_is_said_where_it_was_written(place: Path) -> None:
    shared = "version: 1\nrules:\n- &base\n  name: low\n  when: clip/mean < 0.2\n  severity: {}\n"
    shared += "- <<: *base\n  name: lower\n"
    assert faults(shared.format("info")) == []
    assert [fault.split(": ")[0] for fault in faults(shared.format("bad"))] == ["r.yaml:6", "r.yaml:6"]


def test_an_empty_file_says_what_belongs_into_it(place: Path) -> None:
    for text in ("", "\n\n", "# nothing but a comment\n"):
        assert faults(text) == ["r.yaml:1: version: is required", "r.yaml:1: rules: is required"]


_keys = st.sampled_from([*Rule.model_fields, "for", "stop", "names", "labels", "metric", "below", "steps", "x"])
_texts = st.sampled_from(["low", "clip/mean < 0.2", "3 evaluations", "2h", "stop", "fire", "observe"]) | st.text(
    max_size=5
)
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.dictionaries(_keys, _values, max_size=6), max_size=3))
def test_nothing_that_yaml_can_say_makes_it_crash_or_speak_of_pydantic(tmp_path: Path, rules: list[object]) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(yaml.safe_dump({"version": 1, "rules": rules}))
    for fault in read_rules([path])[1]:
        assert not re.search(r"Input|instance of|validat|valid (dict|str|tuple|int)|match pattern", fault.what)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=60) | st.text("{}[]&*!|>'\"%@`#,:?-<\t\n ab1.", max_size=40).map(str.encode))
def test_no_bytes_make_it_crash(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(content)
    with suppress(ConfigError):
        load_rules([path])
