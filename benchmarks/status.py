"""How long people wait for an answer: `python -m benchmarks.status [--runs 1000] [--scores 1000000]`.

Builds a store of so many runs and scores as the daemon would have left it, and starts `watcher --help`, `watcher
status` and `watcher status --json` over it: the median wall time of each in seconds against its budget, and its ratio
to an empty Python; exits 1 when a budget is missed.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert

from benchmarks.common import Figure, alternate, medians, parser, ratio, report
from watcher.nouns import Run
from watcher.record import runs
from watcher.record.store import open_store
from watcher.record.tables import evaluations, metrics, rule_states, samples, scores

BUDGETS = {"help": 0.3, "status": 0.5, "json": 0.5}
"""Seconds."""
COMMANDS = {"help": ["--help"], "status": ["status"], "json": ["status", "--json"]}
PROMPTS = 25
"""Images of one evaluation."""
METRICS = ("clip/mean", "clip/stderr", "clip/min", "clip/max", "clip/images", "clip/prompts", "health/blank")
RULES = 3


def build(folder: Path, number: int, wanted: int) -> Path:
    """Make run folders and a store that knows them, every image scored; gives the configuration."""
    config = folder / "watcher.yaml"
    config.write_text("runs: [{path: 'output/*', layout: plain}]\nnotify: [log]\nstate: state\n")
    steps = max(1, wanted // (number * PROMPTS))
    store = open_store(folder / "state")
    for place in range(number):
        with store.change("meet run") as db:
            _run(db, folder, place, steps)
    store.close()
    return config


def _run(db: Connection, folder: Path, place: int, steps: int) -> None:
    path = folder / "output" / f"run-{place:04}"
    path.mkdir(parents=True)
    run = Run(f"{place:012x}", path.name, path, "plain", first_seen=time.time() - 3600)
    runs.add(db, run, "plain: chosen in the configuration")
    runs.touch(db, run.id, time.time() - place)
    first = place * steps
    db.execute(insert(evaluations), [_evaluation(run.id, first + step, step) for step in range(steps)])
    db.execute(insert(metrics), list(_metrics(range(first, first + steps))))
    images = range(first * PROMPTS, (first + steps) * PROMPTS)
    db.execute(insert(samples), [_sample(run, image, first) for image in images])
    db.execute(insert(scores), [_score(image) for image in images])
    state = {"state": "ok", "count": 0, "needed": 3, "unknowns": 0, "reason": "0.24 is not below 0.2"}
    rules = [{"run_id": run.id, "rule": f"rule-{n}", "hash": "0", "state": state, "at": 0.0} for n in range(RULES)]
    db.execute(insert(rule_states), rules)


def _evaluation(run_id: str, number: int, step: int) -> dict[str, Any]:
    times = dict.fromkeys(("first_at", "last_at", "opened_at", "last_arrival"), time.time())
    done = {"state": "closed", "history": False, "complete": True, "revision": 1, "closed_because": "complete"}
    of = {"id": number, "run_id": run_id, "attempt": 1, "step": step * 100, "variant": "", "identity": "model@1"}
    return {**of, **done, **times}


def _metrics(numbers: Sequence[int]) -> Iterator[dict[str, Any]]:
    return ({"evaluation_id": n, "name": name, "value": 0.24 + n % 7 / 100} for n in numbers for name in METRICS)


def _sample(run: Run, image: int, first: int) -> dict[str, Any]:
    number, key = divmod(image, PROMPTS)
    step = (number - first) * 100
    path = run.path / "samples" / f"{step:09}_{key:02}_a-name-as-long-as-trainers-write-them.png"
    of = {"id": image, "evaluation_id": number, "run_id": run.id, "attempt": 1, "step": step, "variant": ""}
    file = {
        "key": str(key),
        "index": 0,
        "path": str(path),
        "size": 1_500_000,
        "mtime": 1.7e9,
        "digest": f"{image:064x}",
    }
    return {**of, **file, "state": "scored", "reason": "", "current": True, "rewritten": False}


def _score(image: int) -> dict[str, Any]:
    said = {"cosine": 0.2 + image % 97 / 1000, "health": [], "error": "", "truncated": False, "at": 1.7e9}
    return {"sample_id": image, "identity": "openai/clip-vit-large-patch14@a1b2c3d4/224/fp32/keep-end", **said}


def measure(config: Path, rounds: int) -> dict[str, list[float]]:
    """Give the wall times of an empty Python and of each command, in seconds, by round; the first fills the caches."""
    watcher = [sys.executable, "-m", "watcher"]
    commands = {"python": [sys.executable, "-c", "pass"], **{name: [*watcher, *c] for name, c in COMMANDS.items()}}
    return alternate({name: _way(command, config.parent) for name, command in commands.items()}, rounds)


def _way(command: Sequence[str], folder: Path) -> Callable[[], None]:
    def run() -> None:
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)

    return run


def figures(found: dict[str, list[float]]) -> Iterator[Figure]:
    """Give what is claimed."""
    middle = medians(found)
    for name, budget in BUDGETS.items():
        shown = " ".join(["watcher", *COMMANDS[name]])
        yield Figure(shown, middle[name], "s", most=budget)
        yield Figure(f"{shown}, in starts of an empty Python", ratio(found, name, "python"))


def main(argv: Sequence[str] | None = None) -> int:
    """Build, measure, print, compare."""
    arguments = parser(__doc__)
    arguments.add_argument("--runs", type=int, default=1000)
    arguments.add_argument("--scores", type=int, default=1_000_000)
    arguments.add_argument("--folder", type=Path, help="Keep the store here, or use the one that is here.")
    given = arguments.parse_args(argv)
    if given.quick:
        given.runs, given.scores, given.rounds = 2, 100, 1
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        config = folder / "watcher.yaml"
        found = measure(config if config.exists() else build(folder, given.runs, given.scores), given.rounds)
    seen = {"runs": given.runs, "scores": given.scores, "seconds": found}
    return report("status", list(figures(found)), given, seen)


if __name__ == "__main__":
    sys.exit(main())
