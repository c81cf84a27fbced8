"""What `watcher show` prints: a run's evaluations, the images of a step, and what was decided and done when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console, RenderableType

from watcher.view.table import table
from watcher.view.text import clock, number, plain


def evaluations(found: Sequence[dict[str, Any]], console: Console) -> RenderableType:
    """Give evaluations with their metrics, a line each."""
    columns = ("attempt", "step", "variant", "state", "images", "clip/mean", "stderr", "min", "max")
    return table(columns, [_evaluation(one) for one in found], console)


def _evaluation(one: dict[str, Any]) -> tuple[str, ...]:
    state = one["state"] + (", incomplete" if one["state"] == "closed" and not one["complete"] else "")
    numbers = [number(one["metrics"].get(f"clip/{name}")) for name in ("mean", "stderr", "min", "max")]
    return (str(one["attempt"]), str(one["step"]), one["variant"] or "main", state, _count(one["images"]), *numbers)


def _count(images: Sequence[dict[str, Any]]) -> str:
    scored = sum(image["cosine"] is not None for image in images)
    return str(scored) if scored == len(images) else f"{scored} of {len(images)} scored"


def images(found: Sequence[dict[str, Any]], console: Console, more: Sequence[str] = ()) -> RenderableType:
    """Give images with their scores, by step and the lowest first; `more` names columns beside these, as `step`."""
    columns = ("cosine", *more, "key", "prompt", "remarks")
    return table(columns, [_image(one, more) for one in sorted(found, key=_order)], console, _FOLDING)


_FOLDING = ("key", "prompt", "remarks")


def _order(image: dict[str, Any]) -> tuple[Any, ...]:
    return (image["step"], image.get("variant", ""), image["cosine"] is None, image["cosine"] or 0.0)


def _image(image: dict[str, Any], more: Sequence[str]) -> tuple[str, ...]:
    remarks = [*image["health"], *([image["error"]] if image["error"] else [])]
    cells = (str(image[name]) for name in more)
    return (number(image["cosine"]), *cells, image["prompt_key"], image["prompt"] or "-", ", ".join(remarks))


def story(found: dict[str, Any]) -> list[str]:
    """Give decisions, actions and events, each under its title."""
    return [
        *_titled("decisions", [_decision(one) for one in found["decisions"]]),
        *_titled("actions", [_action(one) for one in found["actions"]]),
        *_titled("events", [f"{clock(one['at'])}  {one['kind']}: {one['text']}" for one in found["events"]]),
    ]


def _titled(title: str, entries: Sequence[str]) -> Iterator[str]:
    if entries:
        yield from ("", f"{title}:", *(f"  {plain(entry)}" for entry in entries))


def _decision(one: dict[str, Any]) -> str:
    over = f"; resolved {clock(one['resolved_at'])}: {one['resolution']}" if one["resolved_at"] is not None else ""
    return f"{clock(one['at'])}  {one['rule']} {one['state']} at step {one['step']}: {one['reason']}{over}"


def _action(one: dict[str, Any]) -> str:
    return f"{clock(one['at'])}  {one['kind']} {one['state']} ({one['rule']}): {one['proof'] or one['reason']}"


def metrics(found: Sequence[dict[str, Any]], console: Console) -> RenderableType:
    """Give the metrics of a folder's evaluations, a line each."""
    return table(("step", "variant", *_COSINES, *_COUNTS), [_metrics(one) for one in found], console)


_COSINES = {"clip/mean": "clip/mean", "stderr": "clip/stderr", "min": "clip/min", "max": "clip/max"}
_COUNTS = {
    "prompts": "clip/prompts",
    "images": "clip/images",
    "truncated": "clip/truncated",
    "blank": "health/blank",
    "unscorable": "health/unscorable",
    "undecodable": "health/undecodable",
}


def _metrics(one: dict[str, Any]) -> tuple[str, ...]:
    values = one["metrics"]
    cosines = [number(values.get(name)) for name in _COSINES.values()]
    counts = [f"{values[name]:.0f}" for name in _COUNTS.values()]
    return (str(one["step"]), one["variant"] or "main", *cosines, *counts)
