"""docs/control.md shows settings that load, defaults that are true, and every end of a stop."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.unit.test_docs import blocks
from watcher.act import BACKENDS
from watcher.config import load_config
from watcher.judge import StopAction
from watcher.nouns import FINAL, HOLD

PAGE = Path(__file__).parents[2] / "docs" / "control.md"
SHOWN = blocks(PAGE, "yaml")


@pytest.mark.parametrize("text", SHOWN, ids=range(len(SHOWN)))
def test_every_setting_shown_loads(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMPLETUNER_KEY", "st_shown")
    is_rules = "rules" in yaml.safe_load(text)
    (tmp_path / "shown.yaml").write_text(text)
    config = tmp_path / "watcher.yaml"
    config.write_text("runs: [{path: a}]\nrules: [shown.yaml]\n" if is_rules else text)
    assert load_config(config).runs


def test_the_defaults_shown_are_the_defaults() -> None:
    (text,) = [text for text in SHOWN if "rules:" in text]
    shown = yaml.safe_load(text)["rules"][0]["then"]["stop"]
    assert set(shown) == set(StopAction.model_fields)
    assert StopAction.model_validate(shown) == StopAction()


def test_every_end_of_a_stop_and_every_way_to_find_it_is_described() -> None:
    page = PAGE.read_text()
    settings = [name for backend in BACKENDS for name in backend.model_fields]
    for word in (*FINAL, *settings, *(backend.name for backend in BACKENDS)):
        assert f"`{word}`" in page
    assert f"`{HOLD}`" in page


def test_the_pattern_shown_matches_the_training_that_it_is_shown_for() -> None:
    (text,) = [text for text in SHOWN if "match:" in text]
    backend = yaml.safe_load(text)["runs"][0]["control"][0]["process"]
    assert re.search(backend["match"], "/venv/bin/python train_flux.py --config /etc/flux-lora.toml")
