"""A user's home folder, terminal and trainings, in which a journey is played with the real program.

    with Stage(tmp_path) as stage:
        stage.types("watcher init train/flux")     # runs it, keeps what it printed, expects status 0
        daemon = stage.leaves_running("watcher run")
        stage.waits(lambda: ..., "the first evaluation is closed")
        stage.shown("quickstart.md", "one-gpu")    # what the page shows is what was printed

Every process of a stage is ended at its end by its own pid. Paths below the home are shown as `~`.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import psutil

from tests.contract.rooms import ROOT
from watcher.demo.stage import CLIP

PATIENCE = 180.0
"""Seconds; far more than anything here takes, also on a busy machine."""
MODEL = "openai/clip-vit-large-patch14-336"
T = TypeVar("T")


class Stage:
    """One user on one machine."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        self.mark = str(folder)
        self.said: list[str] = []
        self._started: list[subprocess.Popen[bytes]] = []
        (self.home / "bin").mkdir()
        program = self.home / "bin" / "watcher"
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m watcher "$@"\n')
        program.chmod(0o755)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "HF_", "WANDB_"))},
            "HOME": str(self.home),
            "PATH": f"{self.home / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "COLUMNS": "160",
            "HF_HUB_OFFLINE": "1",
            "CUDA_VISIBLE_DEVICES": "",
            "JOURNEY": self.mark,
        }
        self.environment.pop("WATCHER_CONFIG", None)
        _cached_model(self.home)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._started:
            process.kill()
            process.wait()
        for pid in psutil.pids():
            _end(pid, self.mark)
        if folder := os.environ.get("WATCHER_TRANSCRIPTS"):  # for whoever writes the page
            Path(folder, f"{Path(self.mark).name}.txt").write_text("\n".join(self.said) + "\n")

    def types(self, line: str, status: int = 0) -> str:
        """Type a command and wait for its end; gives what it printed, with the home as `~`."""
        done = subprocess.run(
            shlex.split(line),
            cwd=self.home,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=PATIENCE,
            check=False,
        )
        text = done.stdout.replace(str(self.home), "~")
        self.said += [f"$ {line}", *text.rstrip().splitlines()]
        assert done.returncode == status, f"{line}: status {done.returncode}\n{text}"
        return text

    def asks(self, line: str) -> dict[str, Any]:
        """Type a command with `--json` that the transcript does not show."""
        done = subprocess.run(
            shlex.split(line), cwd=self.home, env=self.environment, capture_output=True, timeout=PATIENCE, check=False
        )
        assert done.stdout, f"{line}: status {done.returncode}\n{done.stderr.decode()}"
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def leaves_running(self, line: str | Sequence[str], log: str, cwd: Path | None = None) -> subprocess.Popen[bytes]:
        """Start something that goes on in another terminal; its output goes to a file of the home."""
        words = shlex.split(line) if isinstance(line, str) else list(line)
        with (self.home / log).open("ab") as out:
            process = subprocess.Popen(
                words,
                cwd=cwd or self.home,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._started.append(process)
        if isinstance(line, str):
            self.said.append(f"$ {line} &")
        return process

    def waits(self, condition: Callable[[], T], what: str, patience: float = PATIENCE) -> T:
        """Wait until a condition holds and give its value; a failure shows every log."""
        deadline = time.monotonic() + patience
        while not (value := condition()):
            assert time.monotonic() < deadline, f"waited in vain until {what}\n{self._logs()}"
            time.sleep(0.2)
        return value

    def _logs(self) -> str:
        found = sorted(self.home.glob("*.log"))
        return "\n".join(f"--- {path.name}\n{path.read_text(errors='replace')[-6000:]}" for path in found)

    def shown(self, page: str, name: str) -> None:
        """Compare a page's transcript with what was printed: every line of it, in its order.

        The transcript is the code block after `<!-- journey: NAME -->`; a line `[...]` leaves lines out, and at the
        end of a line it leaves out what depends on the machine. Numbers only have to be there.
        """
        found = re.search(rf"<!-- journey: {name} -->\n+```text\n(.*?)```", (ROOT / "docs" / page).read_text(), re.S)
        assert found, f"{page} has no transcript {name}"
        real = iter(self.said)
        for line in found[1].splitlines():
            if line.strip() != "[...]":
                printed = any(_is_alike(line, one) for one in real)
                assert printed, f"{page}: not printed, or not there: {line}\n" + "\n".join(self.said)


def _is_alike(shown: str, printed: str) -> bool:
    begins = shown.endswith("[...]")
    wanted, found = _shape(shown.removesuffix("[...]")), _shape(printed)
    return found.startswith(wanted) if begins else found == wanted


def _shape(line: str) -> str:
    """Give what of a line is the same in every run: digits, plurals, bars and the padding of columns are not."""
    line = re.sub(r"\b(image|step)s?\b", r"\1", line)
    line = re.sub(r"[▁▂▃▄▅▆▇█]+", "▁", line)
    line = re.sub(r"\d+([.:,]\d+)*", "0", line)
    return " ".join(re.sub(r"\b0 ?(ms|s|min|m|h|d)\b", "0 s", line).split())


def _cached_model(home: Path) -> None:
    """Put the demo's small CLIP where the hub's cache has the default model: these machines have no network."""
    place = home / ".cache/huggingface/hub" / f"models--{MODEL.replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("0" * 40)
    (place / "snapshots").mkdir()
    (place / "snapshots" / ("0" * 40)).symlink_to(CLIP)


def _end(pid: int, mark: str) -> None:
    try:
        process = psutil.Process(pid)
        if process.environ().get("JOURNEY") == mark:
            process.kill()
    except psutil.Error:  # gone, or another user's
        return
