"""The user's own layout: a regular expression with named groups."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from pathlib import Path, PurePath
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from watcher.discover.layout import Facts, Layout, Place, Prompts
from watcher.discover.prompts import read_prompts
from watcher.discover.wording import plain, without

GROUPS = ("step", "key", "index", "variant", "epoch")


class Pattern(Layout):
    """Anything else: a regular expression over paths relative to the run's folder.

    Named groups: `step` (or `epoch` alone, where names hold no step), `key` (what names the prompt; without it all
    images share the key `0`), `index` (which image of that prompt), `variant`, `epoch`. With `sidecars: true`, the
    `.txt` file of the same stem beside an image holds its prompt, as many trainers' data sets have it.
    """

    name: ClassVar[str] = "pattern"

    regex: str
    """Matches the whole relative path, such as `samples/(?P<step>\\d+)_(?P<key>\\w+)\\.png`."""
    prompts_file: str | None = None
    """Prompt file relative to the run's folder; `prompts:` of the run wins."""
    sidecars: bool = False
    """Prompts stand in a `.txt` file beside each image."""
    weights: Literal["a1111"] | None = None
    """`a1111`: prompts are written for Stable Diffusion web UI; `(cat:1.2)`, `<lora:...>` and the like are left out of
    what is scored."""
    without: tuple[str, ...] = ()
    """Words that are taken out of prompts before they are scored: trigger words, and placeholders for them."""
    images: int | None = Field(default=None, gt=0)
    """How many images one evaluation has, where that is known."""
    folders: tuple[str, ...] = (".",)
    """Folders that hold samples, relative to the run's folder, or globs; searched with everything below."""

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

    @field_validator("folders")
    @classmethod
    def _stay_inside(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if PurePath(name).is_absolute() or ".." in PurePath(name).parts:
                raise ValueError(f"{name!r} leads out of the run's folder; give a folder below it")
        return value

    def detect(self, folder: Path) -> str:  # noqa: ARG002 - a pattern is chosen, never guessed
        """Never: a pattern is chosen by the user."""
        return ""

    def sample_folders(self, folder: Path) -> list[Path]:
        """Give the configured folders, without those that lie in another of them."""
        found = {place for name in self.folders for place in _places(folder, name)}
        return sorted(place for place in found if not found.intersection(place.parents))

    def parse(self, relative: PurePath) -> Facts | None:
        """Match the whole relative path; numbers that cannot be stored are none."""
        match = re.fullmatch(self.regex, relative.as_posix())
        if match is None:
            return None
        found = match.groupdict()
        try:
            epoch = _finite(found["epoch"]) if found.get("epoch") else None
            step, index = _whole(found.get("step") or found["epoch"] or ""), _whole(found.get("index") or "0")
        except (KeyError, ValueError):
            return None
        by_epoch = step > 0 and not found.get("step")
        return Facts(step, found.get("key") or "0", index, found.get("variant") or "", epoch, by_epoch=by_epoch)

    def prompts(self, place: Place) -> Prompts:
        """Read the prompt file, else the `.txt` files beside the images."""
        if place.prompts is not None:
            return read_prompts(place.prompts)
        if self.prompts_file:
            return read_prompts(place.folder / self.prompts_file)
        if self.sidecars:
            return self._beside(place.folder)
        return Prompts(fault=f"no prompt file: give `prompts:` for {place.folder}, or `prompts_file:` of its pattern")

    def expected(self, place: Place) -> int | None:  # noqa: ARG002
        """Give the configured number."""
        return self.images

    def worded(self, prompt: str) -> str:
        """Take the words out that are not to be scored, then the weights."""
        found = without(prompt, self.without)
        return plain(found) if self.weights else found

    def _beside(self, folder: Path) -> Prompts:
        """Read all sidecars; a key whose images have different prompts has none, for it names no prompt."""
        texts: dict[str, str] = {}
        faults: dict[str, str] = {}
        for path in sorted(path for place in self.sample_folders(folder) for path in place.rglob("*")):
            facts = self.parse(path.relative_to(folder)) if path.suffix != ".txt" else None
            text = _sidecar(path.with_suffix(".txt")) if facts else None
            if facts and text is not None and texts.setdefault(facts.key, text) != text:
                faults[facts.key] = f"images of key {facts.key!r} have different prompts, such as {path}"
        fault = "; ".join([*faults.values()][:1] + ["capture what tells prompts apart as (?P<key>...)"] * bool(faults))
        return Prompts({key: text for key, text in texts.items() if key not in faults}, folder, fault)


def _places(folder: Path, name: str) -> list[Path]:
    return list(folder.glob(name)) if set(name) & set("*?[") else [folder / name]


def _sidecar(path: Path) -> str | None:
    """Read a prompt; None where there is none yet."""
    try:
        return _read(path, path.stat().st_mtime_ns)
    except (OSError, ValueError):
        return None


@lru_cache(maxsize=2**16)
def _read(path: Path, _mtime_ns: int) -> str:
    return path.read_text(encoding="utf-8-sig").strip()


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
