"""`watcher service`: the daemon as a service of the user who trains."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path

from watcher.errors import ConfigError, StepError
from watcher.setup import files
from watcher.setup.files import short
from watcher.setup.preflight import check, environment_of, lost_variables, options, refuse_second
from watcher.setup.systemd import Systemd, linger, lingers
from watcher.setup.units import Unit

SOON = 10.0
"""Seconds in which a service that cannot start has usually failed."""


def shown(unit: Unit, config: Path | None) -> str:
    """Give the unit's file as it would be written."""
    told: list[str] = []
    with suppress(ConfigError):  # there is no configuration yet
        told = options(unit, config, environment_of(unit, {}))
    return unit.text(told)


def install(unit: Unit, config: Path | None, *, now: bool = True, with_linger: bool = False) -> Iterator[str]:
    """Write and enable a unit; says each thing that was done. Doing it again changes nothing.

    Raises:
        ConfigError: there is no configuration, or the service could not use it.
        StepError: systemd cannot be reached, refuses, or the service does not start.

    """
    systemd = Systemd(unit.is_users)
    environment = environment_of(unit, systemd.environment())
    told = options(unit, config, environment)
    yield from check(unit, told, environment)
    is_running = systemd.state(unit.name).get("ActiveState") in ("active", "activating", "reloading")
    if not is_running:
        refuse_second(unit, told, environment)
    is_new = yield from _write(unit, unit.text(told))
    systemd.call("daemon-reload")
    systemd.call("enable", *(["--now", "--no-block"] if now else []), unit.name)
    if now and is_running and is_new:
        systemd.call("restart", "--no-block", unit.name)
    yield f"enabled: {unit.name}" + (
        f", {_started(systemd, unit)}" if now else "; it starts with the next login or boot"
    )
    yield from lost_variables(unit, environment)
    if unit.is_users:
        yield from _linger(unit.user.pw_name, wanted=with_linger)
    yield f"see: {_journal(unit)}"


def uninstall(unit: Unit) -> Iterator[str]:
    """Stop and disable a unit and remove its file; trainings, state and configuration stay.

    Raises:
        StepError: systemd cannot be reached or refuses.

    """
    systemd = Systemd(unit.is_users)
    if not unit.path.exists():
        yield f"{short(unit.path)} is not there: nothing to do"
        return
    systemd.call("disable", "--now", unit.name)
    others = sorted(unit.path.parent.glob("*.wants/watcher@*.service"))
    if others and not unit.is_users:
        yield f"disabled: {unit.name}; {unit.path} stays for {', '.join(path.name for path in others)}"
        return
    unit.path.unlink()
    systemd.call("daemon-reload")
    yield f"stopped, disabled and removed: {short(unit.path)}; configuration and state are where they were"


def status(unit: Unit) -> Iterator[str]:
    """Say whether a unit is installed, enabled and running.

    Raises:
        StepError: systemd cannot be reached.

    """
    found = Systemd(unit.is_users).state(unit.name)
    is_there = "" if unit.path.exists() else " (not installed: `watcher service install`)"
    yield f"{short(unit.path)}{is_there}"
    enabled = found.get("UnitFileState") or "not enabled"
    yield f"{unit.name}: {enabled}, {found.get('ActiveState')} ({found.get('SubState')})"
    if unit.is_users:
        yield {True: "lingering: on", False: "lingering: off", None: "lingering: unknown"}[lingers(unit.user.pw_name)]
    yield f"see: {_journal(unit)}"


def _write(unit: Unit, text: str) -> Generator[str, None, bool]:
    """Write the unit's file where it is not there as it should be; gives whether it was written."""
    there = files.read(unit.path)
    if there == text:
        yield f"unchanged: {short(unit.path)}"
        return False
    kept = files.keep(unit.path) if there is not None else None
    files.write(unit.path, text)
    hint = f"; another stood there: `diff {short(kept)} {short(unit.path)}`" if kept else ""
    yield f"written: {short(unit.path)}{hint}"
    return True


def _started(systemd: Systemd, unit: Unit) -> str:
    """Wait a moment and say how the service does.

    Raises:
        StepError: it failed.

    """
    end = time.monotonic() + SOON
    while True:
        state = systemd.state(unit.name)
        is_lost = state.get("ActiveState") == "failed" or state.get("SubState") == "auto-restart"
        if is_lost:
            raise StepError(f"{unit.name} was started and failed; `{_journal(unit)}` says why")
        if state.get("ActiveState") == "active":
            return "running"
        if time.monotonic() > end:
            return "starting: it looks at everything once before it is ready"
        time.sleep(0.2)


def _linger(user: str, *, wanted: bool) -> Iterator[str]:
    is_on = lingers(user)
    if is_on:
        yield "lingering is on: it runs while you are logged out"
    elif wanted:
        linger(user)
        yield "lingering is on now: it runs while you are logged out"
    else:
        yield (
            "note: lingering is off, so it ends when you log out; `loginctl enable-linger` keeps it running (some "
            f"machines ask for an administrator: `sudo loginctl enable-linger {user}`)"
        )


def _journal(unit: Unit) -> str:
    return f"journalctl{' --user' if unit.is_users else ''} -u {unit.name} -e"
