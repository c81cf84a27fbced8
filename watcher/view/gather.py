"""What `watcher score` is to score: the pictures of folders and files, each with its prompt, none of them decoded."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath

from watcher.discover import (
    PICTURES,
    Facts,
    FoundFile,
    FoundRun,
    Layout,
    Matched,
    Place,
    Plain,
    Prompts,
    RunSettings,
    beside,
    find_runs,
    is_picture,
    match,
    read_captions,
    scan,
)
from watcher.errors import ConfigError, StepError
from watcher.nouns import EMPTY_PROMPT, NO_PROMPT, SampleState, Tile
from watcher.pictures import notes_of, size_of

NO_TRAINER = "it looks like no trainer's output, so pictures were looked for"


@dataclass(slots=True)
class Picture:
    """One picture, and what comes of it: numbers and embeddings, never pixels."""

    file: FoundFile
    place: Place
    layout: Layout
    key: str
    prompt: str | None
    state: SampleState = "ready"
    error: str = ""
    tile: Tile | None = None
    cosine: float | None = None
    health: tuple[str, ...] = ()
    truncated: bool = False
    pixels: str = ""
    image: bytes = b""
    text: bytes = b""
    duplicate_of: str = ""
    """Whose picture it repeats: `prompt KEY`, or `step N`."""
    mask: Tile | None = None
    """What is painted over of its tile before it is scored."""

    @property
    def unit(self) -> str:
        """Give what tells its prompt from others in a mean: in a plain folder the text, else its key as well."""
        return self.prompt or "" if isinstance(self.layout, Plain) else f"{self.key}\0{self.prompt}"

    @property
    def failed(self) -> bool:
        """Whether it should have a score, and has none; a trainer's picture of the empty prompt should not."""
        return self.state != "scored" and (self.error != EMPTY_PROMPT or isinstance(self.layout, Plain))


@dataclass(slots=True)
class Gathered:
    """All pictures, and what is to be said of their prompts."""

    pictures: list[Picture] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    """What is wrong with prompts that a trainer's configuration names."""
    strays: list[str] = field(default_factory=list)
    """Prompts of a prompt file that fit no picture."""


def gather(paths: Sequence[Path], prompts: Path | None) -> Gathered:
    """Find the pictures of runs' output folders, of plain folders, and those that are named one by one.

    Raises:
        ConfigError: a path or the prompt file cannot be used, or it is not clear which prompt is whose.
        StepError: there is no picture.

    """
    found, plain, reasons = Gathered(), dict[Path, tuple[FoundFile, Path]](), []
    for path in paths:
        if path.is_dir():
            reasons.append(_add_folder(found, plain, path, prompts))
        else:
            file, base = _single(path, paths)
            plain.setdefault(file.path, (file, base))
    if plain:
        _add_plain(found, list(plain.values()), prompts)
    if not found.pictures:
        named = ", ".join(str(path) for path in paths)
        raise StepError(f"{named}: no images in {'it' if len(paths) == 1 else 'them'} ({reasons[0]})", permanent=True)
    return found


def _add_folder(found: Gathered, plain: dict[Path, tuple[FoundFile, Path]], path: Path, prompts: Path | None) -> str:
    """Add a folder's pictures; gives why they are read as they are."""
    runs = find_runs([RunSettings(path=str(path), prompts=prompts)])
    if not runs:
        raise ConfigError(f"{path} cannot be read, or its name is not UTF-8")
    if runs[0].layout is None:
        run = replace(runs[0], layout=Plain())
        plain.update({file.path: (file, run.path) for file in scan(run) if file.path not in plain})
        return NO_TRAINER
    for run in runs:
        _add_run(found, run, runs[0].layout, given=prompts is not None)
    return runs[0].reason


