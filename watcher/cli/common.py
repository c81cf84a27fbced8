"""What several commands share: options, finding the configuration, printing."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from watcher.config import Config
    from watcher.record.store import Store

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="The configuration; default: $WATCHER_CONFIG, ./watcher.yaml, "
        "~/.config/watcher/watcher.yaml, /etc/watcher/watcher.yaml.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def load(path: Path | None) -> Config:
    """Load the configuration given, or the first that is found.

    Raises:
        ConfigError: there is none, or it has faults.

    """
    from watcher.config import find_config, load_config

    return load_config(path or find_config())


def open_store(path: Path | None) -> Store | None:
    """Open the store that the configuration names, for reading; None when no daemon has run yet."""
    from watcher.config import state_folder
    from watcher.record.store import open_for_reading

    return open_for_reading(state_folder(load(path)))


def print_json(value: Mapping[str, Any]) -> None:
    """Print one JSON document; not-a-number becomes null, which JSON can say."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def console() -> Console:
    """Give the console for tables; wide enough for whole paths where it is not a terminal."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 160, highlight=False)
