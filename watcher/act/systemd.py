"""A unit as systemd shows it, and which processes are its own.

Sources: systemctl(1), org.freedesktop.systemd1(5), and systemd.exec(5) for `$INVOCATION_ID`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from watcher.act import processes
from watcher.act.backend import SystemdBackend
from watcher.act.identity import NoProcessError
from watcher.act.processes import Process
from watcher.act.programs import Answer, UnansweredError, ask
from watcher.errors import ActError

_STARTS = ("ExecMainStartTimestamp", "ActiveEnterTimestamp", "InactiveExitTimestamp")
"""When it was started: the first that is set. A scope has no main process, a oneshot is not active before it ends."""
_SHOWN = ("LoadState", "ActiveState", "SubState", "InvocationID", "ControlGroup", *_STARTS)
_ENDED = ("inactive", "failed")


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit at one moment."""

    name: str
    manager: str
    """`user` or `system`."""
    state: str
    """ActiveState."""
    sub: str
    invocation: str
    """InvocationID: another one each time that it is started; empty where nothing is known of any."""
    started_at: float | None
    group: str
    """Its control group."""

    @property
    def has_ended(self) -> bool:
        """Whether it is inactive or failed, and waits for nothing."""
        return self.state in _ENDED

    @property
    def trains(self) -> bool:
        """Whether something of it runs; one that only waits to be restarted has ended, for now."""
        return not self.has_ended and self.sub != "auto-restart"

    @property
    def called(self) -> str:
        """Name it as systemctl is told it."""
        return f"--user {self.name}" if self.manager == "user" else self.name


def control(manager: str, *words: str) -> Answer:
    """Let systemctl do something, as a program that nobody can be asked a password by.

    Raises:
        UnansweredError: it is not there, or does not answer.

    """
    return ask("systemctl", *(["--user"] if manager == "user" else []), "--no-ask-password", *words)


def show(name: str, manager: str) -> Unit:
    """Look at a unit; one that does not exist is inactive.

    Raises:
        UnansweredError: its manager cannot be asked.
        ActError: the answer makes no sense.

    """
    answer = control(manager, "show", f"--property={','.join(_SHOWN)}", name)
    if answer.status:
        raise UnansweredError(f"the {manager} manager cannot be asked for {name}: {answer.said}")
    said = dict(line.split("=", 1) for line in answer.out.splitlines() if "=" in line)
    if not said.get("ActiveState"):
        raise ActError(f"`systemctl show {name}` gave no ActiveState: {answer.said}")
    times = (_time(said.get(one, "")) for one in _STARTS)
    started_at = next((time for time in times if time is not None), None)
    return Unit(
        name=name,
        manager=manager,
        state=said["ActiveState"],
        sub=said.get("SubState", ""),
        invocation=said.get("InvocationID", ""),
        started_at=started_at,
        group=said.get("ControlGroup", ""),
    )


def chosen(backend: SystemdBackend) -> Unit:
    """Look for the unit where the settings say, or in both managers.

    Raises:
        NoProcessError: it is not active.
        ActError: it is active in both, or nobody can be asked.

    """
    if backend.user != "auto":
        return _active([show(backend.unit, "user" if backend.user else "system")], backend)
    units, silent = [], []
    for manager in ("user", "system"):
        try:
            units.append(show(backend.unit, manager))
        except UnansweredError as error:
            silent.append(error)
    if not units:
        raise silent[-1]
    return _active(units, backend)


def _active(units: list[Unit], backend: SystemdBackend) -> Unit:
    active = [unit for unit in units if unit.trains]
    if len(active) > 1:
        raise ActError(f"{backend.unit} is active in your user manager and in the system; say which by `user: true`")
    if not active:
        looked = ", ".join(f"{one.state} ({one.sub}) in the {one.manager} manager" for one in units)
        raise NoProcessError(f"unit {backend.unit} is not active: {looked}")
    return active[0]


def members(unit: Unit, known: Mapping[int, Process]) -> list[Process]:
    """Give the living processes of a unit as far as they are seen: by control group, and by what they inherited."""
    return [process for process in known.values() if process.alive and _is_of(unit, process.pid)]


def _is_of(unit: Unit, pid: int) -> bool:
    if unit.invocation and processes.environment(pid).get("INVOCATION_ID") == unit.invocation:
        return True
    try:
        text = (processes.PROC / str(pid) / "cgroup").read_text()
    except OSError:
        return False
    return in_group(text, unit.group)


def in_group(text: str, group: str) -> bool:
    """Tell by a `/proc/PID/cgroup` (cgroups(7)) whether a process is in a control group, or in one below it."""
    places = [line.split(":", 2)[-1] for line in text.splitlines()]
    return len(group) > 1 and any(place == group or place.startswith(f"{group}/") for place in places)


def _time(text: str) -> float | None:
    """Read a time as systemctl writes it in UTC: `Fri 2026-11-27 16:01:40 UTC`."""
    try:
        return datetime.strptime(text[4:], "%Y-%m-%d %H:%M:%S UTC").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
