"""What `watcher init` says, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from watcher.setup.advice import advise, is_idle
from watcher.setup.create import Created
from watcher.setup.files import short
from watcher.setup.places import Entry
from watcher.setup.running import Candidate
from watcher.setup.survey import COUNTED, DEFAULT_MODEL, Finding, Survey
from watcher.view.text import age, counted, plain

SCHEMA_VERSION = 1
SHOWN, DETAILED = 30, 5
"""Runs of one entry that are shown, and that are shown with what their trainers say; `watcher check` lists them all."""


def lines(created: Created, now: float) -> Iterator[str]:
    """Say what was found, what is missing, what was written, and what to do next."""
    survey = created.survey
    yield "found:"
    for entry in survey.entries:
        yield from _entry(entry, survey, now)
    why = "the default" if survey.model == DEFAULT_MODEL else "as the trainer's configuration has it"
    yield f"scored by {survey.model} ({why}), device {survey.device}: now {survey.chosen}"
    yield f"shown in {', '.join(_tracker(name, settings) for name, settings in survey.trackers.items())}"
    if missing := [*created.missing, *advise(survey, now)]:
        yield "missing or good to know:"
        yield from (f"  - {text}" for text in missing)
    yield from _written(created)
    yield "next:"
    yield from (f"  {command:<{40}}  {what}".rstrip() for command, what in commands(created))


def _entry(entry: Entry, survey: Survey, now: float) -> Iterator[str]:
    found = survey.of(entry)
    many = f": {counted(len(found), 'run')}" if len(found) > DETAILED else ""
    remark = f": {entry.remark}" if entry.remark else many if found else ": nothing that is recognised yet"
    yield plain(f"  {entry.path}{remark}")
    for place, finding in enumerate(found[:SHOWN]):
        yield from (plain(f"    {line}") for line in _run(finding, now, with_trainer=place < DETAILED))
    if len(found) > SHOWN:
        yield f"    and {len(found) - SHOWN} more; `watcher check` lists them all"


def _run(finding: Finding, now: float, *, with_trainer: bool) -> Iterator[str]:
    prompts = counted(finding.prompts, "prompt") + (f" in {short(finding.source)}" if finding.source else "")
    yield f"{finding.run.name}: {finding.run.reason}; {prompts}; {_images(finding, now)}"
    setup = finding.setup
    told = [f"configured by {short(setup.config)}"] if setup.config else []
    if setup.trackers:
        told.append(f"reports to {', '.join(setup.trackers)}" + (f" ({setup.project})" if setup.project else ""))
    told += [f"evaluates with {setup.model}"] if setup.model else []
    if told and with_trainer:
        yield f"  {'; '.join(told)}"


def _images(finding: Finding, now: float) -> str:
    if finding.newest is None:
        return "no image yet"
    more = "more than " if finding.images == COUNTED else ""
    state = "archived" if is_idle(finding, now) else "active"
    return f"{more}{counted(finding.images, 'image')}, the newest {age(max(0.0, now - finding.newest))} old: {state}"


def _tracker(name: str, settings: dict[str, str]) -> str:
    return name + (f" (project {settings['project']})" if "project" in settings else "")


def _written(created: Created) -> Iterator[str]:
    if not created.is_written:
        yield f"nothing was written; without --dry-run it would be {short(created.config)}"
        return
    kept = f"; what was there is now {short(created.kept)}" if created.kept else ""
    yield f"written: {short(created.config)}{kept}"
    states = {"copied": "", "there": " (was there)", "changed": " (was there, changed by you: left as it is)"}
    yield from (f"  and {short(rule.path)}{states[rule.state]}" for rule in created.rules)
    if created.default not in (None, created.config):
        yield f"  note: in this folder, commands without -c read {short(str(created.default))}"


def commands(created: Created) -> list[tuple[str, str]]:
    """Give the next commands and what each is for."""
    with_config = created.option
    fetch = [(f"watcher model fetch{with_config}", "the model, once")] if created.missing else []
    return [
        *fetch,
        (f"watcher doctor{with_config}", "whether all of it works, and how to mend what does not"),
        (f"watcher run{with_config}", "watch; Ctrl-C ends it. `watcher service install` keeps it running"),
        (f"watcher status --watch{with_config}", "in another terminal"),
    ]


def as_json(created: Created, now: float) -> dict[str, Any]:
    """Give the same for programs."""
    survey = created.survey
    return {
        "schema_version": SCHEMA_VERSION,
        "config": str(created.config),
        "written": created.is_written,
        "kept": str(created.kept) if created.kept else None,
        "text": created.text,
        "rules": [{"path": str(rule.path), "state": rule.state} for rule in created.rules],
        "entries": [entry.path for entry in survey.entries],
        "runs": [_run_json(finding, now) for finding in survey.findings],
        "model": survey.model,
        "device": survey.device,
        "device_now": survey.chosen.name,
        "device_reason": survey.chosen.reason,
        "trackers": survey.trackers,
        "state_folder": str(survey.state) if survey.state else None,
        "advice": [*created.missing, *advise(survey, now)],
        "next": [command for command, _ in commands(created)],
    }


def _run_json(finding: Finding, now: float) -> dict[str, Any]:
    run, setup = finding.run, finding.setup
    return {
        "name": run.name,
        "path": str(run.path),
        "stream": run.stream,
        "layout": run.layout.name if run.layout else None,
        "layout_reason": run.reason,
        "prompts": finding.prompts,
        "prompts_source": str(finding.source) if finding.source else None,
        "images": finding.images,
        "age_seconds": None if finding.newest is None else max(0.0, now - finding.newest),
        "state": "archived" if is_idle(finding, now) else "active",
        "trainer": {
            "config": str(setup.config) if setup.config else None,
            "trackers": list(setup.trackers),
            "project": setup.project,
            "model": setup.model,
        },
    }


def candidates_json(found: Sequence[Candidate], command: str) -> dict[str, Any]:
    """Give the folders that could be watched, for programs."""
    listed = [{"path": str(one.path), "why": one.why} for one in found]
    return {"schema_version": SCHEMA_VERSION, "candidates": listed, "next": [command]}
