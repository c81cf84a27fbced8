"""What `watcher check` says of a run's prompts."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from tests.commands import here


def test_the_empty_prompt_is_not_counted(tmp_path: Path) -> None:
    (tmp_path / "flux" / "validation_images").mkdir(parents=True)
    (tmp_path / "prompts.json").write_text(json.dumps({"unconditional": "", "cat": "a cat"}))
    config = tmp_path / "watcher.yaml"
    config.write_text(yaml.safe_dump({"runs": [{"path": "flux", "prompts": "prompts.json"}], "state": "state"}))
    assert "    1 prompt" in here("check", "-c", config).out.splitlines()


def test_what_not_every_training_can_be_told_is_noted_of_each_rule_that_wants_it(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    later = "then: alert, escalate: {after: 2 evaluations, then: [checkpoint, {set_lr: {to: 1e-5}}]}"
    rules.write_text(f"version: 1\nrules: [{{name: slow, when: health/blank > 3, {later}}}]")
    answer = here("rules", "check", rules)
    assert answer.status == 0
    assert answer.out.splitlines() == [
        "note slow: can ask for a checkpoint where `watcher exec` has started the training; elsewhere it alerts only",
        "note slow: can set the learning rate where `watcher exec` has started the training; elsewhere it alerts only",
        "ok: 1 rule in 1 file",
    ]
