"""The unit of a service: whose it is, where it stands, and what is in it."""

from __future__ import annotations

import os
import pwd
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from watcher.config import PLACES
from watcher.errors import ConfigError
from watcher.setup.files import packaged, read


@dataclass(frozen=True, slots=True)
class Unit:
    """A service of one user's."""

    user: pwd.struct_passwd
    home: Path
    name: str
    """As systemctl is told, such as `watcher@alice.service`."""
    path: Path
    """The unit's file."""
    secrets: Path
    """Its environment file."""
    is_users: bool
    """Whether it belongs to the user's own service manager."""

    def text(self, options: Sequence[str]) -> str:
        """Give the unit's file as it comes, with the program that runs now.

        Raises:
            ConfigError: the installation lacks it.

        """
        whole = read(packaged("systemd") / ("watcher.service" if self.is_users else "watcher@.service")) or ""
        start = command_line([*program(), "run", *options])
        return re.sub(r"^ExecStart=.*$", lambda _: f"ExecStart={start}", whole, flags=re.MULTILINE)

    def config(self, environment: Mapping[str, str]) -> Path | None:
        """Give the configuration that the service would find by itself, started in the user's home folder."""
        if given := environment.get("WATCHER_CONFIG"):
            return self.home / given
        places = [Path(self.home / re.sub(r"^~/", "", place)) for place in PLACES]
        return next((place for place in places if place.is_file()), None)


def of_user() -> Unit:
    """Give the unit of this user's own manager; systemd.unit(5) says where that looks."""
    home = Path.home()
    path = home / ".config" / "systemd" / "user" / "watcher.service"
    secrets = home / ".config" / "watcher" / "environment"
    return Unit(pwd.getpwuid(os.geteuid()), home, path.name, path, secrets, is_users=True)


def of_system(name: str, etc: Path = Path("/etc")) -> Unit:
    """Give the unit that runs as a user under the machine's manager.

    Raises:
        ConfigError: there is no such user.

    """
    try:
        user = pwd.getpwnam(name)
    except KeyError as error:
        raise ConfigError(f"--system-user {name}: there is no such user; name the one who trains") from error
    path, secrets = etc / "systemd" / "system" / "watcher@.service", etc / "watcher" / f"{name}.env"
    return Unit(user, Path(user.pw_dir), f"watcher@{name}.service", path, secrets, is_users=False)


def program() -> list[str]:
    """Give the command that starts this very installation."""
    script = Path(sys.executable).with_name("watcher")
    return [str(script)] if script.is_file() else [sys.executable, "-P", "-m", "watcher"]


def command_line(words: Sequence[str]) -> str:
    """Write a command for `ExecStart=`; systemd.service(5), "Command lines".

    The program's path is no place for variables, so only in what follows a `$` is doubled.
    """
    return " ".join(_quoted(word, is_program=place == 0) for place, word in enumerate(words))


def _quoted(word: str, *, is_program: bool) -> str:
    text = word.replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    text = text if is_program else text.replace("$", "$$")
    return text if re.fullmatch(r"[\w@%+=:,./$~-]+", text, re.ASCII) else f'"{text}"'
