"""What `watcher show` prints: a run's evaluations, the images of a step, and what was decided and done when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from watcher.clock import clock
from watcher.names import LOSS, RAW, number_of, place_of
from watcher.view.table import table
from watcher.view.text import number, plain

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


def evaluations(found: Sequence[dict[str, Any]], console: Console) -> RenderableType:
    """Give evaluations with their metrics, a line each."""
    epochs = ("epoch",) if any(one["epoch"] is not None for one in found) else ()
    numbers = ("clip/mean", "stderr", "min", "max", "vs baseline")
    more = [name for name, metric in _MORE.items() if any(metric in one["metrics"] for one in found)]
    further = [f"{name}/mean" for name in sorted({name for one in found for name in one["others"]})]
    columns = ("attempt", "step", *epochs, "variant", "state", "images", *numbers, *more, *further)
    return table(columns, [_evaluation(one, more, further, with_epoch=bool(epochs)) for one in found], console)


_MORE = {
    "vs previous": "clip/delta_previous",
    "retrieval": "clip/retrieval",
    "diversity": "clip/diversity",
    "loss": LOSS,
}
"""Columns that are shown where an evaluation has their metric."""
NAMED = 5
"""So many tags of a trainer's that no layout knows are named; the others are counted."""


def _evaluation(
    one: dict[str, Any], more: Sequence[str], further: Sequence[str], *, with_epoch: bool
) -> tuple[str, ...]:
    state = one["state"] + (", incomplete" if one["state"] == "closed" and not one["complete"] else "")
    numbers = [number(one["metrics"].get(f"clip/{name}")) for name in ("mean", "stderr", "min", "max")]
    epoch = ("-" if one["epoch"] is None else f"{one['epoch']:g}",) if with_epoch else ()
    place = (str(one["attempt"]), number_of(one["step"], by_epoch=one["by_epoch"]), *epoch, one["variant"] or "main")
    means = [number(one["metrics"].get(name)) for name in further]
    shown = [_further(name, one["metrics"].get(_MORE[name])) for name in more]
    return (*place, state, _count(one["images"]), *numbers, _signed(one["delta_baseline"]), *shown, *means)


def _further(name: str, value: float | None) -> str:
    return _signed(value) if name.startswith("vs") else "-" if value is None else f"{value:.3f}"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.4f}"


def _count(images: Sequence[dict[str, Any]]) -> str:
    scored = sum(image["cosine"] is not None for image in images)
    return str(scored) if scored == len(images) else f"{scored} of {len(images)} scored"


def images(found: Sequence[dict[str, Any]], console: Console, more: Sequence[str] = ()) -> RenderableType:
    """Give images with their scores, by step and the lowest first; `more` names columns beside these, as `step`."""
    further = sorted({name for one in found for name in one.get("others", {})})
    columns = ("cosine", *further, *more, "key", "prompt", "remarks")
    return table(columns, [_image(one, further, more) for one in sorted(found, key=in_order)], console, _FOLDING)


_FOLDING = ("key", "prompt", "remarks")


def in_order(image: dict[str, Any]) -> tuple[Any, ...]:
    """Give what images are sorted by: the lowest first, those without a score last."""
    return (
        image.get("stream", ""),
        image["step"],
        image.get("variant", ""),
        image["cosine"] is None,
        image["cosine"] or 0.0,
    )


def _image(image: dict[str, Any], further: Sequence[str], more: Sequence[str]) -> tuple[str, ...]:
    repeats = image.get("duplicate_of")
    health = [f"{word} of {repeats}" if word == "duplicate" and repeats else word for word in image["health"]]
    remarks = [*health, *([image["error"]] if image["error"] else [])]
    cells = (str(image[name]) for name in more)
    cosines = (number(image.get("others", {}).get(name)) for name in further)
    return (number(image["cosine"]), *cosines, *cells, image["prompt_key"], image["prompt"] or "-", ", ".join(remarks))


def logged(found: Sequence[Mapping[str, Any]]) -> str:
    """Say what the trainer logged last: what all trainers have in common first, of the rest the names."""
    common = [one for one in found if not one["name"].startswith(RAW)]
    others = [one["name"] for one in found if one["name"].startswith(RAW)]
    said = ", ".join(f"{one['name']} {one['value']:.4g} at step {one['step']}" for one in common)
    more = f"{'; also ' if said else ''}{', '.join(others[:NAMED])}" if others else ""
    return plain(said + more + (f" and {len(others) - NAMED} more" if len(others) > NAMED else ""))


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
    place = place_of(one["step"], by_epoch=one["by_epoch"])
    return f"{clock(one['at'])}  {one['rule']} {one['state']} at {place}: {one['reason']}{over}"


def _action(one: dict[str, Any]) -> str:
    by = one["rule"] or "by hand"
    return f"{clock(one['at'])}  {one['kind']} {one['state']} ({by}): {one['proof'] or one['reason']}"


def controlled(found: Mapping[str, Any]) -> str:
    """Say whether a training can be reached from inside, and how far it was at its last heartbeat."""
    if found["state"] != "claimed":
        return f"{found['state']}: {found['reason']}"
    rates = dict.fromkeys("none" if rate is None else f"{rate:.3g}" for rate in found["learning_rates"] or ())
    return (
        f"under control (launch {found['launch']}, step {found['step']} of its hook, learning rate {', '.join(rates)})"
    )
