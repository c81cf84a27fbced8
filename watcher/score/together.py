"""What the one process of all scorers goes by, made of the settings of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from watcher.score.settings import ScorerSettings

Scorers = Mapping[str, ScorerSettings]
"""The settings of each scorer, by its name; the main one first."""


@dataclass(frozen=True, slots=True)
class Together:
    """Settings of the process: a batch goes through all models, one after the other."""

    batch_size: int
    """The smallest."""
    batch_timeout: float
    """Seconds; those of all, added up."""
    idle_unload: float
    """Seconds; the longest."""
    threads: int | None
    """The most that one asks for; None where none does."""

    @staticmethod
    def of(scorers: Scorers) -> Together:
        """Put the settings of all scorers together."""
        each = list(scorers.values())
        return Together(
            batch_size=min(one.batch_size for one in each),
            batch_timeout=sum(one.batch_timeout for one in each),
            idle_unload=max(one.idle_unload for one in each),
            threads=max((one.threads for one in each if one.threads is not None), default=None),
        )


def twins(scorers: Scorers) -> tuple[str, str] | None:
    """Give the names of two scorers that would give the same scores, if there are any.

    Where and how fast they run changes no score, so that the store could not tell them apart; the precision does.
    """
    seen: dict[tuple[str, str], str] = {}
    for name, settings in scorers.items():
        one = (settings.model, settings.dtype)
        if one in seen:
            return seen[one], name
        seen[one] = name
    return None
