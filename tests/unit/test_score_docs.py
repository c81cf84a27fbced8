"""docs/scoring.md names every metric and setting, and its numbers are those of the code."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from watcher.cli.app import app
from watcher.config import load_config
from watcher.demo.stage import CLIP
from watcher.judge.metrics import METRICS
from watcher.score import ScoredImage, ScorerSettings, summarise
from watcher.score.checkpoint import find_checkpoint
from watcher.score.devices import BUSY_PERCENT, DESKTOP, NEEDED
from watcher.score.images import NARROWEST
from watcher.steps.scoring import CRASHES, LONGEST_PAUSE

PAGE = (Path(__file__).parents[2] / "docs" / "scoring.md").read_text()
WORDS = " ".join(PAGE.split())


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def test_every_metric_that_is_written_is_described_and_known_to_rules() -> None:
    described = re.findall(r"^\| `([a-z]+/\w+)` \|", PAGE, re.MULTILINE)
    written = summarise([ScoredImage("a", 0.2), ScoredImage("b", 0.3)])
    assert sorted(described) == sorted(written) == sorted(METRICS)


def test_every_setting_is_shown_with_its_default(tmp_path: Path) -> None:
    (tmp_path / "watcher.yaml").write_text(block("yaml"))
    shown = load_config(tmp_path / "watcher.yaml").scorers["clip"]
    assert shown.model_fields_set == set(ScorerSettings.model_fields)
    assert shown.model_dump(exclude={"threads"}) == ScorerSettings().model_dump(exclude={"threads"})
    assert yaml.safe_load(block("yaml"))["scorers"]["clip"]["idle_unload"] == "10m"


def test_the_identity_shown_has_the_shape_of_a_real_one() -> None:
    shape = re.compile(r"[\w./-]+@[0-9a-f]{12}/[0-9a-f]{8}/fp32/keep-end")
    assert shape.fullmatch(block("text").strip())
    assert shape.fullmatch(find_checkpoint(str(CLIP)).identity())


@pytest.mark.parametrize(
    "text",
    [
        f"at most {BUSY_PERCENT} % busy",
        f"at most {DESKTOP // 2**30} GiB in use",
        f"at least {NEEDED // 2**30} GiB free",
        f"one side over {NARROWEST} times the other",
        {2: "there at three crashes"}[CRASHES],
        {60.0: "at the latest every minute"}[LONGEST_PAUSE],
        f"about {json.loads((CLIP / 'figures.json').read_text())['right_cosine_mean']:.2f} with the little one",
        f"hf download {ScorerSettings().model}",
    ],
)
def test_its_numbers_are_those_of_the_code(text: str) -> None:
    assert text in WORDS


def test_every_command_and_option_it_names_exists() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    named = re.findall(r"`watcher (\w+)([^`]*)`", PAGE)
    assert named
    for name, rest in named:
        options = {text for parameter in commands[name].params for text in parameter.opts}
        assert set(re.findall(r"--[\w-]+", rest)) <= options
