"""Any image may crash the scorer, and anybody may kill it: the innocent ones are scored, the guilty ones given up."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.stores import store_in
from watcher.nouns import Run, Sample, Score
from watcher.record import runs, samples
from watcher.score import UNDER_WAY, Job, Scored, ScorerDown
from watcher.steps.scoring import LONGEST_PAUSE, Scoring

BATCH = 4
STEPS = st.integers(1, 3)
CRASHES_FOR_ONE = 4
"""A guilty image is there at no more crashes than this: with others, with its batch, and twice alone."""
BAD, GOOD = "bad", "good"


class Process:
    """The scorer as `Scoring` has it, whose process dies at bad images: while it decodes them, or in the models."""

    def __init__(self) -> None:
        self.under_way: dict[int, Sequence[Job]] = {}
        self.results: list[Scored | ScorerDown] = []

    @property
    def room(self) -> bool:
        return len(self.under_way) < UNDER_WAY

    def tick(self, now: float) -> None:
        return

    def submit(self, batch: int, jobs: Sequence[Job]) -> None:
        assert self.room
        self.under_way[batch] = jobs

    def answer(self) -> None:
        """Be done with the first batch."""
        batch = next(iter(self.under_way))
        scores = tuple(Score(job.sample_id, job.path.name, 0.3) for job in self.under_way.pop(batch))
        self.results.append(Scored(batch, {"clip": "scripted"}, scores))

    def die(self, reason: str) -> None:
        batch, *others = self.under_way
        self.under_way.clear()
        self.results.append(ScorerDown(reason, False, batch, others=tuple(others), blame_others=True))

    def bad(self, batch: int) -> bool:
        return any(job.path.stem.startswith(BAD) for job in self.under_way[batch])


class Crashes(RuleBasedStateMachine):
    """Images arrive, batches are answered or crash, somebody kills the process or the daemon."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = store_in(Path(self.folder.name))
        with self.store.change("run") as db:
            runs.add(db, Run("r", "run", Path("/x"), "pattern", first_seen=1.0), "a test")
        self.now = 1000.0
        self.made = 0
        self.crashes = self.kills = self.starts = 0
        self.killed_alone: set[int] = set()
        self.at_crash: set[int] = set()
        """Images that were there at a crash, and are neither scored nor given up yet."""

    @initialize()
    def start(self) -> None:
        self.process = Process()
        scorer: Any = self.process
        self.scoring = Scoring(self.store, scorer, BATCH, 1000)
        self.killed_alone.clear()
        self.at_crash.clear()
        self.starts += 1

    def teardown(self) -> None:
        try:
            self.finish()
        finally:
            self.store.close()
            self.folder.cleanup()

    @rule(
        bad=st.lists(st.sampled_from([False, False, False, True]), min_size=1, max_size=3 * BATCH),
        step=st.integers(1, 3),
    )
    def arrive(self, bad: list[bool], step: int) -> None:
        with self.store.change("add") as db:
            for is_bad in bad:
                self.made += 1
                name = f"{BAD if is_bad else GOOD}-{self.made}"
                path = Path(f"/x/{name}")
                one = Sample("r", step, name, 0, path, 3, 1.0, path.name, "a prompt")
                samples.add(db, one, self.now)

    @rule()
    def go_on(self) -> None:
        """Let time pass and hand over what there is room for."""
        self.now += LONGEST_PAUSE
        self.scoring.advance(self.now)

    @precondition(lambda self: self.process.under_way)
    @rule()
    def score(self) -> None:
        """Be done with a batch, or die at it."""
        if self.process.bad(next(iter(self.process.under_way))):
            self.crash()
        else:
            self.process.answer()
            self.hear()

    @precondition(lambda self: any(self.process.bad(batch) for batch in self.process.under_way))
    @rule()
    def crash(self) -> None:
        """Die at a bad image of any batch, for they are decoded side by side."""
        self.crashes += 1
        self.die("the scorer's process ended with signal 11")

    @precondition(lambda self: self.process.under_way and not self.would_be_twice())
    @rule()
    def kill(self) -> None:
        """Kill the process from outside, but never twice over the same picture when it is alone there."""
        (first, *_), *others = self.process.under_way.values()
        if not others and len(next(iter(self.process.under_way.values()))) == 1:
            self.killed_alone.add(first.sample_id)
        self.kills += 1
        self.die("the scorer's process ended with signal 9")

    def would_be_twice(self) -> bool:
        jobs = [job for batch in self.process.under_way.values() for job in batch]
        return len(jobs) == 1 and jobs[0].sample_id in self.killed_alone

    @rule()
    def restart(self) -> None:
        """Forget everything that is not on disk."""
        self.start()

    def die(self, reason: str) -> None:
        self.at_crash.update(job.sample_id for jobs in self.process.under_way.values() for job in jobs)
        self.process.die(reason)
        self.hear()

    def hear(self) -> None:
        for result in self.process.results:
            if isinstance(result, Scored):
                self.scoring.keep(result, self.now)
                self.at_crash.difference_update(score.sample_id for score in result.scores)
            else:
                self.scoring.fail(result, self.now)
        self.process.results.clear()

    def states(self) -> dict[str, str]:
        with self.store.read() as db:
            return {row.key: row.state for row in db.exec_driver_sql("SELECT key, state FROM samples")}

    @invariant()
    def nothing_innocent_is_given_up_and_nothing_is_with_the_scorer_twice(self) -> None:
        states = self.states()
        assert not [key for key, state in states.items() if state == "undecodable" and key.startswith(GOOD)]
        out = [job.sample_id for jobs in self.process.under_way.values() for job in jobs]
        assert len(out) == len(set(out))
        assert len(self.process.under_way) < 2 or not self.at_crash & set(out)  # a trial has it for itself

    def finish(self) -> None:
        """Let it work undisturbed: everything must come to an end, after few crashes."""
        limit = 20 + 10 * (self.made + self.crashes + self.kills)
        while not self.scoring.idle(self.now):
            limit -= 1
            assert limit > 0, "it goes on for ever"
            self.go_on()
            if self.process.under_way:
                self.score()
        expected = {key: "undecodable" if key.startswith(BAD) else "scored" for key in self.states()}
        assert self.states() == expected
        bad = sum(key.startswith(BAD) for key in expected)
        assert self.crashes <= CRASHES_FOR_ONE * bad * self.starts


Crashes.TestCase.settings = settings(
    max_examples=30, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestCrashes = Crashes.TestCase
