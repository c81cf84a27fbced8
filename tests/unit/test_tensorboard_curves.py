"""Any order of evaluations, revisions, restarts and crashes ends in the same curve, in an old and a new reader."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.unit.test_steps_mirroring import Desk, files, shown
from tests.unit.test_tensorboard import EventAccumulator, reader


class Curves(RuleBasedStateMachine):
    """Whatever happens to a run and the daemon, a reader, old or new, shows the store's closed evaluations."""

    @initialize()
    def begin(self) -> None:
        self.folder = TemporaryDirectory()
        self.desk = Desk(Path(self.folder.name))
        self.run = self.desk.run("flux")
        self.first_of_second: int | None = None
        self.truth: dict[int, float] = {}
        self.live: EventAccumulator | None = None

    @rule(step=st.integers(0, 12), mean=st.integers(1, 9))
    def close(self, step: int, mean: int) -> None:
        back = self.first_of_second is not None and step >= self.first_of_second
        self.desk.close(self.run, step, mean / 10, 2 if back else 1)
        self.truth[step] = mean / 10

    @precondition(lambda self: self.first_of_second is None and self.truth)
    @rule(data=st.data(), mean=st.integers(1, 9))
    def go_back(self, data: st.DataObject, mean: int) -> None:
        step = data.draw(st.sampled_from(sorted(self.truth)))
        self.first_of_second = step
        self.desk.supersede(self.run, step)
        self.truth = {old: value for old, value in self.truth.items() if old < step}
        self.close(step, mean)

    @rule()
    def restart(self) -> None:
        self.desk.restart()

    @rule()
    def die_between_writing_and_noting(self) -> None:
        def die(change: str, side: str) -> None:
            if (change, side) == ("mirror", "before"):
                raise OSError("killed")

        self.desk.boundary = die  # type: ignore[method-assign]
        self.desk.go()
        del self.desk.boundary
        self.desk.restart()

    @rule()
    def lose_the_files(self) -> None:
        for file in files(self.run):
            file.unlink()
        self.live = None  # a TensorBoard whose open file is deleted stays with it, and has to be started again

    @rule()
    def advance(self) -> None:
        self.desk.go()

    @invariant()
    def readers_show_the_truth(self) -> None:
        if not self.truth:
            return
        self.close(max(self.truth), round(self.truth[max(self.truth)] * 10))  # news, so that lost files come again
        self.desk.go()
        assert shown(self.run) == sorted(self.truth.items())
        self.live = self.live or reader(str(self.run.path / "logs" / "watcher"))
        self.live.Reload()
        seen = [(event.step, round(event.value, 4)) for event in self.live.Scalars("clip/mean")]
        assert seen == sorted(self.truth.items())

    def teardown(self) -> None:
        if hasattr(self, "desk"):
            self.desk.store.close()
            self.folder.cleanup()


Curves.TestCase.settings = settings(
    max_examples=8, stateful_step_count=10, deadline=None, suppress_health_check=list(HealthCheck)
)
TestCurves = Curves.TestCase
