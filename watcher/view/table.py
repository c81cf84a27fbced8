"""The status of all runs as people read it: a table, or a few lines a run where the terminal is narrow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from watcher.names import IMAGELESS, number_of
from watcher.view.device import fallback
from watcher.view.find import STATES
from watcher.view.lag import lagging
from watcher.view.text import age, counted, mean, plain, sparkline

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table
    from rich.text import Text

COLUMNS = ("run", "layout", "mode", "step", "age", "clip/mean", "trend", "rules", "images", "last action")
UNBROKEN = 100_000
"""Width in characters where no terminal breaks lines: a row is a line, for grep and logs."""
NAMED = 5
"""So many runs are named in a line; the others are counted."""
GAP = 2
"""Blanks between two columns."""
_DAEMON = {
    "never": "none has run yet with this state folder (`watcher check` names it); start one with `watcher run`",
    "stopped": "stopped; start it with `watcher run` or its service",
    "died": "pid {pid} died without a word (killed?); start it again, it goes on from where it was",
    "unseen": "runs on {host}, if it still does: that cannot be seen from here",
}


class Lines(str):
    """Lines that fit their terminal: whoever has no use for rich's Text may print them as they are."""

    __slots__ = ()

    def __rich__(self) -> Text:
        """Give them to rich, which else would read a text's brackets as markup."""
        from rich.text import Text

        return Text(self, no_wrap=True)


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
    from rich.cells import cell_len

    cells = [columns, *([plain(cell) for cell in row] for row in rows)]
    widths = [max(cell_len(row[place]) for row in cells) for place in range(len(columns))]
    if sum(widths) + GAP * (len(widths) - 1) <= console.width:
        return Lines("\n".join(_line(row, widths) for row in cells))
    if folding:
        made = _folded(cells, folding)
        if console.measure(made, options=console.options.update(width=UNBROKEN)).minimum <= console.width:
            return made
    return _cards(columns, rows, console.width)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    from rich.cells import cell_len

    padded = (cell + " " * (width - cell_len(cell) + GAP) for cell, width in zip(row, widths, strict=True))
    return "".join(padded).rstrip()


def _folded(cells: Sequence[Sequence[str]], folding: Sequence[str]) -> Table:
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0))
    for name in cells[0]:
        made.add_column(name, no_wrap=name not in folding, overflow="fold")
    for row in cells[1:]:
        made.add_row(*(Text(cell) for cell in row))
    return made


