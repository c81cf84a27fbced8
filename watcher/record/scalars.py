"""Numbers that trainers log: the newest in full, older ones thinned out evenly, what is NaN or infinite never.

Of two numbers of one name and step the one that was logged later counts, whichever file it is in. A name whose steps
go back within a file was started again: what the file holds from there on is taken back.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects.sqlite import insert as upsert

from watcher.names import LOSS, RAW
from watcher.record.number_tables import scalar_files, scalars
from watcher.record.tables import evaluations

FULL = 1000
"""So many of the newest numbers of a name are kept one by one."""
THINNED = 500
"""To so many the older ones are thinned whenever there are as many of them as of the newest."""
RAW_NAMES = 200
"""So many names that no layout knows are recorded of a run: some trainers log one for every layer."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it is stored; wall time in seconds."""

    name: str
    step: int
    value: float
    at: float


@dataclass(frozen=True, slots=True)
class WentBack:
    """A loss was logged at an earlier step again, or at the last one by another start."""

    step: int
    at: float
    """Wall time of that loss."""
    since: float
    """Wall time of the last loss before it: the run went back between the two."""


@dataclass(frozen=True, slots=True)
class Restart:
    """Everything in the files of one folder from a step on, logged before a wall time, was taken back."""

    step: int
    at: float


Entry = Number | Restart


@dataclass(slots=True)
class _Stack:
    """What is left of one name's numbers of a file's part: its steps only rise."""

    numbers: list[Number] = field(default_factory=list)
    lowest: int | None = None
    """The lowest step that it has been at: from there on nothing that came before this part holds."""

    def add(self, number: Number) -> None:
        self.cut(number.step)
        self.lowest = number.step if self.lowest is None else min(self.lowest, number.step)
        self.numbers.append(number)

    def cut(self, step: int) -> None:
        while self.numbers and self.numbers[-1].step >= step:
            self.numbers.pop()


def positions(db: Connection, run_id: str) -> dict[str, Mapping[str, Any]]:
    """Give how far each of a run's files was read, by path."""
    mine = select(scalar_files.c.path, scalar_files.c.position).where(scalar_files.c.run_id == run_id)
    return {row.path: row.position for row in db.execute(mine)}


def take_in(db: Connection, run_id: str, path: Path, position: Mapping[str, Any], entries: Sequence[Entry]) -> None:
    """Keep a part of a file and how far it was read by now; whichever parts it is read in, the same is kept."""
    file_id = _file(db, run_id, path, position)
    stacks: dict[str, _Stack] = {}
    for entry in entries:
        if isinstance(entry, Restart):
            take_back(db, run_id, entry.step, entry.at, path.parent)
            for stack in stacks.values():
                stack.cut(entry.step)
        else:
            stacks.setdefault(entry.name, _Stack()).add(entry)
    for name in _admitted(db, run_id, stacks):
        _keep(db, run_id, file_id, name, stacks[name])


def went_back(
    db: Connection, run_id: str, path: Path, began: float | None, entries: Sequence[Entry]
) -> WentBack | None:
    """Tell where a run certainly went back, in a part of a file that is not taken in yet; None where it did not.

    Certain is a loss at a lower step that was logged later into the same file, and one at no higher step in a file
    that was begun (wall time) after all other losses were logged. What several processes log side by side is neither.
    One at step 0 says nothing by itself: the next one tells whether the training has begun again.
    """
    losses = [one for one in entries if isinstance(one, Number) and one.name == LOSS and one.step > 0]
    top, last, is_same = _reached(db, run_id, path) if losses else (-1, 0.0, False)
    if not is_same and (began is None or began <= last):
        top = -1
    found = None
    for one in losses:
        if one.at > last and (one.step < top or (one.step == top and not is_same)):
            found = WentBack(one.step, one.at, last)
        top, last, is_same = one.step, max(last, one.at), True
    return found


def _reached(db: Connection, run_id: str, path: Path) -> tuple[int, float, bool]:
    """Give the highest step of the losses in a file and when the last was logged, else of those in all others."""
    query = select(func.max(scalars.c.step), func.max(scalars.c.at))
    mine = (scalars.c.run_id == run_id, scalars.c.name == LOSS, scalars.c.step > 0)
    file = select(scalar_files.c.id).where(scalar_files.c.run_id == run_id, scalar_files.c.path == str(path))
    for more, is_same in (((scalars.c.file_id.in_(file),), True), ((), False)):
        step, at = db.execute(query.where(*mine, *more)).one()
        if step is not None:
            return step, at, is_same
    return -1, 0.0, False


def _file(db: Connection, run_id: str, path: Path, position: Mapping[str, Any]) -> int:
    new = upsert(scalar_files).values(run_id=run_id, path=str(path), position=dict(position))
    changed = new.on_conflict_do_update(index_elements=["run_id", "path"], set_={"position": dict(position)})
    return int(db.execute(changed.returning(scalar_files.c.id)).scalar_one())


def take_back(db: Connection, run_id: str, step: int, at: float, folder: Path | None = None) -> None:
    """Forget what a run logged from a step on before a wall time; with `folder` only what its files hold."""
    gone = delete(scalars).where(scalars.c.run_id == run_id, scalars.c.step >= step, scalars.c.at < at)
    if folder is not None:
        files = select(scalar_files.c.id, scalar_files.c.path).where(scalar_files.c.run_id == run_id)
        ids = [row.id for row in db.execute(files) if Path(row.path).parent == folder]
        gone = gone.where(scalars.c.file_id.in_(ids))
    db.execute(gone)


