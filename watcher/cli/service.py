"""`watcher service ...`."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from watcher.cli.common import ConfigOption

if TYPE_CHECKING:
    from watcher.setup.units import Unit

app = typer.Typer(help="The daemon as a service of systemd.", no_args_is_help=True)
UserOption = Annotated[bool, typer.Option("--user", help="A service of your own; the default, unless you are root.")]
SystemUserOption = Annotated[
    str | None,
    typer.Option(
        "--system-user", metavar="NAME", help="As root: a service that runs as NAME, who trains.", show_default=False
    ),
]


@app.command("install")
def install(
    user: UserOption = False,
    system_user: SystemUserOption = None,
    config: ConfigOption = None,
    only_print: Annotated[bool, typer.Option("--print", help="Print the unit and do nothing.")] = False,
    now: Annotated[bool, typer.Option("--now/--no-now", help="Start it at once.")] = True,
    linger: Annotated[bool, typer.Option("--linger", help="Let it run while you are logged out, too.")] = False,
) -> None:
    """Install the daemon as a service, start it, and say how it does.

    The configuration is checked first, as the service will find it. Doing it again brings the unit up to date; a unit
    that was changed is kept beside as FILE.1.
    """
    from watcher.setup import service

    unit = _unit(user=user, system_user=system_user)
    if only_print:
        typer.echo(service.shown(unit, config), nl=False)
        return
    _say(service.install(unit, config, now=now, with_linger=linger))


@app.command("uninstall")
def uninstall(user: UserOption = False, system_user: SystemUserOption = None) -> None:
    """Stop the service and remove it; trainings, configuration and state stay."""
    from watcher.setup import service

    _say(service.uninstall(_unit(user=user, system_user=system_user)))


@app.command("status")
def status(user: UserOption = False, system_user: SystemUserOption = None) -> None:
    """Say whether the service is installed, enabled and running; `watcher status` says what it found."""
    from watcher.setup import service

    _say(service.status(_unit(user=user, system_user=system_user)))


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(line)


def _unit(*, user: bool, system_user: str | None) -> Unit:
    """Give the unit that is meant.

    Raises:
        ConfigError: it is not clear whose, or this user may not.

    """
    from watcher.errors import ConfigError
    from watcher.setup.systemd import BOOTED, WITHOUT
    from watcher.setup.units import of_system, of_user, program

    if user and system_user:
        raise ConfigError("give --user or --system-user NAME, not both")
    is_root = os.geteuid() == 0
    if system_user:
        if not is_root:
            words = shlex.join([*program(), "service", "install", "--system-user", system_user])
            raise ConfigError(f"--system-user is for root: `sudo {words}`; without it, the service is your own")
        return of_system(system_user)
    if is_root and not user:
        raise ConfigError(_whose() if BOOTED.is_dir() else f"systemd does not run this machine: {WITHOUT}")
    return of_user()


def _whose() -> str:
    who = os.environ.get("SUDO_USER", "")
    own = f"run this as {who}, without sudo" if who else "run this as the user who trains"
    return (
        "a watcher as root is for root's own trainings only: it has to be the user who trains to see, and to signal, "
        f"that user's processes. For a service of that user's own, {own}; for one that starts with the machine, give "
        f"`--system-user {who or 'NAME'}` (`--system-user root` if root trains)"
    )
