"""What is painted over of a picture before it is scored; what was taken in until now was scored as it is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column."""
    op.add_column("samples", sa.Column("mask", sa.JSON(), nullable=True))
