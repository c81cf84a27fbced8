"""What the daemon costs when nothing happens: `python -m benchmarks.idle [--runs 100] [--seconds 60]`.

The real daemon over run folders with some finished images each: the share of one core in percent and the resident
memory in MB against their budgets; exits 1 when one is missed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import yaml
from PIL import Image

from benchmarks.common import Figure, parser, report

CORE_BUDGET, MEMORY_BUDGET = 0.5, 150.0
"""Percent of one core; MB."""
SETTLING = 15.0
"""Seconds of the first looks again, and of what they leave to do."""
IMAGES = 16
PATTERN: dict[str, object] = {
    "regex": r"samples/(?P<step>\d+)_(?P<key>\w+)\.png",
    "prompts_file": "prompts.json",
    "images": IMAGES,
}


def make(folder: Path, runs: int) -> Path:
    """Make run folders whose images have no prompt, so that no scorer is started; gives the configuration."""
    for number in range(runs):
        samples = folder / "output" / f"run-{number}" / "samples"
        samples.mkdir(parents=True)
        (samples.parent / "prompts.json").write_text("{}")
        for image in range(IMAGES):
            path = samples / f"100_{image}.png"
            Image.new("RGB", (8, 8), (number % 256, image, 0)).save(path)
            os.utime(path, (time.time() - 60,) * 2)
    config = folder / "watcher.yaml"
    settings = {"runs": [{"path": "output/*", "layout": {"pattern": PATTERN}}], "notify": ["log"], "state": "state"}
    config.write_text(yaml.safe_dump(settings))
    return config


def measure(config: Path, seconds: float, settling: float = SETTLING) -> dict[str, float]:
    """Start the daemon, let it settle, and measure it for some seconds."""
    log = config.with_suffix(".log")
    with log.open("wb") as out:
        daemon = subprocess.Popen([sys.executable, "-m", "watcher", "run", "-c", str(config)], stderr=out)
    try:
        while b"watching as process" not in log.read_bytes():
            if daemon.poll() is not None:
                raise SystemExit(log.read_text())
            time.sleep(0.1)
        process = psutil.Process(daemon.pid)
        time.sleep(settling)
        before, start = process.cpu_times(), time.monotonic()
        time.sleep(seconds)
        after, end = process.cpu_times(), time.monotonic()
        used = after.user + after.system - before.user - before.system
        return {"core_percent": round(100 * used / (end - start), 3), "resident_mb": process.memory_info().rss / 1e6}
    finally:
        daemon.terminate()
        daemon.wait()


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, compare."""
    arguments = parser(__doc__)
    arguments.add_argument("--runs", type=int, default=100)
    arguments.add_argument("--seconds", type=float, default=60.0)
    given = arguments.parse_args(argv)
    settling = SETTLING
    if given.quick:
        given.runs, given.seconds, settling = 2, 0.5, 0.0
    with tempfile.TemporaryDirectory() as folder:
        found = measure(make(Path(folder), given.runs), given.seconds, settling)
    figures = [
        Figure("share of a core, nothing happening", found["core_percent"], "%", most=CORE_BUDGET),
        Figure("resident memory of the daemon", found["resident_mb"], "MB", most=MEMORY_BUDGET),
    ]
    return report("idle", figures, given, {"runs": given.runs, "seconds": given.seconds})


if __name__ == "__main__":
    sys.exit(main())
