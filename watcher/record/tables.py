"""The tables of the store, as SQLAlchemy Core knows them; `migrations/` makes them.

Wall times are seconds since the epoch (UTC). Steps are the trainer's optimizer steps, or with `by_epoch` numbers of
epochs.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    false,
    text,
)

metadata = MetaData()

runs = Table(
    "runs",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("path", String, nullable=False),
    Column("stream", String, nullable=False),
    Column("layout", String, nullable=False),
    Column("reason", String, nullable=False),  # why that layout, or why none
    Column("state", String, nullable=False),
    Column("mode", String, nullable=False),
    Column("labels", JSON, nullable=False),
    Column("first_seen", Float, nullable=False),
    Column("last_output", Float),
    Column("newest_at_first", Float, nullable=False, server_default="0"),  # mtime of its newest image when first seen
)

attempts = Table(
    "attempts",
    metadata,
    Column("run_id", ForeignKey("runs.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("first_step", Integer, nullable=False),
    Column("at", Float, nullable=False),  # when it had begun by: what shows it was written then
)

prompts = Table(
    "prompts",
    metadata,
    Column("hash", String, primary_key=True),  # SHA-256 of the text, hex
    Column("text", String, nullable=False),
)

evaluations = Table(
    "evaluations",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", ForeignKey("runs.id"), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("step", Integer, nullable=False),
    Column("variant", String, nullable=False),
    Column("epoch", Float),
    Column("state", String, nullable=False),
    Column("history", Boolean, nullable=False),
    Column("complete", Boolean, nullable=False),
    Column("first_at", Float, nullable=False),
    Column("last_at", Float, nullable=False),
    Column("opened_at", Float, nullable=False),
    Column("last_arrival", Float, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("identity", String, nullable=False),  # of the main scorer
    Column("closed_because", String, nullable=False),
    Column("images", Integer, nullable=False, server_default="0"),  # how many current samples it has
    Column("others", JSON, nullable=False, server_default="{}"),  # identities of further scorers, by name
    Column("by_epoch", Boolean, nullable=False, server_default=false()),  # its step is an epoch's number
    UniqueConstraint("run_id", "attempt", "step", "variant"),
    Index("evaluations_by_state", "state"),
    Index("evaluations_by_step", "run_id", "state", "variant", "step"),
)

samples = Table(
    "samples",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("evaluation_id", ForeignKey("evaluations.id"), nullable=False),
    Column("run_id", ForeignKey("runs.id"), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("step", Integer, nullable=False),
    Column("epoch", Float),
    Column("variant", String, nullable=False),
    Column("key", String, nullable=False),
    Column("index", Integer, nullable=False),
    Column("path", String, nullable=False),
    Column("tile", JSON),
    Column("size", Integer, nullable=False),
    Column("mtime", Float, nullable=False),
    Column("digest", String, nullable=False),
    Column("prompt_hash", ForeignKey("prompts.hash")),
    Column("wording", String, nullable=False, server_default=""),  # the prompt as scored, where that differs
    Column("state", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("current", Boolean, nullable=False),  # false once a rewritten file took its place
    Column("rewritten", Boolean, nullable=False),  # the same bytes were written again since
    Column("mask", JSON),  # what is painted over of the tile before it is scored
    Column("by_epoch", Boolean, nullable=False, server_default=false()),
    Index(
        "samples_current",
        "run_id",
        "attempt",
        "step",
        "variant",
        "key",
        "index",
        unique=True,
        sqlite_where=text("current = 1"),
        postgresql_where=text("current"),
    ),
    Index("samples_by_evaluation", "evaluation_id"),
    Index("samples_by_state", "state"),
)

scores = Table(
    "scores",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("sample_id", ForeignKey("samples.id"), nullable=False),
    Column("identity", String, nullable=False),
    Column("cosine", Float),
    Column("health", JSON, nullable=False),
    Column("error", String, nullable=False),
    Column("truncated", Boolean, nullable=False),
    Column("at", Float, nullable=False),
    Column("scorer", String, nullable=False, server_default="clip"),
    Column("pixels", String, nullable=False, server_default=""),  # SHA-256 of the picture as scored, hex
    UniqueConstraint("sample_id", "identity"),
)

image_vectors = Table(
    "image_vectors",  # of the newest evaluations and the baseline only
    metadata,
    Column("sample_id", ForeignKey("samples.id"), primary_key=True),
    Column("identity", String, primary_key=True),
    Column("vector", LargeBinary, nullable=False),  # unit vector, float32
)

text_vectors = Table(
    "text_vectors",
    metadata,
    Column("prompt_hash", ForeignKey("prompts.hash"), primary_key=True),
    Column("wording", String, primary_key=True),  # as in samples: what was encoded, where that differs from the prompt
    Column("identity", String, primary_key=True),
    Column("vector", LargeBinary, nullable=False),  # unit vector, float32
)

metrics = Table(
    "metrics",
    metadata,
    Column("evaluation_id", ForeignKey("evaluations.id"), primary_key=True),
    Column("name", String, primary_key=True),
    Column("value", Float),  # NULL is NaN, which SQLite does not know
)

rule_states = Table(
    "rule_states",
    metadata,
    Column("run_id", ForeignKey("runs.id"), primary_key=True),
    Column("rule", String, primary_key=True),
    Column("hash", String, nullable=False),  # of the rule's content: a changed rule starts anew
    Column("state", JSON, nullable=False),
    Column("at", Float, nullable=False),
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", ForeignKey("runs.id"), nullable=False),
    Column("rule", String, nullable=False),
    Column("hash", String, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("step", Integer, nullable=False),
    Column("state", String, nullable=False),  # firing | resolved
    Column("reason", String, nullable=False),
    Column("numbers", JSON, nullable=False),
    Column("at", Float, nullable=False),
    Column("resolved_at", Float),
    Column("resolution", String, nullable=False),
    Column("told_at", Float, nullable=False),  # of the last notice about it
    Column("told", Integer, nullable=False),  # how many notices
    Column("by_epoch", Boolean, nullable=False, server_default=false()),
    Column("rule_text", String, nullable=False, server_default=""),  # the rule as it then was, YAML
    Index(
        "decisions_open",
        "run_id",
        "rule",
        unique=True,
        sqlite_where=text("resolved_at IS NULL"),
        postgresql_where=text("resolved_at IS NULL"),
    ),
)

actions = Table(
    "actions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", ForeignKey("runs.id"), nullable=False),
    Column("rule", String, nullable=False),
    Column("decision_id", ForeignKey("decisions.id")),
    Column("kind", String, nullable=False),
    Column("args", JSON, nullable=False),
    Column("state", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("evidence_at", Float, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("changed_at", Float, nullable=False),
    Column("identity", JSON, nullable=False),
    Column("progress", JSON, nullable=False),
    Column("proof", String, nullable=False),
    Index("actions_by_state", "state"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", String, nullable=False, unique=True),
    Column("notice", JSON, nullable=False),
    Column("at", Float, nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("outbox_id", ForeignKey("outbox.id"), nullable=False),
    Column("target", String, nullable=False),
    Column("state", String, nullable=False),  # pending | delivered | failed
    Column("attempts", Integer, nullable=False),
    Column("next_at", Float, nullable=False),
    Column("error", String, nullable=False),
    UniqueConstraint("outbox_id", "target"),
    Index("deliveries_by_state", "state"),
)

mirrors = Table(
    "mirrors",
    metadata,
    Column("evaluation_id", ForeignKey("evaluations.id"), primary_key=True),
    Column("tracker", String, primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("place", String, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", ForeignKey("runs.id")),
    Column("at", Float, nullable=False),
    Column("kind", String, nullable=False),
    Column("text", String, nullable=False),
)

facts = Table(  # what `status` must know of the living daemon: scorer, targets, problems
    "facts",
    metadata,
    Column("key", String, primary_key=True),
    Column("value", JSON, nullable=False),
    Column("at", Float, nullable=False),
)
