"""Where results and notices go: whether trackers can be written and targets are told enough. Nothing is sent."""

from __future__ import annotations

import netrc
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from watcher.discover import FoundRun
from watcher.doctor.finding import Finding, fail, ok, warn
from watcher.doctor.patient import Patient
from watcher.errors import StoreError
from watcher.notify import Target
from watcher.record.trackers import Tracker

CONNECT = 5.0
"""Seconds in which a target's machine has to answer."""
PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")


def trackers(patient: Patient) -> Iterator[Finding]:
    """Say where each tracker will write."""
    if not patient.config.trackers:
        yield ok("trackers", "none: the curves stand in the store only", "add `trackers: {tensorboard: {}}`")
    for name, tracker in patient.config.trackers.items():
        if name == "wandb":
            yield _wandb(tracker)
        else:
            yield from _folders(patient, name, tracker)


def _folders(patient: Patient, name: str, tracker: Tracker) -> Iterator[Finding]:
    places = [(run.name, Path(_place(patient, tracker, run))) for run in patient.runs if run.layout]
    bad = [(run, place) for run, place in places if not _writable(place)]
    for run, place in bad:
        yield fail(name, f"{place} of run {run} cannot be written", "give this user write access to it")
    aside = [run for run, place in places if place.is_relative_to(patient.state)]
    if aside and not bad:
        yield ok(name, _aside(aside), f"tensorboard --logdir {patient.state / 'tensorboard'}")
    elif not bad:
        yield ok(name, next((f"{run} goes to {place}" for run, place in places), "no run yet"))


def _aside(names: list[str]) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"no writable logging folder of the trainer is known for {names[0]}{more}, so curves are in the state folder"


def _place(patient: Patient, tracker: Tracker, run: FoundRun) -> str:
    assert run.layout is not None
    return tracker.place(patient.noun(run), run.layout.setup(run.place), patient.state)


def _writable(place: Path) -> bool:
    there = next(one for one in (place, *place.absolute().parents) if one.exists())
    return os.access(there, os.W_OK | os.X_OK)


def _wandb(tracker: Tracker) -> Finding:
    mode = str(getattr(tracker, "mode", "online"))
    if mode != "online":
        return ok("wandb", f"mode {mode}: nothing is sent", "`wandb sync` sends it later")
    if _has_key():
        return ok("wandb", "mode online, and there is a key for it")
    return fail("wandb", "mode online, and there is no key", "`wandb login`, or WANDB_API_KEY, or `mode: offline`")


def _has_key() -> bool:
    """Tell whether wandb would find a key: in the environment, or in ~/.netrc where `wandb login` puts it."""
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return bool(os.environ.get("WANDB_API_KEY") or netrc.netrc().authenticators(host))
    except (OSError, netrc.NetrcParseError):
        return False


def targets(patient: Patient) -> Iterator[Finding]:
    """Say for each target whether it is told enough, answers, and has failed before."""
    told = _told(patient)
    if not patient.config.notify:
        yield warn("targets", "none: alerts stand in `watcher status` only", "add `notify: [{slack: {url: ...}}]`")
    for target in patient.config.notify:
        yield _target(target, told.get(f"target:{target.label()}"), offline=patient.offline)


def _told(patient: Patient) -> dict[str, Any]:
    try:
        return patient.facts
    except StoreError:  # the state's own check says so
        return {}


def _target(target: Target, before: Any, *, offline: bool) -> Finding:
    label = target.label()
    file = getattr(target, "secret_file", None)
    if isinstance(file, Path) and not os.access(file, os.R_OK):
        return fail(label, f"its secret_file {file} cannot be read", "write it, or give this user read access")
    if isinstance(before, Mapping) and before.get("state") in ("failing", "disabled"):
        return warn(label, f"{before['state']}: {before.get('reason', '')}", "mend that, then `watcher notify test`")
    url = getattr(target, "url", None)
    if isinstance(url, SecretStr) and not offline and (fault := _unreachable(url.get_secret_value())):
        return warn(label, fault, "mend the network or the URL, then `watcher notify test`")
    return ok(label, "set up; nothing was sent", "`watcher notify test` sends a notice")


def _unreachable(url: str) -> str:
    """Say why a target's machine cannot be reached; empty when it can, or when a proxy stands between."""
    parts = urlsplit(url)
    if any(os.environ.get(name) for name in PROXIES) or parts.hostname is None:
        return ""
    port = parts.port or {"http": 80}.get(parts.scheme, 443)
    try:
        socket.create_connection((parts.hostname, port), CONNECT).close()
    except OSError as error:
        return f"{parts.hostname}:{port} cannot be reached: {error.strerror or error}"
    return ""
