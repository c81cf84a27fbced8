"""The user's own layout: a regular expression with named groups."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path, PurePath
from typing import ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from watcher.discover.bearing import prompt_beside, prompt_in
from watcher.discover.below import below
from watcher.discover.disk import is_text
from watcher.discover.layout import Facts, Layout, Place, Prompts
from watcher.discover.prompts import read_prompts
from watcher.discover.tiles import Tiles
from watcher.discover.told import told_prompts
from watcher.discover.wording import plain, without
from watcher.errors import ConfigError

GROUPS = ("step", "key", "index", "variant", "epoch", "stream")
STREAMS = 100
"""Trainings of one folder; where a pattern tells more apart, its group takes in what names no training."""


class Pattern(Layout):
    """Anything else: a regular expression over paths relative to the run's folder.

    Named groups: `step` (or `epoch` alone, where names hold no step), `key` (what names the prompt; without it all
    images share the key `0`), `index` (which image of that prompt), `variant`, `epoch`, `stream` (which of the
    trainings that share the folder).

    A picture may bear its own prompt: with `sidecars: true` in the `.txt` file of the same stem beside it, with `text`
    in its file. That comes before the prompt of its key; a prompt file that the run is given comes before all.
    """

    name: ClassVar[str] = "pattern"

    regex: str
    """Matches the whole relative path, such as `samples/(?P<step>\\d+)_(?P<key>\\w+)\\.png`."""
    prompts_file: str | None = None
    """Prompt file relative to the run's folder, `{stream}` standing for the training; `prompts:` of the run wins."""
    sidecars: bool = False
    """Prompts stand in a `.txt` file beside each image; what follows there, such as a negative prompt, is left out."""
    text: Literal["parameters", "prompt"] | None = None
    """Prompts stand in each picture's file: `parameters` as Stable Diffusion web UI writes it (PNG text, or the EXIF
    comment of a JPEG or WebP), or a PNG text `prompt`."""
    weights: Literal["a1111"] | None = None
    """`a1111`: prompts are written for Stable Diffusion web UI; `(cat:1.2)`, `<lora:...>` and the like are left out of
    what is scored."""
    without: tuple[str, ...] = ()
    """Words that are taken out of prompts before they are scored: trigger words, and placeholders for them."""
    images: int | None = Field(default=None, gt=0)
    """How many images one evaluation has, where that is known; of a grid each tile that is used counts."""
    folders: tuple[str, ...] = (".",)
    """Folders that hold samples, relative to the run's folder, or globs; searched with everything below."""
    tiles: Tiles | None = None
    """How pictures that are grids or strips are cut."""

    @field_validator("regex")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            groups = re.compile(value).groupindex
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from error
        if not {"step", "epoch"} & set(groups):
            raise ValueError(r"has no group `step`, nor `epoch`; write for example (?P<step>\d+)")
        if unknown := sorted(set(groups) - set(GROUPS)):
            raise ValueError(f"unknown groups {', '.join(unknown)}; known are {', '.join(GROUPS)}")
        return value

    @field_validator("prompts_file")
    @classmethod
    def _stays_inside(cls, value: str | None) -> str | None:
        return value and _inside(value)

    @field_validator("folders")
    @classmethod
    def _stay_inside(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(_inside, value))

    @model_validator(mode="after")
    def _fits(self) -> Pattern:
        if self.tiles and self.tiles.each == "prompt" and (self.sidecars or self.text):
            raise ValueError("`each: prompt` needs a prompt file: `sidecars` and `text` give one prompt to a picture")
        return self

    def detect(self, folder: Path) -> str:  # noqa: ARG002 - a pattern is chosen, never guessed
        """Never: a pattern is chosen by the user."""
        return ""

    def sample_folders(self, folder: Path) -> list[Path]:
        """Give the configured folders, without those that lie in another of them."""
        found = {place for name in self.folders for place in _places(folder, name)}
        return sorted(place for place in found if not found.intersection(place.parents))

    def parse(self, relative: PurePath) -> Facts | None:
        """Match the whole relative path; numbers that cannot be stored are none."""
        match = _compiled(self.regex).fullmatch(str(relative))
        if match is None:
            return None
        found = match.groupdict()
        try:
            epoch = _finite(found["epoch"]) if found.get("epoch") else None
            step, index = _whole(found.get("step") or found["epoch"] or ""), _whole(found.get("index") or "0")
        except (KeyError, ValueError):
            return None
        names = found.get("key") or "0", found.get("variant") or "", found.get("stream") or ""
        by_epoch = step > 0 and not found.get("step")
        return Facts(step, names[0], index, names[1], epoch, stream=names[2], by_epoch=by_epoch)

    def streams(self, folder: Path) -> list[str]:
        """Name the trainings that have samples, where the pattern tells them apart; none before the first sample.

        Raises:
            ConfigError: there are so many that the group `stream` cannot name trainings.

        """
        if "stream" not in self._groups:
            return [""]
        read = _Streams(self, folder)
        names = set().union(*(below(place, read) for place in self.sample_folders(folder)))
        if len(names) > STREAMS:
            shown = ", ".join(sorted(names)[:2])
            raise ConfigError(
                f"{folder} would be over {STREAMS} trainings, such as {shown}: "
                "let (?P<stream>...) match only what names a training"
            )
        return sorted(names)

    def prompts(self, place: Place) -> Prompts:
        """Read the prompt file, else what the running trainer was told; says where pictures bear their own prompts."""
        if place.prompts is not None:
            return read_prompts(place.prompts)
        ways = [f"the text `{self.text}` of each picture"] * bool(self.text)
        own = " or ".join(ways + ["the .txt file beside each picture"] * self.sidecars)
        if self.prompts_file:
            found = read_prompts(place.folder / self.prompts_file.replace("{stream}", place.stream))
            return replace(found, own=own)
        if own:
            return Prompts(own=own)
        fault = f"no prompt file: give `prompts:` for {place.folder}, or `prompts_file:` of its pattern"
        return told_prompts(place.folder) or Prompts(fault=fault)

    def own_prompt(self, place: Place, path: Path, notes: Mapping[str, str]) -> str | None:
        """Give the prompt in the picture's file, else that beside it; None where `prompts:` of the run says all."""
        if place.prompts is not None:
            return None
        found = prompt_in(notes[self.text]) if self.text and self.text in notes else None
        return prompt_beside(path) if found is None and self.sidecars else found

    def expected(self, place: Place) -> int | None:  # noqa: ARG002
        """Give the configured number."""
        return self.images

    def worded(self, prompt: str) -> str:
        """Take the words out that are not to be scored, then the weights."""
        found = without(prompt, self.without)
        return plain(found) if self.weights else found

    def flaw(self, place: Place, facts: Facts, width: int, height: int) -> str:  # noqa: ARG002
        """Say why a picture is not the grid that it should be; empty when it is, or none is asked for."""
        return self.tiles.flaw(width, height) if self.tiles else ""

    def split(self, place: Place, facts: Facts, width: int, height: int) -> Sequence[Facts]:
        """Give the tiles that are samples; the whole picture where it is no grid, or not the one that it should be."""
        if self.tiles is None or facts.tile or self.flaw(place, facts, width, height):
            return [facts]
        return self.tiles.split(facts, width, height, keyed="key" in self._groups)

    @property
    def _groups(self) -> Mapping[str, int]:
        return _compiled(self.regex).groupindex


@lru_cache(maxsize=256)
def _compiled(regex: str) -> re.Pattern[str]:
    return re.compile(regex)


@dataclass(frozen=True)
class _Streams:
    """Reads the training's name in a path; equal to another of the same pattern."""

    layout: Pattern
    folder: Path

    def __hash__(self) -> int:
        return hash((self.layout.regex, self.folder))

    def __call__(self, path: str) -> frozenset[str]:
        facts = self.layout.parse(PurePath(path).relative_to(self.folder))
        return frozenset([facts.stream] if facts and is_text(facts.stream) else [])


def _inside(name: str) -> str:
    if PurePath(name).is_absolute() or ".." in PurePath(name).parts:
        raise ValueError(f"{name!r} leads out of the run's folder; give a place below it")
    return name


def _places(folder: Path, name: str) -> list[Path]:
    return list(folder.glob(name)) if set(name) & set("*?[") else [folder / name]


def _whole(text: str) -> int:
    number = int(text)
    if not 0 <= number < 2**63:
        raise ValueError(text)
    return number


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number
