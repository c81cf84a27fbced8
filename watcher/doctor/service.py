"""Whether systemd keeps the daemon alive, on machines that have it."""

from __future__ import annotations

import getpass
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from watcher.doctor.finding import Finding, ok, warn
from watcher.doctor.patient import Patient

UNIT = "watcher.service"
BOOTED = Path("/run/systemd/system")
"""Is there where systemd started the machine, see sd_booted(3)."""
ANSWER = 10.0
"""Seconds."""


def service(_patient: Patient) -> Iterator[Finding]:
    """Look for the user's unit, then the system's; ask whether it runs and survives a logout."""
    if not BOOTED.is_dir():
        yield ok("service", "no systemd here", "keep `watcher run` alive by what there is, such as tmux or supervisord")
        return
    system = f"watcher@{getpass.getuser()}.service"
    if _ask("systemctl", "is-active", system) == "active":
        yield ok("service", f"{system} is active")
    elif _ask("systemctl", "--user", "is-enabled", UNIT) in ("", "not-found", "disabled"):
        yield warn("service", f"{UNIT} is not installed or not enabled", "`watcher service install --user`")
    else:
        yield _active()
        yield from _linger()


def _active() -> Finding:
    found = _ask("systemctl", "--user", "is-active", UNIT)
    if found == "active":
        return ok("service", f"{UNIT} is enabled and active")
    return warn("service", f"{UNIT} is {found or 'silent'}", f"systemctl --user start {UNIT}; its journal says more")


def _linger() -> Iterator[Finding]:
    if os.geteuid() != 0 and _ask("loginctl", "show-user", getpass.getuser(), "--value", "-p", "Linger") != "yes":
        yield warn("linger", "your services end when you log out", "loginctl enable-linger")


def _ask(*command: str) -> str:
    """Give the first line that a command says; nothing where it cannot be asked."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=ANSWER)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout.strip().splitlines() or [""])[0]
