"""The configuration that `watcher init` writes: it loads, says what it means, and its help is the settings' own."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import Field

from watcher import yamltext
from watcher.config import Config, Limits, WatchedRun, load_config
from watcher.discover import FoundRun, find_runs
from watcher.notify import TARGETS
from watcher.part import Duration, Part, parse_duration
from watcher.record.trackers import TRACKERS
from watcher.score import ScorerSettings
from watcher.settle import SettleSettings
from watcher.setup import spelling
from watcher.setup.rules import copy_rules
from watcher.setup.survey import Survey, survey
from watcher.setup.write import render

PARTS = st.one_of(
    st.sampled_from([*" '\"\\#:{}[]*?!$~%&|>-,@`\n\t\x07\x85\u2028\ufeff", "${HOME}", "${NONE}", "é", "👩‍🎤", "日"]),
    st.characters(exclude_categories=("Cs",), exclude_characters="/\0"),
)
NAMES = st.lists(PARTS, min_size=1, max_size=20).map("".join).filter(lambda name: name not in (".", ".."))
SETTING = re.compile(r"^(\s*)#(?=[^\s#]|  )", re.MULTILINE)
"""A `#` before a setting; before help stands one that a single space follows."""


def found(*named: Path, state: Path = Path("/nowhere")) -> Survey:
    return survey([str(path) for path in named], state)


def run_folder(path: Path) -> Path:
    (path / "validation_images").mkdir(parents=True)
    return path


def write(folder: Path, text: str) -> Path:
    copy_rules(folder)
    path = folder / "watcher.yaml"
    path.write_text(text)
    return path


@settings(deadline=None, max_examples=60)
@given(parent=NAMES, name=NAMES, is_there=st.booleans())
def test_a_folder_of_whatever_name_is_named_so_that_it_is_found(
    tmp_path_factory: pytest.TempPathFactory, parent: str, name: str, is_there: bool
) -> None:
    base = tmp_path_factory.mktemp("names")
    folder = base / "a" / parent / name
    if is_there:
        run_folder(folder)
    text = render(found(folder), "observe")
    loaded = load_config(write(base, text))
    run_folder(folder) if not is_there else None
    assert [run.path for run in _runs(loaded)] == [folder]
    assert text == render(found(folder), "observe") or not is_there


@settings(deadline=None, max_examples=40)
@example(parent=" ", names={" ", "*"})
@example(parent="a", names={"*", "?*"})
@given(parent=NAMES, names=st.sets(NAMES.filter(lambda name: not name.startswith(".")), min_size=2, max_size=4))
def test_siblings_of_whatever_names_become_one_glob_that_finds_them(
    tmp_path_factory: pytest.TempPathFactory, parent: str, names: set[str]
) -> None:
    base = tmp_path_factory.mktemp("names")
    folders = {run_folder(base / "a" / parent / name) for name in names}
    looked = found(base / "a" / parent)
    assert len(looked.entries) == 1
    loaded = load_config(write(base, render(looked, "observe")))
    run_folder(base / "a" / parent / "the next one")
    assert {run.path for run in _runs(loaded)} == folders | {base / "a" / parent / "the next one"}


def _runs(config: Config) -> list[FoundRun]:
    return find_runs(config.runs)


@pytest.fixture
def text(tmp_path: Path) -> str:
    return render(found(run_folder(tmp_path / "out" / "flux").parent), "observe")


def test_every_setting_is_in_it_with_its_own_help(text: str) -> None:
    prose = " ".join(re.sub(r"^\s*#*\s*#? ?", "", line) for line in text.splitlines())
    whole = " ".join(prose.split())
    for part in (Config, WatchedRun, Limits, ScorerSettings, SettleSettings, *TRACKERS):
        for name, field in part.model_fields.items():
            assert re.search(rf"^[ #]*(- )?{name}:", text, re.MULTILINE), name
            assert " ".join((field.description or "?").split()) in whole or (part, name) == (WatchedRun, "path")
    for plug_in in (*TARGETS[1:], *TRACKERS):
        assert (plug_in.__doc__ or "?").strip().split("\n\n")[0] in whole


def test_what_is_commented_out_is_the_default(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_WEBHOOK_URL", "https://hooks.slack.com/services/x")
    for name in re.findall(r"\$\{(\w+)\}", text):
        monkeypatch.setenv(name, "https://example.org/x")
    plain = load_config(write(tmp_path, text))
    whole = load_config(write(tmp_path, SETTING.sub(r"\1", text)))
    assert len(whole.notify) > len(plain.notify) == 1
    assert whole.model_copy(update={"notify": (), "trackers": {}}) == plain.model_copy(
        update={"notify": (), "trackers": {}}
    )
    assert whole.trackers.items() >= plain.trackers.items()
    assert whole.trackers.keys() == {tracker.name for tracker in TRACKERS}


def test_it_is_as_it_would_be_without_it_but_for_what_was_found(tmp_path: Path, text: str) -> None:
    loaded = load_config(write(tmp_path, text))
    assert (loaded.mode, loaded.limits, loaded.settle, loaded.state) == ("observe", Limits(), SettleSettings(), None)
    assert loaded.scorers == {"clip": ScorerSettings()}
    assert list(loaded.trackers) == ["tensorboard"]
    assert [target.label() for target in loaded.notify] == ["log"]


def test_it_fits_a_terminal_and_has_no_white_space_at_ends(text: str) -> None:
    assert max(map(len, text.splitlines())) <= 110
    assert all(line == line.rstrip() for line in text.splitlines())
    assert text.endswith("\n")
    assert not text.endswith("\n\n")


def test_the_same_folders_give_the_same_file_whatever_is_trained_meanwhile(tmp_path: Path, text: str) -> None:
    (tmp_path / "out/flux/validation_images/step_100_cat_0_512x512.png").write_bytes(b"x")
    assert render(found(tmp_path / "out"), "observe") == text


def test_a_suggested_layout_loads_once_its_signs_are_taken_away(tmp_path: Path) -> None:
    samples = tmp_path / "mine" / "my samples"
    samples.mkdir(parents=True)
    for step in (100, 200):
        for key in range(3):
            (samples / f"it's #{step:06d} - {key:02d}.png").write_bytes(b"x")
    text, rest = render(found(tmp_path / "mine"), "observe").split("\n# The models that score", 1)
    plain = load_config(write(tmp_path, text + "\n#" + rest))
    whole = load_config(write(tmp_path, SETTING.sub(r"\1", text) + "\n#" + rest))
    assert plain.runs[0].layout == "auto"
    facts = whole.runs[0].layout.parse(Path("my samples/it's #000200 - 02.png"))
    assert (facts.step, facts.key) == (200, "2")


@given(st.integers(1, 10**7).map(lambda ms: ms / 1000) | st.integers(1, 10**6).map(float))
def test_a_duration_is_written_so_that_it_is_read_as_itself(seconds: float) -> None:
    class Waits(Part):
        """Waits."""

        wait: Duration = Field(default=seconds)
        """So long."""

    text = spelling.default(Waits.model_fields["wait"])
    assert parse_duration(text) == pytest.approx(seconds)
    assert not text.replace(".", "").isdecimal()


@pytest.mark.parametrize(
    ("seconds", "text"), [(600.0, "10m"), (3600.0, "1h"), (1.0, "1s"), (0.5, "0.5s"), (90.0, "90s")]
)
def test_a_duration_is_written_in_the_unit_that_people_use(seconds: float, text: str) -> None:
    class Waits(Part):
        """Waits."""

        wait: Duration = seconds
        """So long."""

    assert spelling.default(Waits.model_fields["wait"]) == text


@given(
    st.text(st.characters(exclude_categories=("Cs",)))
    | st.sampled_from(["08", "1e5", "null", "yes", "on", "~", "0x1F"])
)
def test_a_text_is_read_as_itself(value: str) -> None:
    path = Path("it")
    node = yamltext.compose(path, f"key:\n  - {spelling.scalar(value)}\n")
    assert node is not None
    assert yamltext.construct(path, node) == {"key": [value]}


def test_what_trainers_are_configured_with_is_taken_over(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "outputs" / "flux")
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.json").write_text(json.dumps({"output_dir": str(folder), "validation_prompt": "a"}))
    (finding,) = found(folder).findings
    assert (finding.prompts, finding.source) == (1, tmp_path / "config" / "config.json")
    assert finding.setup.config == tmp_path / "config" / "config.json"
