"""What is known by its epoch only is told from what has a step."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the mark; what was stored until now keeps the number that it has."""
    for table in ("evaluations", "samples", "decisions"):
        op.add_column(table, sa.Column("by_epoch", sa.Boolean(), nullable=False, server_default=sa.false()))
