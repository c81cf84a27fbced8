"""Small trainings of their own, tied to a run by what they are told on their command line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

PROGRAM = "import time\nprint('up', flush=True)\nwhile True: time.sleep(0.1)"
Start = Callable[[Path], subprocess.Popen[bytes]]


def begin(run: Path) -> subprocess.Popen[bytes]:
    """Start a training that writes into a run's folder, and wait until it is up."""
    command = [sys.executable, "-c", PROGRAM, "--output_dir", str(run)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    return process


def end(process: subprocess.Popen[bytes]) -> None:
    """End it by its own pid; one that has ended already stays so."""
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
