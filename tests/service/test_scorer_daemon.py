"""A model that cannot be used: the real daemon stays up, keeps the images for later, and `status` says why."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.service.daemons import PATIENCE, Place, wait_for
from tests.unit.score_models import copy_of_clip


def status(place: Place, *more: str) -> str:
    command = [sys.executable, "-m", "watcher", "status", "-c", str(place.config), *more]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE).stdout


def refusing(place: Place) -> bool:
    return "failing" in (place.fact("scorer") or "")


def test_a_model_that_cannot_be_used_leaves_the_images_waiting_and_the_daemon_up(tmp_path: Path) -> None:
    place = Place(tmp_path, scenes=4, scorers={"clip": {"model": "./models/clip", "device": "cpu"}})
    (tmp_path / "models").mkdir()
    copy_of_clip(tmp_path / "models" / "clip", "tokenizer.json")
    place.write(100)
    with place.daemon() as daemon:
        daemon.wait_ready()
        wait_for(lambda: refusing(place), "the scorer refuses", daemon)
        found: dict[str, Any] = json.loads(status(place, "--json"))
        assert found["scorer"]["state"] == "failing"
        assert (
            f"{tmp_path}/models/clip: it has no tokenizer; expected a CLIP model, or one like it"
            in found["scorer"]["reason"]
        )
        (run,) = found["runs"]
        assert (run["pending"], run["undecodable"], run["metrics"]) == (4, 0, {})
        assert "scorer: model" in status(place)
        assert daemon.end() == 0
