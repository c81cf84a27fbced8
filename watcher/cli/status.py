"""`watcher status`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from watcher.cli.common import ConfigOption, JsonOption, console, open_store, print_json

if TYPE_CHECKING:
    from rich.table import Table

COLUMNS = ("run", "layout", "mode", "step", "age", "clip/mean", "trend", "rules", "images", "last action")
BARS = "▁▂▃▄▅▆▇█"


def status(
    run: Annotated[str | None, typer.Argument(help="Only this run: its name, id or folder.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it again every 2 seconds.")] = False,
) -> None:
    """Show how every run is doing."""
    from watcher.view.status import status as read

    store = open_store(config)
    while True:
        found = read(store, time.time())
        if run is not None:
            found["runs"] = _only(found["runs"], run)
        if as_json:
            print_json(found)
        else:
            if watch:
                console().clear()
            _print(found)
        if not watch:
            return
        time.sleep(2)


def _only(runs: Sequence[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    from pathlib import Path

    from watcher.errors import StepError

    place = str(Path(name).expanduser().resolve())
    found = [run for run in runs if name in (run["name"], run["id"]) or run["path"] == place]
    if not found:
        known = ", ".join(run["name"] for run in runs) or "none yet"
        raise StepError(f"no run {name!r}; known are: {known}", permanent=True)
    return found


def _print(found: dict[str, Any]) -> None:
    out = console()
    if not found["runs"]:
        out.print("No run seen yet. Is the daemon running (`watcher run`) and do `runs:` name existing folders?")
    else:
        out.print(table(found["runs"]))
    for line in problems(found):
        out.print(line, style="yellow", markup=False)


def problems(found: dict[str, Any]) -> list[str]:
    """Say everything that keeps the watcher from doing its work, a line each."""
    lines = []
    if found["daemon"].get("state") != "running":
        lines.append("daemon: not running; start it with `watcher run` or its service")
    if found.get("scorer", {}).get("state") == "failing":
        lines.append(f"scorer: {found['scorer']['reason']}")
    lines += [f"{place}: {what}" for place, what in found.get("problems", {}).items()]
    bad = [target for target in found["targets"] if target["state"] in ("failing", "disabled")]
    lines += [f"{target['name']}: {target['state']}: {target['reason']}" for target in bad]
    for run in found["runs"]:
        lines += [f"{run['name']}: {number} images: {why}" for why, number in run["reasons"].items()]
        lines += [f"{run['name']}: {r['name']}: {r['reason']}" for r in run["rules"] if r["state"] == "firing"]
        if run["last_action"]:
            lines.append(f"{run['name']}: {_deed(run['last_action'])}: {run['last_action']['proof']}")
    return lines


def table(runs: Sequence[dict[str, Any]]) -> Table:
    """Give the runs as a table for the terminal."""
    from rich.table import Table
    from rich.text import Text

    made = Table(*COLUMNS, box=None, pad_edge=False)
    for run in runs:
        made.add_row(*(Text(cell) for cell in _cells(run)))
    return made


def _cells(run: dict[str, Any]) -> tuple[str, ...]:
    step = "-" if run["step"] is None else str(run["step"])
    name = run["name"] if run["state"] == "active" else f"{run['name']} ({run['state']})"
    return (
        name + (" HELD" if run["held"] else ""),
        run["layout"],
        run["mode"],
        step,
        age(run["age_seconds"]),
        mean(run["metrics"]),
        sparkline(run["trend"]),
        ", ".join(rule_state(rule) for rule in run["rules"]) or "-",
        _images(run),
        _deed(run["last_action"]),
    )


def _images(run: dict[str, Any]) -> str:
    parts = [f"{run['images']}"]
    parts += [f"{run[what]} {what}" for what in ("pending", "unscorable", "undecodable") if run[what]]
    return ", ".join(parts)


def _deed(action: dict[str, Any] | None) -> str:
    return f"{action['kind']} {action['state']}" if action else "-"


def rule_state(rule: dict[str, Any]) -> str:
    """Give `name pending 2/3`."""
    counted = f" {rule['count']}/{rule['needed']}" if rule["state"] == "pending" else ""
    return f"{rule['name']} {rule['state']}{counted}"


def mean(metrics: dict[str, float]) -> str:
    """Give `0.197 ± 0.012`, the mean over prompts with its standard error."""
    if "clip/mean" not in metrics:
        return "-"
    error = metrics.get("clip/stderr")
    return f"{metrics['clip/mean']:.3f}" + (f" ± {error:.3f}" if error is not None else "")


def age(seconds: float | None) -> str:
    """Give an age in its largest fitting unit, such as `4m`."""
    if seconds is None:
        return "-"
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.0f}s"


def sparkline(values: Sequence[float]) -> str:
    """Give values as little bars from their least to their greatest."""
    if len(values) < 2:
        return "-"
    low, high = min(values), max(values)
    return "".join(BARS[round((v - low) / (high - low) * 7) if high > low else 3] for v in values)
