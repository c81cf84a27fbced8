"""A store that an older watcher has filled keeps every row and every value, whatever version it comes from."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import JSON, Boolean, Column, Engine, Float, Integer, LargeBinary, MetaData, create_engine, select

import watcher.record
from tests.stores import store_in
from watcher.record.store import open_store

ROWS = (1, 2)


def at_version(folder: Path, version: str) -> Engine:
    """Make a store as the watcher of some version did."""
    engine = create_engine(f"sqlite:///{folder / 'watcher.db'}")
    config = Config()
    config.set_main_option("script_location", str(Path(watcher.record.__file__).parent / "migrations"))
    config.attributes["engine"] = engine
    command.upgrade(config, version)
    return engine


def value(column: Column[Any], number: int) -> object:
    """Give some value of a column in the row of a number; keys of other tables are those of their row."""
    if column.foreign_keys:
        (key,) = column.foreign_keys
        return value(key.column, number)
    kinds: list[tuple[type, object]] = [
        (Boolean, number == 1),
        (Integer, number),
        (Float, number + 0.25),
        (JSON, {column.name: number}),
        (LargeBinary, bytes([number, 0, 255])),
    ]
    return next((found for kind, found in kinds if isinstance(column.type, kind)), f"{column.name} {number}")


def fill(engine: Engine) -> dict[str, list[dict[str, Any]]]:
    """Write rows into every table; gives what then stands there."""
    tables = MetaData()
    tables.reflect(engine)
    with engine.begin() as db:
        for table in tables.sorted_tables:
            if table.name != "alembic_version":
                db.execute(table.insert(), [{one.name: value(one, row) for one in table.columns} for row in ROWS])
    return contents(engine)


def contents(engine: Engine) -> dict[str, list[dict[str, Any]]]:
    tables = MetaData()
    tables.reflect(engine)
    with engine.connect() as db:
        return {
            table.name: [dict(row) for row in db.execute(select(table).order_by(*table.primary_key)).mappings()]
            for table in tables.sorted_tables
            if table.name != "alembic_version"
        }


@pytest.mark.parametrize("version", ["0003", "0004", "0005"])
def test_every_row_of_an_older_store_is_kept_as_it_was(tmp_path: Path, version: str) -> None:
    old = at_version(tmp_path, version)
    before = fill(old)
    old.dispose()
    open_store(tmp_path).close()
    new = create_engine(f"sqlite:///{tmp_path / 'watcher.db'}")
    after = contents(new)
    new.dispose()
    assert len(before) > 10
    assert all(len(rows) == len(ROWS) for rows in before.values())
    for table, rows in before.items():
        assert [{name: row[name] for name in rows[0]} for row in after[table]] == rows, table
    for table in ("evaluations", "samples", "decisions"):
        assert [row["by_epoch"] for row in after[table]] == [version == "0005" and row == 1 for row in ROWS]
    assert after["scalars"] == []


def test_the_copied_store_of_other_tests_is_what_migrations_make(tmp_path: Path) -> None:
    open_store(tmp_path / "made").close()
    store_in(tmp_path / "copied").close()
    made, copied = (dump(tmp_path / name / "watcher.db") for name in ("made", "copied"))
    assert len(made) > 10
    assert copied == made


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as link:
        return list(link.iterdump())
