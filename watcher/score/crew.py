"""All scorers of a configuration, loaded in one process; what fails is left out, unless it is the main one."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from watcher.errors import ScoreError
from watcher.names import MAIN
from watcher.score.checkpoint import Checkpoint, find_checkpoint
from watcher.score.together import Scorers, Together

if TYPE_CHECKING:
    from watcher.score.model import Model
    from watcher.score.place import Places

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """The models that are there, and what is wrong with the others."""

    checkpoints: Mapping[str, Checkpoint]
    faults: Mapping[str, str]

    def needed(self, scorers: Scorers) -> dict[str, int]:
        """Give the bytes that each takes on a GPU."""
        batch = Together.of(scorers).batch_size
        return {name: one.memory(batch, scorers[name].dtype) for name, one in self.checkpoints.items()}


def find_all(scorers: Scorers) -> Found:
    """Find the model of every scorer.

    Raises:
        ScoreError: that of the main scorer is not there, or is no model that scores.

    """
    found: dict[str, Checkpoint] = {}
    faults: dict[str, str] = {}
    for name, settings in scorers.items():
        try:
            found[name] = find_checkpoint(settings.model)
        except ScoreError as error:
            faults[name] = _other(name, error)
    return Found(found, faults)


def load_all(
    found: Found, scorers: Scorers, places: Places, cache: Path | None
) -> tuple[Mapping[str, Model], dict[str, str]]:
    """Load the models that were found, each at its place in its precision; gives them, and what is wrong with others.

    Raises:
        ScoreError: that of the main scorer cannot be loaded.

    """
    from watcher.score.model import Model

    models: dict[str, Model] = {}
    faults = dict(found.faults)
    for name, checkpoint in found.checkpoints.items():
        try:
            model = Model.load(checkpoint.name, places[name], cache, scorers[name].dtype)
        except Exception as error:  # noqa: BLE001 - one model's failure, of whatever kind, must not blind the main one
            faults[name] = _other(name, error)
            continue
        same = next((one for one, other in models.items() if other.identity == model.identity), "")
        if same:
            faults[name] = f"it is the same model as `{same}`, so that their scores could not be told apart"
        else:
            models[name] = model
    return models, faults


def _other(name: str, error: Exception) -> str:
    """Say what is wrong with a further scorer; that of the main one is raised again."""
    if name == MAIN:
        raise error
    reason = str(error) if isinstance(error, ScoreError) else f"{type(error).__name__}: {error}"
    log.warning("scorer %s is left out: %s", name, reason)
    return reason
