"""`watcher show`."""

from __future__ import annotations

import datetime
from typing import Annotated, Any

import typer

from watcher.cli.common import ConfigOption, JsonOption, console, open_store, print_json


def show(
    run: Annotated[str, typer.Argument(help="The run's name, id or folder.")],
    step: Annotated[int | None, typer.Option(help="Only this step, with every image.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one run: its evaluations, per-prompt scores, decisions and actions."""
    from watcher.view.show import show as read

    found = read(open_store(config), run, step)
    if as_json:
        print_json(found)
    else:
        _print(found, step)


def _print(found: dict[str, Any], step: int | None) -> None:
    out = console()
    run = found["run"]
    out.print(f"{run['name']}  {run['path']}  ({run['layout']}, {run['state']}, {run['mode']})", markup=False)
    out.print(_evaluations(found["evaluations"]))
    if step is not None:
        for evaluation in found["evaluations"]:
            out.print(_images(evaluation["images"]))
    for decision in found["decisions"]:
        line = f"{_time(decision['at'])}  {decision['rule']} {decision['state']}: {decision['reason']}"
        out.print(line, markup=False)
    for action in found["actions"]:
        line = f"{_time(action['at'])}  {action['kind']} {action['state']}: {action['proof']}"
        out.print(line, markup=False)


def _evaluations(found: list[dict[str, Any]]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table("attempt", "step", "variant", "state", "images", "clip/mean", "min", "max", box=None)
    for one in found:
        metrics = one["metrics"]
        numbers = [_number(metrics.get(f"clip/{name}")) for name in ("mean", "min", "max")]
        state = one["state"] + ("" if one["complete"] or one["state"] == "open" else ", incomplete")
        cells = (
            str(one["attempt"]),
            str(one["step"]),
            one["variant"] or "main",
            state,
            str(len(one["images"])),
        )
        table.add_row(*(Text(cell) for cell in (*cells, *numbers)))
    return table


def _images(found: list[dict[str, Any]]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table("cosine", "key", "prompt", "remarks", box=None)
    for one in sorted(found, key=lambda image: (image["cosine"] is None, image["cosine"])):
        remarks = ", ".join([*one["health"], one["error"]] if one["error"] else one["health"])
        cells = (_number(one["cosine"]), one["prompt_key"], one["prompt"] or "-", remarks)
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _time(at: float) -> str:
    return datetime.datetime.fromtimestamp(at, datetime.UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
