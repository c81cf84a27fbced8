"""Standard prompts by category, and even-handed samples of them; `data/README.md` says whose they are."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from watcher.errors import ConfigError

DATA = Path(__file__).parent / "data"
SLUG = 32
"""Letters of a prompt in its key: enough to know it by."""
_NO_LETTERS = re.compile(r"[^a-z0-9]+")
_GENEVAL = (
    ("single object", 80),
    ("two objects", 99),
    ("counting", 80),
    ("colors", 94),
    ("position", 100),
    ("color attribution", 100),
)
"""GenEval's tasks and the number of their prompts, in the order of its file (`evaluation_metadata.jsonl`, `tag`)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One prompt of a library."""

    key: str
    """Names it alike in every export: library, number in it from 1, and its first words, joined by hyphens.

    SimpleTuner makes file names of it. Without underscores nothing in it can be taken for the number of an image, nor
    for the name of an adapter.
    """
    text: str
    category: str


@dataclass(frozen=True, slots=True)
class Library:
    """A published set of prompts."""

    name: str
    title: str
    licence: str
    source: str
    read: Callable[[], list[tuple[str, str]]]
    """Gives texts with their categories, in the published order."""

    def entries(self) -> list[Entry]:
        """Give all prompts in the published order, without blanks around them, as no trainer keeps those."""
        return [_entry(self.name, number, *found) for number, found in enumerate(self.read(), 1)]


def _entry(library: str, number: int, text: str, category: str) -> Entry:
    words = _NO_LETTERS.sub("-", text.lower()).strip("-")[:SLUG].strip("-")
    return Entry("-".join(part for part in (library, f"{number:04d}", words) if part), text.strip(), category)


def _parti() -> list[tuple[str, str]]:
    """Read the published table: Prompt, Category, Challenge, Note; quotes in it are letters like others."""
    lines = (DATA / "parti_prompts.tsv").read_text(encoding="utf-8").splitlines()
    return [(cells[0], cells[1]) for cells in (line.split("\t") for line in lines[1:])]


def _geneval() -> list[tuple[str, str]]:
    lines = (DATA / "geneval_prompts.txt").read_text(encoding="utf-8").splitlines()
    tasks = [task for task, number in _GENEVAL for _ in range(number)]
    return list(zip(lines, tasks, strict=True))


LIBRARIES: tuple[Library, ...] = (
    Library("parti", "PartiPrompts", "Apache-2.0", "https://github.com/google-research/parti", _parti),
    Library("geneval", "GenEval", "MIT", "https://github.com/djghosh13/geneval", _geneval),
)


def choose_library(name: str) -> Library:
    """Find a library by its name or title, in large or small letters.

    Raises:
        ConfigError: there is none such; names those that there are.

    """
    for one in LIBRARIES:
        if name.lower() in (one.name, one.title.lower()):
            return one
    known = ", ".join(one.name for one in LIBRARIES)
    raise ConfigError(f"no prompt library {name!r}; there are {known}: `watcher prompts list`")


def sample(entries: Sequence[Entry], size: int, seed: int = 0) -> list[Entry]:
    """Choose prompts so that every category has its share, in the order of the library.

    Places go one by one to the category with the most prompts for each place that it has or would get (Sainte-Lague),
    but first one to every category, the largest first. Within a category the seed decides, by SHA-256, so that the
    choice is the same on every machine and Python. A larger sample of the same seed holds the smaller one.

    Raises:
        ConfigError: there are not so many.

    """
    if size > len(entries):
        raise ConfigError(f"--sample {size}: the library has {len(entries)} prompts; leave it out for all of them")
    places = _places(Counter(one.category for one in entries), size)
    chosen: set[str] = set()
    for category, number in places.items():
        mine = [one for one in entries if one.category == category]
        chosen |= {one.key for one in sorted(mine, key=lambda one: _lot(seed, one))[:number]}
    return [one for one in entries if one.key in chosen]


def _places(sizes: Counter[str], size: int) -> Counter[str]:
    places: Counter[str] = Counter()
    for _ in range(size):
        free = [category for category in sizes if places[category] < sizes[category]]
        best = max(free, key=lambda category: (not places[category], sizes[category] / (2 * places[category] + 1)))
        places[best] += 1
    return places


def _lot(seed: int, entry: Entry) -> str:
    return hashlib.sha256(f"{seed}:{entry.text}".encode()).hexdigest()
