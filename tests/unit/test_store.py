"""The store keeps what is true: whole transactions, one migration path, no network file system."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

import watcher.record
from watcher.errors import ConfigError, StoreError
from watcher.record import runs
from watcher.record.store import HEAD, file_system, open_for_reading, open_store, refuse_network
from watcher.record.tables import metadata


def test_the_migrations_make_exactly_the_tables_that_the_code_knows(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    engine = create_engine(f"sqlite:///{tmp_path / 'watcher.db'}")
    with engine.connect() as db:
        assert compare_metadata(MigrationContext.configure(db), metadata) == []
    engine.dispose()


def test_head_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(watcher.record.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_the_state_folder_is_private(tmp_path: Path) -> None:
    open_store(tmp_path / "state").close()
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def test_a_second_opening_finds_what_the_first_wrote(tmp_path: Path) -> None:
    first = open_store(tmp_path)
    with first.change("fact") as db:
        runs.set_fact(db, "scorer", {"state": "ok"}, 1.0)
    first.close()
    second = open_store(tmp_path)
    with second.read() as db:
        assert runs.all_facts(db) == {"scorer": {"state": "ok"}}
    second.close()


def test_an_error_inside_a_change_leaves_nothing_behind(tmp_path: Path) -> None:
    store = open_store(tmp_path)

    def fail() -> None:
        with store.change("fact") as db:
            runs.set_fact(db, "scorer", {}, 1.0)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with store.read() as db:
        assert runs.all_facts(db) == {}
    store.close()


def test_a_locked_database_is_a_store_error_and_works_again_afterwards(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    other = sqlite3.connect(tmp_path / "watcher.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match=r"locked; nothing was changed"), store.change("fact"):
        pass
    other.execute("ROLLBACK")
    other.close()
    with store.change("fact") as db:
        runs.set_fact(db, "scorer", {}, 1.0)
    store.close()


def test_the_boundary_is_called_on_both_sides_of_every_commit(tmp_path: Path) -> None:
    seen: list[tuple[str, str]] = []
    store = open_store(tmp_path, lambda change, side: seen.append((change, side)))
    with store.change("fact"):
        pass
    assert seen == [("fact", "before"), ("fact", "after")]
    store.close()


def test_reading_without_a_store_gives_none(tmp_path: Path) -> None:
    assert open_for_reading(tmp_path) is None


def test_a_store_of_another_version_is_refused_with_the_way_out(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    with sqlite3.connect(tmp_path / "watcher.db") as db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
    db.close()
    with pytest.raises(StoreError, match=r"9999.*start the daemon"):
        open_for_reading(tmp_path)


def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = file_system(tmp_path)
    assert kind
    refuse_network(tmp_path)
    monkeypatch.setattr("watcher.record.store.NETWORK_FILE_SYSTEMS", frozenset({kind}))
    with pytest.raises(ConfigError, match="set `state:`"):
        refuse_network(tmp_path)


def test_a_state_folder_that_cannot_be_made_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be made"):
        open_store(tmp_path / "file" / "state")
