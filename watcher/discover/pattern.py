"""The user's own layout: a regular expression with named groups."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import ClassVar, TypeVar

from pydantic import field_validator

from watcher.discover.layout import Facts, Layout, Prompts
from watcher.discover.prompts import read_prompts

Number = TypeVar("Number", int, float)
GROUPS = ("step", "key", "index", "variant", "epoch")


class Pattern(Layout):
    """Anything else: a regular expression over paths relative to the run's folder.

    Named groups: `step` (required), `key` (what names the prompt; without it all images share the key `0`),
    `index` (which image of that prompt), `variant`, `epoch`. A `.txt` file of the same stem beside an image, in
    `sidecar` mode, holds its prompt.
    """

    name: ClassVar[str] = "pattern"

    regex: str
    """Matches the whole relative path, such as `samples/(?P<step>\\d+)_(?P<key>\\w+)\\.png`."""
    prompts_file: str | None = None
    """Prompt file relative to the run's folder; `prompts:` of the run wins."""
    images: int | None = None
    """How many images one evaluation has, where that is known."""
    folders: tuple[str, ...] = (".",)
    """Folders that hold samples, relative to the run's folder; searched with everything below."""

    @field_validator("regex")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            groups = re.compile(value).groupindex
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from error
        if "step" not in groups:
            raise ValueError(r"has no group `step`; write for example (?P<step>\d+)")
        if unknown := sorted(set(groups) - set(GROUPS)):
            raise ValueError(f"unknown groups {', '.join(unknown)}; known are {', '.join(GROUPS)}")
        return value

    def detect(self, folder: Path) -> str:  # noqa: ARG002 - a pattern is chosen, never guessed
        """Never: a pattern is chosen by the user."""
        return ""

    def sample_folders(self, folder: Path) -> list[Path]:
        """Give the configured folders."""
        return [folder / name for name in self.folders]

    def parse(self, relative: PurePath) -> Facts | None:
        """Match the whole relative path."""
        match = re.fullmatch(self.regex, relative.as_posix())
        found = match.groupdict() if match else {}
        try:
            return Facts(
                step=int(found["step"]),
                key=found.get("key") or "0",
                index=_number(int, found.get("index")) or 0,
                variant=found.get("variant") or "",
                epoch=_number(float, found.get("epoch")),
            )
        except (KeyError, ValueError, TypeError):
            return None

    def prompts(self, folder: Path, override: Path | None) -> Prompts:
        """Read the prompt file, else every `.txt` beside an image."""
        if override is not None:
            return read_prompts(override)
        if self.prompts_file:
            return read_prompts(folder / self.prompts_file)
        return Prompts(fault=f"no prompt file: give `prompts:` for {folder}, or `prompts_file:` of its pattern")

    def expected(self, folder: Path, override: Path | None) -> int | None:  # noqa: ARG002
        """Give the configured number."""
        return self.images


def _number(kind: Callable[[str], Number], text: str | None) -> Number | None:
    return None if text is None else kind(text)
