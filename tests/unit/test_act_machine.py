"""Any order of events leads a stop to a truthful end: real processes, real signals, a clock of its own."""

from __future__ import annotations

import signal
import subprocess
import tempfile
import time
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.service.daemons import wait_for
from tests.service.trees import Stop
from watcher.act import ProcessBackend
from watcher.nouns import FINAL

DEAF = ["sh", "-c", "trap '' TERM; exec sleep 300"]
LONG = 3600.0


class Life(RuleBasedStateMachine):
    """One stop of one training beside a bystander; the daemon may be killed before or after any step is stored."""

    @initialize(
        deaf=st.booleans(), kill=st.booleans(), save=st.sampled_from(["no", "wait", "required"]), enforce=st.booleans()
    )
    def begin(self, deaf: bool, kill: bool, save: str, enforce: bool) -> None:
        self.place = tempfile.TemporaryDirectory()
        folder = Path(self.place.name)
        self.run = folder / "run"
        self.run.mkdir()
        self.bystander = subprocess.Popen(["sleep", "300"])
        self.trainer = subprocess.Popen(DEAF if deaf else ["sleep", "300"])
        name = Path(f"/proc/{self.trainer.pid}/comm")
        wait_for(lambda: name.read_text() == "sleep\n", "the training runs")
        self.pidfile = folder / "pid"
        self.pidfile.write_text(str(self.trainer.pid))
        mode = "enforce" if enforce else "observe"
        backend = ProcessBackend(pidfile=self.pidfile)
        self.stop = Stop(self.run, backend, mode=mode, kill=kill, save=save, delay=50.0, wait=100.0, grace=50.0)
        self.kill, self.deaf, self.enforce = kill, deaf, enforce
        self.ended = self.perhaps_signalled = False

    @rule()
    def step(self) -> None:
        before, held = self.stop.command, (self.run / "HOLD").exists()
        self.stop.step()
        if before.state in FINAL:
            assert self.stop.command == before
        if held and before.state != "acknowledged":
            assert self.stop.state != "acknowledged"

    @rule()
    def the_daemon_is_killed_before_it_stores_a_step(self) -> None:
        self.perhaps_signalled |= self.stop.state == "attempting"
        self.stop.peek()

    @rule(seconds=st.sampled_from([1.0, 49.0, 60.0, 200.0]))
    def time_passes(self, seconds: float) -> None:
        self.stop.now += seconds

    @rule()
    def somebody_holds(self) -> None:
        (self.run / "HOLD").touch()

    @rule()
    def somebody_releases(self) -> None:
        (self.run / "HOLD").unlink(missing_ok=True)

    @rule()
    def the_rule_no_longer_fires(self) -> None:
        self.stop.no_longer = "it recovered"

    @rule()
    def the_trainer_saves(self) -> None:
        self.stop.checkpoints.append((100, "checkpoint-100", self.stop.now))

    @precondition(lambda self: not self.ended)
    @rule()
    def the_training_ends_by_itself(self) -> None:
        if self.trainer.poll() is None:
            self.ended = True
            self.trainer.kill()
            self.trainer.wait()

    @precondition(lambda self: self.stop.state != "planned")
    @rule()
    def the_pid_file_names_another_process(self) -> None:
        self.pidfile.write_text(str(self.bystander.pid))

    @invariant()
    def no_bystander_is_ever_hurt(self) -> None:
        assert self.bystander.poll() is None

    @invariant()
    def nothing_is_signalled_before_it_is_identified_and_that_is_stored(self) -> None:
        if self.ended or self.trainer.poll() is None:
            return
        assert self.enforce
        assert "attempting" in self.stop.seen
        assert self.trainer.returncode in (-signal.SIGTERM, -signal.SIGKILL)
        if self.trainer.returncode == -signal.SIGKILL:
            assert self.kill
            assert "acknowledged" in self.stop.seen

    def teardown(self) -> None:
        if not hasattr(self, "stop"):
            return
        try:
            self._reaches_a_truthful_end()
        finally:
            for process in (self.trainer, self.bystander):
                process.kill()
                process.wait()
            self.place.cleanup()

    def _reaches_a_truthful_end(self) -> None:
        deadline = time.monotonic() + 60
        while self.stop.state not in FINAL:
            assert time.monotonic() < deadline, self.stop.seen
            if self.stop.state == "acknowledged" and not self.deaf:
                self.trainer.wait(60)
            before = self.stop.command
            self.stop.step()
            if self.stop.command == before:
                self.stop.now += LONG
        if self.stop.state == "verified":
            assert self.trainer.wait(60) is not None
            assert "acknowledged" in self.stop.seen
        if self.stop.state in ("cancelled", "refused") and not (self.ended or self.perhaps_signalled):
            assert self.trainer.poll() is None


Life.TestCase.settings = settings(max_examples=40, stateful_step_count=14, deadline=None)
TestAnyOrderOfEvents = Life.TestCase
