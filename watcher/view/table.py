"""The status of all runs as people read it: a table, or a few lines a run where the terminal is narrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from watcher.view.find import STATES
from watcher.view.text import age, counted, mean, plain, sparkline

COLUMNS = ("run", "layout", "mode", "step", "age", "clip/mean", "trend", "rules", "images", "last action")
UNBROKEN = 100_000
"""Width in characters where no terminal breaks lines: a row is a line, for grep and logs."""
GAP = 2
"""Blanks between two columns."""
_DAEMON = {
    "never": "none has run yet with this state folder (`watcher check` names it); start one with `watcher run`",
    "stopped": "stopped; start it with `watcher run` or its service",
    "died": "pid {pid} died without a word (killed?); start it again, it goes on from where it was",
    "unseen": "runs on {host}, if it still does: that cannot be seen from here",
}


def overview(runs: Sequence[dict[str, Any]], console: Console) -> RenderableType:
    """Give the runs, active ones first."""
    rows = [_cells(run) for run in sorted(runs, key=lambda run: STATES.index(run["state"]))]
    return table(COLUMNS, rows, console)


def table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], console: Console, folding: Sequence[str] = ()
) -> RenderableType:
    """Give rows as a table without borders, or as a few lines each where the console is too narrow for it.

    Only the `folding` columns may take more than one line; nothing is ever cut off.
    """
    cells = [columns, *([plain(cell) for cell in row] for row in rows)]
    widths = [max(cell_len(row[place]) for row in cells) for place in range(len(columns))]
    if sum(widths) + GAP * (len(widths) - 1) <= console.width:
        return Text("\n".join(_line(row, widths) for row in cells), no_wrap=True)
    if folding:
        made = _folded(cells, folding)
        if console.measure(made, options=console.options.update(width=UNBROKEN)).minimum <= console.width:
            return made
    return Group(*(_card(columns, row) for row in rows))


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell + " " * (width - cell_len(cell) + GAP) for cell, width in zip(row, widths, strict=True))
    return "".join(padded).rstrip()


def _folded(cells: Sequence[Sequence[str]], folding: Sequence[str]) -> Table:
    made = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0))
    for name in cells[0]:
        made.add_column(name, no_wrap=name not in folding, overflow="fold")
    for row in cells[1:]:
        made.add_row(*(Text(cell) for cell in row))
    return made


def _card(columns: Sequence[str], row: Sequence[str]) -> Text:
    said = [f"{label} {plain(cell)}" for label, cell in zip(columns, row, strict=True) if cell not in ("", "-")]
    return Text("\n  ".join(said), overflow="fold")


def problems(found: dict[str, Any]) -> list[str]:
    """Say what a user should know beyond the table: all that keeps the watcher from its work, and what it did."""
    said = [_daemon(found["daemon"]), *_scorer(found["scorer"]), *_places(found["problems"])]
    said += [_target(target) for target in found["targets"] if _is_bad(target)]
    said += [line for run in found["runs"] for line in _of_run(run)]
    return [plain(line) for line in said if line]


def _daemon(daemon: dict[str, Any]) -> str:
    text = _DAEMON.get(daemon["state"], "")
    return f"daemon: {text.format_map(daemon)}" if text else ""


def _scorer(scorer: dict[str, Any]) -> list[str]:
    return [f"scorer: {scorer['reason']}"] if scorer.get("state") == "failing" else []


def _places(problems: dict[str, str]) -> list[str]:
    return [f"{place}: {what}" for place, what in problems.items()]


def _is_bad(target: dict[str, Any]) -> bool:
    return target["state"] in ("failing", "disabled") or bool(target["failed"])


def _target(target: dict[str, Any]) -> str:
    state = target["state"] if target["state"] in ("failing", "disabled") else ""
    waiting = f"{counted(target['pending'], 'notice')} waiting" if target["pending"] else ""
    failed = f"{counted(target['failed'], 'notice')} not delivered" if target["failed"] else ""
    return f"{target['name']}: " + "; ".join(part for part in (state, waiting, failed, target["reason"]) if part)


def _of_run(run: dict[str, Any]) -> Iterator[str]:
    name = run["name"]
    yield from (f"{name}: {counted(number, 'image')}: {why}" for why, number in run["reasons"].items())
    for rule in run["rules"]:
        if rule["state"] == "firing" or rule["unknowns"]:
            yield f"{name}: {rule['name']}: {rule['reason']}"
    if run["last_action"]:
        yield f"{name}: {_deed(run['last_action'])}: {run['last_action']['proof'] or run['last_action']['reason']}"


def _cells(run: dict[str, Any]) -> tuple[str, ...]:
    name = run["name"] if run["state"] == "active" else f"{run['name']} ({run['state']})"
    return (
        name + (" HELD" if run["held"] else ""),
        run["layout"],
        run["mode"],
        "-" if run["step"] is None else str(run["step"]),
        age(run["age_seconds"]),
        mean(run["metrics"]),
        sparkline(run["trend"]),
        ", ".join(_rule(rule) for rule in run["rules"]) or "-",
        _images(run),
        _deed(run["last_action"]),
    )


def _images(run: dict[str, Any]) -> str:
    parts = [str(run["images"])]
    parts += [f"{run[what]} {what}" for what in ("pending", "unscorable", "undecodable") if run[what]]
    return ", ".join(parts)


def _deed(action: dict[str, Any] | None) -> str:
    return f"{action['kind']} {action['state']}" if action else "-"


def _rule(rule: dict[str, Any]) -> str:
    """Give `name pending 2/3`."""
    row = f" {rule['count']}/{rule['needed']}" if rule["state"] == "pending" else ""
    return f"{rule['name']} {rule['state']}{row}"
