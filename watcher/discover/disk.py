"""What stands on the disk, asked without surprises: a folder that is gone has no names in it, a file no time."""

from __future__ import annotations

import os
from pathlib import Path


def is_text(name: str) -> bool:
    """Tell whether a name can be written down; Linux allows names that are not UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def listed(folder: Path) -> list[str]:
    """Give the names in a folder, sorted; those that are not UTF-8 cannot be written down and are nobody's."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return sorted(filter(is_text, names))


def modified(path: Path) -> float | None:
    """Give the modification time of anything (wall time); None where it is gone."""
    try:
        return path.stat().st_mtime
    except OSError:
        return None
