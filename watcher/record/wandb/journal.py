"""What a place has been shown: written down once W&B, or the disk, has it for good.

So neither a daemon that is killed before it could note it in its store, nor a store that is made anew, shows a point
twice.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from watcher.record.wandb.messages import Point

NAME = "shown.jsonl"
CALLED = "called.json"
"""What the run is called in W&B."""
_POINT: TypeAdapter[Point] = TypeAdapter(Point)


def exists(place: Path) -> bool:
    """Tell whether anything was shown."""
    return (place / NAME).is_file()


def read(place: Path) -> dict[str, Point]:
    """Give what was shown by key, without its images; a line that a full disk has torn is none."""
    try:
        lines = (place / NAME).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return {}
    points = [point for line in lines if (point := _point(line))]
    return {point.key: point for point in points}


def _point(line: str) -> Point | None:
    try:
        return _POINT.validate_python(json.loads(line))
    except (ValueError, ValidationError):
        return None


def add(place: Path, points: Sequence[Point]) -> None:
    """Note that points are shown for good."""
    place.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(asdict(point) | {"images": []}) for point in points]
    with (place / NAME).open("a", encoding="utf-8") as file:
        file.write("\n" + "\n".join(lines) + "\n")  # first the end of a line that may be torn
        file.flush()
        os.fsync(file.fileno())


def remember(place: Path, names: Mapping[str, str]) -> None:
    """Keep what a run is called: the trainer's configuration, from which that comes, may be gone tomorrow."""
    new = place / f"{CALLED}.new"
    new.write_text(json.dumps(dict(names)), encoding="utf-8")
    new.replace(place / CALLED)


def remembered(folder: Path) -> dict[str, str]:
    """Give what a run was called last, from the folder of all of its places; empty where it was never shown."""
    found = sorted(folder.glob(f"*/{CALLED}"), key=lambda path: path.stat().st_mtime)
    names: dict[str, str] = json.loads(found[-1].read_text(encoding="utf-8")) if found else {}
    return names


def newest(points: Sequence[Point]) -> dict[str, float]:
    """Give the values that stand for the run as a whole: for each name those of the newest attempt's highest step."""
    ordered = sorted(points, key=lambda point: (point.attempt, point.step))  # stable: of one step the later revision
    return {name: value for point in ordered for name, value in point.values.items()}
