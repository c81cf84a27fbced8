"""What several commands share: options, finding the configuration, printing."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar, cast

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from watcher.config import Config
    from watcher.record.glance import Glance
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
    from watcher.config import load_config
    from watcher.places import find_config

    return load_config(path.expanduser() if path else find_config())


class _Closes(Protocol):
    def close(self) -> None: ...


S = TypeVar("S", bound=_Closes)


def recorded(path: Path | None) -> AbstractContextManager[Store | None]:
    """Open the store that the configuration names, for reading; None when no daemon has run yet.

    Raises:
        ConfigError: there is no configuration, or it is not YAML.
        StoreError: the store cannot be read.

    """
    from watcher.record.store import open_beside

    return _opened(open_beside, path)


def glanced(path: Path | None) -> AbstractContextManager[Glance | None]:
    """Open the store that the configuration names for a quick look; None when no daemon has run yet.

    Raises:
        ConfigError: there is no configuration, or it is not YAML.
        StoreError: the store cannot be read.

    """
    from watcher.record.glance import glance

    return _opened(glance, path)


@contextmanager
def _opened(opens: Callable[[Path], S | None], path: Path | None) -> Iterator[S | None]:
    """Open the store in the state folder that a configuration names, and close it in the end."""
    from watcher.places import find_config, state_of

    store = opens(state_of(path.expanduser() if path else find_config()))
    try:
        yield store
    finally:
        if store is not None:
            store.close()


def print_json(value: Mapping[str, Any], *, one_line: bool = False) -> None:
    """Print one JSON document, indented for people."""
    sys.stdout.write(json_text(value, one_line=one_line))
    sys.stdout.flush()


def json_text(value: Mapping[str, Any], *, one_line: bool = False) -> str:
    """Give one JSON document, indented on a terminal; what is not finite becomes null, which JSON can say."""
    unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    indent = 2 if sys.stdout.isatty() and not one_line else None  # indenting takes six times as long
    write = partial(json.dumps, indent=indent, ensure_ascii=not unicode, allow_nan=False, default=_plain)
    try:
        text = write(value)
    except ValueError:
        text = write(_finite(value))
    return text + "\n"


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list | tuple) else value


def write_whole(place: Path, text: str) -> None:
    """Write a file in UTF-8, whole or not at all, as somebody may be reading it."""
    beside = place.with_name(f".{place.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(place)


def console() -> Console:
    """Give the console for tables: as wide as the terminal, and unbroken where it is none."""
    from watcher.view.screen import Screen

    return cast("Console", Screen())


def say(out: Console, line: str, style: str | None = None) -> None:
    """Print one line as it is; the terminal breaks it, so that it can be copied whole."""
    from watcher.view.table import Lines

    out.print(Lines(line), style=style, soft_wrap=True)
