"""Files of the user's: written whole, never silently over another, with what stood there kept beside."""

from __future__ import annotations

import itertools
import os
import tempfile
from pathlib import Path

from watcher.errors import ConfigError

HERE = Path(__file__).resolve().parents[1]


def packaged(name: str) -> Path:
    """Give a folder that comes with the program: `rules` or `systemd`.

    In an installed package it is `watcher/_NAME`; in a copy of the source, and in an editable installation of one, it
    stands beside the package.

    Raises:
        ConfigError: the installation lacks it.

    """
    for folder in (HERE / f"_{name}", HERE.parent / name):
        if folder.is_dir():
            return folder
    raise ConfigError(f"this installation lacks {HERE / f'_{name}'}; install watcher anew")


def read(path: Path) -> str | None:
    """Give a file's text; None where there is none.

    Raises:
        OSError: it cannot be read.

    """
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def keep(path: Path) -> Path:
    """Move a file to the first free name of `NAME.1`, `NAME.2`, ... and give that.

    Raises:
        OSError: the folder cannot be written.

    """
    kept = next(one for number in itertools.count(1) if not (one := Path(f"{path}.{number}")).exists())
    path.rename(kept)
    return kept


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a whole file or none, with its folder.

    Raises:
        OSError: it cannot be written.

    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).chmod(mode)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def short(path: Path | str) -> str:
    """Give a path as people write it: from `~` where it is below the home folder."""
    text, home = str(path), str(Path.home())
    below = text == home or text.startswith(home.rstrip("/") + "/")
    return "~" + text[len(home) :] if below and home != "/" else text
