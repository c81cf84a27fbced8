"""The environment in which torchmetrics' CLIPScore runs: its release 1.9.0 needs transformers 4, the watcher has 5.

It is made once, outside of the repository, and shares this environment's torch, so that both run the same build.
"""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from watcher.score import Job

PINS = ("torchmetrics==1.9.0", "transformers==4.57.6")
WHERE = Path.home() / ".cache" / "watcher-bench" / "torchmetrics"
CHILD = Path(__file__).parent / "torchmetrics_child.py"


def is_made(folder: Path) -> bool:
    """Tell whether the environment is there, whole, and beside this Python's packages."""
    stamp = folder / "made.json"
    return stamp.exists() and json.loads(stamp.read_text()) == _made_of()


def make(folder: Path) -> Path:
    """Make the environment unless it is there; gives its Python.

    Raises:
        SystemExit: it cannot be made; most likely the package index cannot be reached.

    """
    program = folder / "bin" / "python"
    if is_made(folder):
        return program
    print(f"making an environment with {', '.join(PINS)} in {folder}", flush=True)
    venv.create(folder, clear=True, with_pip=True)
    (site,) = folder.glob("lib/python3*/site-packages")
    # Behind its own packages in the search path: torch, numpy and Pillow come from here, transformers from there.
    (site / "behind.pth").write_text(sysconfig.get_path("purelib") + "\n")
    done = subprocess.run(
        [program, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PINS], check=False
    )
    if done.returncode:
        raise SystemExit(f"{folder}: {', '.join(PINS)} cannot be installed (above pip says why); nothing was measured")
    (folder / "made.json").write_text(json.dumps(_made_of()))
    return program


def _made_of() -> dict[str, Any]:
    return {"pins": list(PINS), "beside": sysconfig.get_path("purelib"), "python": sys.version}


class Child:
    """torchmetrics in a process of its own that keeps its model loaded; to be used in a `with`."""

    def __init__(self, program: Path, model: Path, jobs: Sequence[Job], batch: int, threads: int) -> None:
        listed = model / "jobs.json"
        listed.write_text(json.dumps([(str(job.path), job.prompt) for job in jobs]))
        command = [str(program), str(CHILD), str(model), str(listed), str(batch), str(threads)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.versions: dict[str, str] = self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()  # its input ends, and so does it

    def ask(self, order: str, count: int) -> Any:
        """Have the first `count` files scored: `batched`, `functional` or `cosines`; gives the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{order} {count}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"torchmetrics' process ended with status {self._process.wait()}; above it says why")
        return json.loads(line)
