"""What several commands share: options, finding the configuration, printing."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
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

    return load_config(path.expanduser() if path else find_config())


@contextmanager
def recorded(path: Path | None) -> Iterator[Store | None]:
    """Open the store that the configuration names, for reading; None when no daemon has run yet.

    Raises:
        ConfigError: there is no configuration, or it is not YAML.
        StoreError: the store cannot be read.

    """
    from watcher.record.store import open_for_reading

    store = open_for_reading(_state(path))
    try:
        yield store
    finally:
        if store is not None:
            store.close()


def _state(path: Path | None) -> Path:
    """Give the state folder of a configuration, whatever else is wrong with that.

    Who only looks may do so while a rule is being edited, and from a shell that lacks the daemon's secrets.
    """
    from watcher import yamlfile
    from watcher.config import Config, find_config, state_folder
    from watcher.errors import ConfigError

    document = yamlfile.load(path.expanduser() if path else find_config())
    whole = document.data if isinstance(document.data, dict) else {}
    state = {"runs": [{"path": "."}], **({"state": whole["state"]} if "state" in whole else {})}
    faults = tuple(fault for fault in document.faults if fault.key == "state")
    config, faults_of_state = yamlfile.check(replace(document, data=state, faults=faults), Config)
    if config is None:
        raise ConfigError(faults=faults_of_state)
    return state_folder(config)


def print_json(value: Mapping[str, Any], *, one_line: bool = False) -> None:
    """Print one JSON document; what is not finite becomes null, which JSON can say."""
    unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    indent = None if one_line else 2
    text = json.dumps(_finite(value), indent=indent, ensure_ascii=not unicode, allow_nan=False, default=str)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list | tuple) else value


def console() -> Console:
    """Give the console for tables: as wide as the terminal, and unbroken where it is none."""
    from rich.console import Console

    from watcher.view.table import UNBROKEN

    has_width = sys.stdout.isatty() or os.environ.get("COLUMNS")
    return Console(width=None if has_width else UNBROKEN, highlight=False, emoji=False)


def say(out: Console, line: str, style: str | None = None) -> None:
    """Print one line as it is; the terminal breaks it, so that it can be copied whole."""
    out.print(line, style=style, markup=False, soft_wrap=True)
