"""Several scorers, the embeddings that metrics over an evaluation need, and pictures that can be told to be equal."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add columns and tables; what was scored until now was scored by `clip`."""
    op.add_column("scores", sa.Column("scorer", sa.String(), nullable=False, server_default="clip"))
    op.add_column("scores", sa.Column("pixels", sa.String(), nullable=False, server_default=""))
    op.add_column("samples", sa.Column("wording", sa.String(), nullable=False, server_default=""))
    op.add_column("evaluations", sa.Column("others", sa.JSON(), nullable=False, server_default="{}"))
    _vectors("image_vectors", sa.Column("sample_id", sa.Integer(), sa.ForeignKey("samples.id"), primary_key=True))
    prompt = sa.Column("prompt_hash", sa.String(), sa.ForeignKey("prompts.hash"), primary_key=True)
    _vectors("text_vectors", prompt, sa.Column("wording", sa.String(), primary_key=True))


def _vectors(name: str, *of: sa.Column[Any]) -> None:
    identity = sa.Column("identity", sa.String(), primary_key=True)
    op.create_table(name, *of, identity, sa.Column("vector", sa.LargeBinary(), nullable=False))
