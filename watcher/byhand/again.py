"""The order to score a run again: what will happen is said, and a daemon does it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from watcher.byhand.meant import Meant, meant
from watcher.byhand.order import daemon_runs
from watcher.byhand.veto import who
from watcher.config import Config, find_config, load_sections
from watcher.errors import StepError
from watcher.nouns import Run
from watcher.record import again, runs
from watcher.record.again import Old
from watcher.record.store import Store
from watcher.view.text import counted, plain

SCHEMA_VERSION = 1
NAMED = 20
"""So many files that are gone are named; the others are counted."""


def order_again(name: str, path: Path | None, *, step: int | None, superseded: bool) -> dict[str, Any]:
    """Mark a run's images to be scored again; gives what will happen, for programs and, in `said`, for people.

    Raises:
        ConfigError: there is no configuration, or its `scorers:` cannot be used.
        StepError: there is no such run, or nothing of it can be scored again.
        StoreError: the store cannot be written.

    """
    scorers = load_sections(path.expanduser() if path else find_config(), "scorers")
    with meant(path, name) as found:
        if found.store is None:
            raise StepError(
                f"no daemon has seen {name}; `watcher score {name}` scores a folder at once", permanent=True
            )
        return _order(found, found.store, scorers, step, superseded=superseded)


def _order(found: Meant, store: Store, config: Config, step: int | None, *, superseded: bool) -> dict[str, Any]:
    run, now = found.run, time.time()
    models = {name: one.model for name, one in config.scorers.items()}
    daemon = daemon_runs(found)
    with store.read() as db:
        if daemon:
            _refuse_other_models(config, runs.fact(db, "models"))
        old = again.scored(db, run.id, step, superseded=superseded)
    gone = {one.id for one in old if not one.is_there()}
    if run.state != "archived" or old:
        _refuse(run, old, gone, step)
    with store.change("score again") as db:
        current = {one.id for one in again.scored(db, run.id, step, superseded=superseded)}
        chosen = [one for one in old if one.id in current - gone]
        again.ask(db, run, chosen, now)
        told = f"{_amount(chosen)} by {who()}" if old else f"all of it, by {who()}"
        runs.add_event(db, run.id, "score again", told, now)
    document = {
        "schema_version": SCHEMA_VERSION,
        "run": run.name,
        "images": len(chosen),
        "evaluations": len({one.evaluation.id for one in chosen}),
        "scorers": models,
        "gone": [one.path for one in old if one.id in gone],
        "daemon": daemon,
    }
    return {**document, "said": list(_said(run, document, chosen))}


def _refuse_other_models(config: Config, known: Any) -> None:
    """Refuse an order that the daemon would carry out with other models than the configuration names.

    Raises:
        StepError: names both.

    """
    named = {name: [one.model, one.dtype] for name, one in config.scorers.items()}
    if known not in (None, named):
        was, now = (", ".join(f"{name}: {' '.join(one)}" for name, one in each.items()) for each in (known, named))
        raise StepError(
            f"the daemon was started with other models ({was}) than `scorers:` names now ({now}); restart it first, "
            "then give the order",
            permanent=True,
        )


def _refuse(run: Run, old: Sequence[Old], gone: set[int], step: int | None) -> None:
    """Refuse an order by which nothing would be scored.

    Raises:
        StepError: says why.

    """
    at = "" if step is None else f" at step {step}"
    if not old:
        raise StepError(f"{run.name} has no scored image{at} (`watcher show {run.id}`)", permanent=True)
    if len(gone) == len(old):
        raise StepError(
            f"{run.name}: all {counted(len(old), 'image')}{at} are gone from {run.path}; their scores stay as they are",
            permanent=True,
        )


def _amount(chosen: Sequence[Old]) -> str:
    return f"{counted(len(chosen), 'image')} of {counted(len({one.evaluation.id for one in chosen}), 'evaluation')}"


def _said(run: Run, told: dict[str, Any], chosen: Sequence[Old]) -> Iterator[str]:
    models = " and ".join(str(model) for model in told["scorers"].values())
    if chosen:
        so_far = sorted({one.evaluation.identity for one in chosen if one.evaluation.identity})
        yield f"{run.name}: {_amount(chosen)} will be scored again with {models}."
        yield f"So far: {', '.join(so_far) or 'no scorer'}."
        yield "Their metrics stay as they are until all are scored, then they change at once."
    else:
        yield f"{run.name} was archived: all its images will be scored, with {models}."
    if run.state == "archived":
        yield "The run is active from now on; what was there before is history."
    yield "This is the past: it begins no alert and no action."
    if told["gone"]:
        yield f"{counted(len(told['gone']), 'file')} not there any more; the scores that they have stay:"
        yield from (f"  {plain(path)}" for path in told["gone"][:NAMED])
        if len(told["gone"]) > NAMED:
            yield f"  and {len(told['gone']) - NAMED} more"
    if told["daemon"]:
        yield "The daemon does it when no new image waits."
    else:
        yield "No daemon runs: the next one does it (`watcher run`)."
