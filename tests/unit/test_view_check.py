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
