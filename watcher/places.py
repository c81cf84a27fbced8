"""Where the configuration and the state lie: found without reading the rest of it, so that `status` is quick."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from watcher import yamlfile
from watcher.errors import ConfigError, Fault

PLACES = ("watcher.yaml", "~/.config/watcher/watcher.yaml", "/etc/watcher/watcher.yaml")


def find_config() -> Path:
    """Find the configuration: $WATCHER_CONFIG, else the first of the usual places.

    Raises:
        ConfigError: there is none.

    """
    if given := os.environ.get("WATCHER_CONFIG"):
        return Path(given)
    for place in PLACES:
        if (path := Path(place).expanduser()).is_file():
            return path
    raise ConfigError(f"no configuration: give one with -c, or write one of {', '.join(PLACES)}")


def usual_state() -> Path:
    """Give the state folder where the configuration names none: systemd's, else the user's."""
    if systemd := os.environ.get("STATE_DIRECTORY"):
        return Path(systemd.split(":")[0])
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "watcher"


def state_of(config: Path) -> Path:
    """Give the state folder of a configuration, whatever else is wrong with that.

    Who only looks may do so while a rule is being edited, and from a shell that lacks the daemon's secrets.

    Raises:
        ConfigError: the file is not YAML, or its `state:` is no path.

    """
    document = yamlfile.load(config)
    whole = document.data if isinstance(document.data, dict) else {}
    faults = [fault for fault in document.faults if fault.key == "state"]
    if not faults and whole.get("state") is None:
        return usual_state()
    try:
        folder = _path(document, whole["state"])
    except ConfigError as error:
        faults += error.faults
    if faults:
        raise ConfigError(faults=faults)
    return folder


def _path(document: yamlfile.Document, given: Any) -> Path:
    """Read a path as the whole configuration does: relative ones count from its folder."""
    if not isinstance(given, str):
        raise ConfigError(faults=[_fault(document, f"must be a path{yamlfile.shown(given)}")])
    try:
        return (document.path.absolute().parent / Path(given).expanduser()).resolve()
    except RuntimeError as error:
        raise ConfigError(faults=[_fault(document, f"no such user: {Path(given).parts[0]}")]) from error


def _fault(document: yamlfile.Document, what: str) -> Fault:
    return document.fault(("state",), what)
