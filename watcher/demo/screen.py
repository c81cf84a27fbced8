"""The demo's live table; plain lines where the output is no terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

BARS = "▁▂▃▄▅▆▇█"


class Screen:
    """Shows the runs as `watcher status --json` tells of them."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, transient=False, auto_refresh=False) if console.is_terminal else None
        self._began = time.monotonic()
        self._told: dict[str, str] = {}

    def __enter__(self) -> Screen:
        """Begin to show."""
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the last table on the screen."""
        if self._live:
            self._live.stop()

    def show(self, runs: Sequence[Mapping[str, Any]], trainings: Mapping[str, str]) -> None:
        """Show runs, and what became of each training's process."""
        rows = [row(name, _named(runs, name), state) for name, state in trainings.items()]
        if self._live:
            self._live.update(self._table(rows), refresh=True)
        else:
            self._tell(rows)

    @property
    def seconds(self) -> float:
        """Give how long it has been shown."""
        return time.monotonic() - self._began

    def _table(self, rows: Sequence[Sequence[str]]) -> Table:
        made = Table("training", "process", "step", "clip/mean", "trend (0 to 1)", "rule", "action", box=None)
        for cells in rows:
            made.add_row(*(Text(cell) for cell in cells))
        made.caption = f"{self.seconds:.0f} s"
        return made

    def _tell(self, rows: Sequence[Sequence[str]]) -> None:
        for cells in rows:
            line = "  ".join(cells)
            if self._told.get(cells[0]) != line:
                self._told[cells[0]] = line
                self._console.print(f"{self.seconds:4.0f} s  {line}", markup=False, highlight=False, soft_wrap=True)


def row(name: str, run: Mapping[str, Any], state: str) -> tuple[str, ...]:
    """Give a training's cells: name, process, step, clip/mean, trend, rule state, action."""
    mean = run.get("metrics", {}).get("clip/mean")
    step = run.get("step")
    action = run.get("last_action")
    return (
        f"{name:8}",
        state,
        "step -" if step is None else f"step {step}",
        "-" if mean is None else f"{mean:.3f}",
        bars(run.get("trend", ())),
        ", ".join(_rule(rule) for rule in run.get("rules", ())) or "-",
        f"{action['kind']} {action['state']}" if action else "-",
    )


def bars(values: Sequence[float]) -> str:
    """Give values as bars on a scale from 0 to 1, the same for all runs, so that they can be compared."""
    return "".join(BARS[round(min(1.0, max(0.0, value)) * 7)] for value in values)


def _rule(rule: Mapping[str, Any]) -> str:
    counted = f" {rule['count']}/{rule['needed']}" if rule["state"] == "pending" else ""
    return f"{rule['name']} {rule['state']}{counted}"


def _named(runs: Sequence[Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    return next((run for run in runs if run["name"] == name), {})
