"""The scorer's process as it really is: it may be killed, hang, print or end, and the daemon goes on."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from multiprocessing import Pipe
from pathlib import Path

import psutil
import pytest

from tests.service.daemons import PATIENCE, lives, wait_for
from tests.service.scorers import Bench, customise
from watcher.demo.stage import CLIP
from watcher.score import Scored, ScorerDown, ScorerSettings
from watcher.score.process import COMMAND

NOW = 1000.0
LONG_PROMPT = "a small red ring " * 2000
"""Some hundred of these are more than a socket takes before its reader reads."""


NOISY = """
import atexit, os, sys
print("hello from a library", flush=True)
os.write(1, b"and from C, and more of it " * 100)
sys.stdin.readline()  # a library that asks a question gets no answer
"""


def test_whatever_libraries_print_or_ask_the_scores_arrive_and_the_process_ends_when_idle(
    bench: Callable[..., Bench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    customise(tmp_path, monkeypatch, NOISY)
    (tmp_path / "torch.py").write_text("raise ImportError('what lies in the working directory is not imported')")
    monkeypatch.chdir(tmp_path)
    one = bench(idle_unload="5m")
    assert one.scorer.pid is None
    one.submit("a red ring", LONG_PROMPT)
    found = one.answer()
    assert isinstance(found, Scored)
    assert [(score.error, score.truncated) for score in found.scores] == [("", False), ("", True)]
    assert found.device == "cpu (set in the configuration)"
    assert not one.scorer.busy
    process = one.process()
    assert process.nice() == 19
    for _ in range(2):  # the process stays for the next batch, which finds its prompts known
        one.submit("a red ring")
        assert isinstance(one.answer(), Scored)
    assert one.process() == process
    for now in (NOW, NOW + 299):
        one.scorer.tick(now)
        assert lives(process)
    one.scorer.tick(NOW + 300)
    assert one.scorer.pid is None
    assert not lives(process)
    heard = capfd.readouterr()
    assert "hello from a library" in heard.err
    assert "hello from a library" not in heard.out


def test_a_batch_that_fails_ends_the_process_and_one_that_hangs_is_given_up(bench: Callable[..., Bench]) -> None:
    one = bench(batch_timeout="1m")
    one.submit(5)  # no text: the tokenizer raises
    failing = one.process()
    failed = one.answer()
    assert isinstance(failed, ScorerDown)
    assert (failed.permanent, failed.blame) == (False, True)
    assert "Error: " in failed.reason
    assert not lives(failing)
    one.submit("a red ring")
    assert isinstance(one.answer(), Scored)
    hanging = one.process()
    hanging.suspend()
    one.submit(*[LONG_PROMPT] * 100)  # returns, though nobody reads it
    assert one.scorer.busy
    for now in (NOW, NOW + 60):
        one.scorer.tick(now)
        assert lives(hanging)
    one.scorer.tick(NOW + 61)
    assert one.answer() == ScorerDown("a batch took longer than 60 s (batch_timeout)", False, 2 + 1, blame=True)
    assert not lives(hanging)
    assert (one.scorer.busy, one.scorer.pid) == (False, None)


def test_a_process_killed_before_its_model_is_loaded_blames_no_image(bench: Callable[..., Bench]) -> None:
    one = bench()
    one.submit("a red ring")
    one.process().kill()
    assert one.answer() == ScorerDown("the scorer's process ended with signal 9", False, 1, blame=False)


def test_a_model_that_is_missing_is_told_every_time_and_blames_no_image(bench: Callable[..., Bench]) -> None:
    one = bench(model="/nowhere/clip")
    for _ in range(2):
        one.submit("a red ring")
        found = one.answer()
        assert isinstance(found, ScorerDown)
        assert found.reason.startswith("model folder /nowhere/clip: there is no such folder")
        assert (found.permanent, found.blame) == (True, False)
        assert one.scorer.pid is None


ALIEN = """
import dataclasses
import watcher.score.messages as messages

@dataclasses.dataclass(frozen=True)
class Alien(messages.ScorerDown):
    since_version_2: str = ""

Alien.__module__ = messages.__name__
messages.ScorerDown = messages.Alien = Alien
"""


def test_a_process_of_another_version_is_an_error_that_says_so(
    bench: Callable[..., Bench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    customise(tmp_path, monkeypatch, ALIEN)
    one = bench(model="/nowhere/clip")
    one.submit("a red ring")
    found = one.answer()
    assert isinstance(found, ScorerDown)
    assert "cannot be read" in found.reason
    assert "restart the daemon" in found.reason
    assert (found.permanent, found.blame, one.scorer.pid) == (False, False, None)


def test_a_process_that_cannot_be_started_is_a_result_like_any_other(bench: Callable[..., Bench]) -> None:
    one = bench()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        one.submit("a red ring")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    found = one.answer()
    assert found == ScorerDown(
        "the scorer's process cannot be started: [Errno 24] Too many open files", False, 1, blame=False
    )
    assert not one.scorer.busy


def test_closing_in_the_midst_of_a_batch_ends_the_process_and_puts_nothing(bench: Callable[..., Bench]) -> None:
    one = bench()
    one.submit("a red ring")
    process = one.process()
    one.scorer.close()
    assert not lives(process)
    assert one.results.empty()


def test_a_process_whose_daemon_closed_the_socket_ends_by_itself() -> None:
    ours, theirs = Pipe()
    with theirs:
        process = subprocess.Popen([*COMMAND, str(theirs.fileno())], pass_fds=[theirs.fileno()])
    with ours:
        ours.send(({"clip": ScorerSettings(model="/nowhere")}, Path("/nowhere"), {}))
    try:
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()


PARENT = """
import sys, time
from pathlib import Path
from watcher.score import Job, Scorer, ScorerSettings

scorer = Scorer({"clip": ScorerSettings(model=sys.argv[1], device="cpu")}, Path(sys.argv[2]), print)
scorer.submit(1, [Job(1, Path("/nowhere.png"), "a")])
print(scorer.pid, flush=True)
time.sleep(600)
"""


def ignores_interrupts(process: psutil.Process) -> bool:
    """Tell whether a process has come as far as ignoring SIGINT, which it does once it is bound to its parent."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    (mask,) = [line.split()[1] for line in status.splitlines() if line.startswith("SigIgn:")]
    return bool(int(mask, 16) >> (signal.SIGINT - 1) & 1)


def test_a_scorer_dies_with_its_daemon_even_while_it_hangs(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(CLIP), str(tmp_path)]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        worker = psutil.Process(int(parent.stdout.readline()))
        wait_for(lambda: ignores_interrupts(worker), "the scorer is bound to its parent")
        worker.suspend()  # it reads no socket any more: only the kernel can end it
        os.kill(parent.pid, signal.SIGKILL)
        wait_for(lambda: not lives(worker), "the scorer is gone")
    finally:
        parent.kill()
        parent.communicate()


def test_a_batch_says_how_long_it_took_without_the_loading_of_the_model(bench: Callable[..., Bench]) -> None:
    one = bench()
    one.submit("a ring")
    first = one.answer()
    one.submit("a ring")
    second = one.answer()
    assert isinstance(first, Scored)
    assert isinstance(second, Scored)
    assert 0 < second.seconds < 30
    assert first.seconds > 0
