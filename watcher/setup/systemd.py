"""systemd, through `systemctl` and `loginctl`: what cannot be done is said with the way out."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from watcher.errors import StepError

PATIENCE = 60.0
"""Seconds; no call waits for a service to start."""
BOOTED = Path("/run/systemd/system")
"""Is there when systemd runs the machine; sd_booted(3)."""
WITHOUT = (
    "without systemd, keep it running by `nohup watcher run >watcher.log 2>&1 &`, or in a terminal of its own: "
    "`tmux new -d -s watcher watcher run`"
)


@dataclass(frozen=True, slots=True)
class Systemd:
    """The service manager of the machine, or that of the user."""

    is_user: bool

    def call(self, *arguments: str) -> str:
        """Run `systemctl` and give what it printed.

        Raises:
            StepError: it could not do it; says what it said, and the way out.

        """
        words = ["systemctl", *self.scope, *arguments]
        status, out, said = _run(words)
        if status != 0:
            raise StepError(f"`{shlex.join(words)}` failed: {said or f'status {status}'}; {self._way(said)}")
        return out

    @property
    def scope(self) -> tuple[str, ...]:
        """Give the option that chooses the manager."""
        return ("--user",) if self.is_user else ()

    def environment(self) -> dict[str, str]:
        """Give the variables that every service gets; systemctl(1), show-environment.

        Raises:
            StepError: no manager answers.

        """
        return dict(_assignments(self.call("show-environment")))

    def state(self, unit: str) -> dict[str, str]:
        """Give a unit's ActiveState, SubState and UnitFileState; systemctl(1), show.

        Raises:
            StepError: no manager answers.

        """
        properties = "--property=ActiveState,SubState,UnitFileState"
        return dict(_assignments(self.call("show", properties, unit)))

    def _way(self, said: str) -> str:
        if "bus" not in said.lower() and "systemd" not in said.lower() and "not found" not in said.lower():
            return f"`systemctl {' '.join([*self.scope, ''])}status` may say more"
        if not BOOTED.is_dir():
            return f"systemd does not run this machine (a container?): {WITHOUT}"
        if self.is_user:
            return (
                "this session has no service manager of the user's: log in directly (ssh, not su or sudo), or set "
                f"`XDG_RUNTIME_DIR=/run/user/$(id -u)` and try again; {WITHOUT}"
            )
        return f"run it as root; {WITHOUT}"


def lingers(user: str) -> bool | None:
    """Tell whether a user's services go on when the user has logged out; None when that cannot be told.

    loginctl(1), show-user: without a name it would show the manager's own properties.
    """
    status, out, said = _run(["loginctl", "show-user", user, "--property=Linger", "--value"])
    if status != 0:
        return False if "not logged in or lingering" in said else None
    return out.strip() == "yes"


def linger(user: str) -> None:
    """Let a user's services go on when the user has logged out.

    Raises:
        StepError: this user may not.

    """
    status, _, said = _run(["loginctl", "enable-linger", user])
    if status != 0:
        raise StepError(
            f"`loginctl enable-linger {user}` failed: {said or f'status {status}'}; ask an administrator for "
            f"`sudo loginctl enable-linger {user}`, else the service ends when you log out"
        )


def _run(words: list[str]) -> tuple[int, str, str]:
    """Run a program; gives its status, its output, and what it said on standard error, on one line."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False, timeout=PATIENCE)
    except FileNotFoundError:
        return 127, "", f"{words[0]} was not found: systemd is not installed"
    except subprocess.TimeoutExpired:
        return 124, "", f"no answer from systemd within {PATIENCE:.0f} s"
    return done.returncode, done.stdout, " ".join(done.stderr.split())


def _assignments(text: str) -> list[tuple[str, str]]:
    """Read lines of `NAME=value`; what needs escapes stands in the shell's `$'...'`, as systemctl writes it."""
    pairs = [line.partition("=") for line in text.splitlines() if "=" in line]
    return [(name, _unquoted(value)) for name, _, value in pairs]


def _unquoted(value: str) -> str:
    if not (value.startswith("$'") and value.endswith("'")):
        return value
    return value[2:-1].encode("latin-1", "backslashreplace").decode("unicode_escape", "replace")


def read_environment(path: Path) -> Mapping[str, str]:
    """Read a file of `NAME=value` lines as `EnvironmentFile=` does; systemd.exec(5). None is as good as an empty one.

    Raises:
        StepError: it cannot be read.

    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise StepError(f"{path} cannot be read: {error.strerror}") from error
    pairs = [line.partition("=") for line in lines if "=" in line and not line.startswith(("#", ";"))]
    return {name.strip(): _bare(value.strip()) for name, _, value in pairs}


def _bare(value: str) -> str:
    try:
        return "".join(shlex.split(value)) if value[:1] in ("'", '"') else value
    except ValueError:  # a quote that is never closed
        return value
