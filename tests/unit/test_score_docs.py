"""docs/scoring.md names every metric and setting, and its numbers are those of the code."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.main import get_command

from tests.unit.test_score_health import PHOTOGRAPHS, REAL
from watcher.cli.app import app
from watcher.config import load_config
from watcher.demo.stage import CLIP
from watcher.judge.metrics import METRICS
from watcher.names import RESERVED, is_trainers
from watcher.pictures import NARROWEST
from watcher.record import vectors
from watcher.record.lag import METRIC
from watcher.score import KNOWN, ScoredImage, ScorerSettings, Together, paired_delta, previous_delta, summarise
from watcher.score import footprint as room
from watcher.score.checkpoint import find_checkpoint
from watcher.score.devices import BUSY_PERCENT, CONTEXT, DESKTOP
from watcher.score.families import FAMILIES
from watcher.score.footprint import ENOUGH, activations
from watcher.score.gpus import BETWEEN, LOOKS
from watcher.score.health import LEVELS, MARGIN, STRAYS
from watcher.score.precision import TOLERANCE
from watcher.score.scorer import RETRY
from watcher.score.vectors import TIE
from watcher.steps.scoring import LONGEST_PAUSE
from watcher.steps.suspects import ALONE, WHOLE

PAGE = (Path(__file__).parents[2] / "docs" / "scoring.md").read_text()
UNIT = np.array([1, 0], dtype=np.float32).tobytes()
WORDS = " ".join(PAGE.split())


def needed(name: str) -> int:
    """Give the bytes that must be free for a model in common use."""
    (known,) = [one for one in KNOWN if one.name == name]
    return known.size + CONTEXT + room.MARGIN + activations(known.vision, ENOUGH)


def block(language: str, place: int = 0) -> str:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[place]


def test_every_metric_that_is_written_is_described_and_known_to_rules() -> None:
    described = re.findall(r"^\| `([a-z]+/\w+)` \|", PAGE, re.MULTILINE)
    images = [ScoredImage(key, 0.2, prompt=key, image=UNIT, text=UNIT) for key in "ab"]
    written = summarise(images) | paired_delta(images, images) | previous_delta(images, images) | {METRIC: 0.0}
    scored = [metric for metric in METRICS if not is_trainers(metric)]  # the trainer's own are no scorer's
    assert sorted(described) == sorted(written) == sorted(scored)


def test_every_setting_is_shown_with_its_default(tmp_path: Path) -> None:
    (tmp_path / "watcher.yaml").write_text(block("yaml"))
    shown = load_config(tmp_path / "watcher.yaml").scorers["clip"]
    assert shown.model_fields_set == set(ScorerSettings.model_fields)
    assert shown.model_dump(exclude={"threads"}) == ScorerSettings().model_dump(exclude={"threads"})
    assert yaml.safe_load(block("yaml"))["scorers"]["clip"]["idle_unload"] == "10m"


def test_the_example_of_several_scorers_loads_and_what_the_process_goes_by_is_explained(tmp_path: Path) -> None:
    (tmp_path / "watcher.yaml").write_text(block("yaml", 1))
    scorers = load_config(tmp_path / "watcher.yaml").scorers
    assert list(scorers) == ["clip", "siglip"]
    table = PAGE.split("## Several scorers")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == {one.name for one in fields(Together)}
    assert all(f"`{name}`" in table for name in RESERVED)
    assert {600.0: "after ten minutes of work"}[RETRY] in WORDS


def test_the_identity_shown_has_the_shape_of_a_real_one() -> None:
    shape = re.compile(r"[\w./-]+@[0-9a-f]{12}/[0-9a-f]{8}/fp32/keep-end")
    assert shape.fullmatch(block("text").strip())
    assert shape.fullmatch(find_checkpoint(str(CLIP)).identity())


@pytest.mark.parametrize(
    "text",
    [
        f"more than {BUSY_PERCENT} % busy in any of {LOOKS} looks within {'a second' if LOOKS * BETWEEN < 1.5 else 0}",
        f"more than {DESKTOP // 2**30} GiB in use",
        f"a batch of up to {ENOUGH} pictures",
        f"{needed(ScorerSettings().model) / 2**30:.1f} GiB for the default model",
        f"one side over {NARROWEST} times the other",
        f"at most {100 * STRAYS:g} % of the pixels",
        {1 / 32: "a 32nd of the width and height"}[MARGIN],
        {3: "three neighbouring levels (of 256)"}[LEVELS],
        {0.04: "is over 4 %, 20 times the limit"}[REAL],
        f"A tie, to within {TIE:.6f}, is a hit",
        {3: "of the last three closed ones of a run and variant"}[vectors.LAST],
        f"Measured on the {len(PHOTOGRAPHS)} photographs and scans",
        {2: "crashed the process twice alone"}[ALONE],
        {1: "after a second crash, each picture of that batch alone"}[WHOLE],
        {60.0: "at the latest every minute"}[LONGEST_PAUSE],
        f"about {json.loads((CLIP / 'figures.json').read_text())['right_cosine_mean']:.2f} with the little one",
        f"watcher model fetch {ScorerSettings().model}",
    ],
)
def test_its_numbers_are_those_of_the_code(text: str) -> None:
    assert text in WORDS


def test_every_family_that_can_score_is_described() -> None:
    assert re.findall(r"^\| `([a-z-]+)` \| .* \| .* \|$", PAGE, re.MULTILINE) == [one.model_type for one in FAMILIES]


def test_the_tolerance_of_a_precision_is_documented() -> None:
    assert f"cosines to within {TOLERANCE['bf16']:g} and {TOLERANCE['fp16']:g}" in WORDS
    assert set(TOLERANCE) == {"fp32", "bf16", "fp16"}
    assert all(f"`{dtype}`" in PAGE or dtype in block("yaml") for dtype in TOLERANCE)


def test_every_command_and_option_it_names_exists() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    named = re.findall(r"`watcher (\w+)([^`]*)`", PAGE)
    assert named
    for name, rest in named:
        options = {text for parameter in commands[name].params for text in parameter.opts}
        assert set(re.findall(r"--[\w-]+", rest)) <= options
