"""Before a service is installed: would it find its configuration, could it use it, and is it the only one?

Asked of the very program, user, folder and environment that the service will have.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from watcher.config import find_config, load_config
from watcher.discover import find_runs
from watcher.errors import ConfigError, StepError
from watcher.setup.files import short
from watcher.setup.systemd import read_environment
from watcher.setup.units import Unit, program

PATIENCE = 300.0
"""Seconds that `watcher check` may take, on a slow file server."""
SHAPING = (
    *("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME", "XDG_STATE_HOME", "CUDA_VISIBLE_DEVICES"),
    *("WANDB_API_KEY", "WANDB_BASE_URL", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY"),
)
"""Variables by which the daemon finds the model, its state, a GPU, W&B or a way out; a service lacks the shell's."""


PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def environment_of(unit: Unit, manager: Mapping[str, str]) -> dict[str, str]:
    """Give the variables of a service: its manager's, those of `User=`, its environment file's; systemd.exec(5).

    A user's own manager has that user's variables already.
    """
    user = unit.user
    login = {"HOME": str(unit.home), "USER": user.pw_name, "LOGNAME": user.pw_name, "SHELL": user.pw_shell}
    before = {**login, **manager} if unit.is_users else {**manager, **login}
    return {"PATH": PATH, **before, **read_environment(unit.secrets)}


def options(unit: Unit, config: Path | None, environment: Mapping[str, str]) -> list[str]:
    """Give how the service is told of the configuration: nothing, where it finds that by itself.

    Raises:
        ConfigError: there is none.

    """
    found = unit.config(environment)
    if not unit.is_users:
        if config is not None:
            way = f"write `WATCHER_CONFIG={_given(config)}` into {unit.secrets}"
            raise ConfigError(f"--config: the unit is the same for all users; {way}, or put the file where it is found")
        if found is None:
            who = unit.user.pw_name
            raise ConfigError(f"{who} has no configuration: write one as {who} with `watcher init FOLDER`")
        return []
    chosen = _given(config) if config else _given(find_config())
    return [] if found is not None and found == chosen else ["-c", str(chosen)]


def _given(config: Path) -> Path:
    return Path(os.path.abspath(config.expanduser()))  # noqa: PTH100 - links stay as they are named


def check(unit: Unit, options: Sequence[str], environment: Mapping[str, str]) -> Iterator[str]:
    """Let the program that will be the service check its configuration, as the service will find it.

    Raises:
        ConfigError: it has faults, or is not for this user.

    """
    done = _as_service(unit, ["check", *options], environment)
    if done.returncode != 0:
        hint = _unset(unit) if "environment variable" in done.stderr else ""
        raise ConfigError(f"the service could not use its configuration:\n{done.stderr.strip()}{hint}")
    yield f"checked: {done.stdout.splitlines()[0]}"
    yield from _strangers(unit, options, environment)


def _unset(unit: Unit) -> str:
    return (
        f"\nA service does not see what your shell sets: write NAME=value lines into {unit.secrets}, then "
        f"`chmod 600 {shlex.quote(str(unit.secrets))}`"
    )


def _as_service(unit: Unit, words: Sequence[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command of this program as the service would run: its user, its folder, its environment.

    Raises:
        StepError: it cannot be started.

    """
    user = unit.user
    other: dict[str, Any] = {}
    if os.geteuid() == 0 and user.pw_uid != 0:
        groups = os.getgrouplist(user.pw_name, user.pw_gid)
        other = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": groups}
    try:
        return subprocess.run(
            [*program(), *words],
            cwd=unit.home,
            env=dict(environment),
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=PATIENCE,
            **other,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        who, what = user.pw_name, program()[0]
        raise StepError(
            f"{what} cannot be run as {who} in {unit.home}: {error}; install watcher where {who} may"
        ) from error


def _strangers(unit: Unit, options: Sequence[str], environment: Mapping[str, str]) -> Iterator[str]:
    """Tell of runs that belong to somebody else.

    Raises:
        ConfigError: root would watch the trainings of others.

    """
    path = Path(options[-1]) if options else unit.config(environment)
    assert path is not None
    with _environment(environment):
        runs = [run for run in find_runs(load_config(path).runs) if run.layout is not None]
    strange = [run.name for run in runs if run.path.stat().st_uid != unit.user.pw_uid]
    if not strange:
        return
    named = ", ".join(strange[:5]) + (" and more" if len(strange) > 5 else "")
    if unit.user.pw_uid == 0:
        raise ConfigError(
            f"{named}: not root's, and root's watcher is for root's own trainings only. It would have the power to "
            "signal anybody's processes, and its files in their folders would be root's. Install one for each user who "
            "trains: `watcher service install --system-user NAME`"
        )
    yield f"note: {named}: another user's; {unit.user.pw_name} may watch them, but not stop them"


@contextmanager
def _environment(environment: Mapping[str, str]) -> Iterator[None]:
    """Let paths and variables of a configuration mean what they mean to the service."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def refuse_second(unit: Unit, options: Sequence[str], environment: Mapping[str, str]) -> None:
    """Refuse to start a second daemon over the same state, which would only fail.

    Raises:
        StepError: one runs.

    """
    done = _as_service(unit, ["status", "--json", *options], environment)
    try:
        daemon = json.loads(done.stdout)["daemon"]
    except (ValueError, KeyError, TypeError):  # whatever is wrong, the service itself will say
        return
    if daemon.get("state") == "running":
        raise StepError(
            f"a daemon runs already (pid {daemon['pid']}): end it by `kill {daemon['pid']}`, then try again"
        )


def lost_variables(unit: Unit, environment: Mapping[str, str]) -> Iterator[str]:
    """Tell of variables that this shell has and the service will not have."""
    names = [name for name in SHAPING if name in os.environ and os.environ[name] != environment.get(name)]
    for name in names if unit.is_users else ():
        yield (
            f"note: {name} is set here, and the service does not get it; if it matters: "
            f'`(umask 077; echo "{name}=${name}" >> {short(unit.secrets)})`, then '
            f"`systemctl --user restart {unit.name}`"
        )
