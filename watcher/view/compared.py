"""What `watcher compare` prints: a table, or rows for a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from watcher.view.table import Lines, table
from watcher.view.text import number, plain

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

FIELDS = (
    *("first", "run", "first_step", "step", "prompts", "left_out", "first_mean", "mean", "difference", "low", "high"),
    *("wins", "losses", "ties", "p", "notes"),
)
"""Columns of the CSV."""
COLUMNS = ("run", "step", "prompts", "first", "mean", "difference", "95% interval", "wins", "losses", "ties", "p")


def parts(found: dict[str, Any], console: Console) -> Iterator[RenderableType]:
    """Give a title, the table, and what is to be noted of its rows, each note once."""
    yield Lines(f"difference to {plain(found['first']['name'])}, prompt by prompt:")
    rows = [(run["name"], step) for run in found["runs"] for step in run["steps"]]
    yield table(COLUMNS, [_cells(name, step) for name, step in rows], console)
    notes: dict[str, list[str]] = {}
    for name, step in rows:
        for note in step["notes"]:
            notes.setdefault(note, []).append(f"{name} at {step['step']}")
    for note, places in notes.items():
        yield Lines(plain(f"{_shortened(places)}: {note}"))
    yield Lines(f"scored by {found['identity']}")


def _shortened(places: list[str]) -> str:
    return places[0] if len(places) == 1 else f"{places[0]} and {len(places) - 1} more"


def _cells(name: str, step: dict[str, Any]) -> tuple[str, ...]:
    same = step["first_step"] == step["step"]
    return (
        name,
        str(step["step"]) if same else f"{step['step']} ({step['first_step']})",
        str(step["prompts"]),
        number(step["first_mean"]),
        number(step["mean"]),
        f"{step['difference']:+.4f}",
        "-" if step["low"] is None else f"{step['low']:+.4f} to {step['high']:+.4f}",
        *(str(step[what]) for what in ("wins", "losses", "ties")),
        _p(step["p"]),
    )


def _p(value: float | None) -> str:
    if value is None:
        return "-"
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"


def csv_text(found: dict[str, Any]) -> str:
    """Give a row for every run and step, with a header."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, FIELDS, lineterminator="\n")
    writer.writeheader()
    for run in found["runs"]:
        for step in run["steps"]:
            named = {"first": found["first"]["name"], "run": run["name"], "notes": "; ".join(step["notes"])}
            writer.writerow({**step, **named})
    return text.getvalue()