def _add_run(found: Gathered, run: FoundRun, layout: Layout, *, given: bool) -> None:
    """Add a training's images by step and prompt; of several files of one picture the newest, as for the daemon."""
    texts = layout.prompts(run.place)
    if given and texts.fault:
        raise ConfigError(texts.fault)
    found_files = (part for file in scan(run) for part in _parts(file, run.place, layout))
    files = sorted(found_files, key=lambda file: (*_where(file), file.mtime_ns))
    newest = {_where(file): file for file in files}.values()
    found.pictures += [_of_run(file, run, layout, texts) for file in newest]
    found.faults += [texts.fault] if files and texts.fault else []


def _parts(file: FoundFile, place: Place, layout: Layout) -> list[FoundFile]:
    """Give the samples in a file; of a layout whose pictures may hold several, each picture's head is read."""
    if type(layout).split is Layout.split:
        return [file]
    try:
        width, height = size_of(file.path)
    except Exception:  # noqa: BLE001 - decoders raise anything for a torn file; it is said when it is its turn
        return [file]
    return [replace(file, facts=facts) for facts in layout.split(place, file.facts, width, height)]


def _where(file: FoundFile) -> tuple[int, str, str, int]:
    return (file.facts.step, file.facts.variant, file.facts.key, file.facts.index)


def _of_run(file: FoundFile, run: FoundRun, layout: Layout, prompts: Prompts) -> Picture:
    own = layout.own_prompt(run.place, file.path, _notes(file.path)) if prompts.own else None
    prompt = prompts.texts.get(file.facts.key) if own is None else own
    return _picture(file, run.place, layout, file.facts.key, prompt)


def _notes(path: Path) -> dict[str, str]:
    try:
        return notes_of(path)
    except Exception:  # noqa: BLE001 - decoders raise anything for a torn file; it is said when it is its turn
        return {}


def _picture(file: FoundFile, place: Place, layout: Layout, key: str, prompt: str | None) -> Picture:
    if layout.worded(prompt or "").strip():
        return Picture(file, place, layout, key, prompt, tile=file.facts.tile)
    error = NO_PROMPT if prompt is None else EMPTY_PROMPT
    return Picture(file, place, layout, key, prompt, "unscorable", error, file.facts.tile)


def _single(path: Path, paths: Sequence[Path]) -> tuple[FoundFile, Path]:
    """Take a picture that is named itself; its key counts from the folder that all of those named lie in."""
    if not path.is_file():
        raise ConfigError(f"{path} is not there; give a run's output folder, a folder of pictures, or pictures")
    if not is_picture(path.name):
        raise ConfigError(f"{path} is no picture by its name; those end in {', '.join(sorted(PICTURES))}")
    place, info = path.absolute(), path.stat()
    base = os.path.commonpath([one.absolute().parent for one in paths if not one.is_dir()])
    return FoundFile(place, info.st_size, info.st_mtime_ns, Facts(0, place.stem)), Path(base)


def _add_plain(found: Gathered, files: list[tuple[FoundFile, Path]], prompts: Path | None) -> None:
    """Add pictures that no trainer wrote, by their names."""
    files.sort(key=lambda one: one[0].path)
    pictures = [(file.path, base) for file, base in files]
    texts = _texts(pictures, prompts)
    found.strays += [f"{one.place}: {one.name or one.text}" for one in texts.strays]
    keys = _keys(pictures)
    for (file, base), key in zip(files, keys, strict=True):
        found.pictures.append(_picture(file, Place(base), Plain(), key, texts.texts.get(file.path)))


def _texts(pictures: Sequence[tuple[Path, Path]], prompts: Path | None) -> Matched:
    if prompts is None:
        return beside([path for path, _ in pictures])
    return match(read_captions(prompts), pictures, prompts)


def _keys(pictures: Sequence[tuple[Path, Path]]) -> Iterator[str]:
    """Name each picture by its path without suffix, from its folder on; with the suffix where that is needed."""
    bases = {base for _, base in pictures}
    shared = Path(os.path.commonpath(bases)) if len(bases) > 1 else None
    names = [PurePath(path.relative_to(shared or base)) for path, base in pictures]
    stems = Counter(name.with_suffix("") for name in names)
    return ((name.with_suffix("") if stems[name.with_suffix("")] == 1 else name).as_posix() for name in names)
