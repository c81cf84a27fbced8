"""Stand-ins for trainers that run: processes with a trainer's command line and working folder, which do nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from watcher.discover.running import processes

IDLE = "import sys\nprint('up', flush=True)\nsys.stdin.read()\n"


@contextmanager
def started(cwd: Path, script: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a script of this name from a folder, and forget what was known of processes before."""
    (cwd / script).parent.mkdir(parents=True, exist_ok=True)
    (cwd / script).write_text(IDLE)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, script, *arguments], cwd=cwd, **pipes)  # type: ignore[call-overload]
    try:
        assert process.stdout is not None
        process.stdout.readline()
        processes.cache_clear()
        yield process
    finally:
        process.kill()
        process.communicate()