def _cards(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> RenderableType:
    from rich.cells import cell_len

    cards = [_card(columns, row) for row in rows]
    if all(cell_len(line) <= width for card in cards for line in card.split("\n")):
        return Lines("\n".join(cards))
    from rich.text import Text

    return Text("\n".join(cards), overflow="fold")


def _card(columns: Sequence[str], row: Sequence[str]) -> str:
    said = [f"{label} {plain(cell)}" for label, cell in zip(columns, row, strict=True) if cell not in ("", "-")]
    return "\n  ".join(said)


def problems(found: dict[str, Any]) -> list[str]:
    """Say what a user should know beyond the table: all that keeps the watcher from its work, and what it did."""
    said = [
        _daemon(found["daemon"]),
        *_scorer(found["scorer"]),
        *lagging(found),
        *_trackers(found["trackers"]),
        *_places(found["problems"]),
        *_polled(found["runs"]),
    ]
    said += [_target(target) for target in found["targets"] if _is_bad(target)]
    return [plain(line) for line in [*said, *_of_runs(found["runs"])] if line]


def _of_runs(runs: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Say of each run what there is to say; what is the same for several but for their folders is said once."""
    about: dict[str, list[tuple[str, str]]] = {}
    for run in runs:
        for text in _of_run(run):
            about.setdefault(text.replace(run["path"], "its folder"), []).append((run["name"], text))
    for alike, same in about.items():
        names = ", ".join(name for name, _ in same[:NAMED])
        more = f" and {len(same) - NAMED} more" if len(same) > NAMED else ""
        yield f"{names}{more}: {alike if len(same) > 1 else same[0][1]}"


def _daemon(daemon: dict[str, Any]) -> str:
    text = _DAEMON.get(daemon["state"], "")
    return f"daemon: {text.format_map(daemon)}" if text else ""


def _scorer(scorer: dict[str, Any]) -> list[str]:
    return [f"scorer: {scorer['reason']}"] if scorer.get("state") == "failing" else [fallback(scorer)]


def _trackers(trackers: Sequence[dict[str, Any]]) -> list[str]:
    failing = [tracker for tracker in trackers if tracker["state"] == "failing"]
    return [f"tracker {one['name']}: {one['reason']}; the runs are judged all the same" for one in failing]


def _places(problems: dict[str, str]) -> list[str]:
    return [f"{place}: {what}" for place, what in problems.items()]


def _polled(runs: Sequence[dict[str, Any]]) -> list[str]:
    """Say of which runs new images come late; those that file events tell of need no word."""
    ways = Counter(run["watched"] for run in runs if run["watched"].startswith("polled"))
    return [f"{counted(number, 'run')} {way}" for way, number in ways.items()]


def _is_bad(target: dict[str, Any]) -> bool:
    return target["state"] in ("failing", "disabled") or bool(target["failed"])


def _target(target: dict[str, Any]) -> str:
    state = target["state"] if target["state"] in ("failing", "disabled") else ""
    waiting = f"{counted(target['pending'], 'notice')} waiting" if target["pending"] else ""
    failed = f"{counted(target['failed'], 'notice')} not delivered" if target["failed"] else ""
    return f"{target['name']}: " + "; ".join(part for part in (state, waiting, failed, target["reason"]) if part)


def _of_run(run: dict[str, Any]) -> Iterator[str]:
    yield from (f"{counted(number, 'image')}: {why}" for why, number in run["reasons"].items())
    if run["logged"] and not run["images"]:
        yield _logged(run)
    if run["state"] == "active":
        yield from (*run["unprotected"], *run["notes"])
    for rule in run["rules"]:
        if rule["blind"] and run["state"] == "active":
            continue
        if rule["state"] == "firing" or rule["unknowns"]:
            yield f"{rule['name']}: {rule['reason']}"
    if run["hold"]:
        yield f"{run['hold']}; `watcher release` takes that back"
    if run["last_action"]:
        yield f"{_deed(run['last_action'])}: {run['last_action']['proof'] or run['last_action']['reason']}"


def _logged(run: dict[str, Any]) -> str:
    """Say what a run without images has instead."""
    numbers = ", ".join(f"{name} {value:.4g}" for name, value in run["logged"].items())
    said = f"{numbers} at step {run['logged_step']}"
    if run["layout"] in IMAGELESS:
        why = f"no images: scalars only, as {run['layout']} makes none"
        return f"{why}; {said}; rules on these numbers judge it, those on images do not"
    return f"no images yet; {said}"


def _cells(run: dict[str, Any]) -> tuple[str, ...]:
    name = run["name"] if run["state"] == "active" else f"{run['name']} ({run['state']})"
    return (
        name + (" HELD" if run["held"] else "") + (" UNPROTECTED" if run["unprotected"] else ""),
        run["layout"],
        run["mode"],
        _step(run),
        age(run["age_seconds"]),
        mean(run["metrics"]),
        sparkline(run["trend"]),
        ", ".join(_rule(rule) for rule in run["rules"]) or "-",
        _images(run),
        _deed(run["last_action"]),
    )


def _step(run: dict[str, Any]) -> str:
    """Give the step of the newest evaluation; of a run without images the one that its trainer logged last."""
    step = run["logged_step"] if run["step"] is None and not run["images"] else run["step"]
    return "-" if step is None else number_of(step, by_epoch=run["by_epoch"])


def _images(run: dict[str, Any]) -> str:
    parts = [str(run["images"]), *_waiting(run)]
    parts += [f"{run[what]} {what}" for what in ("unscorable", "undecodable") if run[what]]
    return ", ".join(parts)


def _waiting(run: dict[str, Any]) -> list[str]:
    oldest = "" if run["lag_seconds"] is None else f" (oldest {age(run['lag_seconds'])})"
    return [f"{run['pending']} waiting{oldest}"] if run["pending"] else []


def _deed(action: dict[str, Any] | None) -> str:
    if action is None:
        return "-"
    return f"{action['kind']} {'only observed' if action['mode'] == 'observe' else action['state']}"


def _rule(rule: dict[str, Any]) -> str:
    """Give `name pending 2/3`."""
    row = f" {rule['count']}/{rule['needed']}" if rule["state"] == "pending" else ""
    return f"{rule['name']} {rule['state']}{row}"
