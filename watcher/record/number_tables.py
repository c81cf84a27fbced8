"""The tables of what trainers log, and of the windows in which rules judge it."""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, Float, ForeignKey, Index, Integer, String, Table, UniqueConstraint, false

from watcher.record.tables import metadata

scalar_files = Table(
    "scalar_files",  # that trainers log numbers into
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", ForeignKey("runs.id"), nullable=False),
    Column("path", String, nullable=False),
    Column("position", JSON, nullable=False),  # how far it was read
    UniqueConstraint("run_id", "path"),
)

scalars = Table(
    "scalars",
    metadata,
    Column("run_id", ForeignKey("runs.id"), primary_key=True),
    Column("name", String, primary_key=True),
    Column("step", Integer, primary_key=True, autoincrement=False),
    Column("value", Float),  # NULL is NaN
    Column("at", Float, nullable=False),  # wall time at which it was logged
    Column("file_id", ForeignKey("scalar_files.id"), nullable=False),
    sqlite_with_rowid=False,
)

windows = Table(
    "windows",  # in which rules on the trainer's numbers were judged; what they were made of may be thinned out since
    metadata,
    Column("run_id", ForeignKey("runs.id"), primary_key=True),
    Column("clock", String, primary_key=True),  # how many steps a window has, and of which metrics
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("end_step", Integer, primary_key=True, autoincrement=False),
    Column("name", String, primary_key=True),
    Column("value", Float),  # NULL is NaN
    Column("step", Integer, nullable=False),  # of the window's last number
    Column("first_at", Float, nullable=False),
    Column("last_at", Float, nullable=False),
    Column("superseded", Boolean, nullable=False, server_default=false()),  # a later attempt has replaced it
    Index("windows_by_end", "run_id", "clock", "superseded", "end_step"),
    sqlite_with_rowid=False,
)
