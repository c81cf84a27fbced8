"""What `watcher score` prints: the lowest and highest pictures, the metrics, and what could not be scored."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from watcher.view.history import images
from watcher.view.table import table
from watcher.view.text import counted, number, plain

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

ENDS = 10
"""So many of the lowest, and of the highest, of a longer list are shown."""
NAMED = 20
"""So many things that went wrong are named; the others are counted."""
FIELDS = ("path", "stream", "step", "variant", "prompt_key", "prompt", "cosine", "health", "error")
"""Columns of the CSV."""
_NUMBERS = {
    "clip/mean": "clip/mean",
    "stderr": "clip/stderr",
    "min": "clip/min",
    "max": "clip/max",
    "retrieval": "clip/retrieval",
    "diversity": "clip/diversity",
}
_AMOUNTS = {"prompts": "clip/prompts", "images": "clip/images"}
_ODD = {
    "truncated": "clip/truncated",
    "blank": "health/blank",
    "duplicate": "health/duplicate",
    "unscorable": "health/unscorable",
    "undecodable": "health/undecodable",
}
"""What is shown only where there is any of it."""


def parts(found: dict[str, Any], console: Console, *, everything: bool) -> Iterator[RenderableType]:
    """Give the tables of images, each under its title, then that of the metrics."""
    place = _places(found["evaluations"])
    whole, columns = found["images"], [name for name in place if name in ("stream", "step")]
    scored = sorted((one for one in whole if one["cosine"] is not None), key=lambda one: float(one["cosine"]))
    if everything or len(whole) <= 2 * ENDS:
        yield images(whole, console, columns)
    elif len(scored) <= 2 * ENDS:
        yield images(scored, console, columns)
    else:
        of = f"of {len(scored):,} scored images"
        yield f"the lowest {ENDS} {of}:"
        yield images(scored[:ENDS], console, columns)
        yield ""
        yield f"the highest {ENDS} (`--all` shows all):"
        yield images(scored[-ENDS:], console, columns)
        yield from _odd([one for one in scored[ENDS:-ENDS] if one["health"]], console, columns)
    if found["identity"]:
        yield ""
        yield _metrics(found["evaluations"], console, place)


def _odd(between: Sequence[dict[str, Any]], console: Console, columns: Sequence[str]) -> Iterator[RenderableType]:
    """Give those between the lowest and the highest that something is to be said of."""
    if between:
        yield ""
        yield f"{counted(len(between), 'image')} between them with remarks:"
        yield images(between[:ENDS], console, columns)
    if len(between) > ENDS:
        yield f"and {counted(len(between) - ENDS, 'more image')}"


def _places(evaluations: Sequence[dict[str, Any]]) -> list[str]:
    """Name the columns that tell evaluations apart; none where there is a single one of a plain folder."""
    varied = [name for name in ("folder", "stream") if len({one[name] for one in evaluations}) > 1]
    steps = len(evaluations) > 1 or any(one["step"] for one in evaluations)
    return [*varied, *(("step", "variant") if steps else ())]


def _metrics(found: Sequence[dict[str, Any]], console: Console, place: Sequence[str]) -> RenderableType:
    """Give the metrics of evaluations, a line each."""
    values = [one["metrics"] for one in found]
    numbers = {title: name for title, name in _NUMBERS.items() if any(name in one for one in values)}
    counts = {**_AMOUNTS, **{title: name for title, name in _ODD.items() if any(one[name] for one in values)}}
    rows = [
        (
            *(str(one[name]) or "main" for name in place),
            *(number(one["metrics"].get(name)) for name in numbers.values()),
            *(f"{one['metrics'][name]:.0f}" for name in counts.values()),
        )
        for one in found
    ]
    return table((*place, *numbers, *counts), rows, console)


def csv_text(found: dict[str, Any]) -> str:
    """Give a row for every image, with a header."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, FIELDS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({**image, "health": " ".join(image["health"])} for image in found["images"])
    return text.getvalue()


def complaints(found: dict[str, Any]) -> Iterator[str]:
    """Name what could not be scored and what fits nothing, a line each."""
    failed = [f"{one['path']}: {one['error']}" for one in found["images"] if one["failed"]]
    if failed and not found["identity"]:
        yield f"no image could be scored: {found['problem'] or 'see below'}"
    elif failed:
        yield f"{counted(len(failed), 'image')} of {len(found['images']):,} could not be scored:"
    yield from _some(failed)
    if found["unmatched"]:
        yield f"{counted(len(found['unmatched']), 'prompt')} fit no image:"
    yield from _some(found["unmatched"])
    if any(one["error"] == "no prompt" for one in found["images"]):
        yield "give prompts with --prompts FILE, or as a .txt or .caption file beside each picture"


def _some(lines: Sequence[str]) -> Iterator[str]:
    yield from (f"  {plain(line)}" for line in lines[:NAMED])
    if len(lines) > NAMED:
        yield f"  and {len(lines) - NAMED:,} more"
