"""`launch.json`: what was started, as what process, and in the end how it ended."""

from __future__ import annotations

import os
import pwd
import re
import secrets
import signal
import socket
import time
from typing import Any, Sequence

from . import proc
from .folder import Place
from .protocol import LAUNCH, VERSION, read_json, redact, write_json

CGROUP = "/proc/self/cgroup"
KEPT = (
    *("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "HOME", "SHELL", "PYTHONPATH", "PYTHONHASHSEED"),
    *("VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE"),
    *("TRANSFORMERS_CACHE", "TRANSFORMERS_OFFLINE", "TORCH_HOME", "TOKENIZERS_PARALLELISM", "XDG_CACHE_HOME"),
    *("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "CUDA_HOME", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"),
    *("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF", "OMP_NUM_THREADS", "MKL_NUM_THREADS"),
    *("MASTER_ADDR", "MASTER_PORT", "RANK", "LOCAL_RANK", "WORLD_SIZE", "NODE_RANK"),
    *("WANDB_MODE", "WANDB_DIR", "WANDB_PROJECT", "WANDB_ENTITY", "WANDB_NAME", "WANDB_RUN_ID", "WANDB_RESUME"),
    *("CONFIG_BACKEND", "CONFIG_TYPE", "CONFIG_PATH", "ENV", "OUTPUT_DIR"),
)
"""Environment variables that a record keeps: what a training is started anew with, and no secrets."""
KEPT_KINDS = ("ACCELERATE_", "NCCL_", "GLOO_", "TORCH_NCCL_", "FSDP_", "SIMPLETUNER_")
"""Beginnings of the names of others that it keeps, unless the name sounds like a secret's."""
ALWAYS_SET = {"_", "PWD", "OLDPWD", "SHLVL", "TERM", "COLORTERM", "LS_COLORS", "SSH_AUTH_SOCK", "SSH_CLIENT", "SSH_TTY"}
"""Of a terminal or a shell, and no loss."""
_SECRET = re.compile(r"TOKEN|SECRET|PASS|PWD|KEY|AUTH|CREDENTIAL", re.IGNORECASE)


def new_launch_id() -> str:
    """Give an id that no other launch has; ids sort by the time of the launch (UTC)."""
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(4)}"


def begin(place: Place, launch_id: str, argv: Sequence[str], environment: dict[str, str], pid: int) -> None:
    """Write the record of a launch whose process `pid` is there, and is about to become the command.

    Raises:
        OSError: it cannot be written.

    """
    known = {**_launch(place, launch_id, argv, environment), **_process(pid), **_managers(environment)}
    write_json(os.path.join(place.path, LAUNCH), known)


def end(control: str, launch_id: str, status: int) -> None:
    """Add to the record how the command ended (a wait status); one that a later launch has replaced stays as it is."""
    path = os.path.join(control, LAUNCH)
    known = read_json(path)
    if known is None or known.get("launch_id") != launch_id:
        return
    try:
        write_json(path, {**known, "ended": {"at": time.time(), **_ending(status)}})
    except OSError:  # a full disk must not change how the command's end looks
        return


def ended_how(ended: dict[str, Any]) -> str:
    """Say for people how a launch ended, as its record has it."""
    return f"by {ended['signal']}" if ended.get("signal") else f"exit status {ended.get('status')}"


def _launch(place: Place, launch_id: str, argv: Sequence[str], environment: dict[str, str]) -> dict[str, Any]:
    return {
        "version": VERSION,
        "launch_id": launch_id,
        "run": place.run,
        "why_here": place.why or None,
        "host": socket.gethostname(),
        "boot_id": proc.boot_id(),
        "pid_namespace": proc.pid_namespace(),
        "user": {"uid": os.getuid(), "name": _user_name()},
        "argv": redact(argv),
        "cwd": os.getcwd(),
        "environment": kept(environment),
        "environment_left_out": sorted({*environment} - {*kept(environment)} - ALWAYS_SET),
        "launched_at": time.time(),
        "ended": None,
    }


def _process(pid: int) -> dict[str, Any]:
    """Give what tells the process from every other one, and the launcher beside it."""
    found, launcher = proc.read(pid), proc.read(os.getpid())
    return {
        "pid": pid,
        "start_time": found.start if found else None,
        "process_group": pid,
        "session": os.getsid(0),
        "launcher": {"pid": os.getpid(), "start_time": launcher.start if launcher else None},
    }


def _managers(environment: dict[str, str]) -> dict[str, Any]:
    return {
        "slurm_job_id": environment.get("SLURM_JOB_ID"),
        "systemd_invocation_id": environment.get("INVOCATION_ID"),
        **_unit(environment),
    }


def _unit(environment: dict[str, str]) -> dict[str, Any]:
    """Give the systemd service that this process is in, if one has started it."""
    name, is_user = service()
    is_unit = bool(environment.get("INVOCATION_ID") and name)
    return {"systemd_unit": name if is_unit else None, "systemd_user": is_unit and is_user}


def service() -> tuple[str, bool]:
    """Give the systemd service that this process is in, by its control group (cgroups(7)), and whether of a user.

    The name is empty where it is in none: in a terminal's scope, or without systemd.
    """
    try:
        with open(CGROUP, encoding="utf-8") as file:
            path = file.read().strip().rpartition(":")[2]
    except OSError:
        path = ""
    name = path.rpartition("/")[2]
    return (name, "/user@" in path) if name.endswith(".service") else ("", False)


def kept(environment: dict[str, str]) -> dict[str, str]:
    """Give of an environment what a record may keep."""
    names = [name for name in environment if name in KEPT or name.startswith(KEPT_KINDS)]
    chosen = [name for name in sorted(names) if name in KEPT or not _SECRET.search(name)]
    return {name: redact([environment[name]])[0] for name in chosen}


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user that no file names
        return ""


def _ending(status: int) -> dict[str, Any]:
    if os.WIFSIGNALED(status):
        return {"status": None, "signal": _signal_name(os.WTERMSIG(status))}
    return {"status": os.WEXITSTATUS(status), "signal": None}


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"
