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

import psutil
from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from watcher.errors import ConfigError, StoreError

HEAD = "0001"
"""The newest migration; `tests/unit/test_store.py` compares it with Alembic's."""

NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "beegfs", "ceph", "glusterfs", "9p", "afs"}
    | {"fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.s3fs", "fuse.gcsfuse", "fuse.juicefs"}
)
Boundary = Callable[[str, str], None]


class Store:
    """An open database; `change` and `read` are the only ways in."""

    def __init__(self, engine: Engine, boundary: Boundary | None = None) -> None:
        self._engine = engine
        self._boundary = boundary or (lambda _change, _side: None)

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
        self._engine.dispose()


def open_store(state: Path, boundary: Boundary | None = None) -> Store:
    """Open, and where needed create or migrate, the database in the state folder (made with mode 0700).

    `boundary(change, "before" | "after")` is called around every commit; tests kill the process there.

    Raises:
        ConfigError: the folder cannot be made, or lies on a network file system.
        StoreError: the database cannot be opened.

    """
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"state folder {state} cannot be made: {error.strerror}; set `state:`") from error
    refuse_network(state)
    with _translated("open"):
        engine = _engine(f"sqlite:///{state / 'watcher.db'}")
        migrate(engine)
    return Store(engine, boundary)


def open_for_reading(state: Path) -> Store | None:
    """Open the database beside a running daemon, or None where there is none yet.

    Raises:
        StoreError: it was written by another version of this program.

    """
    path = state / "watcher.db"
    if not path.exists():
        return None
    engine = _engine(f"sqlite:///{path}")
    with _translated("open"):
        if (revision := _revision(engine)) != HEAD:
            raise StoreError(
                f"{path} has version {revision}, this program reads {HEAD}; start the daemon to migrate it",
                permanent=True,
            )
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


def refuse_network(folder: Path) -> None:
    """Refuse a state folder on a network file system, where SQLite's locks cannot be trusted.

    Raises:
        ConfigError: it is one; names the file system.

    """
    kind = file_system(folder)
    if kind in NETWORK_FILE_SYSTEMS:
        raise ConfigError(
            f"state folder {folder} is on a network file system ({kind}), where a database is not safe; "
            "set `state:` in watcher.yaml to a local folder"
        )


def file_system(folder: Path) -> str:
    """Name the type of the file system that holds a folder, by the longest mount point above it."""
    real = folder.resolve()
    mounts = [(len(p.mountpoint), p.fstype) for p in psutil.disk_partitions(all=True) if _holds(p, real)]
    return max(mounts, default=(0, ""))[1]


def _holds(partition: Any, folder: Path) -> bool:
    return folder.is_relative_to(partition.mountpoint)


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
