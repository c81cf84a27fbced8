"""The store keeps what is true: whole transactions, one migration path, no network file system."""

from __future__ import annotations

import math
import sqlite3
import stat
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

import watcher.record
from watcher.errors import ConfigError, StoreError
from watcher.mounts import Mounts
from watcher.names import LOSS
from watcher.record import evaluations, runs
from watcher.record.glance import glance
from watcher.record.number_tables import windows
from watcher.record.store import HEAD, open_beside, open_store, refuse_network


def test_the_migrations_make_exactly_the_tables_that_the_code_knows(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    engine = create_engine(f"sqlite:///{tmp_path / 'watcher.db'}")
    with engine.connect() as db:
        assert compare_metadata(MigrationContext.configure(db), windows.metadata) == []
    engine.dispose()


def test_head_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(watcher.record.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_a_store_of_the_first_version_gets_its_images_counted(tmp_path: Path) -> None:
    old = create_engine(f"sqlite:///{tmp_path / 'watcher.db'}")
    config = Config()
    config.set_main_option("script_location", str(Path(watcher.record.__file__).parent / "migrations"))
    config.attributes["engine"] = old
    command.upgrade(config, "0001")
    with old.begin() as db:
        db.exec_driver_sql(
            "INSERT INTO runs VALUES ('r', 'r', '/r', '', 'plain', '', 'active', 'observe', '{}', 1.0, 2.0)"
        )
        for number, images in ((1, 3), (2, 0)):
            db.exec_driver_sql(
                "INSERT INTO evaluations VALUES (?, 'r', 1, ?, '', NULL, 'open', 0, 0, 1, 1, 1, 1, 0, '', '')",
                (number, number),
            )
            for image in range(images):
                db.exec_driver_sql(
                    "INSERT INTO samples (evaluation_id, run_id, attempt, step, variant, key, 'index', path, size, "
                    "mtime, digest, state, reason, current, rewritten) "
                    "VALUES (?, 'r', 1, ?, '', ?, 0, 'p', 1, 1, '', 'scored', '', ?, 0)",
                    (number, number, str(image // 2), image != 1),
                )
    old.dispose()
    store = open_store(tmp_path)
    with store.read() as read:
        assert read.exec_driver_sql("SELECT id, images FROM evaluations").fetchall() == [(1, 2), (2, 0)]
        assert read.exec_driver_sql("SELECT newest_at_first FROM runs").fetchall() == [(1.0,)]
    store.close()


def test_metrics_of_an_older_store_are_kept_and_may_be_nan_from_now_on(tmp_path: Path) -> None:
    old = create_engine(f"sqlite:///{tmp_path / 'watcher.db'}")
    config = Config()
    config.set_main_option("script_location", str(Path(watcher.record.__file__).parent / "migrations"))
    config.attributes["engine"] = old
    command.upgrade(config, "0003")
    with old.begin() as db:
        db.exec_driver_sql(
            "INSERT INTO runs VALUES ('r', 'r', '/r', '', 'plain', '', 'active', 'observe', '{}', 1.0, 2.0, 1.0)"
        )
        db.exec_driver_sql(
            "INSERT INTO evaluations VALUES (1, 'r', 1, 5, '', NULL, 'closed', 0, 0, 1, 1, 1, 1, 1, '', '', 0, '{}')"
        )
        db.exec_driver_sql("INSERT INTO metrics VALUES (1, 'clip/mean', 0.25)")
    old.dispose()
    store = open_store(tmp_path)
    with store.change("nan") as change:
        before = evaluations.get(change, 1)
        after = evaluations.close(change, before, {**before.metrics, LOSS: math.nan}, complete=True, because="")
    assert before.metrics == {"clip/mean": 0.25}
    assert (after.metrics["clip/mean"], math.isnan(after.metrics[LOSS])) == (0.25, True)
    store.close()


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
    assert open_beside(tmp_path) is None


@pytest.mark.parametrize(("version", "way_out"), [("0001", "start the daemon"), ("9999", "update this program")])
def test_a_store_of_another_version_is_refused_with_the_way_out(tmp_path: Path, version: str, way_out: str) -> None:
    open_store(tmp_path).close()
    with sqlite3.connect(tmp_path / "watcher.db") as db:
        db.execute("UPDATE alembic_version SET version_num = ?", (version,))
    db.close()
    with pytest.raises(StoreError, match=f"{version}.*{way_out}"):
        open_beside(tmp_path)


def test_a_daemon_refuses_the_store_of_a_newer_program(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    with sqlite3.connect(tmp_path / "watcher.db") as db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
    db.close()
    with pytest.raises(StoreError, match=r"has version 9999.*update this program"):
        open_store(tmp_path)


def test_a_network_file_system_is_refused(tmp_path: Path) -> None:
    refuse_network(tmp_path, Mounts())
    table = tmp_path / "mountinfo"
    table.write_text(f"1 0 0:1 / / rw - ext4 /dev/sda rw\n2 1 0:2 / {tmp_path} rw - nfs4 server:/x rw\n")
    with pytest.raises(ConfigError, match=r"network file system \(nfs4\).*set `state:`"):
        refuse_network(tmp_path / "state", Mounts(table))


def test_a_state_folder_that_cannot_be_made_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be made"):
        open_store(tmp_path / "file" / "state")


def test_a_store_that_is_just_being_made_is_none_yet(tmp_path: Path) -> None:
    (tmp_path / "watcher.db").touch()
    assert open_beside(tmp_path) is None
    assert glance(tmp_path) is None
