"""What the commands say: help, checks and advice, every fault at once, exit codes."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from tests.commands import here
from watcher.cli.app import app
from watcher.discover import choose_layout

COMMANDS = (
    *("demo", "init", "check", "doctor", "run", "exec", "status", "show", "score", "compare", "rules", "rules check"),
    *("rules test", "rules backtest", "rules explain", "rules list", "rules schema"),
    *("stop", "checkpoint", "lr", "resume", "hold", "release", "model", "model fetch", "notify", "notify test"),
    *("service", "service install", "service uninstall", "service status"),
    *("prompts", "prompts list", "prompts export"),
    *("baseline", "baseline set", "baseline show", "baseline clear"),
)
RULE = {"name": "low", "when": "clip/mean < 0.2", "after": "2000 steps", "for": "3 evaluations", "model": "m"}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder of a user without any configuration."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in ("WATCHER_CONFIG", "STATE_DIRECTORY", "XDG_STATE_HOME", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def write(place: Path, rules: Sequence[dict[str, object]] = (), **settings: object) -> None:
    (place / "rules.yaml").write_text(yaml.safe_dump({"version": 1, "rules": list(rules)}))
    written = {"runs": [{"path": "out/*"}], "rules": ["rules.yaml"], "state": "state", **settings}
    (place / "watcher.yaml").write_text(yaml.safe_dump(written, sort_keys=False))


def simpletuner(place: Path, name: str) -> Path:
    folder = place / "out" / name
    (folder / "validation_images").mkdir(parents=True)
    return folder


def test_these_are_all_the_commands() -> None:
    groups = [
        f"{group.name} {one.name}"
        for group in app.registered_groups
        for one in group.typer_instance.registered_commands
    ]
    names = [str(one.name) for one in app.registered_commands]
    assert sorted([*names, *(str(group.name) for group in app.registered_groups), *groups]) == sorted(COMMANDS)


@pytest.mark.parametrize("name", ["", *COMMANDS])
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_every_command_explains_itself(name: str, flag: str) -> None:
    answer = here(*name.split(), flag)
    assert (answer.status, answer.err) == (0, "")
    assert answer.out.split()[:2] == ["Usage:", "watcher"]
    described = re.findall(r"--[a-z-]+ .*?[A-Z].*\.?", answer.out)
    assert described


def test_the_version_is_that_of_the_package() -> None:
    assert re.fullmatch(r"watcher \d+\.\d+\.\d+\n", here("--version").out)


@pytest.mark.parametrize(
    "usage",
    [
        ["bogus"],
        ["show"],
        ["status", "--bogus"],
        ["score"],
        ["compare"],
        ["compare", "x"],
        ["compare", "x", "y", "--json", "--csv"],
        ["prompts", "export"],
        ["rules", "check"],
        ["show", "x", "--step", "y"],
        ["doctor", "x"],
    ],
)
def test_wrong_usage_exits_2_and_says_what_is_wrong_on_stderr(usage: list[str]) -> None:
    answer = here(*usage)
    assert (answer.status, answer.out) == (2, "")
    assert "Usage: watcher" in answer.err


@pytest.mark.parametrize("command", [["check"], ["status"], ["show", "x"], ["run", "--once"]])
def test_without_a_configuration_the_places_to_write_one_are_named(place: Path, command: list[str]) -> None:
    answer = here(*command)
    assert (answer.status, answer.out) == (2, "")
    assert answer.err.startswith("watcher: no configuration: give one with -c, or write one of watcher.yaml, ")


@pytest.mark.parametrize("command", [["check"], ["status"], ["show", "x"], ["run", "--once"]])
@pytest.mark.parametrize(("path", "why"), [("nope.yaml", "No such file or directory"), (".", "Is a directory")])
def test_a_configuration_that_cannot_be_read_is_named(place: Path, command: list[str], path: str, why: str) -> None:
    answer = here(*command, "-c", path)
    assert (answer.status, answer.out, answer.err) == (2, "", f"watcher: {path}: cannot be read: {why}\n")


BROKEN = """mode: enforcing
runs:
  - path: out/*
    layout: simpletune
settle: {file_quiet: 3}
notify: [{slak: {url: x}}]
rules: [rules.yaml, nope.yaml]
"""
BROKEN_RULES = """version: 1
rules:
  - name: low
    when: clip/meen < 0.2
  - name: high
    when: clip/mean < 22
"""


@pytest.mark.parametrize("command", [["check"], ["run", "--once"]])
def test_every_fault_of_configuration_and_rules_is_listed_with_its_place(place: Path, command: list[str]) -> None:
    (place / "watcher.yaml").write_text(BROKEN)
    (place / "rules.yaml").write_text(BROKEN_RULES)
    answer = here(*command)
    assert (answer.status, answer.out) == (2, "")
    lines = answer.err.splitlines()
    assert all(re.match(r"(watcher|rules)\.yaml:\d+: [a-z_.\[\]0-9]+: \S", line) for line in lines)
    assert [line.split(": ")[:2] for line in lines] == [
        ["rules.yaml:4", "rules[0].when.metric"],
        ["rules.yaml:6", "rules[1].when"],
        ["watcher.yaml:1", "mode"],
        ["watcher.yaml:4", "runs[0].layout"],
        ["watcher.yaml:5", "settle.file_quiet"],
        ["watcher.yaml:6", "notify[0]"],
        ["watcher.yaml:7", "rules[1]"],
    ]
    assert "did you mean `clip/mean`?" in lines[0]
    assert "did you mean `slack`?" in lines[5]


def test_a_single_fault_stands_alone_too_so_that_editors_find_its_place(place: Path) -> None:
    (place / "watcher.yaml").write_text("runs: [{path: a}]\nmood: x\n")
    assert here("check").err.startswith("watcher.yaml:2: mood: unknown key; ")


def test_check_says_what_would_be_watched_and_why(place: Path) -> None:
    simpletuner(place, "flux")
    (place / "out" / "notes").mkdir()
    runs = [{"path": "out/*", "mode": "enforce"}, {"path": "later/*"}, {"path": "out/flux"}]
    write(place, [{**RULE, "then": "stop"}, {**RULE, "name": "other", "runs": {"names": ["sd-*"]}}], runs=runs)
    answer = here("check")
    assert (answer.status, answer.err) == (0, "")
    assert answer.out.splitlines()[:2] == [
        "watcher.yaml: ok",
        f"mode: observe; state folder: {place / 'state'}; notices: none: alerts stand in `watcher status` only",
    ]
    out = place / "out"
    for line in (
        f"  flux ({out / 'flux'}): simpletuner: has validation_images/",
        f"    0 prompts; no SimpleTuner config of {out / 'flux'} was found beside it; give `prompts:` for this run",
        f"  notes ({out / 'notes'}): no layout: " + choose_layout("auto", out / "notes")[1],
        f"  {place / 'later/*'}: no folder matches yet",
        f"  {out / 'flux'}: no folder of its own: earlier entries have them, or nothing is written there yet",
        "rules: 2 rules in 1 file",
        "  low: clip/mean < 0.2, then stop; for 1 of 1 run, enforced for 1",
        "  other: clip/mean < 0.2, then alert; for 0 of 1 run",
    ):
        assert line in answer.out.splitlines()
    assert "nothing would be watched" not in answer.out


def test_check_says_so_when_nothing_would_be_watched(place: Path) -> None:
    write(place)
    answer = here("check")
    assert answer.status == 0
    assert "  nothing would be watched now; folders that appear later are picked up" in answer.out.splitlines()


def test_check_does_not_call_a_rule_enforced_that_only_observes(place: Path) -> None:
    simpletuner(place, "flux")
    write(place, [{**RULE, "then": "stop", "mode": "observe"}], mode="enforce")
    assert "then stop; for 1 of 1 run, enforced for 0\n" in here("check").out


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("nobody/nothing", "not in the local cache; fetch it with `watcher model fetch nobody/nothing`"),
        ("./clip", "no such folder"),
        ("/not/there", "no such folder"),
        ("out", ""),
    ],
)
def test_check_says_when_the_model_is_not_there(place: Path, model: str, said: str) -> None:
    simpletuner(place, "flux")
    write(place, scorers={"clip": {"model": model}})
    found = [line for line in here("check").out.splitlines() if line.startswith("model ")]
    assert len(found) == bool(said)
    assert all(Path(model).name in line and line.endswith(f": {said}") for line in found)


def test_check_finds_a_model_in_the_local_cache(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(place / "hub"))  # read from the environment once, at import
    snapshot = place / "hub" / "models--some--clip" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("abc")
    write(place, scorers={"clip": {"model": "some/clip"}})
    assert not [line for line in here("check").out.splitlines() if line.startswith("model ")]


def test_rules_are_advised_on_by_both_checks(place: Path) -> None:
    write(place, [{"name": "low", "when": "clip/mean < 0.5", "then": "stop"}])
    advice = [line for line in here("rules", "check", "rules.yaml").out.splitlines() if re.match(r"A\d low: ", line)]
    assert {line[:2] for line in advice} >= {"A2", "A3"}
    assert [line.strip() for line in here("check").out.splitlines() if re.match(r" +A\d low: ", line)] == advice


def test_a_rule_file_named_twice_counts_once(place: Path) -> None:
    write(place, [RULE])
    answer = here("rules", "check", "rules.yaml", place / "rules.yaml", "./rules.yaml")
    assert (answer.status, answer.out) == (0, "ok: 1 rule in 1 file\n")


def test_a_folder_stands_for_its_rule_files(place: Path) -> None:
    folder = place / "rules"
    folder.mkdir()
    for name in ("b.yaml", "a.yml"):
        (folder / name).write_text(yaml.safe_dump({"version": 1, "rules": [{**RULE, "name": name[0]}]}))
    (folder / "README.md").write_text("no rules")
    assert here("rules", "check", folder).out == "ok: 2 rules in 2 files\n"
    (place / "empty").mkdir()
    answer = here("rules", "check", "empty")
    assert (answer.status, answer.err) == (2, "watcher: empty: no rule files (*.yaml) in it\n")


def test_missing_and_broken_rule_files_are_all_listed(place: Path) -> None:
    (place / "rules.yaml").write_text(BROKEN_RULES)
    answer = here("rules", "check", "nope.yaml", "rules.yaml", "nada.yaml")
    assert (answer.status, answer.out) == (2, "")
    lines = answer.err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["nope.yaml", "rules.yaml", "rules.yaml", "nada.yaml"]
    assert lines[0].endswith("cannot be read: No such file or directory")


@pytest.mark.parametrize("command", [["status"], ["status", "--json"]])
def test_status_before_any_daemon_says_that_none_has_run(place: Path, command: list[str]) -> None:
    write(place)
    answer = here(*command)
    assert answer.status == 0
    if "--json" in command:
        assert answer.json["daemon"] == {"state": "never"}
        assert (answer.json["runs"], answer.json["targets"]) == ([], [])
    else:
        assert "daemon: none has run yet with this state folder" in answer.out
    assert not (place / "state").exists()


def test_show_before_any_daemon_says_that_nothing_is_recorded(place: Path) -> None:
    write(place)
    answer = here("show", "flux")
    assert (answer.status, answer.out) == (1, "")
    assert "no daemon has run" in answer.err


def test_who_only_looks_needs_neither_sound_rules_nor_the_secrets_of_the_daemon(place: Path) -> None:
    write(place, notify=[{"slack": {"url": "${NO_SUCH_SECRET}"}}])
    (place / "rules.yaml").write_text(BROKEN_RULES)
    assert here("status").status == 0
    assert here("check").status == 2
    write(place, state=[1])
    answer = here("status")
    assert (answer.status, answer.err[:20]) == (2, "watcher.yaml:5: state"[:20])


def test_a_store_of_another_version_is_refused_without_a_traceback(place: Path) -> None:
    write(place)
    (place / "state").mkdir()
    with closing(sqlite3.connect(place / "state" / "watcher.db")) as link:
        link.execute("CREATE TABLE alembic_version AS SELECT '0000' AS version_num")
        link.commit()
    answer = here("status")
    assert answer.status == 1
    assert str(place / "state" / "watcher.db") in answer.err
    (place / "state" / "watcher.db").write_text("this is no database, and long enough to be told from one" * 20)
    answer = here("status")
    assert (answer.status, answer.err.count("\n")) == (1, 1)
    assert "file is not a database" in answer.err
