"""A look at the store beside a running daemon without loading what only writing it needs: `status` is asked often.

SQLAlchemy alone takes longer to load than `status` may take. What is read so is asked for in plain SQL, which both a
`Store` and a `Glance` answer.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from watcher.errors import StoreError

HEAD = "0008"
"""The newest migration; `tests/unit/test_store.py` compares it with Alembic's."""
DATABASE = "watcher.db"
"""Its file in the state folder."""
PATIENCE = 5.0
"""Seconds to wait for a database that another process is just changing."""


class Reader(Protocol):
    """What answers plain SQL within one consistent state: a connection of SQLAlchemy's or of a `Glance`."""

    def exec_driver_sql(self, statement: str, parameters: Any = None, /) -> Iterable[Any]:
        """Give the rows of a query, as tuples."""


class Readable(Protocol):
    """A store that can be read so."""

    def read(self) -> AbstractContextManager[Reader]:
        """Give a reader that sees one consistent state."""


class Glance:
    """An open database of this version, for reading."""

    def __init__(self, link: sqlite3.Connection) -> None:
        self._link = link

    @contextmanager
    def read(self) -> Iterator[Reader]:
        """Give a reader that sees one consistent state.

        Raises:
            StoreError: the database cannot be read.

        """
        with _translated("read"):
            self._link.execute("BEGIN")
            try:
                yield _Reader(self._link)
            finally:
                self._link.rollback()

    def close(self) -> None:
        """Close it."""
        self._link.close()


class _Reader:
    def __init__(self, link: sqlite3.Connection) -> None:
        self._link = link

    def exec_driver_sql(self, statement: str, parameters: Any = None, /) -> Iterable[Any]:
        return self._link.execute(statement, parameters or ())


def glance(state: Path) -> Glance | None:
    """Open the database beside a running daemon, or None where there is none yet, or it is just being made.

    Raises:
        StoreError: it cannot be opened, or was written by another version of this program.

    """
    path = state / DATABASE
    if not path.exists():
        return None
    with _translated("open"):
        link = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
        try:
            link.execute("PRAGMA query_only = ON")
            if (revision := _revision(link)) is not None:
                refuse_other(path, revision)
                return Glance(link)
        except BaseException:
            link.close()
            raise
        link.close()
    return None


def _revision(link: sqlite3.Connection) -> str | None:
    there = link.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
    row = link.execute("SELECT version_num FROM alembic_version").fetchone() if there else None
    return str(row[0]) if row else None


def refuse_other(path: Path, revision: str) -> None:
    """Refuse a database that another version of this program has written.

    Raises:
        StoreError: it is one; names both.

    """
    if revision != HEAD:
        way_out = "start the daemon to migrate it" if (revision or "") < HEAD else "update this program"
        told = f"{path} has version {revision}, this program reads {HEAD}; {way_out}"
        raise StoreError(told, permanent=True)


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"store: {what}: {error}; nothing was changed, it is tried again") from error
