"""Starting a run's last launch again, as it was recorded: by its systemd unit, or in a session of its own."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from watcher import act
from watcher.act import ExecBackend, Launch
from watcher.byhand.meant import Meant
from watcher.control import proc
from watcher.control.protocol import HIDDEN
from watcher.control.record import service
from watcher.errors import ActError, StepError

STARTS = 60.0
"""Seconds in which the launch has to be there."""
LIVES = 2.0
"""Seconds that it has to live, so that it counts as started."""
LOOK = 0.1
_LEAVES = "import subprocess, sys; subprocess.Popen(sys.argv[1:], start_new_session=True)"
"""Starts a program and ends."""


@dataclass(frozen=True, slots=True)
class Again:
    """What would be started."""

    launch: Launch
    """The launch that is done again."""
    argv: tuple[str, ...]
    cwd: str
    environment: Mapping[str, str]
    log: Path
    unit: str = ""
    """The systemd unit that had started it; empty where none had."""
    is_user_unit: bool = False
    state: Path | None = None
    """The state folder, in which control folders may lie."""

    @property
    def command(self) -> list[str]:
        """Give the command that starts it."""
        if self.unit:
            return ["systemctl", *(["--user"] if self.is_user_unit else []), "start", self.unit]
        run = ["--run", str(self.launch.record["run"])] if self.launch.record["run"] else []
        return [*_apart(), sys.executable, "-m", "watcher", "exec", *run, "--", *self.argv]

    def said(self) -> Iterator[str]:
        """Say for people what would be started, where, and what is not as it was."""
        yield f"{' '.join(map(shlex.quote, self.argv))}"
        if self.unit:
            yield f"through its unit: {' '.join(self.command)}"
            return
        if unit := self.launch.record.get("systemd_unit"):
            yield f"not through its unit {unit}, whose command cannot be added to"
        apart = " and, as this is a service's process, a scope of its own" if _apart() else ""
        yield f"in {self.cwd}, under control, in a session of its own{apart}; what it prints goes to {self.log}"
        left_out = self.launch.record.get("environment_left_out") or []
        if left_out:
            yield f"without these variables, which were set then and are not kept: {', '.join(left_out)}"


def _apart() -> list[str]:
    """Give what takes a command out of the service that this process is in, which would end it with itself.

    systemd-run(1): with `--scope` it runs as a child of its caller, with its environment, folder and output;
    `--collect` forgets the scope once it has failed.
    """
    name, is_user = service()
    program = shutil.which("systemd-run")
    if not name or program is None or not (is_user or os.geteuid() == 0):  # else polkit would ask somebody
        return []
    return [program, *(["--user"] if is_user else []), "--scope", "--quiet", "--collect", "--"]


def _bus() -> dict[str, str]:
    """Give what leads systemd-run to the user's manager."""
    return {"XDG_RUNTIME_DIR": os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"}


def again(meant: Meant, extra: Sequence[str]) -> Again:
    """Find a run's last launch, and make sure that it may be started again.

    Raises:
        StepError: it was not launched under control, still runs, is held, or cannot be started as it was; says why.

    """
    launch = _last(meant)
    name, record = meant.run.name, launch.record
    if held := meant.veto:
        raise StepError(f"{name} is not started: {held}", permanent=True)
    _refuse_running(meant, launch)
    if record["host"] != os.uname().nodename:
        raise StepError(f"{name} was launched on {record['host']}; start it there", permanent=True)
    argv = (*record["argv"], *extra)
    if hidden := [word for word in record["argv"] if HIDDEN in word]:
        run = ["--run", record["run"]] if record["run"] else []
        shown = shlex.join(["watcher", "exec", *run, "--", *argv])
        raise StepError(
            f"{name}: its command holds secrets that were not recorded ({', '.join(hidden)}); start it by hand: "
            f"cd {shlex.quote(record['cwd'])} && {shown}",
            permanent=True,
        )
    _refuse_missing(name, record)
    log = launch.control / f"resumed-{time.strftime('%Y%m%dT%H%M%S')}.log"
    state = next((one.state for one in meant.backends if isinstance(one, ExecBackend)), None)
    unit = "" if extra else record.get("systemd_unit") or ""
    return Again(launch, argv, record["cwd"], record["environment"], log, unit, bool(record.get("systemd_user")), state)


def start(found: Again) -> Launch:
    """Start it; gives the new launch once it is seen alive.

    Raises:
        StepError: it did not start, or ended at once; says where to look.

    """
    began, since = time.monotonic(), time.time() - 1.0
    if found.unit:
        _by_systemd(found)
    else:
        _detached(found)
    while time.monotonic() - began < STARTS:
        for launch in _new(found, since):
            if _has_lived(launch):
                return launch
        time.sleep(LOOK)
    where = f"`journalctl -u {found.unit}`" if found.unit else str(found.log)
    raise StepError(f"it did not start, or ended at once; {where} tells more", permanent=True)


def _new(found: Again, since: float) -> Iterator[Launch]:
    """Give the launches since a wall time that may be the one just started.

    It may be in the old control folder, beside the run's folder, or in a folder of its own in the state folder.
    """
    known = act.launches_in(found.state) if found.state else []
    beside = act.launch_beside(str(found.launch.run)) if found.launch.run else None
    for one in (act.launch_of(found.launch.control), beside, *known):
        if one is None or one.id == found.launch.id or float(one.record["launched_at"]) < since:
            continue
        is_same = (tuple(one.record["argv"]), one.record["cwd"]) == (found.argv, found.cwd)
        if is_same or (one.run and one.run == found.launch.run):
            yield one


def _last(meant: Meant) -> Launch:
    backends = [one for one in meant.backends if isinstance(one, ExecBackend)]
    found = act.last_launch(meant.output, backends[0]) if backends else None
    if found is None:
        raise StepError(
            f"{meant.run.name} was not launched by `watcher exec`, so it is not known how; start it as you did",
            permanent=True,
        )
    return found


def _refuse_running(meant: Meant, launch: Launch) -> None:
    if pids := launch.living():
        raise StepError(f"{meant.run.name} still runs: {', '.join(map(str, pids))}", permanent=True)
    try:
        choice = act.choose(meant.output, meant.backends, "stop", time.time())
    except ActError:
        return
    raise StepError(f"{meant.run.name} still runs: {choice.identity.named}", permanent=True)


def _refuse_missing(name: str, record: Mapping[str, Any]) -> None:
    if not Path(record["cwd"]).is_dir():
        raise StepError(f"{name}: its working folder {record['cwd']} is not there any more", permanent=True)
    program, path = record["argv"][0], record["environment"].get("PATH", os.defpath)
    there = shutil.which(program, path=path) or (Path(record["cwd"]) / program).exists()
    if not there:
        raise StepError(f"{name}: its program {program} is not there any more", permanent=True)


def _by_systemd(found: Again) -> None:
    """Have its unit started.

    Raises:
        StepError: systemd says that it cannot be, or says nothing.

    """
    try:
        done = subprocess.run(found.command, check=False, capture_output=True, text=True, timeout=STARTS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StepError(f"`{' '.join(found.command)}`: {error}", permanent=True) from error
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"status {done.returncode}"
        raise StepError(f"`{' '.join(found.command)}`: {said}", permanent=True)


def _detached(found: Again) -> None:
    """Start it in a session of its own and as nobody's child, so that neither this terminal nor its end reaches it."""
    with found.log.open("ab") as log:
        subprocess.run(
            [sys.executable, "-c", _LEAVES, *found.command],
            cwd=found.cwd,
            env={**found.environment, **(_bus() if _apart() else {})},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            check=False,
        )


def _has_lived(launch: Launch) -> bool:
    """Tell whether a launch's command runs, and has for a while."""
    pid, begun = launch.record["pid"], float(launch.record["launched_at"])
    return time.time() - begun >= LIVES and proc.lives(pid, launch.record["start_time"])
