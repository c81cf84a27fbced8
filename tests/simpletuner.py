"""A SimpleTuner user's folders: a working folder with `config/`, and the output folder that it names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DEFAULTS: dict[str, Any] = {"--output_dir": "output/run", "model_family": "sdxl"}


def project(workspace: Path, settings: dict[str, Any], place: str = "config/config.json") -> Path:
    """Write a configuration; gives the output folder, which is made."""
    output = workspace / "output" / "run"
    (output / "validation_images").mkdir(parents=True, exist_ok=True)
    path = workspace / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(DEFAULTS | settings))
    return output
