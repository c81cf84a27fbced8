"""The truth: every state of the path in one database, changed one transaction at a time.

SQLite in WAL mode by default; a server database can take its place by URL. The functions that read and
write single tables are in the modules beside this one; they take the connection that `change` or `read`
gives, so that several of them share one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from watcher.errors import ConfigError, StoreError
from watcher.mounts import NETWORK_FILE_SYSTEMS as NETWORK_FILE_SYSTEMS
from watcher.mounts import Mounts
from watcher.record.glance import DATABASE, HEAD, refuse_other

Boundary = Callable[[str, str], None]


class Store:
    """An open database; `change` and `read` are the only ways in."""

    def __init__(self, engine: Engine, boundary: Boundary | None = None) -> None:
        self._engine = engine
        self._boundary = boundary or (lambda _change, _side: None)
        self._witness: Any = None

    def version(self) -> object:
        """Give a value that is another one whenever anybody, also another process, has changed the database.

        Raises:
            StoreError: the database cannot be read.

        """
        with _translated("read"):
            if self._witness is None:
                self._witness = (
                    self._engine.raw_connection()
                )  # one that never writes: it sees the changes of all others
            try:
                return self._witness.execute("PRAGMA data_version").fetchone()[0]
            except Exception as error:
                raise StoreError(f"store: read: {error}; it is tried again") from error

    @contextmanager
    def change(self, what: str) -> Iterator[Connection]:
        """Give a connection inside one write transaction; commits at the end, rolls back on any error.

        Raises:
            StoreError: the database is locked, full or gone; nothing was changed.

        """
        with _translated(what):
            with self._engine.connect().execution_options(writes=True) as db, db.begin():
                yield db
                self._boundary(what, "before")
            self._boundary(what, "after")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection that sees one consistent state.

        Raises:
            StoreError: the database cannot be read.

        """
        with _translated("read"), self._engine.connect() as db, db.begin():
            yield db

    def close(self) -> None:
        """Close every connection."""
        if self._witness is not None:
            self._witness.close()
            self._witness = None
        self._engine.dispose()


def open_store(state: Path, boundary: Boundary | None = None) -> Store:
    """Open, and where needed create or migrate, the database in the state folder (made with mode 0700).

    `boundary(change, "before" | "after")` is called around every commit; tests kill the process there.

    Raises:
        ConfigError: the folder cannot be made, or lies on a network file system.
        StoreError: the database cannot be opened, or a newer version of this program has written it.

    """
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"state folder {state} cannot be made: {error.strerror}; set `state:`") from error
    refuse_network(state)
    with _translated("open"):
        engine = _engine(f"sqlite:///{state / DATABASE}")
        if (found := _revision(engine) or "") > HEAD:
            refuse_other(state / DATABASE, found)
        migrate(engine)
    return Store(engine, boundary)


def open_beside(state: Path) -> Store | None:
    """Open the database beside a running daemon, or None where there is none yet, or it is just being made.

    Raises:
        StoreError: it was written by another version of this program.

    """
    path = state / DATABASE
    if not path.exists():
        return None
    engine = _engine(f"sqlite:///{path}")
    with _translated("open"):
        revision = _revision(engine)
    if revision is None:
        engine.dispose()
        return None
    refuse_other(path, revision)
    return Store(engine)


def migrate(engine: Engine) -> None:
    """Bring the tables to `HEAD` through Alembic, inside one transaction."""
    if _revision(engine) == HEAD:
        return
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["engine"] = engine
    command.upgrade(config, "head")


def refuse_network(folder: Path, mounts: Mounts | None = None) -> None:
    """Refuse a state folder on a network file system, where SQLite's locks cannot be trusted.

    Raises:
        ConfigError: it is one; names the file system.

    """
    kind = file_system(folder, mounts)
    if kind in NETWORK_FILE_SYSTEMS:
        raise ConfigError(
            f"state folder {folder} is on a network file system ({kind}), where a database is not safe; "
            "set `state:` in watcher.yaml to a local folder"
        )


def file_system(folder: Path, mounts: Mounts | None = None) -> str:
    """Name the type of the file system that holds a folder."""
    return (mounts or Mounts()).of(folder.resolve()).kind


def _revision(engine: Engine) -> str | None:
    with engine.connect() as db:
        if not inspect(db).has_table("alembic_version"):
            return None
        return db.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _engine(url: str) -> Engine:
    engine = create_engine(url)
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def _configure(connection: Any, _record: object) -> None:
    # sqlite3 must not begin transactions by itself: `_begin` says when and how.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin(db: Connection) -> None:
    # IMMEDIATE: a change that starts as a reader could find itself unable to write half way.
    db.exec_driver_sql("BEGIN IMMEDIATE" if db.get_execution_options().get("writes") else "BEGIN")


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        raise StoreError(f"store: {what}: {cause}; nothing was changed, it is tried again") from error
