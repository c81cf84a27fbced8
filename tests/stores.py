"""New stores for tests that have many of them: the tables are made once in a process, and copied."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from watcher.record.glance import DATABASE
from watcher.record.store import Boundary, Store, open_store


def store_in(state: Path, boundary: Boundary | None = None) -> Store:
    """Open the store in a state folder as `open_store` does; a new one is a copy of one that migrations have made."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (state / DATABASE).exists():
        (state / DATABASE).write_bytes(_empty())
    return open_store(state, boundary)


@cache
def _empty() -> bytes:
    with TemporaryDirectory() as folder:
        open_store(Path(folder)).close()  # closing moves everything into the one file
        return (Path(folder) / DATABASE).read_bytes()
