"""Several ranks change their rates, save and end at the same step, or not at all."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.controlled import PATIENCE, Trained, environment, until
from tests.service.trees import Stop, is_living
from watcher.act import ExecBackend
from watcher.control import protocol

RANKED = Path(__file__).parents[1] / "ranked.py"
LAUNCHERS = ["ddp", "accelerate"]


def rates(folder: Path, rank: int) -> list[float]:
    place = folder / f"rates-{rank}"
    return [float(line) for line in place.read_text().split("\n")[:-1]] if place.exists() else []


def curve(steps: int, name: str) -> list[float]:
    """Give the rates without a watcher; accelerate steps a scheduler once for each rank."""
    return [0.1 * 0.9999 ** (step * (2 if name == "accelerate" else 1)) for step in range(steps)]


def launcher(name: str, folder: Path) -> list[str]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    start = ["torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1", "--master-port", port]
    own = ["--accelerate"] if name == "accelerate" else []  # whose own launcher needs mpirun for several ranks on CPUs
    return [sys.executable, "-m", *start, str(RANKED), str(folder), *own]


class Ranks:
    """Two ranks under `watcher exec`, into the folder `run`."""

    def __init__(self, folder: Path, name: str) -> None:
        self.run, self.control = folder / "run", folder / ".watcher" / "run"
        self.run.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "watcher", "exec", "--run", str(self.run), "--", *launcher(name, self.run)]
        env = {**environment(folder, None), "MASTER_ADDR": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo"}
        self.log = (folder / "log").open("a")
        self.process = subprocess.Popen(command, env=env, cwd=folder, stdout=self.log, stderr=self.log)
        until(lambda: len(rates(self.run, 0)) > 3 and len(rates(self.run, 1)) > 3, "steps of both ranks")
        until(lambda: protocol.read_json(str(self.control / protocol.HEARTBEAT)), "heartbeat")

    def pids(self) -> list[int]:
        launch = str((protocol.read_json(str(self.control / protocol.LAUNCH)) or {})["launch_id"])
        return [one.pid for one in psutil.process_iter() if _environ(one).get("WATCHER_LAUNCH") == launch]

    def trainers(self) -> list[int]:
        """Give the pids of the ranks, the first one first."""
        found = {_environ(psutil.Process(pid)).get("RANK", ""): pid for pid in self.pids()}
        return [found["0"], found["1"]]

    def end(self) -> None:
        (self.run / "end").touch()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(PATIENCE)
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(PATIENCE)
        self.log.close()


def _environ(process: psutil.Process) -> dict[str, str]:
    try:
        return dict(process.environ())
    except psutil.Error:
        return {}


@contextmanager
def ranks(folder: Path, name: str) -> Iterator[Ranks]:
    started = Ranks(folder, name)
    try:
        yield started
    finally:
        started.end()


def carried(started: Ranks, kind: Any, **args: Any) -> Stop:
    act = Stop(started.run, ExecBackend(), kind=kind, **args)
    until(lambda: act.step() in ("verified", "failed", "refused", "cancelled"), f"end of {kind}")
    return act


@pytest.mark.slow
@pytest.mark.parametrize("name", LAUNCHERS)
def test_both_ranks_train_on_at_exactly_half_the_rate_from_the_same_step_on(tmp_path: Path, name: str) -> None:
    with ranks(tmp_path, name) as started:
        act = carried(started, "scale_lr", factor=0.5)
        assert act.state == "verified", act.proof
        assert "on 2 ranks" in act.proof
        changed = act.command.progress["lr"]["step"]
        until(lambda: min(len(rates(started.run, rank)) for rank in (0, 1)) > changed + 20, "later steps")
    for rank in (0, 1):
        used = rates(started.run, rank)
        expected = curve(len(used), name)
        assert used[:changed] == pytest.approx(expected[:changed], rel=1e-9)
        assert used[changed:] == pytest.approx([rate / 2 for rate in expected[changed:]], rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", LAUNCHERS)
def test_both_ranks_save_once_and_end_together(tmp_path: Path, name: str) -> None:
    with ranks(tmp_path, name) as started:
        saved = carried(started, "checkpoint")
        assert saved.state == "verified", saved.proof
        pids = started.trainers()
        act = carried(started, "stop", save="wait")
        assert act.state == "verified", act.proof
        assert not any(is_living(pid) for pid in pids)
    assert len(list((started.control / "checkpoints").iterdir())) == 2
    assert len(rates(started.run, 0)) == len(rates(started.run, 1))


@pytest.mark.slow
def test_an_older_checkpoint_is_gone_on_with_at_the_lowered_rate_on_both_ranks(tmp_path: Path) -> None:
    with ranks(tmp_path, "ddp") as started:
        assert carried(started, "scale_lr", factor=0.5).state == "verified"
    for rank in (0, 1):
        (tmp_path / "run" / f"rates-{rank}").unlink()
    (tmp_path / "run" / "end").unlink()
    with ranks(tmp_path, "ddp") as again:
        until(lambda: len(rates(again.run, 0)) > 10, "steps")
    # The first step's rate is read before the hook has seen it: what it steps with is the lowered one.
    assert [rates(again.run, rank)[1] for rank in (0, 1)] == pytest.approx([0.05 * 0.9999**4] * 2, rel=1e-9)


@pytest.mark.slow
def test_a_rank_that_dies_while_they_agree_leaves_nothing_half_done_and_nothing_hanging(tmp_path: Path) -> None:
    with ranks(tmp_path, "ddp") as started:
        os.kill(started.trainers()[1], signal.SIGSTOP)
        act = Stop(started.run, ExecBackend(), kind="scale_lr", factor=0.5)
        act.go("acknowledged")
        until(lambda: protocol.ack(str(started.control), act.command.progress["order"]), "word of the first rank")
        os.kill(started.trainers()[1], signal.SIGKILL)
        until(lambda: act.step() in ("verified", "failed", "refused", "cancelled"), "end")
        assert act.state in ("cancelled", "failed"), act.proof
        until(lambda: started.process.poll() is not None, "end of the launcher")
    assert all(rate > 0.09 for rank in (0, 1) for rate in rates(started.run, rank))


JOIN = "torch.distributed.init_process_group('gloo', init_method='file://{}/store', rank={}, world_size=2)"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Trained, Trained]]:
    """Two ranks that are stepped from here, each by itself."""
    with Trained(tmp_path) as first, Trained(tmp_path) as second:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda one: one[1].ask("do", JOIN.format(tmp_path, one[0])), enumerate((first, second))))
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda one: one.go(1), (first, second)))
        yield first, second


def test_no_rank_acts_before_all_have_come_to_the_step(pair: tuple[Trained, Trained]) -> None:
    first, second = pair
    number = first.send("scale_lr", factor=0.5)
    until(lambda: first.ack(number), "word")
    until(lambda: (first.go(1), second.go(1), first.ack(number)["state"] == "applied")[-1], "the change")
    until(lambda: (second.go(1), protocol.ack(str(first.control), number, 1)["state"] == "applied")[-1], "both")
    acks = [protocol.ack(str(first.control), number, rank) for rank in (0, 1)]
    steps = {ack["details"]["changed_after_step"] for ack in acks}
    (changed,) = steps
    for rank in pair:
        assert rank.used[changed - 1] == pytest.approx([0.1, 0.02])
        assert rank.used[changed] == pytest.approx([0.05, 0.01])


def test_a_rank_that_is_behind_changes_at_its_own_same_step(pair: tuple[Trained, Trained]) -> None:
    first, second = pair
    number = first.send("scale_lr", factor=0.5)
    until(lambda: first.ack(number), "word")
    until(lambda: (first.go(1), time.sleep(0.05), first.ack(number)["state"] == "applied")[-1], "the first's change")
    changed = first.ack(number)["details"]["changed_after_step"]
    assert len(second.used) < changed
    second.go(changed + 3 - len(second.used))
    assert second.used[changed - 1] == pytest.approx([0.1, 0.02])
    assert second.used[changed] == pytest.approx([0.05, 0.01])


def test_a_rank_that_is_ahead_makes_them_agree_on_a_later_step_or_not_at_all(pair: tuple[Trained, Trained]) -> None:
    first, second = pair
    second.go(400)
    number = first.send("scale_lr", factor=0.5)
    until(lambda: (ack := first.ack(number)) and ack["state"] == "failed", "the end of it")
    assert "came to the step too early; nothing was done" in first.ack(number)["details"]["error"]
    first.go(3)
    second.go(3)
    assert (first.used[-1], second.used[-1]) == ([0.1, 0.02], [0.1, 0.02])


def test_a_command_is_taken_back_while_they_agree(pair: tuple[Trained, Trained]) -> None:
    first, second = pair
    os.kill(second.process.pid, signal.SIGSTOP)
    try:
        number = first.send("scale_lr", factor=0.5)
        until(lambda: first.ack(number), "word")
        first.send("cancel", id=number)
        first.waits(number, "cancelled")
    finally:
        os.kill(second.process.pid, signal.SIGCONT)
    first.go(30)
    second.go(30)
    assert (first.used[-1], second.used[-1]) == ([0.1, 0.02], [0.1, 0.02])


def test_ranks_without_a_store_are_refused(tmp_path: Path) -> None:
    with Trained(tmp_path) as training:
        pretend = "setattr(torch.distributed.distributed_c10d, '_get_default_store', lambda: None)"
        training.ask("do", JOIN.format(tmp_path, 0).replace("world_size=2", "world_size=1"))
        training.ask("do", pretend)
        training.ask("do", "setattr(torch.distributed, 'get_world_size', lambda *_: 2)")
        training.go(1)
        ack = training.step_until(training.send("scale_lr", factor=0.5))
        assert "2 ranks train together, and have no store to agree by" in ack["details"]["error"]
