"""`watcher.yaml` as `watcher init` writes it: what was found, and every other setting with its default and its help.

The help is the settings' own. A line that begins with `#name:` is a setting as it is by default: without its `#` it
says the same.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from watcher.config import Config, WatchedRun
from watcher.notify import TARGETS, Log, Target
from watcher.nouns import Mode
from watcher.part import Part, PlugIn
from watcher.record.trackers import TRACKERS
from watcher.score import ScorerSettings
from watcher.setup import spelling
from watcher.setup.places import Entry
from watcher.setup.rules import FOLDER
from watcher.setup.survey import Survey
from watcher.view.text import plain

WIDTH = 100
NAMED = 5
"""Runs of an entry that are named above it."""
SECRETS = {"slack": "${SLACK_WEBHOOK_URL}"}
"""Environment variables as the documentation names them; others are called after their target."""
_HEAD = (
    "Settings of watcher, written by `watcher init`. `watcher check` lists every fault in it, and says what would be "
    "watched. What begins with `#name:` is a setting as it is by default: take the `#` away and change it."
)


def render(survey: Survey, mode: Mode) -> str:
    """Write the configuration; the same findings give the same text."""
    parts = {
        "mode": [f"mode: {mode}"],
        "runs": ["runs:", *_indented(_runs(survey))],
        "scorers": ["scorers:", *_indented(_scorer(survey))],
        "trackers": ["trackers:", *_indented(_trackers(survey.trackers))],
        "rules": ["rules:", f"  - {spelling.scalar(f'{FOLDER}/*.yaml')}"],
        "notify": ["notify:", "  - log", *_indented(_targets())],
    }
    if survey.state is not None:
        parts["state"] = [*_prose(survey.state_remark), f"state: {spelling.scalar(str(survey.state))}"]
    sections = [list(_section(name, field, parts.get(name))) for name, field in Config.model_fields.items()]
    return "\n\n".join("\n".join(lines) for lines in [list(_prose(_HEAD)), *sections]) + "\n"


def _section(name: str, field: FieldInfo, lines: Sequence[str] | None) -> Iterator[str]:
    """Give a setting with its help: as it was decided, else as it is by default."""
    yield from _prose(field.description or "")
    yield from lines if lines is not None else _by_default(name, field)


def _by_default(name: str, field: FieldInfo) -> list[str]:
    """Give a setting as it is by default, commented out."""
    value = field.get_default(call_default_factory=True)
    if isinstance(value, Part) and type(value).model_fields:
        inner = [line for key, one in type(value).model_fields.items() for line in _section(key, one, _set(key, one))]
        return _commented([f"{name}:", *_indented(inner)])
    return _commented(_set(name, field))


def _set(name: str, field: FieldInfo) -> list[str]:
    return [f"{name}: {spelling.default(field)}"]


def _settings(model: type[BaseModel], chosen: Mapping[str, Any]) -> Iterator[str]:
    """Give the settings of a part, those that were decided and then the others as they are by default."""
    for name, field in sorted(model.model_fields.items(), key=lambda item: item[0] not in chosen):
        yield from _section(name, field, [f"{name}: {spelling.scalar(chosen[name])}"] if name in chosen else None)


def _runs(survey: Survey) -> Iterator[str]:
    for entry in survey.entries:
        yield from _entry(entry, survey)
    rest = {name: field for name, field in WatchedRun.model_fields.items() if name != "path"}
    taken = survey.suggestions.keys() & {entry.path for entry in survey.entries[-1:]}
    yield from _indented([line for name, field in rest.items() if not taken for line in _section(name, field, None)])


def _entry(entry: Entry, survey: Survey) -> Iterator[str]:
    yield from _prose(_about(entry))
    yield f"- path: {spelling.scalar(entry.path)}"
    if (made := survey.suggestions.get(entry.path)) is not None:
        yield from _indented(
            _prose(f"Its images are called such as {made.example}. If the pattern has the step right:")
        )
        yield from _indented(_commented(["layout:", "  pattern:", f"    regex: {spelling.scalar(made.regex)}"]))
        yield from _indented(_commented([f"    folders: [{spelling.scalar(made.folder)}]", "prompts: prompts.txt"]))


def _about(entry: Entry) -> str:
    """Say what is in an entry's folders as long as they are the same; numbers of images would not be."""
    kinds: dict[str, list[str]] = {}
    for run in entry.recognised:
        assert run.layout is not None
        kinds.setdefault(run.layout.name, []).append(run.name)
    found = "; ".join(f"{name}: {_named(runs)}" for name, runs in sorted(kinds.items()))
    return plain(found or entry.remark or "no layout was recognised yet")


def _named(runs: Sequence[str]) -> str:
    more = len(runs) - NAMED
    return ", ".join(runs[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _scorer(survey: Survey) -> Iterator[str]:
    yield "clip:"
    yield from _indented(_settings(ScorerSettings, {"model": survey.model, "device": survey.device}))


def _trackers(chosen: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    for tracker in TRACKERS:
        lines = [f"{tracker.name}:", *_indented(_settings(tracker, chosen.get(tracker.name, {})))]
        yield from _prose(_help(tracker))
        yield from lines if tracker.name in chosen else _commented(lines)


def _targets() -> Iterator[str]:
    for target in TARGETS:
        if target is not Log:
            yield from _prose(_help(target))
            yield from _commented([f"- {target.name}: {{{', '.join(_needed(target))}}}"])


def _needed(target: type[Target]) -> Iterator[str]:
    """Give what a target must be told, by environment variables, and how little it may be sent."""
    for name, field in target.model_fields.items():
        if field.is_required() or name == "url":
            secret = SECRETS.get(target.name) or f"${{{target.name}_{name}}}".upper()
            yield f'{name}: "{secret}"'
    yield "min_severity: warning"


def _help(part: type[PlugIn]) -> str:
    return (part.__doc__ or "").strip().split("\n\n")[0]


def _prose(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(" ".join(text.split()), WIDTH, break_on_hyphens=False)]


def _commented(lines: Sequence[str]) -> list[str]:
    return [f"#{line}" for line in lines]


def _indented(lines: Iterator[str] | Sequence[str]) -> list[str]:
    return [f"  {line}" for line in lines]
