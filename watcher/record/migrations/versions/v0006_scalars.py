"""Numbers that trainers log, how far their files were read, and metrics that are NaN (NULL, as SQLite knows none)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the tables; a metric may be NULL."""
    with op.batch_alter_table("metrics") as metrics:
        metrics.alter_column("value", existing_type=sa.Float(), nullable=True)
    op.create_table(
        "scalar_files",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("run_id", sa.String(), sa.ForeignKey("runs.id"), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("position", sa.JSON(), nullable=False),
        sa.UniqueConstraint("run_id", "path"),
    )
    op.create_table(
        "scalars",
        sa.Column("run_id", sa.String(), sa.ForeignKey("runs.id"), primary_key=True),
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("step", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("value", sa.Float()),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("file_id", sa.Integer(), sa.ForeignKey("scalar_files.id"), nullable=False),
        sqlite_with_rowid=False,
    )
