"""A decision keeps the rule as it was when it was decided."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the text; of what was decided until now only the rule's hash is known."""
    op.add_column("decisions", sa.Column("rule_text", sa.String(), nullable=False, server_default=""))
