"""The prompts of all starts of a script, by the keys of their pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from watcher.discover import events
from watcher.discover.diffusers.names import FINAL, FIRST, UNCONDITIONAL, VALIDATION
from watcher.discover.diffusers.running import options, running
from watcher.discover.diffusers.starts import Start, starts
from watcher.discover.diffusers.tiles import is_conditioned, takes_prompts
from watcher.discover.layout import Place, Prompts
from watcher.discover.prompts import read_prompts


def prompts_of(place: Place, logs: Path) -> Prompts:
    """Read the user's prompt file, else what the scripts noted, logged, and were started with."""
    if place.prompts is not None:
        return read_prompts(place.prompts)
    known = known_starts(place.folder, logs)
    texts = {key: text for start in known for key, text in _texts(start, known[-1])}
    fault = "" if texts else _fault(place.folder, known)
    return Prompts(texts, known[-1].config if known else None, fault)


def known_starts(folder: Path, logs: Path) -> Sequence[Start]:
    """Give all starts, oldest first; without event files the running script alone."""
    found = starts(folder, logs)
    process = None if found else running(folder)
    return [Start(logs, {}, lists=options(process.argv))] if process else found


def key_of(start: Start, newest: Start) -> str:
    """Give the key of a start's one prompt: `0`, or the prompt itself where the newest start has another one."""
    prompt = one_prompt(start)
    return FIRST if not prompt or prompt == one_prompt(newest) else prompt


def one_prompt(start: Start) -> str:
    """Give the prompt of a script that has one; empty where it has several, or none."""
    given = start.lists.get("validation_prompt", ())
    if is_conditioned(start) or len(given) > 1:
        return ""
    return start.text("validation_prompt")


def _texts(start: Start, newest: Start) -> Iterator[tuple[str, str]]:
    for tag in _tags(start.file):
        yield tag, tag
    if prompt := one_prompt(start):
        yield key_of(start, newest), prompt
    if start is newest:
        yield from ((str(number), text) for number, text in enumerate(start.lists.get("validation_prompts", ())))


def _tags(file: Path) -> list[str]:
    """Give the tags that are prompts."""
    try:
        tags = dict.fromkeys(picture.tag for picture in events.pictures(file))
    except OSError:
        return []
    return [tag for tag in tags if tag not in (VALIDATION, FINAL, UNCONDITIONAL)]


def _fault(folder: Path, known: Sequence[Start]) -> str:
    if not known:
        return f"no TensorBoard log of a script was found; give `prompts:` for {folder}"
    what = "its `--validation_prompts` were not seen" if takes_prompts(known[-1]) else "it has no `--validation_prompt`"
    return f"{known[-1].tracker}: {what}; give `prompts:` for {folder}, one a line"