def _admitted(db: Connection, run_id: str, names: Collection[str]) -> list[str]:
    """Leave out names that no layout knows, once there are too many of them."""
    new = [name for name in names if name.startswith(RAW) and not _is_known(db, run_id, name)]
    if not new:
        return list(names)
    known = select(scalars.c.name).where(scalars.c.run_id == run_id, scalars.c.name.startswith(RAW)).distinct()
    room = RAW_NAMES - len(db.execute(known).all())
    left_out = set(new[max(0, room) :])
    return [name for name in names if name not in left_out]


def _is_known(db: Connection, run_id: str, name: str) -> bool:
    mine = (scalars.c.run_id == run_id, scalars.c.name == name)
    return db.execute(select(scalars.c.step).where(*mine).limit(1)).one_or_none() is not None


def _keep(db: Connection, run_id: str, file_id: int, name: str, stack: _Stack) -> None:
    mine = (scalars.c.run_id == run_id, scalars.c.name == name)
    db.execute(delete(scalars).where(*mine, scalars.c.file_id == file_id, scalars.c.step >= stack.lowest))
    same = {"run_id": run_id, "name": name, "file_id": file_id}
    rows = [{**same, "step": one.step, "value": _stored(one.value), "at": one.at} for one in stack.numbers]
    if rows:
        new = upsert(scalars)
        changed = {column: new.excluded[column] for column in ("value", "at", "file_id")}
        later = new.excluded.at >= scalars.c.at
        keys = ["run_id", "name", "step"]
        db.execute(new.on_conflict_do_update(index_elements=keys, set_=changed, where=later), rows)
        _thin(db, run_id, name)


def _stored(value: float) -> float | None:
    return None if math.isnan(value) else value


def _value(stored: float | None) -> float:
    return math.nan if stored is None else stored


def _thin(db: Connection, run_id: str, name: str) -> None:
    mine = (scalars.c.run_id == run_id, scalars.c.name == name)
    finite = (*mine, func.abs(scalars.c.value) <= sys.float_info.max)
    if db.execute(select(func.count()).select_from(scalars).where(*finite)).scalar_one() < 2 * FULL:
        return
    gone = superfluous(db.execute(select(scalars.c.step).where(*finite).order_by(scalars.c.step)).scalars().all())
    for start in range(0, len(gone), FULL // 2):
        db.execute(delete(scalars).where(*mine, scalars.c.step.in_(gone[start : start + FULL // 2])))


def superfluous(steps: Sequence[int]) -> list[int]:
    """Give which of a name's steps, rising, can go: of the older ones all but one in each of `THINNED` equal spans."""
    old = steps[:-FULL]
    if len(old) < FULL:
        return []
    first, span = old[0], old[-1] - old[0] + 1
    kept = {(step - first) * THINNED // span: step for step in reversed(old)}
    return sorted(set(old) - set(kept.values()))


def at_step(db: Connection, run_id: str, step: int, names: Collection[str]) -> dict[str, float]:
    """Give the last number of each name at or before a step, that is not older than the evaluation before it.

    Where a run went back, what was logged last holds.
    """
    before = _evaluation_before(db, run_id, step)
    found: dict[str, float] = {}
    for name in names:
        mine = (scalars.c.run_id == run_id, scalars.c.name == name, scalars.c.step <= step, scalars.c.step > before)
        query = select(scalars.c.value).where(*mine).order_by(scalars.c.at.desc(), scalars.c.step.desc())
        if (row := db.execute(query.limit(1)).one_or_none()) is not None:
            found[name] = _value(row.value)
    return found


def _evaluation_before(db: Connection, run_id: str, step: int) -> int:
    mine = (evaluations.c.run_id == run_id, evaluations.c.variant == "", evaluations.c.state != "superseded")
    found = db.execute(select(func.max(evaluations.c.step)).where(*mine, evaluations.c.step < step)).scalar()
    return -1 if found is None else int(found)


def newest(db: Connection, run_id: str) -> list[Number]:
    """Give the number of each name at its highest step, by name."""
    mine = scalars.c.run_id == run_id
    last = (
        select(scalars.c.name, func.max(scalars.c.step).label("step")).where(mine).group_by(scalars.c.name).subquery()
    )
    query = select(scalars).join(last, (last.c.name == scalars.c.name) & (last.c.step == scalars.c.step)).where(mine)
    return [Number(row.name, row.step, _value(row.value), row.at) for row in db.execute(query.order_by(scalars.c.name))]


def of_run(db: Connection, run_id: str, name: str) -> list[Number]:
    """Give what is kept of a name, by step."""
    mine = (scalars.c.run_id == run_id, scalars.c.name == name)
    rows = db.execute(select(scalars).where(*mine).order_by(scalars.c.step))
    return [Number(name, row.step, _value(row.value), row.at) for row in rows]


def since(db: Connection, run_id: str, step: int, names: Collection[str]) -> list[Number]:
    """Give what is kept of some names from a step on, by step."""
    mine = (scalars.c.run_id == run_id, scalars.c.name.in_(names), scalars.c.step >= step)
    rows = db.execute(select(scalars).where(*mine).order_by(scalars.c.step, scalars.c.name))
    return [Number(row.name, row.step, _value(row.value), row.at) for row in rows]


def furthest(db: Connection, run_id: str) -> Number | None:
    """Give the number at the highest step that a run has come to, whichever its name; None where there is none."""
    query = select(scalars).where(scalars.c.run_id == run_id).order_by(scalars.c.step.desc(), scalars.c.at.desc())
    row = db.execute(query.limit(1)).one_or_none()
    return None if row is None else Number(row.name, row.step, _value(row.value), row.at)


def newest_at(db: Connection, run_id: str) -> float:
    """Give the wall time at which a run's newest number was logged; 0 where none was."""
    found = db.execute(select(func.max(scalars.c.at)).where(scalars.c.run_id == run_id)).scalar()
    return 0.0 if found is None else float(found)
