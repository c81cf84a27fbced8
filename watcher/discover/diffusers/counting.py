"""How many pictures a validation has of a script that logs each prompt by itself."""

from __future__ import annotations

from collections import Counter

from watcher.discover import events
from watcher.discover.diffusers.names import FINAL, UNCONDITIONAL, VALIDATION
from watcher.discover.diffusers.starts import Start


def logged_at_once(start: Start, *, conditioned: bool) -> int | None:
    """Give how many pictures, tiles not counted, one validation logs; None where that is not known.

    The command line says it, else the first validation that another one has followed: all of a start are alike.
    """
    asked = max(len(start.lists.get(name, ())) for name in ("validation_prompt", "validation_image"))
    if asked:
        return asked
    steps = Counter(picture.step for picture in _main(start, conditioned=conditioned))
    return next(iter(steps.values())) if len(steps) > 1 else None


def _main(start: Start, *, conditioned: bool) -> list[events.Embedded]:
    """Give the pictures of the main variant; without conditioning images, what is logged again is another model's."""
    try:
        found = events.pictures(start.file)
    except OSError:
        return []
    tags = (VALIDATION, FINAL, UNCONDITIONAL)
    return [one for one in found if one.tag not in tags and (conditioned or one.repeat == 0)]
