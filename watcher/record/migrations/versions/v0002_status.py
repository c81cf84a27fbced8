"""Evaluations count their images and are found by run and step, so that `status` need not count a million samples.

Runs remember the newest image of their first sight, so that what is history does not hang on two clocks that differ.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns, the count filled in from the samples, and the index."""
    op.add_column("evaluations", sa.Column("images", sa.Integer(), nullable=False, server_default="0"))
    op.execute(
        "UPDATE evaluations SET images = ("
        "SELECT count(*) FROM samples WHERE samples.evaluation_id = evaluations.id AND samples.current)"
    )
    op.add_column("runs", sa.Column("newest_at_first", sa.Float(), nullable=False, server_default="0"))
    op.execute("UPDATE runs SET newest_at_first = first_seen")
    op.create_index("evaluations_by_step", "evaluations", ["run_id", "state", "variant", "step"], unique=False)
