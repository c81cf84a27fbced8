"""The ready rules, copied beside the configuration for their user to change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from watcher.setup import files

FOLDER = "rules"
"""Where rules stand, beside the configuration."""
SCHEMA = "schema.json"
"""By which editors check and complete rules; the ready ones name it."""


@dataclass(frozen=True, slots=True)
class RuleCopy:
    """A rule file beside the configuration."""

    path: Path
    state: Literal["copied", "there", "changed"]
    """`there`: it was there, and is as it comes; `changed`: the user has changed it, so it stays as it is."""


ACTIVE = ("abandon-low-clip.yaml",)
"""The rules that a new configuration begins with; rules/README.md helps to choose among the others."""


def ready() -> list[Path]:
    """Give the rule files that come with the program, and that a new configuration begins with.

    Raises:
        ConfigError: the installation lacks them.

    """
    return sorted(path for path in files.packaged("rules").glob("*.yaml") if path.name in ACTIVE)


def copy_rules(beside: Path) -> list[RuleCopy]:
    """Copy the ready rule files, and the schema that they name, into a configuration's folder; what is there stays.

    Raises:
        ConfigError: the installation lacks them.
        OSError: they cannot be written.

    """
    copies = list(_copies(beside / FOLDER))
    schema = beside / FOLDER / SCHEMA
    if copies and files.read(schema) is None:
        files.write(schema, (files.packaged("rules") / SCHEMA).read_text(encoding="utf-8"))
    return copies


def _copies(folder: Path) -> Iterator[RuleCopy]:
    for source in ready():
        path, text = folder / source.name, source.read_text(encoding="utf-8")
        there = files.read(path)
        if there is None:
            files.write(path, text)
        yield RuleCopy(path, "copied" if there is None else "there" if there == text else "changed")
