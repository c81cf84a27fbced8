"""`watcher.yaml`: what is right is understood, and everything that is wrong is said at once, with its place."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from watcher.config import Config, load_config, load_config_rules, state_folder
from watcher.errors import ConfigError
from watcher.places import find_config

WHOLE = """
mode: observe
runs:
  - path: outputs/*
    layout: auto
    labels: {team: art}
  - path: /data/flux-lora
    prompts: prompts.json
    mode: enforce
    control: [{process: {pidfile: train.pid}}]
scorers:
  clip: {model: openai/clip-vit-base-patch32, device: cpu, batch_size: 8, threads: 2, idle_unload: 5m}
trackers:
  tensorboard: {beside_trainer: false}
rules: [rules/*.yaml]
limits: {stops_per_hour: 3}
notify:
  - log
  - slack: {url: "${SLACK}", min_severity: critical}
  - webhook: {url: "https://example.org/hook", secret_file: key}
settle: {file_quiet: 2s, step_quiet: 3m, step_timeout: 2h}
state: state
"""
RULE = "version: 1\nrules: [{name: low, when: clip/mean < 0.2}]\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SLACK", "https://hooks.slack.com/services/T/B/SECRET")
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "low.yaml").write_text(RULE)
    return tmp_path


def write(place: Path, text: str) -> Path:
    path = place / "watcher.yaml"
    path.write_text(text)
    return path


def faults(place: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(write(place, text))
    return str(caught.value).splitlines()


def test_a_whole_configuration_is_understood(place: Path) -> None:
    config = load_config(write(place, WHOLE))
    assert config.runs[1].mode == "enforce"
    assert config.limits.stops_per_hour == 3
    assert [target.label() for target in config.notify] == [
        "log",
        "slack https://hooks.slack.com/...",
        "webhook https://example.org/...",
    ]
    assert (config.settle.file_quiet, config.settle.step_quiet, config.settle.step_timeout) == (2, 180, 7200)
    assert [rule.name for rule in load_config_rules(config).rules] == ["low"]


def test_relative_paths_count_from_the_file_and_not_from_where_the_program_was_started(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    config = load_config(write(place, WHOLE))
    assert config.runs[0].path == str(place / "outputs/*")
    assert config.runs[1].path == "/data/flux-lora"
    assert config.runs[1].prompts == place / "prompts.json"
    assert config.runs[1].control[0].model_dump()["pidfile"] == place / "train.pid"
    assert config.notify[2].model_dump()["secret_file"] == place / "key"
    assert state_folder(config) == place / "state"


def test_a_home_folder_is_expanded_and_an_unknown_user_is_a_fault(place: Path) -> None:
    assert load_config(write(place, "runs: [{path: ~/out}]")).runs[0].path == str(Path.home() / "out")
    (fault,) = faults(place, "runs: [{path: ~nobody-here/out}]")
    assert fault == f"{place}/watcher.yaml:1: runs[0].path: no such user: ~nobody-here"


def test_every_fault_of_the_configuration_and_its_rules_is_listed_at_once(place: Path) -> None:
    (place / "rules" / "bad.yaml").write_text("version: 1\nrules:\n- name: low\n  when: clip/mean < 22\n")
    found = faults(
        place,
        "mode: enforced\nruns:\n- {path: a, layuot: auto}\nscorers:\n  clip: {device: gpu}\n"
        "rules: [rules/*.yaml, none/*.yaml]\nnotify: [slak]\nsettle: {file_quiet: 5}\n",
    )
    text = "\n".join(found)
    for expected in (
        "watcher.yaml:1: mode:",
        "watcher.yaml:3: runs[0].layuot: unknown key; did you mean `layout`?",
        "watcher.yaml:5: scorers.clip.device:",
        "watcher.yaml:6: rules[1]: no file matches 'none/*.yaml'",
        "watcher.yaml:7: notify[0]: unknown `slak`; did you mean `slack`?",
        "watcher.yaml:8: settle.file_quiet: 5 is not a duration",
        "bad.yaml:4: rules[0].when: a cosine lies between -1 and 1; did you mean 0.22?",
    ):
        assert expected in text
    assert len(found) == 8


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "runs: is required"),
        ("runs: []", "runs: names no folder; write for example `- path: ~/train/outputs/*`"),
        ("[1, 2]", "watcher.yaml:1"),
        ("runs: [{path: a}]\nruns: [{path: b}]", "runs: given twice"),
        ("runs: [{path: a}]\nnotify: [{webhook: {url: ftp://x}}]", "notify[0]"),
        ("runs: [{path: a}]\nnotify: [{slack: {url: $X}}]", "notify[0]"),
        ("runs: [{path: '${NOT_THERE}'}]", "runs[0].path: environment variable NOT_THERE is not set"),
        ("runs: [{path: a, layout: kohay}]", "unknown layout 'kohay'"),
        ("runs: [{path: a, layout: {pattern: {regex: '(?P<x>a)'}}}]", "runs[0].layout"),
        ("runs: [{path: a, control: [{process: {pidfile: a, match: b}}]}]", "give `pidfile` or `match`, not both"),
        ("runs: [{path: a}]\nlimits: {stops_per_hour: many}", "limits.stops_per_hour"),
        ("runs: {path: a", "not valid YAML"),
    ],
)
def test_a_fault_names_its_place(place: Path, text: str, words: str) -> None:
    assert words in "\n".join(faults(place, text))


def test_a_file_that_is_not_there_or_no_text_is_said_so(place: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read: No such file"):
        load_config(place / "none.yaml")
    (place / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"bytes\.yaml"):
        load_config(place / "bytes.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(place)


def test_a_secret_is_never_shown(place: Path) -> None:
    text = "runs: [{path: a}]\nnotify: [{slack: {url: s3cr3t-token}}, {webhook: {url: [s3cr3t-token]}}]"
    assert "s3cr3t" not in "\n".join(faults(place, text))
    assert "SECRET" not in repr(load_config(write(place, WHOLE)))


def test_the_configuration_is_found_in_its_usual_places(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setenv("HOME", str(place / "home"))
    monkeypatch.delenv("WATCHER_CONFIG", raising=False)
    if not Path("/etc/watcher/watcher.yaml").exists():
        with pytest.raises(ConfigError, match="give one with -c"):
            find_config()
    write(place, WHOLE)
    assert find_config() == Path("watcher.yaml")
    monkeypatch.setenv("WATCHER_CONFIG", "/else/where.yaml")
    assert find_config() == Path("/else/where.yaml")


def test_the_state_folder_is_the_configured_one_else_systemds_else_the_users(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_config(write(place, "runs: [{path: a}]"))
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/watcher:/other")
    assert state_folder(config) == Path("/var/lib/watcher")
    monkeypatch.delenv("STATE_DIRECTORY")
    monkeypatch.setenv("XDG_STATE_HOME", "/x")
    assert state_folder(config) == Path("/x/watcher")
    monkeypatch.delenv("XDG_STATE_HOME")
    assert state_folder(config) == Path.home() / ".local/state/watcher"


_KEYS = st.sampled_from([*Config.model_fields, "clip", "path", "layout", "pattern", "regex", "process", "webhook", "x"])
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=12,
)


@limits(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.dictionaries(_KEYS, _VALUES, max_size=6))
def test_nothing_that_yaml_can_say_makes_it_crash(tmp_path: Path, data: object) -> None:
    path = write(tmp_path, yaml.safe_dump(data))
    with suppress(ConfigError):
        load_config(path)
