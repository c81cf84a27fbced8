"""The folder that goes onto a launch's PYTHONPATH: `sitecustomize.py`, and a copy of this package for it to load.

A copy, so that a training never sees this package change under it, and needs nothing installed in its environment.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from typing import Iterator

from .protocol import CONTROL_DIR, LAUNCH_ID

PACKAGE = "_watcher_control_v1"
"""The copy's name, which nothing else has: the trainer may have another version of this package installed."""
SITE = "sitecustomize.py"
_HERE = os.path.dirname(os.path.abspath(__file__))
_KIND = ".py"


def packed(folder: str) -> str:
    """Put the folder for PYTHONPATH into `folder`, if this very version is not there already; gives its path.

    Raises:
        OSError: it cannot be written.

    """
    path = os.path.join(folder, f"python-{_version()}")
    if not os.path.isdir(path):
        _write(path)
    return path


def armed_environment(environment: dict[str, str], site: str, control: str, launch_id: str) -> dict[str, str]:
    """Give the environment of a launch: the folder `site` before what PYTHONPATH has, and the launch's marks.

    The folder of a launch around this one is left out.
    """
    parts = environment.get("PYTHONPATH", "")
    # Empty parts mean the working folder, but an empty variable means nothing: it must not become a part.
    kept = [part for part in parts.split(os.pathsep) if parts and not is_packed(part)]
    path = os.pathsep.join([site, *kept])
    return {**environment, "PYTHONPATH": path, CONTROL_DIR: control, LAUNCH_ID: launch_id}


def is_packed(path: str) -> bool:
    """Tell whether an entry of PYTHONPATH is a folder that `packed` has written."""
    return bool(path) and os.path.isfile(os.path.join(path, PACKAGE, "__init__.py"))


def _write(path: str) -> None:
    """Write it whole or not at all; another launch may be writing the same one."""
    beside = f"{path}.{os.getpid()}"
    shutil.copytree(_HERE, os.path.join(beside, PACKAGE), ignore=_unwanted)
    shutil.copyfile(os.path.join(_HERE, "site", SITE), os.path.join(beside, SITE))
    try:
        os.rename(beside, path)
    except OSError:
        shutil.rmtree(beside)
        if not os.path.isdir(path):
            raise


def _unwanted(folder: str, names: list[str]) -> list[str]:
    """Name what is not copied: all but Python's sources."""
    is_here = os.path.samefile(folder, _HERE)
    return [
        name
        for name in names
        if name == "__pycache__"
        or (is_here and name == "site")
        or not (name.endswith(_KIND) or os.path.isdir(os.path.join(folder, name)))
    ]


def _version() -> str:
    """Give a text that changes with every file of this package."""
    digest = hashlib.sha256()
    for name, path in sorted(_sources()):
        with open(path, "rb") as file:
            digest.update(name.encode() + b"\0" + hashlib.sha256(file.read()).digest())
    return digest.hexdigest()[:12]


def _sources() -> Iterator[tuple[str, str]]:
    for folder, _, names in os.walk(_HERE):
        for name in names:
            if name.endswith(_KIND):
                path = os.path.join(folder, name)
                yield os.path.relpath(path, _HERE), path
